// The calls that a channel waits for, by the ids of their records. Ids count up and most calls are short, so a ring of places
// does: nothing is hashed, and nothing is allocated for a call. Who is still waited for when the ring has come round goes aside.

import type { Call } from './call.js';

const LEAST_PLACES = 64;
const MOST_PLACES = 8192;

export class PendingCalls {
  #places = new Array<Call | undefined>(LEAST_PLACES);
  readonly #aside = new Map<number, Call>();
  /** How many there are of each depth. */
  readonly #depths: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How deep the deepest is in a chain of calls that modules caused; 0 with none. */
  get deepest(): number {
    for (let depth = this.#depths.length - 1; depth > 0; depth--) if ((this.#depths[depth] as number) > 0) return depth;
    return 0;
  }

  get(id: number): Call | undefined {
    const call = this.#places[id & (this.#places.length - 1)];
    if (call !== undefined && call.recordId === id) return call;
    return this.#aside.size === 0 ? undefined : this.#aside.get(id);
  }

  add(call: Call): void {
    this.#size++;
    const { depth } = call.question;
    while (this.#depths.length <= depth) this.#depths.push(0);
    (this.#depths[depth] as number)++;
    if (2 * this.#size > this.#places.length && this.#places.length < MOST_PLACES) this.#grow();
    this.#put(call);
  }

  delete(call: Call): void {
    const place = call.recordId & (this.#places.length - 1);
    if (this.#places[place] === call) this.#places[place] = undefined;
    else if (!this.#aside.delete(call.recordId)) return;
    this.#size--;
    (this.#depths[call.question.depth] as number)--;
  }

  /** All of them, in the order of their ids; none is left. */
  takeAll(): Call[] {
    const all = this.#all();
    this.#places = new Array(LEAST_PLACES);
    this.#aside.clear();
    this.#depths.length = 0;
    this.#size = 0;
    return all;
  }

  #all(): Call[] {
    const all = [...this.#aside.values()];
    for (const call of this.#places) if (call !== undefined) all.push(call);
    return all.sort((a, b) => a.recordId - b.recordId);
  }

  #put(call: Call): void {
    const place = call.recordId & (this.#places.length - 1);
    const earlier = this.#places[place];
    if (earlier !== undefined) this.#aside.set(earlier.recordId, earlier);
    this.#places[place] = call;
  }

  #grow(): void {
    const all = this.#all();
    this.#places = new Array(2 * this.#places.length);
    this.#aside.clear();
    for (const call of all) this.#put(call);
  }
}
