// The esbuild run: TypeScript and packages in, one expression out.

import { realpath } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { type BuildFailure, type BuildOptions, build, type Message } from 'esbuild';
import type { Fault } from '../config/entry.js';
import { keepWithinBounds } from './bounds.js';
import type { BundleRequest } from './bundle.js';
import { type LoadFailure, messageAt } from './failure.js';
import { boundGlobals } from './globals.js';
import { type ImportGraph, importChain, importGraph, shortName } from './imports.js';
import { withStableNames } from './names.js';
import { packageRules } from './rules.js';

export interface Built {
  readonly ok: true;
  /** The module's, by its real path. */
  readonly file: string;
  readonly script: string;
  readonly sourceMap: string;
  readonly sources: readonly string[];
}

/** @param lowered without template literals: their texts become strings */
export async function buildScript(request: BundleRequest, lowered = false): Promise<Built | LoadFailure> {
  // esbuild names files by their real paths, and the module's must be one of them.
  const file = await realpath(request.file).catch(() => request.file);
  const baseDir = await realpath(request.baseDir).catch(() => request.baseDir);
  const options = optionsFor({ ...request, file, baseDir }, lowered);
  const workDir = dirname(file);
  try {
    const { outputFiles, metafile } = await build({ ...options, write: false, metafile: true });
    const [map, script] = outputFiles;
    if (!map || !script) throw new Error('esbuild gave no output');
    const names = Object.keys(metafile.inputs);
    const named = withStableNames({ script: script.text.trimEnd(), sourceMap: map.text }, names);
    return {
      ok: true,
      file,
      script: named.script,
      sourceMap: withAbsoluteSources(named.sourceMap, workDir),
      sources: names.filter(isFile).map((name) => resolve(workDir, name)),
    };
  } catch (error) {
    const { errors } = error as BuildFailure;
    if (!Array.isArray(errors)) throw error;
    return { ok: false, faults: await faultsOf(errors, options, file) };
  }
}

const ENTRY = '<bulkhead>';

/** Neither our entry, nor what a package says not to be there in browsers, nor a URL that contains a module. */
const isFile = (input: string): boolean => input !== ENTRY && !/^(?:\(disabled\):|<data:)/.test(input);

/** What a script begins with; that of `isolation: thread` so that `import.meta` can be put in behind it. */
export const OPENING = '(()=>{"use strict";';
/** Where the module lies is no part of what is bundled: it gets it as a constant of this name. */
export const PLACE = '__bulkhead_place';

function optionsFor({ file, isolation, baseDir }: BundleRequest, lowered: boolean): BuildOptions {
  return {
    ...packageRules(isolation),
    stdin: {
      contents: `export * as module from ${JSON.stringify(file)};`,
      resolveDir: dirname(file),
      sourcefile: ENTRY,
    },
    bundle: true,
    plugins: [keepWithinBounds({ file, baseDir })],
    // An expression: `(() => { "use strict"; let { ... } = globalThis; var bundle = (() => { ... })(); return bundle.module })()`
    format: 'iife',
    globalName: 'bundle',
    banner: { js: isolation === 'compartment' ? OPENING + boundGlobals : OPENING },
    footer: { js: 'return bundle.module})()' },
    target: 'es2022',
    define: { 'process.env.NODE_ENV': '"production"', ...(isolation === 'thread' ? ownPlace : browserNames) },
    // A script has no `import()` of its own; in a thread `require` does its work, in a compartment nothing does.
    supported: { 'dynamic-import': isolation === 'compartment', ...(lowered ? { 'template-literal': false } : {}) },
    minifyWhitespace: true,
    legalComments: 'none',
    sourcemap: 'external',
    sourcesContent: false,
    // Names in the output are relative to the module, so that the script is the same wherever it is made.
    absWorkingDir: dirname(file),
    outfile: join(dirname(file), 'bundle.js'),
    logLevel: 'silent',
  };
}

const browserNames = { global: 'globalThis', self: 'globalThis' };

const ownPlace = {
  'import.meta.url': `${PLACE}.url`,
  'import.meta.filename': `${PLACE}.filename`,
  'import.meta.dirname': `${PLACE}.dirname`,
};

function withAbsoluteSources(json: string, workDir: string): string {
  const map = JSON.parse(json) as { sources: readonly string[] };
  // esbuild writes URLs.
  const sources = map.sources.map((source) => resolve(workDir, decodeURIComponent(source)));
  return JSON.stringify({ ...map, sources });
}

const MOST_FAULTS = 10;

async function faultsOf(errors: readonly Message[], options: BuildOptions, file: string): Promise<readonly Fault[]> {
  const lacksBuiltin = errors.some((error) => isBuiltin(missingIn(error) ?? ''));
  const graph = lacksBuiltin ? await importGraph(options) : undefined;
  return errors.slice(0, MOST_FAULTS).map((error) => {
    const missing = missingIn(error);
    if (graph && missing && isBuiltin(missing)) return nodeImport(error, missing, graph, file);
    return bundleFailed(error, missing, dirname(file));
  });
}

const missingIn = ({ text }: Message): string | undefined => /^Could not resolve "(.+)"$/.exec(text)?.[1];

function nodeImport({ location }: Message, missing: string, graph: ImportGraph, file: string): Fault {
  const workDir = dirname(file);
  const builtin = missing.startsWith('node:') ? missing : `node:${missing}`;
  const importer = location ? resolve(workDir, location.file) : file;
  const chain = importChain(graph, file, importer).map((link) => shortName(link, workDir));
  return {
    code: 'NodeImport',
    message: `${builtin} does not exist in a compartment: ${[...chain, builtin].join(' -> ')}`,
    hint: 'use web standards and the ModuleApi; or, for a module that you trust, set "isolation: thread"',
  };
}

function bundleFailed({ text, location, notes }: Message, missing: string | undefined, workDir: string): Fault {
  const isPackage = missing !== undefined && !/^[./]/.test(missing);
  return {
    code: 'BundleFailed',
    message: location ? messageAt(text, { ...location, column: location.column + 1 }, workDir) : text,
    hint: isPackage
      ? `is it installed? Looked for it from ${resolve(workDir, dirname(location?.file ?? ''))}`
      : notes[0]?.text,
  };
}
