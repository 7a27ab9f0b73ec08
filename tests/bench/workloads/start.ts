// How long modules take to be there, and what memory they keep.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { childrenOf } from '../../containment/harness/proc.ts';
import { startRuntime } from '../contenders/bulkhead.ts';
import { startThread } from '../contenders/contender.ts';
import { type Rounds, ratio, rest } from '../measure.ts';
import type { Findings, Plan, Row } from '../workload.ts';

export async function start(plan: Plan): Promise<Findings> {
  const numbers = plan.short ? [1, 4] : [1, 20, 100];
  const rounds = plan.short ? 1 : Math.min(plan.rounds, 3);
  const times = new Map<string, number[]>();
  const memory = new Map<string, number[]>();
  const add = (to: Map<string, number[]>, name: string, value: number): void => {
    to.set(name, [...(to.get(name) ?? []), value]);
  };
  for (let round = 0; round < rounds; round++) {
    for (const number of numbers) {
      const before = proportionalMiB(process.pid);
      let startedAt = performance.now();
      const workers = await startWorkers(number);
      add(times, `workers ${number}`, performance.now() - startedAt);
      add(memory, `workers ${number}`, proportionalMiB(process.pid) - before);
      await Promise.all(workers.map((thread) => thread.terminate()));
      await rest(200);

      startedAt = performance.now();
      const { close } = await startRuntime({ modules: Array.from({ length: number }, () => ({ name: 'word-list' })) });
      add(times, `modules ${number}`, performance.now() - startedAt);
      await rest(3_000);
      add(memory, `modules ${number}`, hullsMiB());
      await close();
      await rest(200);
      plan.tell(`started ${number} modules`);
    }
  }
  const of = (from: Map<string, number[]>, name: string): Rounds => from.get(name) ?? [];
  const rows = (from: Map<string, number[]>): readonly Row[] =>
    ['workers', 'modules'].map((name) => ({
      name: name === 'workers' ? 'bare workers' : 'modules',
      cells: numbers.map((number) => from.get(`${name} ${number}`)),
    }));
  const columns = numbers.map(String);
  return {
    tables: [
      { id: 'start', title: 'Until all have started, hull included', unit: 'ms', columns, rows: rows(times) },
      { id: 'memory', title: 'Memory of all of them, idle', unit: 'MiB', columns, rows: rows(memory) },
    ],
    goals: plan.short
      ? []
      : [
          {
            what: 'start of 20 modules to that of 20 bare workers',
            ratio: ratio(of(times, 'modules 20'), of(times, 'workers 20')),
            atMost: 1.5,
          },
          {
            what: 'memory of 100 idle modules to 1.5 GB',
            ratio: of(memory, 'modules 100').map((mebibytes) => (mebibytes * 2 ** 20) / 1.5e9),
            atMost: 1,
          },
        ],
  };
}

/** As many at once as there are cores, which is what makes them all be there soonest. */
async function startWorkers(number: number): Promise<readonly Worker[]> {
  const workers: Worker[] = [];
  const one = async (): Promise<void> => {
    while (workers.length < number) {
      const thread = startThread('post-message.js');
      workers.push(thread);
      await new Promise((resolve) => thread.once('online', resolve));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, one));
  return workers;
}

/** Of the processes that hold the cells. */
const hullsMiB = (): number => childrenOf(process.pid, 'hull.cjs').reduce((sum, pid) => sum + proportionalMiB(pid), 0);

/** What several processes share counts for each by its part. */
function proportionalMiB(pid: number): number {
  try {
    const [, kibibytes] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')) ?? [];
    return Number(kibibytes) / 1024;
  } catch {
    return 0;
  }
}
