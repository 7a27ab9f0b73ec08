// A module's own work, in a compartment and outside of one.

import { once } from 'node:events';
import { startRuntime } from '../contenders/bulkhead.ts';
import { startThread } from '../contenders/contender.ts';
import { createEvent } from '../events.ts';
import { ratio } from '../measure.ts';
import type { Findings, Plan } from '../workload.ts';

export async function inside(plan: Plan): Promise<Findings> {
  const rounds = Math.round(plan.ms * 4);
  const { modules, close } = await startRuntime({ modules: [{ name: 'sums', entry: { timeout: '60s' } }] });
  const thread = startThread('sums-thread.js');
  const [within, outside]: [number[], number[]] = [[], []];
  // The first turn is the compiler's.
  for (let round = 0; round <= plan.rounds; round++) {
    thread.postMessage(rounds);
    const [ms] = (await once(thread, 'message')) as [number];
    const outcome = await modules.spamChecker.checkEventForSpam({ ...createEvent('0.3 KB'), content: { rounds } });
    if (outcome.allowed || outcome.cause !== 'refused') throw new Error(JSON.stringify(outcome));
    if (round === 0) continue;
    outside.push(ms);
    within.push(Number(outcome.error));
  }
  await thread.terminate();
  await close();
  return {
    tables: [
      {
        id: 'inside',
        title: 'A module’s own work: a word list, a pattern, JSON, Math',
        unit: 'ms',
        columns: ['the same work'],
        rows: [
          { name: 'in a plain worker', cells: [outside] },
          { name: 'in a compartment', cells: [within] },
        ],
      },
    ],
    goals: [{ what: 'work inside a compartment to outside', ratio: ratio(within, outside), atMost: 1.1 }],
  };
}
