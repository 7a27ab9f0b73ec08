// checkEventAllowed in rooms of any size: a lookup is handed over, not a copy.

import type { EventData, StateLookup } from '@bulkhead/sdk/contract';
import { startRuntime } from '../contenders/bulkhead.ts';
import { createEvent } from '../events.ts';
import { load, percentile, type Rounds, ratio } from '../measure.ts';
import type { Findings, Plan } from '../workload.ts';

const sizes = [10, 1_000, 100_000];

export async function roomState(plan: Plan): Promise<Findings> {
  const { modules, close } = await startRuntime({ modules: [{ name: 'room-rules' }] });
  const rooms = sizes.map((size) => ({ size, state: roomOf(size) }));
  const found = new Map<number, number[]>(sizes.map((size) => [size, []]));
  for (let round = 0; round < plan.rounds; round++) {
    for (const { size, state } of rooms) {
      const { latencies } = await load(() => modules.thirdPartyRules.checkEventAllowed(createEvent('0.3 KB'), state), {
        abreast: 1,
        ms: plan.ms,
      });
      found.get(size)?.push(percentile(latencies, 0.5));
    }
  }
  await close();
  const of = (size: number): Rounds => found.get(size) ?? [];
  return {
    tables: [
      {
        id: 'room-state',
        title: '`checkEventAllowed` with a type of state that comes with the call, by events in the room’s state',
        unit: 'µs',
        columns: ['p50'],
        rows: sizes.map((size) => ({ name: size.toLocaleString('en'), cells: [of(size)] })),
      },
    ],
    goals: [{ what: 'state of 100,000 events to 10, p50', ratio: ratio(of(100_000), of(10)), atMost: 1.1 }],
  };
}

function roomOf(size: number): StateLookup {
  const byType = new Map<string, Map<string, EventData>>();
  const add = (type: string, stateKey: string, content: EventData['content']): void => {
    const events = byType.get(type) ?? new Map<string, EventData>();
    byType.set(type, events.set(stateKey, { ...createEvent('0.3 KB'), type, state_key: stateKey, content }));
  };
  add('m.room.power_levels', '', { users: { '@alice:example.com': 100 } });
  for (let i = 1; i < size; i++) add('m.room.member', `@user${i}:example.com`, { membership: 'join' });
  return {
    get: (type, stateKey) => byType.get(type)?.get(stateKey),
    list: (type, limit) => [...(byType.get(type)?.values() ?? [])].slice(0, limit),
    entries: () => [...byType.values()].flatMap((events) => [...events.values()]),
  };
}
