// Builds what a cell would run, as the package's build does: each side is one file, so that any Node can run it.

import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const runtime = createRequire(new URL('../../../packages/runtime/package.json', import.meta.url));
const { build } = runtime('esbuild') as { build(options: object): Promise<unknown> };

/** The Node to run the cell under; set BULKHEAD_NODE to try another than the one that runs the tests. */
export const node = process.env.BULKHEAD_NODE ?? process.execPath;

export interface Report<T> {
  readonly result: T;
  readonly uncaught: string[];
  readonly timerRuns: number;
  readonly lockdownMs: number;
}

/** Bundles both sides; the answer runs them in one mode in a process of their own. */
export async function buildCell(): Promise<<T>(mode: 'checks' | 'attacks' | 'walk') => Promise<Report<T>>> {
  const outdir = mkdtempSync(join(tmpdir(), 'bulkhead-cell-'));
  const [cell, script] = [join(outdir, 'cell.mjs'), join(outdir, 'inside.js')];
  await build({
    entryPoints: [join(here, 'cell.ts')],
    outfile: cell,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
  });
  await build({
    stdin: { contents: "export * from './inside.js'; export * from './attacks.js';", resolveDir: here, loader: 'ts' },
    outfile: script,
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'inside',
    target: 'es2022',
    logLevel: 'error',
  });
  return async <T>(mode: string) => {
    const { stdout, stderr } = await promisify(execFile)(node, [cell, mode, script], {
      maxBuffer: 1 << 26,
      timeout: 60_000,
    });
    if (stdout === '') throw new Error(`the cell said nothing: ${stderr}`);
    return JSON.parse(stdout) as Report<T>;
  };
}
