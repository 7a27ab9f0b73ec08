// A specifier as the admin wrote it -> a file and the name of an export.

import { readdirSync, type Stats, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, isAbsolute, relative, resolve } from 'node:path';
import { closeNames } from '@bulkhead/sdk/contract';
import { failure, type LoadFailure } from './failure.js';
import { type Isolation, packageRules } from './rules.js';

export interface ResolvedModule {
  readonly ok: true;
  /** Absolute. */
  readonly file: string;
  readonly exportName: string;
}

/**
 * Finds what `package.Export`, `package#Export`, `package`, `./path.ts#Export` or an absolute path names.
 * Without an export it is the default one.
 */
export async function resolveModule(
  specifier: string,
  baseDir: string,
  isolation: Isolation = 'compartment',
): Promise<ResolvedModule | LoadFailure> {
  const { target, exportName } = splitAtHash(specifier);
  if (target === '' || exportName === '') {
    return failure(
      'ModuleNotFound',
      `expected "package#Export" or "./file.ts#Export", got ${JSON.stringify(specifier)}`,
    );
  }
  if (isPath(target)) return resolvePath(target, exportName ?? 'default', baseDir);
  return resolvePackage(readings(target, exportName), baseDir, isolation);
}

/** Whether a specifier names a file by its path, so that nothing has to be read to find it. */
export const namesFile = (specifier: string): boolean => isPath(splitAtHash(specifier).target);

const isPath = (target: string): boolean => /^\.{1,2}(?:[/\\]|$)/.test(target) || isAbsolute(target);

function splitAtHash(specifier: string): { target: string; exportName: string | undefined } {
  const hash = specifier.lastIndexOf('#');
  if (hash < 0) return { target: specifier, exportName: undefined };
  return { target: specifier.slice(0, hash), exportName: specifier.slice(hash + 1) };
}

function resolvePath(target: string, exportName: string, baseDir: string): ResolvedModule | LoadFailure {
  const file = resolve(baseDir, target);
  if (isFile(file)) return { ok: true, file, exportName };
  const siblings = filesIn(dirname(file));
  const kind = kindOf(file);
  if (kind === 'folder') return failure('ModuleNotFound', `${file} is a folder`, 'name a file in it');
  if (kind !== undefined) return failure('ModuleNotFound', `${file} is no file with a module in it, but ${kind}`);
  const [close] = closeNames(basename(file), siblings);
  const written = close && target.slice(0, target.length - basename(target).length) + close;
  return failure('ModuleNotFound', `there is no file ${file}`, written && `did you mean ${written}?`);
}

const isFile = (file: string): boolean => statOf(file)?.isFile() ?? false;

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    // Not there, or not to be reached: below a file, by a link to itself, under a name that no file can have.
    return undefined;
  }
}

/** What is there instead of a file; a link is what it leads to. */
function kindOf(file: string): string | undefined {
  const stats = statOf(file);
  if (stats === undefined || stats.isFile()) return undefined;
  if (stats.isDirectory()) return 'folder';
  if (stats.isFIFO()) return 'a named pipe';
  return stats.isSocket() ? 'a socket' : 'a device';
}

function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

interface Reading {
  readonly name: string;
  readonly exportName: string;
}

/** `a.b.C` is export `C` of `a.b`; but `socket.io` is a package's whole name, so that is tried as well. */
function readings(target: string, exportName: string | undefined): readonly Reading[] {
  const whole = { name: target, exportName: exportName ?? 'default' };
  const dot = target.lastIndexOf('.');
  if (exportName !== undefined || dot <= 0 || dot === target.length - 1) return [whole];
  return [{ name: target.slice(0, dot), exportName: target.slice(dot + 1) }, whole];
}

async function resolvePackage(
  tried: readonly Reading[],
  baseDir: string,
  isolation: Isolation,
): Promise<ResolvedModule | LoadFailure> {
  for (const { name, exportName } of tried) {
    const file = isBuiltin(name) ? undefined : await findPackage(name, baseDir, isolation);
    if (file !== undefined) return { ok: true, file, exportName };
  }
  const names = tried.map(({ name }) => JSON.stringify(name)).join(' or ');
  return failure('ModuleNotFound', `there is no package ${names} to be found from ${baseDir}`, hintFor(tried, baseDir));
}

function hintFor(tried: readonly Reading[], baseDir: string): string {
  if (tried.some(({ name }) => /^[a-z][a-z+.-]+:/i.test(name) && !isBuiltin(name))) {
    return 'a module is a file or a package that is installed, never a URL';
  }
  const file = tried.map(({ name }) => resolve(baseDir, name)).find(isFile);
  if (file !== undefined) return `a path begins with "./": ./${relative(baseDir, file)}`;
  const [first] = tried;
  if (first && isBuiltin(first.name)) return `${first.name} is a part of Node, not a module`;
  return `is it installed? Try: npm install ${first?.name.split('/', first.name.startsWith('@') ? 2 : 1).join('/')}`;
}

/** Asks the bundler, so that a package means the same file here and in the bundle. */
async function findPackage(name: string, baseDir: string, isolation: Isolation): Promise<string | undefined> {
  let found: string | undefined;
  const { build } = await import('esbuild');
  await build({
    ...packageRules(isolation),
    stdin: { contents: '', resolveDir: baseDir },
    write: false,
    logLevel: 'silent',
    plugins: [
      {
        name: 'find-package',
        setup(bundler) {
          bundler.onStart(async () => {
            const result = await bundler.resolve(name, { kind: 'import-statement', resolveDir: baseDir });
            if (result.errors.length === 0 && !result.external && result.namespace === 'file') found = result.path;
          });
        },
      },
    ],
  });
  return found;
}
