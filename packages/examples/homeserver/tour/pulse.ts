// Feels the homeserver's pulse while something happens to its modules: requests without a pause, and how long its event
// loop was held up.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { exchange } from './client.js';

export interface Pulse {
  readonly requests: number;
  readonly failed: number;
  readonly slowestMs: number;
  readonly longestBlockMs: number;
}

/** Asks for /versions again and again until `during` is over. */
export async function takePulse(url: string, during: Promise<unknown>): Promise<Pulse> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  let over = false;
  void during.finally(() => {
    over = true;
  });
  const times: number[] = [];
  let failed = 0;
  while (!over) {
    const { status, ms } = await exchange(url, 'GET', '/_matrix/client/versions');
    if (status !== 200) failed++;
    times.push(ms);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  delay.disable();
  return {
    requests: times.length,
    failed,
    slowestMs: Math.round(Math.max(...times)),
    longestBlockMs: Math.round(delay.max / 1e6),
  };
}
