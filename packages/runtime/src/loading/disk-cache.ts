// Bundles that were made in an earlier life of the homeserver. One is used again when everything that it was made from is, byte for
// byte, what it was, and nothing has come beside it that the bundler would have taken instead.

import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { LARGEST_FILE } from './bounds.js';
import { type Bundle, type BundleRequest, bundleModule, changedBefore, integrityOf, type Maker } from './bundle.js';
import type { LoadFailure } from './failure.js';

/** What a bundle depends on, each with the hash of what was found there; `null` for nothing. */
type Inputs = Readonly<Record<string, string | null>>;

const Entry = v.object({
  inputs: v.record(v.string(), v.nullable(v.string())),
  bundle: v.object({
    ok: v.literal(true),
    script: v.string(),
    sourceMap: v.string(),
    sourceUrl: v.string(),
    hash: v.string(),
    sources: v.array(v.string()),
  }),
});

export class DiskCache {
  readonly #folder: string;
  readonly #used = new Set<string>();
  #maker: Promise<string> | undefined;

  /** @param folder made when it is first written to */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Whether anything was kept. */
  async isFilled(): Promise<boolean> {
    return (await namesIn(this.#folder)).length > 0;
  }

  /** As `bundleModule`, but what was kept need not be made. */
  async bundle(request: BundleRequest, make: Maker): Promise<Bundle | LoadFailure> {
    this.#used.add(await this.#nameOf(request));
    return bundleModule(request, (asked) => this.through(asked, make));
  }

  /** Answers what was kept, or else lets the maker work and keeps what he made. */
  async through(request: BundleRequest, make: Maker): Promise<Bundle | LoadFailure> {
    // Where a trusted thread's module lies is a part of its script, but none of its hash, so that could not be checked.
    if (request.isolation === 'thread') return make(request);
    const name = await this.#nameOf(request);
    const kept = await this.#get(name);
    if (kept !== undefined) return kept;
    const startedAt = Date.now();
    const made = await make(request);
    // Without a cache it works as well.
    if (made.ok) await this.#put(name, made, startedAt).catch(() => {});
    return made;
  }

  /** Removes what was not asked for since this was opened. */
  async prune(): Promise<void> {
    const unused = (await namesIn(this.#folder)).filter((name) => !this.#used.has(name));
    await Promise.allSettled(unused.map((name) => rm(join(this.#folder, name), { force: true })));
  }

  async #get(name: string): Promise<Bundle | undefined> {
    try {
      const { inputs, bundle } = v.parse(Entry, JSON.parse(await readFile(join(this.#folder, name), 'utf8')));
      if (bundle.hash !== integrityOf(bundle.script)) return undefined;
      const found = await look(Object.keys(inputs));
      if (Object.entries(inputs).some(([path, hash]) => found[path] !== hash)) return undefined;
      return bundle;
    } catch {
      // Not there, or not whole: it is made anew.
      return undefined;
    }
  }

  async #put(name: string, bundle: Bundle, startedAt: number): Promise<void> {
    const paths = inputsOf(bundle.sources);
    const inputs = await look(paths);
    // What has changed meanwhile may be in the bundle as it was, and here as it is.
    if (
      !(await changedBefore(
        startedAt,
        paths.filter((path) => inputs[path] !== null),
      ))
    )
      return;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const draft = join(this.#folder, `${name}.${process.pid}`);
    await writeFile(draft, JSON.stringify({ inputs, bundle }), { mode: 0o600 });
    await rename(draft, join(this.#folder, name));
  }

  async #nameOf({ file, isolation, baseDir }: BundleRequest): Promise<string> {
    this.#maker ??= hashOfMaker();
    return `${hashOf(JSON.stringify([await this.#maker, file, isolation, baseDir]))}.json`;
  }
}

/** Other code of ours, or another bundler, makes other bundles. */
async function hashOfMaker(): Promise<string> {
  const folder = dirname(fileURLToPath(import.meta.url));
  const names = (await readdir(folder)).filter((name) => /\.[jt]s$/.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  const { version } = createRequire(import.meta.url)('esbuild/package.json') as { version: string };
  return hashOf([version, ...texts].join('\0'));
}

/** The files; and in their folders and in all above what the bundler asks there: manifests, settings, packages, neighbours. */
function inputsOf(sources: readonly string[]): readonly string[] {
  const folders = new Set(sources.map((source) => dirname(source)));
  const above = new Set(folders);
  for (const folder of above) above.add(dirname(folder));
  return [
    ...sources,
    ...folders,
    ...[...above].flatMap((folder) =>
      ['package.json', 'tsconfig.json', 'node_modules'].map((name) => join(folder, name)),
    ),
  ];
}

/** Reads no more than the bundler would have, and waits for no pipe. */
async function look(paths: readonly string[]): Promise<Inputs> {
  const found = await Promise.all(paths.map(async (path) => [path, await hashAt(path)] as const));
  return Object.fromEntries(found);
}

async function hashAt(path: string): Promise<string | null> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) return hashOf((await readdir(path)).sort().join('\0'));
    return stats.isFile() && stats.size <= LARGEST_FILE ? hashOf(await readFile(path)) : null;
  } catch {
    return null;
  }
}

const hashOf = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

const namesIn = (folder: string): Promise<readonly string[]> => readdir(folder).catch(() => []);
