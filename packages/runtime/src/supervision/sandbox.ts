// What the operating system adds around a hull, by programs of util-linux that change themselves and then become the hull: no
// process more, the same number. Each was tried once before it is relied on.

import { spawnSync } from 'node:child_process';
import { layers } from '../layers.js';

export type Sandbox = 'auto' | 'none' | 'required';

/** One layer: the program in front of the hull's, and another way to have the same where the first is not permitted. */
interface Layer {
  readonly name: string;
  readonly ways: readonly (readonly string[])[];
}

/** A crash writes no image of the memory, which may hold what users wrote. */
const NO_CORE: Layer = { name: 'no core dumps', ways: [['prlimit', '--core=0']] };
/** The hull talks over descriptors that it inherits; `fetch` is the host's. In a user namespace it takes no privilege. */
const NO_NETWORK: Layer = {
  name: 'no network',
  ways: [
    ['unshare', '--net'],
    ['unshare', '--user', '--map-current-user', '--net'],
  ],
};
/** Root's capabilities are of no use to it, and no program that it could start gives it others. */
const NO_PRIVILEGES: Layer = {
  name: 'no privileges',
  ways: [
    ['setpriv', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all', '--'],
    ['setpriv', '--no-new-privs', '--'],
  ],
};

export interface Wrapping {
  /** In front of the hull's own command. */
  readonly command: readonly string[];
  readonly missing: readonly string[];
}

/** By whether the hull keeps the network. */
const tried = new Map<boolean, Wrapping>();

/**
 * @param files what the hull has to be able to read: without its capabilities root may read less than root
 * @param network whether the hull keeps the network: for modules that are trusted with it
 */
export function wrapping(sandbox: Sandbox, files: readonly string[], network: boolean): Wrapping {
  if (sandbox === 'none' || process.platform !== 'linux' || !layers.has('sandbox')) {
    return { command: [], missing: sandbox === 'required' ? ['Linux'] : [] };
  }
  // Both at once, when the first hull is spawned: trying blocks, and a module with a network of its own may come by a reload.
  if (tried.size === 0) {
    tried.set(true, tryLayers([NO_CORE, NO_PRIVILEGES], files));
    tried.set(false, tryLayers([NO_CORE, NO_NETWORK, NO_PRIVILEGES], files));
  }
  return tried.get(network) as Wrapping;
}

function tryLayers(wanted: readonly Layer[], files: readonly string[]): Wrapping {
  // Most often all of it can be had, and starting programs takes time.
  const best = wanted.flatMap(({ ways }) => ways[0] ?? []);
  if (works(best, files)) return { command: best, missing: [] };
  const command: string[] = [];
  const missing: string[] = [];
  for (const { name, ways } of wanted) {
    const way = ways.find((candidate) => works([...command, ...candidate], files));
    if (way === undefined) missing.push(name);
    else command.push(...way);
  }
  return { command, missing };
}

function works([program, ...args]: readonly string[], files: readonly string[]): boolean {
  const check = ['sh', '-c', 'for file; do test -r "$file" || exit 1; done', 'sh', ...files];
  // Without an environment, as the hull is started.
  return spawnSync(program as string, [...args, ...check], { stdio: 'ignore', timeout: 5_000, env: {} }).status === 0;
}
