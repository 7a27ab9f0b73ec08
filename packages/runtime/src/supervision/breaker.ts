// After repeated failures a module is not asked any more for a while, and then once, to see.

import { layers } from '../layers.js';

export interface BreakerOptions {
  /** How many failures within the window park the module. */
  readonly failures: number;
  /** Milliseconds. */
  readonly window: number;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 5 * 60_000;
/** A pause is up to so much longer by chance: modules that failed together are not all probed at once. */
const JITTER = 0.2;

export type BreakerState =
  | { readonly state: 'closed' }
  /** Not asked until then, on the clock of `performance.now()`. */
  | { readonly state: 'open'; readonly until: number }
  /** One call is let through to see. */
  | { readonly state: 'probing' };

export class Breaker {
  readonly #options: BreakerOptions;
  readonly #random: () => number;
  #failedAt: number[] = [];
  #pause = FIRST_PAUSE_MS;
  #state: BreakerState = { state: 'closed' };

  constructor(options: BreakerOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether a call may pass; when the pause is over, the one that asks first is the probe. */
  admits(now = performance.now()): boolean {
    if (this.#state.state === 'closed' || !layers.has('breaker')) return true;
    if (this.#state.state === 'probing' || now < this.#state.until) return false;
    this.#state = { state: 'probing' };
    return true;
  }

  /** @returns whether this was the probe: the module is asked again */
  succeeded(): boolean {
    if (this.#state.state !== 'probing') return false;
    this.reset();
    return true;
  }

  /** The probe ended without telling anything about the module: the next call is one. */
  inconclusive(now = performance.now()): void {
    if (this.#state.state === 'probing') this.#state = { state: 'open', until: now };
  }

  /** @returns whether this failure parked the module */
  failed(now = performance.now()): boolean {
    if (this.#state.state === 'open') return false;
    if (this.#state.state === 'closed') {
      this.#failedAt = [...this.#failedAt.filter((at) => at > now - this.#options.window), now];
      if (this.#failedAt.length < this.#options.failures) return false;
    }
    this.park(now);
    return true;
  }

  park(now = performance.now()): void {
    this.#state = { state: 'open', until: now + this.#pause * (1 + JITTER * this.#random()) };
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    this.#failedAt = [];
  }

  reset(): void {
    this.#state = { state: 'closed' };
    this.#pause = FIRST_PAUSE_MS;
    this.#failedAt = [];
  }
}
