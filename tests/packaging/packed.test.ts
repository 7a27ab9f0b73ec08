// The packages as npm gets them: packed, installed in an empty folder, and used as the README says.

import { execFile, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { readPage, root } from '../docs/markdown.ts';
import { emptyFolder } from '../docs/project.ts';
import { freePort, listens } from '../docs/servers.ts';

const exec = promisify(execFile);
const run = async (command: string, args: readonly string[], cwd: string): Promise<string> => {
  try {
    const { stdout, stderr } = await exec(command, args, { cwd, env: environment(), maxBuffer: 1 << 26 });
    return stdout + stderr;
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout: string; stderr: string; message: string };
    throw new Error(`${message}\n${stdout}${stderr}`);
  }
};

/** Of what an outer npm says, an inner one needs no more than where things come from. */
const environment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        name !== 'NODE_OPTIONS' &&
        (!/^p?npm_/i.test(name) || /^npm_config_.*(registry|userconfig|cache|auth|cafile|proxy)/i.test(name)),
    ),
  );

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
/** As the script `setup` has it. */
const pnpm = /pnpm@[\d.]+/.exec(scripts.setup)?.[0] ?? 'pnpm';

const packed = emptyFolder('packed');
const bin = join(root, 'tests/node_modules/.bin');
const runtime = JSON.parse(readFileSync(join(root, 'packages/runtime/package.json'), 'utf8'));
const tests = JSON.parse(readFileSync(join(root, 'tests/package.json'), 'utf8'));

for (const name of ['sdk', 'runtime']) {
  await run('npx', ['--yes', pnpm, 'pack', '--pack-destination', packed], join(root, 'packages', name));
}
const tarballs = readdirSync(packed)
  .filter((file) => file.endsWith('.tgz'))
  .map((file) => join(packed, file));

t.test('what is packed is right', async (t) => {
  t.equal(tarballs.length, 2);
  for (const tarball of tarballs) {
    t.match(await run(join(bin, 'publint'), [tarball, '--strict'], packed), 'All good!');
    // It exits with 1 when something is wrong. Everything is an ES module, so what CommonJS finds is no matter.
    await t.resolves(run(join(bin, 'attw'), [tarball, '--profile', 'esm-only', '--no-emoji'], packed));
    const files = (await run('tar', ['-tzf', tarball], packed)).split('\n');
    t.ok(files.includes('package/LICENSE'));
    t.ok(files.includes('package/README.md'));
    const manifest = await run('tar', ['-xzOf', tarball, 'package/package.json'], packed);
    t.notMatch(manifest, 'workspace:');
    if (manifest.includes('"@bulkhead/runtime",')) {
      for (const bundle of ['hull.cjs', 'cell.cjs', 'worker.js', 'package.json']) {
        t.ok(files.includes(`package/dist/bundles/${bundle}`), bundle);
      }
    }
  }
});

t.test('the README’s ten lines run with what is packed', async (t) => {
  const folder = emptyFolder('installed');
  const port = await freePort();
  for (const { words, text } of readPage('README.md').blocks) {
    const file = words.get('file');
    if (file !== undefined) writeFileSync(join(folder, file), text.replace(/\b8008\b/g, String(port)));
  }
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const others = ['hono', '@hono/node-server'].map((name) => {
    const range = tests.dependencies[name] ?? tests.devDependencies[name];
    return `${name}@${range}`;
  });
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', ...quiet, ...tarballs, ...others], folder);

  t.equal(await run('npx', ['bulkhead', '--version'], folder), `${runtime.version}\n`);
  t.match(await run('npx', ['bulkhead', 'check', 'homeserver.yaml'], folder), '1 module set up.');

  const server = spawn(process.execPath, ['server.js'], { cwd: folder, env: environment(), stdio: 'inherit' });
  t.teardown(() => server.kill());
  t.ok(await listens(port, server));
  const send = async (body: string): Promise<unknown> => {
    const event = {
      type: 'm.room.message',
      room_id: '!room:example.org',
      sender: '@alice:example.org',
      origin_server_ts: 1,
      content: { body },
    };
    const response = await fetch(`http://127.0.0.1:${port}/send`, { method: 'POST', body: JSON.stringify(event) });
    return { status: response.status, ...((await response.json()) as object) };
  };
  t.strictSame(await send('my garden'), { status: 200, sent: true });
  t.strictSame(await send('my casino'), {
    status: 403,
    errcode: 'M_FORBIDDEN',
    error: 'contains a blocked word',
  });
});
