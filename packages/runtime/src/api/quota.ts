// How often a module may do something.

import { Bucket } from '../dispatch/bucket.js';

export interface RateLimitOptions {
  readonly perSecond: number;
  /** How many may pass at once after a quiet time. */
  readonly burst: number;
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number;
}

export interface RateLimit {
  /** Whether one more may pass; if not, it is counted as dropped. */
  take(): boolean;
  /** How many were dropped since this was last asked, for a line such as "213 lines dropped". */
  takeDropped(): number;
}

export function createRateLimit({ perSecond, burst, now }: RateLimitOptions): RateLimit {
  const bucket = new Bucket({ perMs: perSecond / 1000, capacity: burst }, now);
  let dropped = 0;
  return {
    take() {
      if (bucket.level < 1) {
        dropped++;
        return false;
      }
      bucket.take(1);
      return true;
    },
    takeDropped() {
      const fresh = dropped;
      dropped = 0;
      return fresh;
    },
  };
}
