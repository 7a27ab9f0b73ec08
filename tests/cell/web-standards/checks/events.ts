import { deepEqual, equal, ok, rejects, sleep, throws } from './assert.js';

export const events = {
  'EventTarget: subclassed, once, removed'() {
    class Bus extends EventTarget {
      count = 0;
    }
    const bus = new Bus();
    const count = () => {
      bus.count += 1;
    };
    bus.addEventListener('a', count);
    bus.addEventListener('a', count);
    bus.addEventListener('a', count.bind(null), { once: true });
    bus.dispatchEvent(new Event('a'));
    bus.dispatchEvent(new Event('a'));
    bus.removeEventListener('a', count);
    bus.dispatchEvent(new Event('a'));
    equal(bus.count, 3);
  },
  'EventTarget: handleEvent, this and target'() {
    const target = new EventTarget();
    const seen: unknown[] = [];
    const listener = {
      handleEvent(event: Event) {
        seen.push(this === listener, event.target === target, event.currentTarget === target, event.eventPhase);
      },
    };
    target.addEventListener('a', listener);
    target.dispatchEvent(new CustomEvent('a', { detail: 1 }));
    deepEqual(seen, [true, true, true, 2]);
  },
  'EventTarget: prevented and stopped'() {
    const target = new EventTarget();
    let last = false;
    target.addEventListener('a', (event) => event.preventDefault());
    target.addEventListener('a', (event) => event.stopImmediatePropagation());
    target.addEventListener('a', () => {
      last = true;
    });
    equal(target.dispatchEvent(new Event('a', { cancelable: true })), false);
    equal(last, false);
  },
  'EventTarget: a listener that throws does not stop the others'() {
    const target = new EventTarget();
    let heard = false;
    target.addEventListener('a', () => {
      throw new Error('expected: thrown by a listener');
    });
    target.addEventListener('a', () => {
      heard = true;
    });
    target.dispatchEvent(new Event('a'));
    ok(heard);
  },
  'EventTarget: until a signal'() {
    const target = new EventTarget();
    const abort = new AbortController();
    let heard = 0;
    target.addEventListener('a', () => void heard++, { signal: abort.signal });
    target.dispatchEvent(new Event('a'));
    abort.abort();
    target.dispatchEvent(new Event('a'));
    equal(heard, 1);
  },
  'Event: one dispatch at a time'() {
    const target = new EventTarget();
    let name = '';
    target.addEventListener('a', (event) => {
      try {
        target.dispatchEvent(event);
      } catch (error) {
        name = (error as Error).name;
      }
    });
    target.dispatchEvent(new Event('a'));
    equal(name, 'InvalidStateError');
  },
  'AbortController: reason, event, onabort'() {
    const abort = new AbortController();
    const seen: unknown[] = [];
    abort.signal.onabort = () => void seen.push('on');
    abort.signal.addEventListener('abort', (event) => void seen.push(event.type));
    abort.abort();
    abort.abort();
    deepEqual(seen, ['on', 'abort']);
    throws(() => abort.signal.throwIfAborted(), 'AbortError');
  },
  'AbortSignal: any'() {
    const [a, b] = [new AbortController(), new AbortController()];
    const any = AbortSignal.any([AbortSignal.any([a.signal]), b.signal]);
    let heard = 0;
    any.addEventListener('abort', () => void heard++);
    a.abort('first');
    b.abort('second');
    deepEqual([any.reason, heard], ['first', 1]);
    equal(AbortSignal.any([AbortSignal.abort('before')]).reason, 'before');
  },
  async 'AbortSignal: timeout'() {
    const signal = AbortSignal.timeout(5);
    equal(signal.aborted, false);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    equal(signal.reason.name, 'TimeoutError');
    throws(() => AbortSignal.timeout(-1), 'TypeError');
  },
  'AbortSignal: made by nobody else'() {
    throws(() => new (AbortSignal as unknown as new () => unknown)(), 'TypeError');
  },
  async 'timers: numbers, arguments, order'() {
    const seen: unknown[] = [];
    const id = setTimeout((...args: unknown[]) => void seen.push(...args), 1, 'a', 'b');
    equal(typeof id, 'number');
    const cancelled = setTimeout(() => void seen.push('never'), 1);
    clearTimeout(cancelled);
    const ticking = setInterval(() => void seen.push('tick'), 1);
    await sleep(20);
    clearInterval(ticking);
    const { length } = seen;
    await sleep(5);
    deepEqual(seen.slice(0, 3), ['a', 'b', 'tick']);
    equal(seen.length, length);
  },
  async 'timers: a limit'() {
    const ids: unknown[] = [];
    throws(() => {
      for (let count = 0; count < 200; count += 1) ids.push(setTimeout(() => {}, 10_000));
    }, 'RangeError');
    for (const id of ids) clearTimeout(id as number);
  },
  async 'queueMicrotask: before timers'() {
    const seen: string[] = [];
    setTimeout(() => seen.push('timer'), 0);
    queueMicrotask(() => seen.push('microtask'));
    await sleep(5);
    deepEqual(seen, ['microtask', 'timer']);
  },
  async 'promises: a rejection that is caught'() {
    await rejects(Promise.any([Promise.reject(new Error('a'))]), 'AggregateError');
  },
};
