// How often something may be done. A bucket of tokens for each key, kept as one number: the time at which it is full again.

import { limitExceeded } from '../errors.js';

export interface Rate {
  readonly perSecond: number;
  /** How many at once. */
  readonly burstCount: number;
}

const MAX_KEYS = 10_000;

export class RateLimit {
  readonly #intervalMs: number;
  readonly #burstMs: number;
  readonly #fullAt = new Map<string, number>();

  constructor({ perSecond, burstCount }: Rate) {
    this.#intervalMs = 1000 / perSecond;
    this.#burstMs = this.#intervalMs * burstCount;
  }

  /** @throws MatrixError 429 `M_LIMIT_EXCEEDED` */
  take(key: string): void {
    const now = performance.now();
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now) + this.#intervalMs;
    const wait = fullAt - now - this.#burstMs;
    if (wait > 0) throw limitExceeded(Math.ceil(wait));
    this.#fullAt.delete(key);
    this.#fullAt.set(key, fullAt);
    this.#sweep(now);
  }

  /** The Map is in order of use. Whoever is not limited any more is forgotten, and in need whoever came first. */
  #sweep(now: number): void {
    for (const [key, fullAt] of this.#fullAt) {
      if (fullAt > now && this.#fullAt.size <= MAX_KEYS) break;
      this.#fullAt.delete(key);
    }
  }
}
