// What a module is at the moment: its script, and where that came from.

import { readFileSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { ModuleEntry } from '../config/entry.js';
import { type Bundle, integrityOf } from '../loading/bundle.js';
import type { Hashes, LockedModule, Permissions } from './lock.js';

export async function describeModule(
  entry: ModuleEntry,
  bundle: Bundle,
  { asks, granted }: { readonly asks: Permissions; readonly granted: Permissions },
): Promise<LockedModule> {
  return {
    module: entry.specifier,
    isolation: entry.isolation,
    script: bundle.hash,
    asks,
    granted,
    ...(await describeSources(bundle.sources, await realpath(entry.baseDir))),
  };
}

/** A file belongs to its package, unless that is the one in which the configuration lies. */
async function describeSources(
  sources: readonly string[],
  baseDir: string,
): Promise<Pick<LockedModule, 'dependencies' | 'files'>> {
  const packages = new Packages();
  const home = packages.around(join(baseDir, 'any'));
  const dependencies: Record<string, Hashes> = {};
  let files: Hashes = {};
  for (const source of sources) {
    const hash = integrityOf(await readFile(source));
    const owner = packages.around(source);
    if (owner === undefined || owner.root === home?.root) {
      files = withHash(files, pathFrom(baseDir, source), hash);
    } else {
      const name = owner.version === undefined ? owner.name : `${owner.name}@${owner.version}`;
      dependencies[name] = withHash(dependencies[name] ?? {}, pathFrom(owner.root, source), hash);
    }
  }
  return { dependencies, files };
}

const pathFrom = (folder: string, file: string): string => relative(folder, file).split(sep).join('/');

/** One version of a package may be there twice, in different places; if so, most likely with the same content. */
function withHash(hashes: Hashes, path: string, hash: string): Hashes {
  const all = new Set([...(hashes[path]?.split(' ') ?? []), hash]);
  return { ...hashes, [path]: [...all].toSorted().join(' ') };
}

interface Package {
  /** Its folder. */
  readonly root: string;
  readonly name: string;
  readonly version: string | undefined;
}

class Packages {
  readonly #byFolder = new Map<string, Package | undefined>();

  around(file: string): Package | undefined {
    return this.#at(dirname(file));
  }

  #at(folder: string): Package | undefined {
    if (this.#byFolder.has(folder)) return this.#byFolder.get(folder);
    const { name, version } = manifestIn(folder);
    const known = name ?? installedAs(folder);
    const parent = dirname(folder);
    const found =
      known !== undefined ? { root: folder, name: known, version } : parent === folder ? undefined : this.#at(parent);
    this.#byFolder.set(folder, found);
    return found;
  }
}

/** A package's name by its folder, where the package itself has none. */
const installedAs = (folder: string): string | undefined =>
  /\/node_modules\/((?:@[^/]+\/)?[^/@][^/]*)$/.exec(folder.split(sep).join('/'))?.[1];

function manifestIn(folder: string): { readonly name?: string; readonly version?: string } {
  try {
    const { name, version }: { name?: unknown; version?: unknown } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    );
    return { ...(typeof name === 'string' ? { name } : {}), ...(typeof version === 'string' ? { version } : {}) };
  } catch {
    // There is none, or it is none.
    return {};
  }
}
