// The globals that one compartment gets beside the language: no ambient authority, and no object of Node's in them.

import { structuredClone } from './structured-clone.js';
import { createTimers, type TimerHooks } from './timers.js';

export interface Endowments {
  /** For `new Compartment({ globals })`. Hardened. */
  readonly endowments: Record<string, unknown>;
  /** Stops what still runs on the module's behalf. */
  dispose(): void;
}

/** After `lockdownCell`. Each compartment has a set of its own. */
export function createEndowments(hooks: TimerHooks): Endowments {
  const { dispose, ...timers } = createTimers(hooks);
  const endowments: Record<string, unknown> = {
    ...timers,
    ...shared(),
    structuredClone,
    queueMicrotask: createQueueMicrotask(hooks.onUncaught),
  };
  return { endowments: harden(endowments), dispose };
}

function createQueueMicrotask(onUncaught: (error: unknown) => void) {
  const done = Promise.resolve();
  return (callback: unknown): void => {
    if (typeof callback !== 'function') throw new TypeError('queueMicrotask takes a function');
    void done.then(() => {
      try {
        Reflect.apply(callback, undefined, []);
      } catch (error) {
        onUncaught(error);
      }
    });
  };
}

function shared(): Record<string, unknown> {
  const names = [
    'Date Math Intl Float32Array Float64Array URL URLSearchParams Headers Request Response FormData Blob File',
    'AbortController AbortSignal Event EventTarget DOMException',
    'ReadableStream WritableStream TransformStream',
    'ReadableStreamDefaultReader ReadableStreamBYOBReader ReadableStreamDefaultController ReadableByteStreamController',
    'ReadableStreamBYOBRequest WritableStreamDefaultWriter WritableStreamDefaultController',
    'TransformStreamDefaultController ByteLengthQueuingStrategy CountQueuingStrategy TextEncoderStream TextDecoderStream',
    'atob btoa',
  ];
  const entries = names
    .join(' ')
    .split(' ')
    .map((name) => [name, (globalThis as Record<string, unknown>)[name]]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}
