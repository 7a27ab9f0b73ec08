// How much of the host's time a cell may take with what nobody asked it for. Answers are not counted: they are as many as
// the calls. Everything else a cell could send without end, and each record of it costs the host more than the cell.

import { Bucket } from './bucket.js';

/** What all cells together may take, as a share of the time of one core. */
const COMMON_SHARE = 0.5;
/** So much time, in milliseconds, may be taken at once after a quiet time. */
const BURST_MS = 200;
const COMMON_BURST_MS = 500;
/** When nothing is left, reading goes on when there is so much again. */
const SLICE_MS = 4;
/** What is refused, dropped or nobody's may take so much, and then the cell is a flood. */
const WASTE_SHARE = 0.01;
const WASTE_BURST_MS = 100;

/** Shared by the channels of a runtime. */
export const createCommonBudget = (): Bucket => new Bucket({ perMs: COMMON_SHARE, capacity: COMMON_BURST_MS });

export class Budget {
  readonly #own: Bucket;
  readonly #common: Bucket;
  readonly #waste = new Bucket({ perMs: WASTE_SHARE, capacity: WASTE_BURST_MS });

  /** @param share of the time of one core, above 0 and up to 1 */
  constructor(share: number, common: Bucket) {
    this.#own = new Bucket({ perMs: share, capacity: BURST_MS });
    this.#common = common;
  }

  spend(ms: number): void {
    this.#own.take(ms);
    this.#common.take(ms);
  }

  /** Part of what was spent was for nothing. @returns whether that is too much */
  waste(ms: number): boolean {
    this.#waste.take(ms);
    return this.#waste.level < 0;
  }

  /** How long the cell is not read any more; 0 when it may go on. */
  get pauseMs(): number {
    if (this.#own.level > 0 && this.#common.level > 0) return 0;
    return Math.max(this.#own.msUntil(SLICE_MS), this.#common.msUntil(SLICE_MS));
  }
}
