// Clocks and figures. Everything is measured in rounds in which each contender has its turn, so that what the machine does in
// between falls on all of them; figures are medians over rounds, ratios are made within a round.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** One figure for each round. */
export type Rounds = readonly number[];

export const median = (values: Rounds): number => percentile(values, 0.5);

/** `values` need not be in order. */
export function percentile(values: Rounds, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Of each round the quotient. */
export const ratio = (of: Rounds, to: Rounds): Rounds => of.map((value, round) => value / (to[round] as number));

export interface Load {
  /** Each in microseconds. */
  readonly latencies: number[];
  readonly perSecond: number;
  /** What a call costs this thread, in microseconds of its processor time. */
  readonly hostCpu: number;
}

/** So many at a time for so many milliseconds. */
export async function load(
  ask: () => Promise<unknown>,
  { abreast, ms }: { abreast: number; ms: number },
): Promise<Load> {
  const latencies: number[] = [];
  const cpu = threadCpuUs();
  const startedAt = performance.now();
  const until = startedAt + ms;
  const one = async (): Promise<void> => {
    for (;;) {
      const askedAt = performance.now();
      if (askedAt >= until) return;
      await ask();
      latencies.push((performance.now() - askedAt) * 1000);
    }
  };
  await Promise.all(Array.from({ length: abreast }, one));
  const tookMs = performance.now() - startedAt;
  return {
    latencies,
    perSecond: (latencies.length / tookMs) * 1000,
    hostCpu: (threadCpuUs() - cpu) / latencies.length,
  };
}

/** The processor time of a process's main thread, in microseconds; NaN where the system does not tell. */
export function threadCpuUs(pid = process.pid): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1000;
  } catch {
    return Number.NaN;
  }
}

/** Lets whatever was asked before come to its end. */
export const rest = (ms = 20): Promise<void> => sleep(ms);
