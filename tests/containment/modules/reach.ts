// Modules that look for what is not theirs: the host's, the hull's, Node's, another module's. Each says what it got hold of.

import type { ModuleApi } from '@bulkhead/sdk';
import { type Deed, inCallback } from './attacker.ts';

// biome-ignore lint/suspicious/noExplicitAny: it looks at what no type says is there
type Any = any;

const global = globalThis as Any;

/** Asked of each of these, it tells the first secret, or `nothing` with the reasons. */
async function firstOf(...tries: readonly (() => unknown)[]): Promise<string> {
  const reasons: string[] = [];
  for (const attempt of tries) {
    try {
      const got = await attempt();
      if (got !== undefined && got !== null && got !== '' && got !== false) return String(got).slice(0, 20_000);
    } catch (error) {
      reasons.push(String((error as Error).message).slice(0, 100));
    }
  }
  return `nothing: ${[...new Set(reasons)].join('; ').slice(0, 500)}`;
}

const looking = (deed: (content: Any, api: ModuleApi) => unknown) =>
  inCallback(((api, content) => deed(content, api)) as Deed);

const requireOf = (): Any => global.require ?? global.process?.getBuiltinModule;

// What only Node has

const NODES = ['process', 'require', 'module', 'exports', 'Buffer', 'setImmediate', 'SharedArrayBuffer', 'WebAssembly'];
const OTHERS = ['Worker', 'WebSocket', 'EventSource', 'navigator', 'localStorage', '__filename', 'gc', 'Atomics'];
export const Names = looking(() => firstOf(() => [...NODES, ...OTHERS].filter((name) => name in global).join(' ')));
export const Constructors = looking(() => {
  const kinds = [() => {}, async () => {}, function* () {}, async function* () {}].map((each) => each.constructor);
  const endowed = Object.getOwnPropertyNames(global).flatMap((name) => {
    const value = global[name];
    return [value, value?.prototype, value?.constructor].filter((each) => typeof each?.constructor === 'function');
  });
  const makers = [
    ...kinds,
    ...endowed.map((each) => each.constructor),
    ...endowed.map((each) => each.constructor.constructor),
  ];
  return firstOf(
    ...makers.map((make) => () => {
      const got = make('return typeof process === "object" ? "process" : ""')();
      return typeof got === 'string' ? got : got?.next?.().value;
    }),
  );
});
export const CallSites = looking(() =>
  firstOf(
    () => {
      const { prepareStackTrace } = Error as Any;
      let sites: Any[] = [];
      try {
        (Error as Any).prepareStackTrace = (_: unknown, found: Any[]) => {
          sites = found;
          return '';
        };
        void new Error('where').stack;
      } finally {
        (Error as Any).prepareStackTrace = prepareStackTrace;
      }
      return sites.map((site) => String(site.getFileName())).find((name) => name.includes('/'));
    },
    () => /\/[\w.-]+\//.exec(new Error('where').stack ?? '')?.[0],
    () => {
      const target = {};
      (Error as Any).captureStackTrace?.(target);
      return /\/[\w.-]+\//.exec((target as Any).stack ?? '')?.[0];
    },
  ),
);
export const TimerLists = looking(() =>
  firstOf(() => {
    const timer = setTimeout(() => {}, 10) as Any;
    clearTimeout(timer);
    return typeof timer === 'object' ? Object.keys(timer).join(' ') : '';
  }),
);
export const Insides = looking(() =>
  firstOf(() => {
    const objects: Any[] = [
      new Blob(['x']),
      new ReadableStream(),
      new WritableStream(),
      new TransformStream(),
      new Request('https://example.com'),
      new Response('x'),
      new Headers(),
      new URL('https://example.com'),
      new AbortController().signal,
      new EventTarget(),
      new TextDecoder(),
      console,
      crypto,
    ];
    const found = objects.flatMap((object) => {
      const symbols: Any[] = [];
      for (let at = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
        symbols.push(
          ...Object.getOwnPropertySymbols(at).filter((symbol) =>
            /^(k[A-Z]|node|uv|handle|state$)/.test(symbol.description ?? ''),
          ),
        );
      }
      return symbols.map((symbol) => `${Object.prototype.toString.call(object)} ${String(symbol)}`);
    });
    return found.join(', ');
  }),
);
export const Stores = looking(() => firstOf(() => requireOf()?.('async_hooks') && 'async_hooks'));
export const ImportAtRunTime = looking(() =>
  firstOf(
    () => global.eval('import("node:fs")').then(() => 'node:fs'),
    () => new Function('return import("node:fs")')().then(() => 'node:fs'),
    () => global.process?.getBuiltinModule?.('fs') && 'fs',
    () => requireOf()?.('module').createRequire('/')('fs') && 'fs',
  ),
);
export const NestedWorker = looking(() =>
  firstOf(() => {
    const { Worker, SHARE_ENV } = requireOf()('worker_threads');
    return new Promise((resolve, reject) => {
      const script = 'require("worker_threads").parentPort.postMessage(JSON.stringify(process.env) + process.execArgv)';
      const worker = new Worker(script, { eval: true, execArgv: [], env: SHARE_ENV });
      worker.on('message', (text: string) => resolve(`a worker: ${text}`));
      worker.on('error', reject);
    });
  }),
);

// The host's

export const Environment = looking(({ hostPid }) =>
  firstOf(
    () => Object.keys(global.process?.env ?? {}).length > 0 && JSON.stringify(global.process.env),
    () => requireOf()('fs').readFileSync(`/proc/${hostPid}/environ`, 'latin1'),
  ),
);
export const SigningKey = looking(({ secretFile, hostPid }) =>
  firstOf(
    ...[
      secretFile,
      `/proc/self/root${secretFile}`,
      `/proc/thread-self/root${secretFile}`,
      `/proc/thread-self/stat/../root${secretFile}`,
      `/proc/${hostPid}/root${secretFile}`,
    ].map((file) => () => requireOf()('fs').readFileSync(file, 'latin1')),
    () => requireOf()('child_process').execFileSync('cat', [secretFile], { encoding: 'latin1' }),
  ),
);
export const Descriptors = looking(() =>
  firstOf(() => {
    const { readSync, fstatSync } = requireOf()('fs');
    const found: string[] = [];
    const bytes = new Uint8Array(1_000);
    for (let fd = 0; fd < 400; fd++) {
      try {
        if (!fstatSync(fd).isFile()) continue;
        const read = readSync(fd, bytes, 0, bytes.length, 0);
        if (read > 0) found.push(`${fd}: ${String.fromCharCode(...bytes.subarray(0, read))}`);
      } catch {
        // Not open, or not to be read.
      }
    }
    return found.join('\n');
  }),
);
export const Signals = looking(({ hostPid }) =>
  firstOf(
    () => global.process.kill(hostPid, 0) && 'signalled',
    () => global.process._kill(hostPid, 0) === 0 && 'signalled',
    () => requireOf()('process').kill(hostPid, 0) && 'signalled',
  ),
);
export const HostInspector = looking(({ hostPid }) =>
  firstOf(() => global.process._debugProcess(hostPid) ?? 'it listens'),
);
export const HostPriority = looking(({ hostPid }) =>
  firstOf(() => {
    const { setPriority, getPriority } = requireOf()('os');
    setPriority(hostPid, 1);
    return getPriority(hostPid) === 1 && 'slowed';
  }),
);
export const Writes = looking(({ secretFile }) =>
  firstOf(
    () => requireOf()('fs').writeFileSync(`${secretFile}.copy`, 'mine') ?? 'written',
    () => requireOf()('fs').appendFileSync(secretFile, '') ?? 'written',
    () => requireOf()('fs').symlinkSync(secretFile, `${secretFile}.link`) ?? 'linked',
  ),
);

// Another module's

export const Leave = inCallback((api) => {
  for (const name of ['shared', 'Array', 'JSON', 'console']) {
    try {
      global[name] = name === 'shared' ? `left by ${api.moduleId}` : global[name];
    } catch {
      // Frozen.
    }
  }
  return false;
});
export const Globals = looking(() =>
  firstOf(
    () => global.shared,
    () => (Array as Any).shared,
    () => (Object.prototype as Any).shared,
  ),
);
export const OtherStorage = looking((_, api) =>
  firstOf(
    ...[
      'visits',
      'page/visits',
      '../page/visits',
      'page:visits',
      'page\0visits',
      '\0page\0visits',
      'page',
      '__proto__',
    ].map((key) => () => api.storage.get(key)),
    async () => {
      for await (const [key] of (api.storage as Any).entries?.() ?? []) return key;
      return undefined;
    },
  ),
);

// The network

const fetched = (url: string) => async () => {
  const response = await fetch(url);
  return `${response.status} ${await response.text()}`;
};
export const Network = looking(({ control, port }) =>
  firstOf(
    fetched(`http://127.0.0.1:${control}/secret`),
    fetched(`http://localhost:${control}/secret`),
    fetched(`http://[::1]:${control}/secret`),
    fetched(`http://[::ffff:127.0.0.1]:${control}/secret`),
    fetched(`http://0x7f000001:${control}/secret`),
    fetched(`http://2130706433:${control}/secret`),
    fetched(`http://0:${control}/secret`),
    fetched(`http://127.1:${control}/secret`),
    fetched(`http://user@localhost:${control}/secret`),
    fetched(`http://localhost:${port}@127.0.0.1:${control}/secret`),
    fetched(`http://localhost.:${control}/secret`),
  ),
);
export const Schemes = looking(({ secretFile }) =>
  firstOf(
    fetched(`file://${secretFile}`),
    fetched('data:text/plain,data'),
    fetched('blob:null/0'),
    fetched('javascript:0'),
    () => global.fetch(`file://${secretFile}`).then((response: Response) => response.text()),
  ),
);
/** It may ask localhost at the port of clients; where that sends it to it may not. */
export const Redirect = looking(({ port }) => firstOf(fetched(`http://localhost:${port}/redirect`)));
export const Granted = looking(({ port }) => firstOf(fetched(`http://localhost:${port}/alive`)));
export const Sockets = looking(({ control }) =>
  firstOf(
    () =>
      new Promise((resolve, reject) => {
        const socket = requireOf()('net').connect(control, '127.0.0.1', () => resolve('connected'));
        socket.on('error', reject);
      }),
    () => global.fetch(`http://127.0.0.1:${control}/secret`).then((response: Response) => response.text()),
  ),
);
