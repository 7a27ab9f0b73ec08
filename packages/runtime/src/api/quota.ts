// How often a module may do something: a token bucket that costs neither a timer nor memory per attempt.

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
  /** How many were dropped in all. */
  readonly dropped: number;
}

export function createRateLimit({ perSecond, burst, now = () => performance.now() }: RateLimitOptions): RateLimit {
  let tokens = burst;
  let filledAt = now();
  let dropped = 0;
  let reported = 0;

  const refill = (): void => {
    const time = now();
    tokens = Math.min(burst, tokens + (Math.max(0, time - filledAt) * perSecond) / 1000);
    filledAt = time;
  };

  return {
    take() {
      refill();
      if (tokens < 1) {
        dropped += 1;
        return false;
      }
      tokens -= 1;
      return true;
    },
    takeDropped() {
      const fresh = dropped - reported;
      reported = dropped;
      return fresh;
    },
    get dropped() {
      return dropped;
    },
  };
}
