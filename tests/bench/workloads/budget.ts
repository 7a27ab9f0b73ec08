// Where the time of a call goes: its steps on the homeserver's side and in the cell, each alone, and what a call takes in all.

import { type EventData, isEventData } from '@bulkhead/sdk/contract';
import { startRuntime } from '../contenders/bulkhead.ts';
import { startSocketEcho } from '../contenders/frames.ts';
import { createEvent } from '../events.ts';
import { load, median, percentile, type Rounds, rest } from '../measure.ts';
import { isSpam } from '../workers/word-list.js';
import type { Findings, Plan } from '../workload.ts';

const EVENTS = 1_000;

export async function budget(plan: Plan): Promise<Findings> {
  const events = Array.from({ length: EVENTS }, (): EventData => JSON.parse(JSON.stringify(createEvent('0.3 KB'))));
  const bodyOf = (event: EventData) => JSON.stringify({ callback: 'checkEventForSpam', callId: 'c1', args: [event] });
  const texts = events.map(bodyOf);
  const memory = Buffer.alloc(64 * 1024);
  const written = texts.map((text) => Buffer.from(text));
  const steps: Readonly<Record<string, (index: number) => unknown>> = {
    'look at the event': (index) => isEventData(events[index]),
    serialise: (index) => bodyOf(events[index] as EventData),
    'write into the frame': (index) => memory.write(texts[index] as string, 16),
    'read from the frame': (index) => (written[index] as Buffer).toString('utf8'),
    parse: (index) => JSON.parse(texts[index] as string),
    'run the check': (index) => isSpam(events[index] as EventData),
  };
  const found = new Map<string, number[]>();
  const add = (name: string, us: number): void => void found.set(name, [...(found.get(name) ?? []), us]);
  const echo = await startSocketEcho();
  const { modules, close } = await startRuntime({ modules: [{ name: 'word-list' }] });
  const ask = () => modules.spamChecker.checkEventForSpam(createEvent('0.3 KB'));
  for (let round = 0; round < plan.rounds; round++) {
    for (const [name, step] of Object.entries(steps)) add(name, timed(step, plan.ms / 4));
    add(
      'there and back over the socket',
      percentile((await load(() => echo.ask(createEvent('0.3 KB')), { abreast: 1, ms: plan.ms })).latencies, 0.5),
    );
    add('a call alone, p50', percentile((await load(ask, { abreast: 1, ms: plan.ms })).latencies, 0.5));
    await rest();
    await load(ask, { abreast: 256, ms: plan.ms });
    const busy = await load(ask, { abreast: 256, ms: plan.ms });
    add('one of 256 calls, wall clock', 1e6 / busy.perSecond);
    add("one of 256 calls, the homeserver's thread", busy.hostCpu);
  }
  await echo.close();
  await close();
  const whole = found.get("one of 256 calls, the homeserver's thread") ?? [];
  const share = (rounds: Rounds): Rounds => rounds.map((us) => (100 * us) / median(whole));
  return {
    tables: [
      {
        id: 'budget',
        title: 'Where a call’s time goes, an event of 0.3 KB',
        unit: '',
        columns: ['µs', '% of what the homeserver’s thread spends on one of 256'],
        rows: [...found].map(([name, rounds]) => ({
          name,
          cells: [rounds, Object.hasOwn(steps, name) || rounds === whole ? share(rounds) : undefined],
        })),
      },
    ],
    goals: [],
  };
}

/** Microseconds for a step. */
function timed(step: (index: number) => unknown, ms: number): number {
  for (let index = 0; index < EVENTS; index++) step(index);
  const startedAt = performance.now();
  let steps = 0;
  while (performance.now() - startedAt < ms) {
    for (let index = 0; index < EVENTS; index++) step(index);
    steps += EVENTS;
  }
  return ((performance.now() - startedAt) * 1000) / steps;
}
