// A module that computes much, in several cells: what more cores bring.

import { availableParallelism } from 'node:os';
import { startRuntime } from '../contenders/bulkhead.ts';
import { createEvent } from '../events.ts';
import { load, ratio, rest } from '../measure.ts';
import type { Findings, Plan } from '../workload.ts';

const ABREAST = 32;
/** Of the work of `sums`: about a millisecond. */
const ROUNDS = 8;

export async function instances(plan: Plan): Promise<Findings> {
  const numbers = [1, Math.min(4, availableParallelism())];
  const rates = new Map<number, number[]>();
  for (const number of numbers) {
    const entry = { instances: number, timeout: '60s' };
    const { modules, close } = await startRuntime({ modules: [{ name: 'sums', entry }] });
    const event = { ...createEvent('0.3 KB'), content: { rounds: ROUNDS } };
    const ask = () => modules.spamChecker.checkEventForSpam(event);
    const perSecond: number[] = [];
    for (let round = 0; round < plan.rounds; round++) {
      await load(ask, { abreast: ABREAST, ms: plan.ms });
      await rest();
      perSecond.push((await load(ask, { abreast: ABREAST, ms: plan.ms * 2 })).perSecond);
    }
    await close();
    rates.set(number, perSecond);
  }
  const of = (number: number | undefined) => rates.get(number ?? 0) ?? [];
  return {
    tables: [
      {
        id: 'instances',
        title: 'A stateless module that computes much, by the number of its instances',
        unit: 'calls/s',
        columns: numbers.map(String),
        rows: [{ name: 'sums', cells: numbers.map(of) }],
      },
    ],
    goals: [
      {
        what: `${numbers[1]} instances to one, on ${availableParallelism()} cores`,
        ratio: ratio(of(numbers[1]), of(1)),
        atLeast: 1.5,
      },
    ],
  };
}
