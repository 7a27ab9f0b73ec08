// Scripts of modules, and which of them need not be made again. Those who make them are loaded where they are needed.

import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { LoadFailure } from './failure.js';
import type { Isolation } from './rules.js';

export interface BundleRequest {
  /** The module's file; absolute. */
  readonly file: string;
  readonly isolation: Isolation;
  /** The configuration's folder. */
  readonly baseDir: string;
}

export interface Bundle {
  readonly ok: true;
  /**
   * To be evaluated as a Script; its completion value is the module's namespace. In a compartment it needs no `require`;
   * with `isolation: thread` it finds node's built-ins through a global `require`, which whoever evaluates it provides.
   */
  readonly script: string;
  /** JSON, with absolute paths. It stays on the host. */
  readonly sourceMap: string;
  /** What the script calls itself in stacks. */
  readonly sourceUrl: string;
  /** `sha256-` and the base64 of the script's SHA-256, its place left out: the same wherever the module lies. */
  readonly hash: string;
  /** The files that it was made from; absolute. */
  readonly sources: readonly string[];
}

/**
 * Bundles a module, or answers what was bundled before if no file has changed since.
 * @param makeIt who does the work
 */
export async function bundleModule(request: BundleRequest, makeIt: Maker): Promise<Bundle | LoadFailure> {
  const key = JSON.stringify([request.file, request.isolation, request.baseDir]);
  for (let known = made.get(key); known; ) {
    const making = await known;
    if (making.result.ok && (await isFresh(making))) return making.result;
    // Somebody else may have found it stale before us, and be at work already.
    const newer = made.get(key);
    if (newer === known) break;
    known = newer;
  }
  const making = make(request, makeIt);
  made.set(key, making);
  return (await making).result;
}

interface Making {
  readonly result: Bundle | LoadFailure;
  readonly startedAt: number;
}

const made = new Map<string, Promise<Making>>();

export type Maker = (request: BundleRequest) => Promise<Bundle | LoadFailure>;

async function make(request: BundleRequest, makeIt: Maker): Promise<Making> {
  const startedAt = Date.now();
  return { result: await makeIt(request), startedAt };
}

/** File times lag behind the clock by up to a tick of the kernel, so what changed just before counts as changed since. */
const TICK_MS = 20;

const isFresh = async ({ result, startedAt }: Making): Promise<boolean> =>
  result.ok && changedBefore(startedAt, result.sources);

/** Whether all that lies there is as it was then, on the clock of `Date.now()`. */
export async function changedBefore(time: number, paths: readonly string[]): Promise<boolean> {
  const changes = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ mtimeMs, ctimeMs }) => Math.max(mtimeMs, ctimeMs),
        () => Number.POSITIVE_INFINITY,
      ),
    ),
  );
  return changes.every((changedAt) => changedAt < time - TICK_MS);
}

/** As in the web's Subresource Integrity. */
export const integrityOf = (data: string | Uint8Array): string =>
  `sha256-${createHash('sha256').update(data).digest('base64')}`;
