// Calls of the ModuleApi, beside plain Comlink.

import { startRuntime } from '../contenders/bulkhead.ts';
import { startComlink } from '../contenders/threads.ts';
import { createEvent } from '../events.ts';
import { ratio } from '../measure.ts';
import type { Findings, Plan } from '../workload.ts';

const ABREAST = [1, 64];

export async function moduleApi(plan: Plan): Promise<Findings> {
  const entry = { timeout: '60s', limits: { host_time: '100%' }, permissions: { users: ['read'] } };
  const { modules, close } = await startRuntime({
    modules: [{ name: 'api-caller', entry }],
    homeserver: { getProfile: async () => ({ displayname: 'Alice' }) },
  });
  const comlink = await startComlink();
  const found = new Map<string, number[]>();
  const note = (name: string, calls: number, ms: number): void => {
    found.set(name, [...(found.get(name) ?? []), (calls / ms) * 1000]);
  };
  for (let round = 0; round < plan.rounds; round++) {
    for (const abreast of ABREAST) {
      const calls = Math.round(plan.ms * (abreast === 1 ? 8 : 40));
      let startedAt = performance.now();
      const outcome = await modules.spamChecker.checkEventForSpam({
        ...createEvent('0.3 KB'),
        content: { calls, abreast },
      });
      if (!outcome.allowed) throw new Error(JSON.stringify(outcome));
      note(`Bulkhead ${abreast}`, calls, performance.now() - startedAt);
      let left = calls;
      startedAt = performance.now();
      const one = async (): Promise<void> => {
        while (left-- > 0) await comlink.value('@alice:example.com');
      };
      await Promise.all(Array.from({ length: abreast }, one));
      note(`Comlink ${abreast}`, calls, performance.now() - startedAt);
    }
  }
  await comlink.close();
  await close();
  const of = (name: string) => ABREAST.map((abreast) => found.get(`${name} ${abreast}`));
  return {
    tables: [
      {
        id: 'module-api',
        title: 'ModuleApi calls, so many at a time',
        unit: 'calls/s',
        columns: ABREAST.map(String),
        rows: ['Bulkhead', 'Comlink'].map((name) => ({ name, cells: of(name) })),
      },
    ],
    goals: [
      {
        what: 'ModuleApi calls, 64 at a time, to Comlink',
        ratio: ratio(found.get('Bulkhead 64') ?? [], found.get('Comlink 64') ?? []),
        atLeast: 3,
      },
    ],
  };
}
