// What a module may be made of. A bundle is made with the host's eyes, so whatever file an import names would be read and
// put into it: the homeserver's signing key, the environment under /proc, a device without an end.

import { readFileSync, type Stats, statSync } from 'node:fs';
import { dirname, extname, join, resolve, sep } from 'node:path';
import type { Plugin } from 'esbuild';
import { ASKED } from './asked.js';
import { shortName } from './imports.js';

const MEBIBYTE = 2 ** 20;
/** Bytes of one file. */
export const LARGEST_FILE = 8 * MEBIBYTE;
/** Bytes of all files. */
const MOST_BYTES = 32 * MEBIBYTE;
const LARGEST_MANIFEST = MEBIBYTE;

/** A folder whose files may be imported by path. */
interface Ground {
  readonly folder: string;
  /** Where the configuration lies as well, so that a text or a JSON file there may be a secret of the homeserver's. */
  readonly codeOnly: boolean;
}

export interface BoundsOf {
  /** The module's file, by its real path. */
  readonly file: string;
  /** The folder of the configuration. */
  readonly baseDir: string;
}

/** Refuses what is not the module's, nor a package's that it imports by name, and what is too large or no file at all. */
export function keepWithinBounds({ file, baseDir }: BoundsOf): Plugin {
  return {
    name: 'keep-within-bounds',
    setup(bundler) {
      const grounds = [...groundsOf(file, baseDir)];
      let bytes = 0;

      bundler.onResolve(
        { filter: /^[^./\\]/ },
        async ({ path, importer, kind, resolveDir, pluginData, with: asked }) => {
          if (pluginData !== undefined) return undefined;
          const found = await bundler.resolve(path, { importer, kind, resolveDir, pluginData: ASKED, with: asked });
          const isFile = found.errors.length === 0 && !found.external && found.namespace === 'file';
          const folder = isFile ? packageOf(found.path, path) : undefined;
          if (folder !== undefined) grounds.push(groundAt(folder, baseDir));
          // Where it leads to, and what is wrong with it, the bundler says itself.
          return undefined;
        },
      );

      bundler.onLoad({ filter: /^/, namespace: 'file' }, ({ path, with: attributes }) => {
        const isCode = CODE.includes(extname(path)) && Object.keys(attributes).length === 0;
        const within = grounds.filter(({ folder }) => isWithin(path, folder));
        if (within.length === 0) return refuse(`${shortName(path, dirname(file))} is outside of the module`, OUTSIDE);
        if (!isCode && within.every(({ codeOnly }) => codeOnly)) {
          return refuse(`${shortName(path, dirname(file))} is not code, and lies where the configuration does`, DATA);
        }
        const stats = statOf(path);
        // What is in an archive only the bundler can find.
        if (stats === undefined) return undefined;
        if (!stats.isFile()) return refuse(`${shortName(path, dirname(file))} is not a file`);
        if (stats.size > LARGEST_FILE)
          return refuse(`the file has ${megabytes(stats.size)}, of ${megabytes(LARGEST_FILE)} at most`);
        bytes += stats.size;
        if (bytes > MOST_BYTES) return refuse(`the module has more than ${megabytes(MOST_BYTES)} of files`);
        return undefined;
      });
    },
  };
}

const CODE = ['.js', '.mjs', '.cjs', '.jsx', '.ts', '.mts', '.cts', '.tsx'];

const OUTSIDE = 'a module may import what is in its own package, and packages by their names';
const DATA = 'put the module into a folder of its own';

const refuse = (text: string, hint?: string) => ({
  errors: [{ text, notes: hint === undefined ? [] : [{ text: hint }] }],
});

const megabytes = (bytes: number): string => `${Math.ceil(bytes / MEBIBYTE)} MiB`;

function groundsOf(file: string, baseDir: string): readonly Ground[] {
  const own = dirname(file);
  const grounds = [own];
  for (const folder of ancestors(own)) {
    if (statOf(join(folder, 'package.json')) === undefined) continue;
    grounds.push(folder);
    break;
  }
  return grounds.map((folder) => groundAt(folder, baseDir));
}

const groundAt = (folder: string, baseDir: string): Ground => ({
  folder,
  codeOnly: isWithin(baseDir, folder),
});

/** The folder of the package that a name led to; a link among packages leads to one only if that has the name. */
function packageOf(path: string, name: string): string | undefined {
  const parts = path.split(sep);
  const installed = parts.lastIndexOf('node_modules');
  if (installed >= 0) {
    const length = parts[installed + 1]?.startsWith('@') ? 3 : 2;
    return parts.slice(0, installed + length).join(sep);
  }
  return ancestors(dirname(path)).find((folder) => {
    const own = nameIn(join(folder, 'package.json'));
    return own !== undefined && (name === own || name.startsWith(`${own}/`));
  });
}

function nameIn(manifest: string): string | undefined {
  const stats = statOf(manifest);
  if (!stats?.isFile() || stats.size > LARGEST_MANIFEST) return undefined;
  try {
    const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly name?: unknown };
    return typeof name === 'string' && name !== '' ? name : undefined;
  } catch {
    return undefined;
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

/** A folder and all above it, the nearest first. */
function ancestors(folder: string): readonly string[] {
  const all: string[] = [];
  for (let at = folder; at !== all.at(-1); at = resolve(at, '..')) all.push(at);
  return all;
}
