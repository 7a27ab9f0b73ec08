// Bundles what runs in the hull and in its cells into single files: they start quicker so, and the permission flags then
// need to grant this one folder. Piscina looks for its worker.js beside itself, hence the name.

import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { boundGlobals } from './dist/loading/globals.js';

const here = dirname(fileURLToPath(import.meta.url));
const outdir = join(here, 'dist/bundles');
const piscina = dirname(createRequire(import.meta.url).resolve('piscina'));

await build({
  absWorkingDir: here,
  entryPoints: [
    { in: 'dist/hull/main.js', out: 'hull' },
    { in: 'dist/cell/bootstrap.js', out: 'cell' },
  ],
  outdir,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20.19',
  // Each cell reads it anew, and keeps it.
  minify: true,
  legalComments: 'none',
  external: ['@napi-rs/nice'],
  logLevel: 'warning',
});
// A script whose value is `connect`; it is evaluated in each cell's compartment.
await build({
  absWorkingDir: here,
  entryPoints: [{ in: 'dist/cell/inside/connect.js', out: 'inside' }],
  outdir,
  bundle: true,
  platform: 'neutral',
  mainFields: ['module', 'main'],
  format: 'iife',
  globalName: 'inside',
  banner: { js: `(()=>{"use strict";${boundGlobals}` },
  footer: { js: 'return inside.connect})()\n//# sourceURL=bulkhead:inside' },
  target: 'es2022',
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
});
await build({
  entryPoints: [join(piscina, 'worker.js')],
  outfile: join(outdir, 'worker.js'),
  bundle: true,
  platform: 'node',
  format: 'cjs',
  external: ['@napi-rs/nice'],
  logLevel: 'warning',
});
// The bundles are CommonJS although the package is not.
await writeFile(join(outdir, 'package.json'), '{ "type": "commonjs" }\n');
