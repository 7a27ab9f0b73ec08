// The life that runs on this thread: where its errors go and whose timers its signals use. The web classes belong to the
// thread, and one module lives on a thread at a time.

import type { Timers } from '../timers.js';

export interface Life {
  readonly timers: Timers;
  readonly onUncaught: (error: unknown) => void;
}

let current: Life | undefined;

export function beginLife(life: Life): void {
  current = life;
}

export function endLife(life: Life): void {
  if (current === life) current = undefined;
}

export function reportUncaught(error: unknown): void {
  current?.onUncaught(error);
}

export function currentTimers(): Timers {
  if (current === undefined) throw new Error('nothing lives here');
  return current.timers;
}
