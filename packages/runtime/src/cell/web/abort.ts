// AbortController and AbortSignal. A timeout is one of the module's own timers: counted, and gone with the module.

import { DOMException } from './dom-exception.js';
import { Event, EventTarget } from './events.js';
import { currentTimers } from './life.js';

/** Only this file makes signals, as the standard has it. */
const ours = Symbol('ours');

let abortSignal: (signal: AbortSignal, reason: unknown) => void;

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason: unknown;
  #onabort: unknown = null;
  /** Signals of `any` that follow this one. A signal that lives long does not keep all that ever followed it. */
  readonly #followers = new Set<WeakRef<AbortSignal>>();
  /** Those of them that somebody listens to. */
  readonly #heard = new Set<AbortSignal>();
  #pruneAt = 64;
  /** The signals that this one follows; none of them is itself a follower. */
  readonly #sources = new Set<AbortSignal>();

  static {
    abortSignal = (signal, reason) => signal.#abort(reason);
  }

  constructor(token?: unknown) {
    super();
    if (token !== ours) throw new TypeError('Illegal constructor');
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(ours);
    signal.#abort(reason);
    return signal;
  }

  static timeout(milliseconds: number): AbortSignal {
    const delay = Number(milliseconds);
    if (!(delay >= 0 && delay <= Number.MAX_SAFE_INTEGER)) throw new TypeError('timeout takes milliseconds');
    const signal = new AbortSignal(ours);
    const expire = () => signal.#abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
    currentTimers().setTimeout(expire, delay);
    return signal;
  }

  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const sources = [...signals];
    for (const source of sources) if (!isSignal(source)) throw new TypeError('any takes signals');
    const signal = new AbortSignal(ours);
    const aborted = sources.find((source) => source.#aborted);
    if (aborted !== undefined) {
      signal.#abort(aborted.#reason);
      return signal;
    }
    // Follow the origins, so that a chain of `any` keeps none of its links alive.
    for (const source of sources) {
      for (const origin of source.#sources.size > 0 ? source.#sources : [source]) {
        signal.#sources.add(origin);
        origin.#followers.add(new WeakRef(signal));
        origin.#prune();
      }
    }
    return signal;
  }

  get aborted(): boolean {
    return this.#aborted;
  }
  get reason(): unknown {
    return this.#reason;
  }
  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  get onabort(): unknown {
    return this.#onabort;
  }
  set onabort(handler: unknown) {
    const isFirst = this.#onabort === null;
    this.#onabort = typeof handler === 'function' ? handler : null;
    if (isFirst && this.#onabort !== null) this.addEventListener('abort', this.#callOnabort);
    else if (this.#onabort === null) this.removeEventListener('abort', this.#callOnabort);
  }
  readonly #callOnabort = (event: Event): void => {
    if (typeof this.#onabort === 'function') Reflect.apply(this.#onabort, this, [event]);
  };

  override addEventListener(...args: Parameters<EventTarget['addEventListener']>): void {
    super.addEventListener(...args);
    for (const source of this.#sources) source.#heard.add(this);
  }

  override get [Symbol.toStringTag](): string {
    return 'AbortSignal';
  }

  #abort(reason: unknown): void {
    if (this.#aborted) return;
    const cause = reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason;
    const followers = [...this.#followers].map((follower) => follower.deref());
    const all = [this, ...followers].filter((signal) => signal !== undefined && !signal.#aborted) as AbortSignal[];
    // All are aborted before anybody hears of it, so no listener sees half of them.
    for (const signal of all) {
      signal.#aborted = true;
      signal.#reason = cause;
      for (const source of signal.#sources) source.#heard.delete(signal);
      signal.#sources.clear();
    }
    this.#followers.clear();
    for (const signal of all) signal.dispatchEvent(new Event('abort'));
  }

  #prune(): void {
    if (this.#followers.size < this.#pruneAt) return;
    for (const follower of this.#followers) {
      const signal = follower.deref();
      if (signal === undefined || signal.#aborted) this.#followers.delete(follower);
    }
    this.#pruneAt = 2 * this.#followers.size + 64;
  }
}

export class AbortController {
  readonly #signal = new AbortSignal(ours);

  get signal(): AbortSignal {
    return this.#signal;
  }
  abort(reason?: unknown): void {
    abortSignal(this.#signal, reason);
  }
  get [Symbol.toStringTag](): string {
    return 'AbortController';
  }
}

const abortedOf = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get as () => boolean;

/** A genuine one: the getter of a private field refuses whatever else claims to be. */
export function isSignal(value: unknown): value is AbortSignal {
  try {
    Reflect.apply(abortedOf, value, []);
    return true;
  } catch {
    return false;
  }
}
