// Ways to the world outside that code in a bare worker thread would find open.

import type { ModuleApi } from '@bulkhead/sdk';

/** Tries each and names those that led somewhere; in a cell: none. */
export async function look(api: ModuleApi): Promise<string[]> {
  const seen: string[] = [];
  for (const [name, attempt] of Object.entries(attempts(api))) {
    try {
      const found = await attempt();
      if (found === undefined || found === null || found === false) continue;
      seen.push(`${name} (${String(found).replace(/\s+/g, ' ').slice(0, 40)})`);
    } catch {
      // Refused: that way is closed.
    }
  }
  return seen;
}

const reach = (name: string): unknown => (globalThis as Readonly<Record<string, unknown>>)[name];

/** The constructor of a function makes code; which globals does that code see? */
const madeBy = (maker: object): unknown => {
  const make = maker.constructor as (source: string) => () => unknown;
  return make('return typeof process === "undefined" ? undefined : process')();
};

const attempts = (api: ModuleApi): Readonly<Record<string, () => unknown>> => ({
  process: () => reach('process'),
  require: () => reach('require'),
  Buffer: () => reach('Buffer'),
  'built-in modules': () => (reach('process') as NodeJS.Process).getBuiltinModule('node:fs'),
  environment: () => Object.keys((reach('process') as NodeJS.Process).env),
  'Function constructor': () => madeBy(() => {}),
  'native function': () => madeBy(setTimeout),
  'method of the api': () => madeBy(api.isMine),
  'async function': () => madeBy(async () => {}),
  // Every module's objects and the host's own code in this thread inherit from them.
  'shared prototypes': () => {
    (Object.prototype as { seen?: boolean }).seen = true;
    return 'seen' in {};
  },
  'streams of the console': () => (console as { _stdout?: unknown })._stdout,
  'shared memory': () => reach('SharedArrayBuffer'),
  WebAssembly: () => reach('WebAssembly'),
  // A Node timer is linked to all others of its duration, the host's own among them.
  'timer internals': () => (setTimeout(() => {}, 0) as { _idlePrev?: unknown })._idlePrev,
  network: async () => (await fetch('http://127.0.0.1:8008/')).status,
});
