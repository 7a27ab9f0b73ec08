// How much of a core a module takes over the last seconds: a busy moment is what it is for, a busy minute is not.

/** In looks, one a second. */
const WINDOW = 10;
const BUSY = 0.9;
const BUSY_LOOKS = 3;

export class Effort {
  #shares: number[] = [];

  /** The mean share of a core over the window, from 0 to 1. */
  get share(): number {
    return this.#shares.reduce((sum, share) => sum + share, 0) / Math.max(1, this.#shares.length);
  }

  /** `over`: more than allowed over a whole window. `busy`: without a pause for some seconds. */
  look(share: number, allowed: number): 'calm' | 'busy' | 'over' {
    this.#shares = [...this.#shares.slice(1 - WINDOW), share];
    if (allowed < 1 && this.#shares.length === WINDOW && this.share > allowed) return 'over';
    const last = this.#shares.slice(-BUSY_LOOKS);
    return last.length === BUSY_LOOKS && last.every((one) => one >= BUSY) ? 'busy' : 'calm';
  }
}
