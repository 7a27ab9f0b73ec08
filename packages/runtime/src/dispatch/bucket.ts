// A token bucket: what is taken comes back at a steady rate, up to what the bucket holds. It costs neither a timer nor memory.

export interface BucketOptions {
  readonly perMs: number;
  readonly capacity: number;
}

export class Bucket {
  readonly #options: BucketOptions;
  readonly #now: () => number;
  #level: number;
  #filledAt: number;

  /** @param now milliseconds on a clock that never goes back */
  constructor(options: BucketOptions, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
    this.#level = options.capacity;
    this.#filledAt = now();
  }

  get level(): number {
    const time = this.#now();
    this.#level += Math.max(0, time - this.#filledAt) * this.#options.perMs;
    this.#level = Math.min(this.#options.capacity, this.#level);
    this.#filledAt = time;
    return this.#level;
  }

  /** More may be taken than there is: then it takes longer until there is some again. */
  take(amount: number): void {
    this.#level = this.level - amount;
  }

  /** Until the bucket holds so much, if nobody takes anything. */
  msUntil(level: number): number {
    return Math.max(0, level - this.level) / this.#options.perMs;
  }
}
