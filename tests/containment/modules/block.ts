// Modules that keep their thread for ever, or for longer than anybody waits.

import { defineModule, type ModuleApi, v } from '@bulkhead/sdk';
import { afterwards, inCallback, inConstructor, inParseConfig, inRequest } from './attacker.ts';

function loop(): never {
  for (;;);
}

const forget = (): Promise<never> => new Promise(() => {});

// Where

export const LoopInParseConfig = inParseConfig(loop);
export const LoopInConstructor = inConstructor(loop);
export const LoopInSetup = defineModule({
  name: 'loop-in-setup',
  config: v.looseObject({}),
  async setup() {
    await Promise.resolve();
    loop();
  },
});
export const NeverSetUp = defineModule({ name: 'never-set-up', config: v.looseObject({}), setup: forget });
export const LoopInCallback = inCallback(loop);
export const LoopInRequest = inRequest(loop);
export const LoopInBody = inRequest(
  () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          controller.enqueue(new Uint8Array(1));
          setTimeout(loop, 1);
        },
      }),
    ),
);
export const LoopInTimer = afterwards(loop);
export const LoopInAbortListener = inCallback((_api, _content, { signal }) => {
  signal.addEventListener('abort', loop);
  return forget();
});

/** Good at first: it loops in every life but the first. */
export const LoopInNextLives = defineModule({
  name: 'loop-in-next-lives',
  config: v.looseObject({}),
  async setup({ api }) {
    if ((await api.storage.increment('lives')) > 1) loop();
    return { checkEventForSpam: ({ content }) => (content.attack === api.moduleId ? loop() : false) };
  },
});

// How, where the engine can be interrupted

export const Microtasks = inCallback(() => {
  const spin = (): Promise<unknown> => Promise.resolve().then(spin);
  return spin();
});
export const QueuedMicrotasks = inCallback(() => {
  const spin = (): void => queueMicrotask(spin);
  spin();
  return forget();
});
export const AsyncLoop = inCallback(async () => {
  for (;;) await null;
});
export const Regex = inCallback(() => /^(\w+\s?)+$/.test(`${'a'.repeat(64)}!`));
export const Power = inCallback(() => 7n ** 30_000_000n);
export const Sort = inCallback(() => {
  const numbers = Float64Array.from({ length: 1 << 20 }, (_, i) => (i * 7919) % 104_729);
  return numbers.sort(() => {
    for (let i = 0; i < 1e6; i++);
    return 0;
  });
});
/** It waits; without SES and with a thread of its own it could wait for ever. */
export const Wait = inCallback(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
/** (module (func (export "f") (loop (br 0)))) */
const LOOPING_WASM = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11,
  11,
];
interface Wasm {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: { f(): void } };
}
declare const WebAssembly: Wasm;
export const WasmLoop = inCallback(() => {
  new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(LOOPING_WASM))).exports.f();
});

// How, where it cannot: the hull has to go

export const Unendable = inCallback(() => Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1));
export const UnendableRequest = inRequest(() => String(Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)));
export const UnendableTimer = afterwards(() => Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1));
export const UnendableSetup = inConstructor(() => Array.prototype.lastIndexOf.call({ length: 2 ** 53 - 1 }, 1));
export const ReplaceAll = inCallback(() => 'x'.repeat(1 << 28).replaceAll('x', 'y').length);
export const ParseArrays = inCallback(() => JSON.parse(`[${'[],'.repeat(2e7)}0]`).length);

// Answers that never come, or whose reading takes for ever

export const Never = inCallback(forget);
// biome-ignore-start lint/suspicious/noThenProperty: these are the attack
export const SilentThenable = inCallback(() => ({ then() {} }));
export const LoopingThenable = inCallback(() => ({ then: loop }));
export const ThenGetter = inCallback(() => ({
  get then() {
    return loop();
  },
}));
export const ThenableOfItself = inCallback(() => {
  const itself = { then: (resolve: (value: unknown) => void) => resolve(itself) };
  return itself;
});
// biome-ignore-end lint/suspicious/noThenProperty: these are the attack
export const ToJson = inCallback(() => ({ toJSON: loop }));
export const Getter = inCallback(() => ({
  get code() {
    return loop();
  },
}));
export const Traps = inCallback(() => new Proxy({}, { get: (_, key) => (key === 'then' ? undefined : loop()) }));
export const OwnKeysTrap = inCallback(() => new Proxy({}, { ownKeys: loop }));
export const ManyKeys = inCallback(() => Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`key${i}`, i])));
/** A toJSON that gives another one, and so on: JSON never comes to an end. */
export const EndlessJson = inCallback(() => {
  const next = (): object => ({ toJSON: () => [next(), next()] });
  return next();
});
export const HostileError = inCallback(() => {
  throw Object.defineProperty(new Error('looping'), 'message', { get: loop });
});
export const ThrownProxy = inCallback(() => {
  throw new Proxy({}, { get: loop, has: loop, getPrototypeOf: loop });
});
export const ErrorInTimer = afterwards(() => {
  throw Object.defineProperty(new Error('looping'), 'message', { get: loop });
});
export const HostileRejection = afterwards(() => {
  void Promise.reject(Object.defineProperty(new Error('looping'), 'name', { get: loop }));
});
export const HostileArgument = inCallback(
  (api: ModuleApi) => api.storage.set('key', { toJSON: loop }) as Promise<unknown>,
);

// Busy, though it can be spoken to

export const IgnoresAbort = inCallback(async (api) => {
  const work = (): void => {
    for (const until = api.now() + 20; api.now() < until; );
    setTimeout(work, 1);
  };
  work();
  return forget();
});
export const GarbageInSlices = inCallback(async (api) => {
  const work = (): void => {
    for (const until = api.now() + 20; api.now() < until; ) Array.from({ length: 10_000 }, (_, i) => ({ i }));
    setTimeout(work, 1);
  };
  work();
  return false;
});
export const LoopOnSome = inCallback((_api, { loops }) => (loops === true ? loop() : 'answered'));
