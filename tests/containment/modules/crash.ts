// Modules that end: themselves, their thread, or the process around it.

import { defineModule, type ModuleApi, v } from '@bulkhead/sdk';
import { afterwards, inCallback, inConstructor, inParseConfig, inRequest } from './attacker.ts';

const config = v.looseObject({});
const forget = (): Promise<never> => new Promise(() => {});

// A heap that grows by small objects ends the thread alone

function fillHeap(): never {
  const hoard: unknown[] = [];
  for (;;) hoard.push({ hoard: [hoard.length] });
}
export const Heap = inCallback(fillHeap);
export const HeapInParseConfig = inParseConfig(fillHeap);
export const HeapInRequest = inRequest(fillHeap);
export const HeapInTimer = afterwards(fillHeap);
export const HeapInPromises = inCallback(async () => {
  const hoard: unknown[] = [];
  for (;;) hoard.push(await Promise.resolve(new Array(100).fill(hoard.length)));
});
export const HeapInNextLives = defineModule({
  name: 'heap-in-next-lives',
  config,
  async setup({ api }) {
    if ((await api.storage.increment('lives')) > 1) fillHeap();
    return { checkEventForSpam: ({ content }) => (content.attack === api.moduleId ? fillHeap() : false) };
  },
});

// Single large things abort the process

const fill = (): string => `filled ${new Array(1e8).fill(0).length}`;
export const Fill = inCallback(fill);
export const FillInConstructor = inConstructor(fill);
export const FillInRequest = inRequest(fill);
export const FillInTimer = afterwards(fill);
export const FillInNextLives = defineModule({
  name: 'fill-in-next-lives',
  config,
  async setup({ api }) {
    if ((await api.storage.increment('lives')) > 1) fill();
    return { checkEventForSpam: ({ content }) => (content.attack === api.moduleId ? fill() : false) };
  },
});
export const GrowingMap = inCallback(() => {
  const map = new Map<number, number>();
  for (let i = 0; ; i++) map.set(i, i);
});
export const GrowingArray = inCallback(() => {
  const array: number[] = [];
  for (;;) array.push(array.length);
});
export const Split = inCallback(() => 'x'.repeat(1 << 28).split('').length);
export const ArrayFrom = inCallback(() => Array.from({ length: 2 ** 28 }).length);
export const Match = inCallback(() => 'x'.repeat(1 << 28).match(/x/g)?.length);
/** Makes room for as many elements as it is told there are. */
export const Snap = inCallback(() => Array.prototype.sort.call({ length: 2 ** 28 }).length);
export const ParseArrays = inCallback(() => JSON.parse(`[${'[],'.repeat(3e7)}0]`).length);
export const Concat = inCallback(() => {
  let array: unknown[] = [0];
  for (;;) array = array.concat(array);
});

// Outside of the heap

const PIECE = 16 * 2 ** 20;
/** The test without this layer has to end some time. */
const ENOUGH = 40;
const piece = (): Uint8Array<ArrayBuffer> => new Uint8Array(PIECE).fill(1);
const hoard: unknown[] = [];
async function keeping(add: () => unknown, pauseMs: number): Promise<never> {
  while (hoard.length < ENOUGH) {
    hoard.push(add());
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return forget();
}
export const Buffers = inCallback(() => keeping(piece, 0));
export const BuffersInSlices = inCallback(() => keeping(piece, 20));
export const Blobs = inCallback(() => keeping(() => new Blob([piece()]), 1));
export const Streams = inCallback(() =>
  keeping(() => {
    const reader = new Response(piece()).body?.getReader();
    return [reader, reader?.read()];
  }, 5),
);
export const SharedBuffers = inCallback(() => keeping(() => new Uint8Array(new SharedArrayBuffer(PIECE)).fill(1), 20));
export const WasmMemory = inCallback(() => {
  // Of the web, not of the language: the sources of modules have no types for it.
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { Memory: new (limits: object) => { readonly buffer: ArrayBuffer } };
  };
  return keeping(() => new Uint8Array(new WebAssembly.Memory({ initial: PIECE / 65_536 }).buffer).fill(1), 20);
});

// The stack

const recurse = (depth: number): number => 1 + recurse(depth + 1);
export const Recursion = inCallback(() => recurse(0));
export const DeepProxies = inCallback(() => {
  let proxy: object = {};
  for (let i = 0; i < 200_000; i++) proxy = new Proxy(proxy, {});
  return 'missing' in proxy;
});
export const DeepBinds = inCallback(() => {
  let bound = (): number => 1;
  for (let i = 0; i < 200_000; i++) bound = bound.bind(null) as () => number;
  return bound();
});
export const DeepJson = inCallback(() => {
  let deep: unknown = 0;
  for (let i = 0; i < 500_000; i++) deep = [deep];
  return JSON.stringify(deep).length;
});
export const DeepClone = inCallback(() => {
  let deep: unknown = 0;
  for (let i = 0; i < 500_000; i++) deep = [deep];
  return structuredClone(deep) === deep;
});
export const DeepRegex = inCallback(() => new RegExp(`${'('.repeat(200_000)}${')'.repeat(200_000)}`).test('a'));
/** Made where there is hardly any stack left, in the hope that somebody else's code fails half way. */
export const ApiAtTheEnd = inCallback(async (api) => {
  const down = (): void => {
    try {
      down();
    } catch {
      void api.storage.increment('visits').catch(() => {});
      api.logger.info('at the end of the stack');
    }
  };
  down();
  return `counts ${await api.storage.increment('visits')}`;
});

// Errors that nobody catches

export const ThrowInTimer = afterwards(() => {
  throw new Error('thrown in a timer');
});
export const ThrowInMicrotask = inCallback(() => {
  queueMicrotask(() => {
    throw new Error('thrown in a microtask');
  });
  return false;
});
export const ThrowInListener = inCallback(() => {
  const target = new EventTarget();
  target.addEventListener('it', () => {
    throw new Error('thrown in a listener');
  });
  target.dispatchEvent(new Event('it'));
  return false;
});
export const ThrowInStream = inCallback(() => {
  void new ReadableStream({
    pull() {
      throw new Error('thrown in a stream');
    },
  })
    .getReader()
    .read();
  return false;
});
export const Rejection = inCallback(() => {
  void Promise.reject(new Error('nobody listens'));
  return false;
});
export const ManyRejections = inCallback(() => {
  for (let i = 0; i < 10_000; i++) void Promise.reject(new Error(`nobody listens to ${i}`));
  return false;
});

// Errors that hurt whoever looks at them

const throwing = (): never => {
  throw new Error('thrown by a getter');
};
const cyclic = new Error('cyclic');
Object.assign(cyclic, { cause: cyclic, self: cyclic });
const hostile: readonly unknown[] = [
  undefined,
  null,
  10n,
  Symbol('thrown'),
  Number.NaN,
  'x'.repeat(100 << 20),
  new Error('x'.repeat(100 << 20)),
  Object.create(null),
  cyclic,
  new AggregateError([cyclic, cyclic], 'aggregate'),
  Object.defineProperty(new Error('a'), 'message', { get: throwing }),
  Object.defineProperty(new Error('a'), 'name', { get: throwing }),
  Object.defineProperty(new Error('a'), 'cause', { get: throwing }),
  Object.defineProperties({}, { stack: { get: throwing }, message: { get: throwing }, name: { get: throwing } }),
  { name: {}, message: [], stack: 1, toString: throwing, toJSON: throwing, [Symbol.toPrimitive]: throwing },
  Object.assign(() => 1, { toString: throwing, [Symbol.toPrimitive]: throwing }),
  Object.assign(class {}, { toString: throwing }),
  new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: throwing, ownKeys: throwing }),
  new Proxy(() => 1, { get: throwing, apply: throwing }),
  revoked(),
  new Error('\ud800\u0000\u001b[2J\n{"level":"error"}'),
];
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
/** Everything above in turn, one each call. */
export const HostileErrors = inCallback((_api, { nth }) => {
  if (Number(nth) >= hostile.length) return 'threw all of them';
  throw hostile[Number(nth)];
});
export const HostileRejections = inCallback((_api, { nth }) =>
  Number(nth) >= hostile.length ? 'threw all of them' : Promise.reject(hostile[Number(nth)]),
);
export const HostileUncaught = inCallback((api) => {
  for (const error of hostile) {
    setTimeout(() => {
      throw error;
    }, 1);
    void Promise.reject(error);
    queueMicrotask(() => {
      throw error;
    });
  }
  return api.sleep(300).then(() => 'threw all of them');
});
export const HostileInParseConfig = inParseConfig(() => {
  throw hostile[17];
});
export const HostileInConstructor = inConstructor(() => {
  throw hostile[15];
});

// Again and again

export const Throws = inCallback(() => {
  throw new Error('thrown on command');
});
export const CrashLoop = defineModule({
  name: 'crash-loop',
  config,
  async setup({ api }) {
    if ((await api.storage.increment('lives')) > 1) throw new Error('not again');
    return { checkEventForSpam: ({ content }) => (content.attack === api.moduleId ? fillHeap() : false) };
  },
});
export const ForgetsItself = defineModule({
  name: 'forgets-itself',
  config,
  async setup({ api }) {
    if ((await api.storage.increment('lives')) > 1) return {};
    return { checkEventForSpam: ({ content }) => (content.attack === api.moduleId ? fillHeap() : false) };
  },
});

// Node's own ways to end, for those who get hold of them

interface Node {
  readonly process: {
    readonly pid: number;
    exit(code: number): void;
    reallyExit(code: number): void;
    abort(): void;
    kill(pid: number, signal: string): void;
    binding(name: string): unknown;
    dlopen(module: object, file: string): unknown;
    chdir(folder: string): void;
    setUncaughtExceptionCaptureCallback(callback: () => void): void;
  };
  require(name: string): Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;
}
const node = globalThis as unknown as Node;
const byNode = (deed: (given: Node, api: ModuleApi) => unknown) => inCallback((api) => deed(node, api));

export const ProcessExit = byNode(({ process }) => process.exit(1));
export const ReallyExit = byNode(({ process }) => process.reallyExit(1));
export const ProcessAbort = byNode(({ process }) => process.abort());
export const KillItself = byNode(({ process }) => process.kill(process.pid, 'SIGKILL'));
export const Stop = byNode(({ process }) => {
  process.kill(process.pid, 'SIGSTOP');
  return forget();
});
export const Binding = byNode(({ process }) => typeof process.binding('spawn_sync'));
export const Dlopen = byNode(({ process }) => process.dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libc.so.6'));
export const Flags = byNode(({ require }) => {
  require('node:v8').setFlagsFromString?.('--stack-size=1000000');
  const down = (): number => 1 + down();
  return down();
});
export const Inspector = byNode(({ require }) => require('node:inspector').open?.(0));
export const CloseDescriptors = byNode(({ require }) => {
  const { closeSync } = require('node:fs');
  for (let fd = 0; fd <= 200; fd++) {
    try {
      closeSync?.(fd);
    } catch {
      // There is none of that number.
    }
  }
  return forget();
});
export const WriteDescriptors = byNode(({ require }) => {
  const { writeSync } = require('node:fs');
  for (let fd = 0; fd <= 200; fd++) {
    try {
      writeSync?.(fd, '{"report":"ended"}\n'.repeat(100));
    } catch {
      // There is none of that number, or nobody reads it.
    }
  }
  return forget();
});
