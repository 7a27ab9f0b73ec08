// Calls that end the cell which they are put to. One may be chance; the same again is not asked any more for a while.

import { createHash } from 'node:crypto';
import type { Call } from '../dispatch/call.js';
import type { CallBody } from '../wire/record.js';

const ENDS = 2;
const REFUSED_MS = 10 * 60_000;
/** More are not remembered; the oldest goes. */
const MOST_REMEMBERED = 100;

interface Dose {
  ends: number;
  /** On the clock of `performance.now()`. */
  until: number;
}

export class Poison {
  readonly #doses = new Map<string, Dose>();

  /** The call was on the stack when its cell ended. @returns whether it is refused from now on */
  ended(call: Call, now = performance.now()): boolean {
    const key = keyOf(call);
    const ends = (this.#doses.get(key)?.ends ?? 0) + 1;
    this.#doses.delete(key);
    this.#doses.set(key, { ends, until: now + REFUSED_MS });
    if (this.#doses.size > MOST_REMEMBERED) this.#doses.delete(this.#doses.keys().next().value as string);
    return ends >= ENDS;
  }

  refuses(call: Call, now = performance.now()): boolean {
    // Hashing is for those few modules that have met any.
    if (this.#doses.size === 0) return false;
    const key = keyOf(call);
    const dose = this.#doses.get(key);
    if (dose === undefined) return false;
    if (dose.until > now) return dose.ends >= ENDS;
    this.#doses.delete(key);
    return false;
  }
}

/** Two calls are the same when callback and arguments are, whatever their ids. */
function keyOf({ body }: Call): string {
  if (body instanceof Promise) return '';
  const text = typeof body === 'string' ? body : Buffer.from(body).toString();
  const { callback, args } = JSON.parse(text) as CallBody;
  return createHash('sha256')
    .update(JSON.stringify([callback, args]))
    .digest('base64');
}
