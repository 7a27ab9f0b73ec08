// The globals that one compartment gets beside the language: no ambient authority, and no object
// of Node's. What is not here: `console` and `fetch` are built inside; `WebAssembly` has memory that no limit counts;
// `SharedArrayBuffer` and `Atomics` make a fine clock and block the thread; ports and channels clone as Node does.

import { createTimers, type TimerHooks } from './timers.js';
import { web } from './web/index.js';
import { beginLife, endLife } from './web/life.js';

export type EndowmentHooks = TimerHooks;

export interface Endowments {
  /** For `new Compartment({ globals })`. Hardened. */
  readonly endowments: Record<string, unknown>;
  /** Stops what still runs on the module's behalf. */
  dispose(): void;
}

/** What SES leaves out of compartments: a clock, chance, the admin's locale. */
const FROM_THE_LANGUAGE = ['Date', 'Math', 'Intl', 'Float16Array', 'Float32Array', 'Float64Array', 'WeakRef'];

/** After `lockdownCell`. Each compartment has a set of its own; the one made last is the one that lives. */
export function createEndowments(hooks: EndowmentHooks): Endowments {
  const timers = createTimers(hooks);
  const { setTimeout, setInterval, clearTimeout, clearInterval } = timers;
  const life = { timers, onUncaught: hooks.onUncaught };
  beginLife(life);
  const realm = globalThis as Record<string, unknown>;
  const fromRealm = FROM_THE_LANGUAGE.filter((name) => realm[name] !== undefined);
  const endowments: Record<string, unknown> = {
    ...Object.fromEntries(fromRealm.map((name) => [name, realm[name]])),
    ...web,
    setTimeout,
    setInterval,
    clearTimeout,
    clearInterval,
    queueMicrotask: createQueueMicrotask(hooks.onUncaught),
  };
  const dispose = (): void => {
    timers.dispose();
    endLife(life);
  };
  return { endowments: harden(endowments), dispose };
}

function createQueueMicrotask(onUncaught: (error: unknown) => void) {
  const done = Promise.resolve();
  return (callback: unknown): void => {
    if (typeof callback !== 'function') throw new TypeError('queueMicrotask takes a function');
    const run = (): void => {
      try {
        Reflect.apply(callback, undefined, []);
      } catch (error) {
        onUncaught(error);
      }
    };
    void done.then(run);
  };
}
