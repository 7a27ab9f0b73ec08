// Event and EventTarget. Node's keep their listeners where everybody can read them, and a listener that throws ends the
// thread; here it is reported, and nothing but the target itself knows who listens.

import { now } from './clock.js';
import { DOMException } from './dom-exception.js';
import { reportUncaught } from './life.js';

export interface EventInit {
  readonly bubbles?: boolean;
  readonly cancelable?: boolean;
  readonly composed?: boolean;
}

interface ListenerOptions {
  readonly capture?: boolean;
  readonly once?: boolean;
  readonly passive?: boolean;
  readonly signal?: EventTarget & { readonly aborted: boolean };
}

interface Listener {
  readonly callback: unknown;
  readonly capture: boolean;
  readonly once: boolean;
  readonly passive: boolean;
  removed: boolean;
}

/** What a dispatch does to an event, out of reach for everybody else. */
interface Dispatch {
  begin(event: Event, target: EventTarget): void;
  call(event: Event, target: EventTarget, listener: Listener): void;
  stopped(event: Event): boolean;
  end(event: Event): boolean;
}

let dispatch: Dispatch;

export class Event {
  static readonly NONE = 0;
  static readonly CAPTURING_PHASE = 1;
  static readonly AT_TARGET = 2;
  static readonly BUBBLING_PHASE = 3;

  readonly #type: string;
  readonly #bubbles: boolean;
  readonly #cancelable: boolean;
  readonly #composed: boolean;
  readonly #timeStamp = now();
  #target: EventTarget | null = null;
  #currentTarget: EventTarget | null = null;
  #dispatching = false;
  #inPassiveListener = false;
  #canceled = false;
  #stopped = false;
  #stoppedNow = false;

  static {
    dispatch = {
      begin(event, target) {
        if (event.#dispatching) throw new DOMException('The event is already being dispatched', 'InvalidStateError');
        event.#dispatching = true;
        event.#target = target;
        event.#currentTarget = target;
      },
      call(event, target, { callback, passive }) {
        event.#inPassiveListener = passive;
        try {
          if (typeof callback === 'function') Reflect.apply(callback, target, [event]);
          else (callback as { handleEvent(event: Event): void }).handleEvent(event);
        } catch (error) {
          reportUncaught(error);
        }
        event.#inPassiveListener = false;
      },
      stopped: (event) => event.#stoppedNow,
      end(event) {
        event.#dispatching = false;
        event.#currentTarget = null;
        event.#stopped = false;
        event.#stoppedNow = false;
        return !event.#canceled;
      },
    };
  }

  constructor(type: string, init?: EventInit) {
    if (type === undefined) throw new TypeError('an Event needs a type');
    this.#type = `${type}`;
    this.#bubbles = Boolean(init?.bubbles);
    this.#cancelable = Boolean(init?.cancelable);
    this.#composed = Boolean(init?.composed);
  }

  get type(): string {
    return this.#type;
  }
  get target(): EventTarget | null {
    return this.#target;
  }
  get srcElement(): EventTarget | null {
    return this.#target;
  }
  get currentTarget(): EventTarget | null {
    return this.#currentTarget;
  }
  get eventPhase(): number {
    return this.#dispatching ? Event.AT_TARGET : Event.NONE;
  }
  get bubbles(): boolean {
    return this.#bubbles;
  }
  get cancelable(): boolean {
    return this.#cancelable;
  }
  get composed(): boolean {
    return this.#composed;
  }
  get defaultPrevented(): boolean {
    return this.#canceled;
  }
  get returnValue(): boolean {
    return !this.#canceled;
  }
  get cancelBubble(): boolean {
    return this.#stopped;
  }
  set cancelBubble(value: boolean) {
    if (value) this.stopPropagation();
  }
  get isTrusted(): boolean {
    return false;
  }
  get timeStamp(): number {
    return this.#timeStamp;
  }
  composedPath(): EventTarget[] {
    return this.#currentTarget === null ? [] : [this.#currentTarget];
  }
  preventDefault(): void {
    if (this.#cancelable && !this.#inPassiveListener) this.#canceled = true;
  }
  stopPropagation(): void {
    this.#stopped = true;
  }
  stopImmediatePropagation(): void {
    this.#stopped = true;
    this.#stoppedNow = true;
  }
  get [Symbol.toStringTag](): string {
    return 'Event';
  }
}

export class CustomEvent extends Event {
  readonly #detail: unknown;

  constructor(type: string, init?: EventInit & { readonly detail?: unknown }) {
    super(type, init);
    this.#detail = init?.detail ?? null;
  }

  get detail(): unknown {
    return this.#detail;
  }
  override get [Symbol.toStringTag](): string {
    return 'CustomEvent';
  }
}

export class EventTarget {
  readonly #listeners = new Map<string, Listener[]>();

  addEventListener(type: string, callback: unknown, options?: boolean | ListenerOptions): void {
    const { capture, once, passive, signal } = readOptions(options);
    if (signal?.aborted || !isCallback(callback)) return;
    const key = `${type}`;
    const listeners = this.#listeners.get(key) ?? [];
    if (listeners.some((known) => known.callback === callback && known.capture === capture)) return;
    // A new list each time: a dispatch that is under way goes through the one that it began with.
    this.#listeners.set(key, [...listeners, { callback, capture, once, passive, removed: false }]);
    signal?.addEventListener('abort', () => this.removeEventListener(key, callback, capture), { once: true });
  }

  removeEventListener(type: string, callback: unknown, options?: boolean | ListenerOptions): void {
    const { capture } = readOptions(options);
    const key = `${type}`;
    const listeners = this.#listeners.get(key);
    const listener = listeners?.find((known) => known.callback === callback && known.capture === capture);
    if (listeners === undefined || listener === undefined) return;
    listener.removed = true;
    const rest = listeners.filter((known) => known !== listener);
    if (rest.length > 0) this.#listeners.set(key, rest);
    else this.#listeners.delete(key);
  }

  dispatchEvent(event: Event): boolean {
    const listeners = this.#listeners;
    dispatch.begin(event, this);
    const { type } = event;
    for (const capturing of [true, false]) {
      for (const listener of listeners.get(type) ?? []) {
        if (listener.removed || listener.capture !== capturing) continue;
        if (listener.once) this.removeEventListener(type, listener.callback, listener.capture);
        dispatch.call(event, this, listener);
        if (dispatch.stopped(event)) return dispatch.end(event);
      }
    }
    return dispatch.end(event);
  }

  get [Symbol.toStringTag](): string {
    return 'EventTarget';
  }
}

function readOptions(options: boolean | ListenerOptions | undefined) {
  if (typeof options !== 'object' || options === null) {
    return { capture: Boolean(options), once: false, passive: false, signal: undefined };
  }
  const { capture, once, passive, signal } = options;
  if (signal !== undefined && !(signal instanceof EventTarget)) throw new TypeError('signal must be an AbortSignal');
  return { capture: Boolean(capture), once: Boolean(once), passive: Boolean(passive), signal };
}

function isCallback(callback: unknown): boolean {
  if (callback === null || callback === undefined) return false;
  if (typeof callback === 'function' || typeof callback === 'object') return true;
  throw new TypeError('a listener must be a function or an object with handleEvent');
}
