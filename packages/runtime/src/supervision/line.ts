// The calls that wait until a module can be sent them. The line has an end: what finds no place is not kept in memory.

import type { Call } from '../dispatch/call.js';

export interface LineLimits {
  readonly calls: number;
  readonly bytes: number;
}

export class Line implements Iterable<Call> {
  readonly #limits: LineLimits;
  readonly #calls = new Set<Call>();
  #bytes = 0;

  constructor(limits: LineLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#calls.size;
  }

  get isFull(): boolean {
    return this.#calls.size >= this.#limits.calls || this.#bytes >= this.#limits.bytes;
  }

  add(call: Call): void {
    this.#calls.add(call);
    this.#bytes += sizeOf(call);
  }

  /** The call's body is there now. */
  completed(call: Call): void {
    if (this.#calls.has(call)) this.#bytes += sizeOf(call);
  }

  delete(call: Call): void {
    if (this.#calls.delete(call)) this.#bytes -= sizeOf(call);
  }

  clear(): void {
    this.#calls.clear();
    this.#bytes = 0;
  }

  [Symbol.iterator](): Iterator<Call> {
    return this.#calls[Symbol.iterator]();
  }
}

/** As far as it is known. */
const sizeOf = ({ body }: Call): number => (body instanceof Promise ? 0 : body.length);
