// What became of the modules since they were locked.

import type { Hashes, Lock, LockedModule, Permissions } from './lock.js';

export interface Comparison {
  /** Whether locking again would write another file. */
  readonly different: boolean;
  /** The runtime's version. */
  readonly runtime: Change | null;
  /** Those that differ, by id. */
  readonly modules: readonly ModuleDifference[];
}

export interface ModuleDifference {
  readonly id: string;
  readonly state: 'new' | 'changed' | 'gone';
  /** As written in the configuration. */
  readonly module: string;
  readonly specifier: Change | null;
  readonly isolation: Change | null;
  readonly script: Change | null;
  /** As `group: permission`. */
  readonly asks: Delta;
  readonly granted: Delta;
  /** Packages that came, went, or are there in other versions. */
  readonly dependencies: readonly DependencyChange[];
  /** The module's own, and those of packages that claim to be what they were: `name@version/path`. */
  readonly files: Delta & { readonly changed: readonly string[] };
}

/** `null`: there was, or is, none. */
export interface Change {
  readonly locked: string | null;
  readonly found: string | null;
}

export interface Delta {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

export interface DependencyChange {
  readonly name: string;
  /** Versions. */
  readonly locked: readonly string[];
  readonly found: readonly string[];
}

export function compareLocks(locked: Lock | undefined, found: Lock): Comparison {
  const ids = [...new Set([...(locked?.modules.keys() ?? []), ...found.modules.keys()])].toSorted();
  const runtime = change(locked?.runtime, found.runtime);
  const modules = ids
    .map((id) => compareModules(id, locked?.modules.get(id), found.modules.get(id)))
    .filter((module) => module.state !== 'changed' || isDifferent(module));
  return { different: runtime !== null || modules.length > 0, runtime, modules };
}

function compareModules(id: string, locked: LockedModule | undefined, found: LockedModule | undefined) {
  const kept = Object.keys(found?.dependencies ?? {}).filter((name) => Object.hasOwn(locked?.dependencies ?? {}, name));
  return {
    id,
    state: locked === undefined ? 'new' : found === undefined ? 'gone' : 'changed',
    module: (found ?? locked)?.module ?? '',
    specifier: change(locked?.module, found?.module),
    isolation: change(locked?.isolation, found?.isolation),
    script: change(locked?.script, found?.script),
    asks: delta(spelt(locked?.asks), spelt(found?.asks)),
    granted: delta(spelt(locked?.granted), spelt(found?.granted)),
    dependencies: compareVersions(locked?.dependencies ?? {}, found?.dependencies ?? {}),
    files: compareHashes(allHashes(locked, kept), allHashes(found, kept)),
  } satisfies ModuleDifference;
}

const isDifferent = ({ specifier, isolation, script, asks, granted, dependencies, files }: ModuleDifference): boolean =>
  [specifier, isolation, script].some((one) => one !== null) ||
  [asks, granted, files].some(({ added, removed }) => added.length + removed.length > 0) ||
  dependencies.length + files.changed.length > 0;

const change = (locked: string | undefined, found: string | undefined): Change | null =>
  locked === found ? null : { locked: locked ?? null, found: found ?? null };

const delta = (locked: readonly string[], found: readonly string[]): Delta => ({
  added: found.filter((one) => !locked.includes(one)).toSorted(),
  removed: locked.filter((one) => !found.includes(one)).toSorted(),
});

const spelt = (permissions: Permissions = {}): readonly string[] =>
  Object.entries(permissions).flatMap(([group, values]) => values.map((value) => `${group}: ${value}`));

type Dependencies = LockedModule['dependencies'];

function compareVersions(locked: Dependencies, found: Dependencies): readonly DependencyChange[] {
  const [before, after] = [versions(locked), versions(found)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .toSorted()
    .map((name) => ({ name, locked: before.get(name) ?? [], found: after.get(name) ?? [] }))
    .filter((one) => one.locked.join() !== one.found.join());
}

function versions(dependencies: Dependencies): ReadonlyMap<string, readonly string[]> {
  const byName = new Map<string, string[]>();
  for (const key of Object.keys(dependencies).toSorted()) {
    const at = key.lastIndexOf('@');
    const [name, version] = at > 0 ? [key.slice(0, at), key.slice(at + 1)] : [key, 'without a version'];
    byName.set(name, [...(byName.get(name) ?? []), version]);
  }
  return byName;
}

function allHashes(module: LockedModule | undefined, dependencies: readonly string[]): Hashes {
  const ofPackages = dependencies.flatMap((name) =>
    Object.entries(module?.dependencies[name] ?? {}).map(([path, hash]) => [`${name}/${path}`, hash] as const),
  );
  return { ...module?.files, ...Object.fromEntries(ofPackages) };
}

function compareHashes(locked: Hashes, found: Hashes): ModuleDifference['files'] {
  const changed = Object.keys(found).filter((path) => Object.hasOwn(locked, path) && locked[path] !== found[path]);
  return { ...delta(Object.keys(locked), Object.keys(found)), changed: changed.toSorted() };
}
