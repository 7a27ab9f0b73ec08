// modules.lock: what the modules of a configuration were when an admin looked at them last. Made to be committed and read, so it
// says the same on every machine: no absolute path, no date, everything in order.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { type Document, isMap, isNode, isScalar, parseDocument, stringify } from 'yaml';
import type { Path, Place, Problem } from '../config/entry.js';
import { decodeFault, encodeFault, expected, mapping } from '../config/expected.js';
import { pathText } from '../config/problem.js';
import { PIN } from '../config/schema.js';
import { makePlaceAt } from '../config/yaml.js';

export interface Lock {
  /** The runtime's version; a part of every script is its. */
  readonly runtime: string;
  readonly modules: ReadonlyMap<string, LockedModule>;
}

export interface LockedModule {
  /** As written in the configuration. */
  readonly module: string;
  readonly isolation: 'compartment' | 'thread';
  /** The hash of its script. */
  readonly script: string;
  readonly asks: Permissions;
  readonly granted: Permissions;
  /** The packages that are part of the script, as `name@version`: the hashes of their files, by the path in the package. */
  readonly dependencies: Readonly<Record<string, Hashes>>;
  /** The hashes of the files that are part of the script and no package's, by their path from the configuration. */
  readonly files: Hashes;
}

/** By group. */
export type Permissions = Readonly<Record<string, readonly string[]>>;
export type Hashes = Readonly<Record<string, string>>;

export const LOCK_FILE = 'modules.lock';

/** As messages name it: beside a configuration that is named by a relative path, a relative path as well. */
export const lockFileBeside = (configFile: string): string => join(dirname(configFile), LOCK_FILE);

const FORMAT = 1;

const HEADING = `# What the modules were when an admin looked at them last: one that is something else now does not start.
# Written by "bulkhead lock", compared by "bulkhead diff". Commit this file, and do not edit it.
`;

export function lockText({ runtime, modules }: Lock): string {
  const content = {
    lock: FORMAT,
    runtime,
    modules: Object.fromEntries(sorted([...modules]).map(([id, module]) => [id, inOrder(module)])),
  };
  return HEADING + stringify(content, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** Groups without a permission say nothing. */
export function permissionsInOrder(permissions: Permissions): Permissions {
  const groups = Object.entries(permissions).filter(([, values]) => values.length > 0);
  return Object.fromEntries(sorted(groups).map(([group, values]) => [group, [...new Set(values)].toSorted()]));
}

function inOrder({ module, isolation, script, asks, granted, dependencies, files }: LockedModule): LockedModule {
  const byName = sorted(Object.entries(dependencies)).map(([name, hashes]) => [name, hashesInOrder(hashes)]);
  return {
    module,
    isolation,
    script,
    asks: permissionsInOrder(asks),
    granted: permissionsInOrder(granted),
    dependencies: Object.fromEntries(byName),
    files: hashesInOrder(files),
  };
}

const hashesInOrder = (hashes: Hashes): Hashes => Object.fromEntries(sorted(Object.entries(hashes)));

/** By code units, because that is the same in every locale. */
const sorted = <T>(entries: readonly (readonly [string, T])[]): readonly (readonly [string, T])[] =>
  entries.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

export type LockRead =
  | { readonly state: 'none' }
  | { readonly state: 'read'; readonly lock: Lock }
  | { readonly state: 'damaged'; readonly problems: readonly Problem[] };

/** @param file also as messages name it */
export function readLock(file: string): LockRead {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { state: 'none' };
    return { state: 'damaged', problems: [problem(`${file} cannot be read: ${message}`, [], undefined)] };
  }
  return parseLock(text, file);
}

const AS_IT_WAS =
  'get it back from version control; or `bulkhead lock` writes it anew, with the modules as they are now';

const problem = (message: string, path: Path, place: Place | undefined, hint = AS_IT_WAS): Problem => ({
  code: 'LockUnreadable',
  message,
  module: undefined,
  path: pathText(path) || undefined,
  place,
  hint,
});

function parseLock(text: string, file: string): LockRead {
  const placeAt = makePlaceAt(text, file);
  const document = parseDocument(text, { prettyErrors: false, stringKeys: true });
  const [first] = document.errors;
  // One conflict of a merge makes many.
  if (first) return { state: 'damaged', problems: [problem(first.message, [], placeAt(first.pos[0]))] };
  const result = v.safeParse(LockFile, dataOf(document));
  if (result.success) {
    const { runtime, modules } = result.output;
    return { state: 'read', lock: { runtime, modules: new Map(Object.entries(modules)) } };
  }
  const problems = result.issues.map((issue) => {
    const path = (issue.path ?? []).map(({ key }) => key as string | number);
    const { message, hint } = decodeFault(issue.message);
    return problem(message, path, placeAt(offsetOf(document, path)), hint);
  });
  return { state: 'damaged', problems };
}

function dataOf(document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 }) ?? undefined;
  } catch {
    // Nothing that we write repeats by alias.
    return undefined;
  }
}

/** Of the nearest thing on the way along the path that is there. */
function offsetOf({ contents }: Document.Parsed, path: Path): number {
  let node: unknown = contents;
  let offset = contents?.range[0] ?? 0;
  for (const part of path) {
    const pair = isMap(node)
      ? node.items.find(({ key }) => isScalar(key) && key.value === part)
      : { key: undefined, value: isNode(node) && 'items' in node ? node.items[Number(part)] : undefined };
    const at = isScalar(pair?.value) ? pair.value : (pair?.key ?? pair?.value);
    if (!isNode(at)) break;
    offset = at.range?.[0] ?? offset;
    node = pair?.value;
  }
  return offset;
}

const text = v.string(expected('a text'));
const hash = v.pipe(
  v.string(expected('a hash')),
  v.check((hashes) => hashes.split(' ').every((one) => PIN.test(one)), expected('a hash like "sha256-..."')),
);
const mapOf = <T>(what: string, item: v.GenericSchema<unknown, T>) => v.record(v.string(), item, expected(what));
const hashes = mapOf('a mapping from files to hashes', hash);
const permissions = mapOf('a mapping from groups to permissions', v.array(text, expected('a list of permissions')));

const LockFile = mapping('with the keys lock, runtime and modules', {
  lock: v.literal(FORMAT, (issue) =>
    encodeFault(expectedFormat(issue.input), { hint: 'update Bulkhead, or let `bulkhead lock` write it anew' }),
  ),
  runtime: text,
  modules: mapOf(
    'a mapping from ids to modules',
    mapping('that describes a module', {
      module: text,
      isolation: v.picklist(['compartment', 'thread'], expected('"compartment" or "thread"')),
      script: hash,
      asks: permissions,
      granted: permissions,
      dependencies: mapOf('a mapping from packages to their files', hashes),
      files: hashes,
    }),
  ),
});

const expectedFormat = (input: unknown): string =>
  typeof input === 'number' ? `this version of Bulkhead reads format ${FORMAT}, this is ${input}` : 'expected a format';
