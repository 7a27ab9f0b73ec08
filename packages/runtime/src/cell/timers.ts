// Timers of one compartment. What a module holds is a number from this table, never Node's `Timeout`: that object is
// linked to every other timer of the same duration, and so leads to the bootstrap's callbacks and its socket.

export interface Timers {
  readonly setTimeout: (callback: unknown, delay?: unknown, ...args: unknown[]) => number;
  readonly setInterval: (callback: unknown, delay?: unknown, ...args: unknown[]) => number;
  readonly clearTimeout: (id?: unknown) => void;
  readonly clearInterval: (id?: unknown) => void;
  /** Clears every timer and refuses new ones. */
  dispose(): void;
}

export interface TimerHooks {
  /** Called after each timer's callback. */
  readonly afterTimer?: (() => void) | undefined;
  /** Live timers (intervals included) that a module may have at once. */
  readonly maxTimers: number;
  /** Hears what a callback threw. */
  readonly onUncaught: (error: unknown) => void;
}

const { apply } = Reflect;
const { setTimeout: start, setInterval: repeat, clearTimeout: stop } = globalThis;
/** Node turns a longer delay into 1 ms and prints a warning: browsers wrap around, nobody wants either. */
const LONGEST_DELAY = 2 ** 31 - 1;

export function createTimers({ afterTimer, maxTimers, onUncaught }: TimerHooks): Timers {
  const live = new Map<number, NodeJS.Timeout>();
  let lastId = 0;
  let disposed = false;

  const add = (repeats: boolean, callback: unknown, delay: unknown, args: unknown[]): number => {
    if (typeof callback !== 'function') throw new TypeError('The first argument of a timer must be a function');
    const milliseconds = toDelay(delay);
    if (disposed) return 0;
    if (live.size >= maxTimers) throw new RangeError(`A module may have ${maxTimers} timers at once; clear some first`);
    lastId += 1;
    const id = lastId;
    const run = () => {
      try {
        apply(callback, undefined, args);
      } catch (error) {
        onUncaught(error);
      }
    };
    // The closure holds the arguments: handed to Node they would lie on the Timeout for anybody who reaches it.
    const fire = () => {
      if (!repeats) live.delete(id);
      run();
      afterTimer?.();
    };
    live.set(id, repeats ? repeat(fire, milliseconds) : start(fire, milliseconds));
    return id;
  };

  const clear = (id?: unknown): void => {
    if (typeof id !== 'number') return;
    const timer = live.get(id);
    if (timer === undefined) return;
    live.delete(id);
    stop(timer);
  };

  // Arrow functions: they have no `prototype` to harden and cannot be constructed.
  return {
    setTimeout: (callback, delay, ...args) => add(false, callback, delay, args),
    setInterval: (callback, delay, ...args) => add(true, callback, delay, args),
    clearTimeout: (id) => clear(id),
    clearInterval: (id) => clear(id),
    dispose() {
      disposed = true;
      for (const timer of live.values()) stop(timer);
      live.clear();
    },
  };
}

function toDelay(delay: unknown): number {
  const number = Number(delay);
  if (!(number >= 1)) return 1;
  return Math.min(number, LONGEST_DELAY);
}
