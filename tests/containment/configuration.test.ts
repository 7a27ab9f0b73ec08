// Attacks that come before any cell is there: by what a configuration names, and by what is bundled for it. The host reads and
// bundles with its own eyes, so nothing of what it sees may get into a module, hold it up, or take its memory.

import { execFileSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { ConfigurationError, createModuleRuntime, type Problem } from '@bulkhead/runtime';
import t from 'tap';
import { start } from '../runtime/harness.ts';

const SECRET = 'ed25519 a_key_of_the_homeserver';
const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** A stall that a client would notice; far above what a busy machine does to a process that is not to blame. */
const STALL_MS = 1_000;

const module = (text = '') => `${text}\nexport default class Module {}\n`;

/** Starts a runtime with these modules, named as in a configuration that lies in `folder`. */
async function problemsOf(
  folder: string,
  modules: readonly (string | { readonly module: string; readonly isolation?: 'thread' })[],
): Promise<readonly Problem[]> {
  const entries = modules.map((entry, index) => ({
    ...(typeof entry === 'string' ? { module: entry } : entry),
    id: `m${index}`,
  }));
  try {
    const runtime = await createModuleRuntime({
      config: { text: JSON.stringify({ modules: entries }, null, 2), file: join(folder, 'homeserver.yaml') },
      homeserver: { serverName: 'example.org' },
      storage: join(folder, 'module-data'),
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    });
    await runtime.close({ drainMs: 0 });
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

/** What becomes of this process while it works: its longest stall, and the memory that it has more afterwards. */
async function whileWatched<T>(work: () => Promise<T>): Promise<{ result: T; stallMs: number; grownMib: number }> {
  const before = process.memoryUsage.rss();
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const result = await work();
  delay.disable();
  return { result, stallMs: delay.max / 1e6, grownMib: (process.memoryUsage.rss() - before) / MIB };
}

t.test('specifiers that name no module', async (t) => {
  const dir = t.testdir({
    outside: { 'fine.ts': module() },
    config: {
      folder: {},
      'file.txt': '',
      loop: t.fixture('symlink', 'loop'),
      device: t.fixture('symlink', '/dev/zero'),
      'large.ts': '',
    },
  });
  const folder = join(dir, 'config');
  execFileSync('mkfifo', [join(folder, 'pipe.ts')]);
  truncateSync(join(folder, 'large.ts'), GIB);

  const specifiers: readonly (readonly [specifier: string, expected: RegExp])[] = [
    ['./folder', /folder is a folder/],
    ['.', /is a folder/],
    ['./pipe.ts', /is no file with a module in it, but a named pipe/],
    ['./device', /but a device/],
    ['/dev/zero', /but a device/],
    ['/dev/stdin', /no file/],
    ['./loop', /there is no file/],
    ['./file.txt/x.ts', /there is no file/],
    [`./${'x'.repeat(5000)}`, /there is no file/],
    ['./nul\0.ts', /there is no file/],
    ['./large.ts', /the file has 1024 MiB, of 8 MiB at most/],
    ['../outside/absent.ts', /there is no file/],
    ['data:text/javascript,export default class {}', /there is no package/],
    ['http://127.0.0.1:1/module.js', /there is no package/],
    ['https://example.org/module.js#X', /there is no package/],
    ['file:///etc/hostname', /there is no package/],
    ['node:fs', /there is no package/],
    ['fs', /there is no package/],
    ['__proto__', /there is no package/],
    ['constructor.prototype', /there is no package/],
    ['', /expected a module like/],
    ['#', /expected/],
  ];
  const watched = await whileWatched(() =>
    problemsOf(
      folder,
      specifiers.map(([specifier]) => specifier),
    ),
  );
  for (const [index, [specifier, expected]] of specifiers.entries()) {
    const name = JSON.stringify(specifier.slice(0, 60));
    const own = watched.result.find(({ path }) => path?.startsWith(`modules[${index}]`));
    t.match(own?.message, expected, name);
    t.ok(own?.place !== undefined, `${name} has its place`);
  }
  t.ok(watched.stallMs < STALL_MS, `the longest stall was ${watched.stallMs.toFixed()} ms`);
  t.ok(watched.grownMib < 128, `${watched.grownMib.toFixed()} MiB more`);
  t.strictSame(await problemsOf(folder, ['../outside/fine.ts']), [], 'what lies elsewhere is the admin’s to name');
});

t.test('names of exports that every object has', async (t) => {
  const dir = t.testdir({ folder: { 'module.ts': module() } });
  const names = ['toString', '__proto__', 'constructor', 'hasOwnProperty', 'prototype', 'then', '__defineGetter__'];
  const problems = await problemsOf(
    dir,
    names.map((name) => `./folder/module.ts#${name}`),
  );
  for (const [index, name] of names.entries()) {
    t.match(problems[index], { code: 'ExportNotFound', message: `there is no export "${name}"` }, name);
  }
});

t.test('imports of what is the host’s own', async (t) => {
  const dir = t.testdir({
    'homeserver.json': JSON.stringify({ secret: SECRET }),
    'signing.key': SECRET,
    'package.json': '{ "name": "my-homeserver" }',
    'beside.ts': module('import secret from "./homeserver.json"; globalThis.secret = secret;'),
    secrets: { 'secret.txt': SECRET, 'secret.ts': `export default ${JSON.stringify(SECRET)};` },
    node_modules: {
      'my-homeserver': t.fixture('symlink', '..'),
      alias: t.fixture('symlink', '../secrets'),
    },
    modules: {
      evil: {
        'package.json':
          '{ "name": "evil", "imports": { "#up": "./../../homeserver.json" }, "browser": { "./own.js": "../../homeserver.json" } }',
        'tsconfig.json': '{ "compilerOptions": { "baseUrl": ".", "paths": { "mapped": ["../../homeserver.json"] } } }',
        'own.js': 'export default 1;',
        'own.json': '{ "mine": true }',
        'link.txt': t.fixture('symlink', '../../signing.key'),
        src: { 'own.ts': module('import own from "../own.json"; globalThis.own = own;') },
      },
    },
  });
  const evil = join(dir, 'modules/evil');
  const imports = {
    json: '"../../homeserver.json"',
    text: '"../../signing.key" with { type: "text" }',
    bytes: '"../../signing.key" with { type: "bytes" }',
    txt: '"../../secrets/secret.txt"',
    code: '"../../secrets/secret.ts"',
    absolute: JSON.stringify(join(dir, 'homeserver.json')),
    link: '"./link.txt"',
    environment: '"/proc/self/environ" with { type: "text" }',
    file: `"file://${dir}/homeserver.json"`,
    mapped: '"mapped"',
    browser: '"./own.js"',
    up: '"#up"',
    homeserver: '"my-homeserver/homeserver.json"',
    alias: '"alias/secret.txt"',
    node: '"node:fs"',
    http: '"http://127.0.0.1:1/x.js"',
    device: '"/dev/zero"',
  };
  for (const [name, from] of Object.entries(imports)) {
    writeFileSync(join(evil, `${name}.ts`), module(`import secret from ${from}; globalThis.secret = secret;`));
  }
  execFileSync('mkfifo', [join(evil, 'pipe.js')]);
  writeFileSync(join(evil, 'fifo.ts'), module('import "./pipe.js";'));
  writeFileSync(join(evil, 'large.bin'), '');
  truncateSync(join(evil, 'large.bin'), GIB);
  writeFileSync(
    join(evil, 'large.ts'),
    module('import x from "./large.bin" with { type: "bytes" }; globalThis.x = x;'),
  );

  const names = [...Object.keys(imports), 'fifo', 'large'];
  const watched = await whileWatched(() =>
    problemsOf(dir, ['./beside.ts', ...names.map((name) => `./modules/evil/${name}.ts`)]),
  );
  for (const [index, name] of ['beside', ...names].entries()) {
    const own = watched.result.filter(({ path }) => path?.startsWith(`modules[${index}]`));
    t.ok(own.length > 0, `${name} is refused`);
    for (const { code, message } of own) {
      // A URL is left to a `require`, which a compartment does not have.
      t.match(code, name === 'http' ? 'SetupFailed' : /^(BundleFailed|NodeImport)$/, `${name}: ${message}`);
      t.notMatch(message, SECRET, 'and the message does not tell either');
    }
  }
  t.ok(watched.stallMs < STALL_MS, `the longest stall was ${watched.stallMs.toFixed()} ms`);
  t.ok(watched.grownMib < 128, `${watched.grownMib.toFixed()} MiB more`);
  t.strictSame(await problemsOf(dir, ['./modules/evil/src/own.ts']), [], 'its own package is its own');
  const trusted = await problemsOf(dir, [{ module: './modules/evil/json.ts', isolation: 'thread' }]);
  t.match(trusted, [{ code: 'BundleFailed' }], 'a module with isolation: thread has no other bounds');
});

t.test('sources that look like what SES refuses, or like the wrapper, work', async (t) => {
  const dir = t.testdir({ modules: { 'texts.ts': TEXTS } });
  const runtime = await start(t, [{ module: join(dir, 'modules/texts.ts') }], { storage: join(dir, 'module-data') });
  const line = runtime.log.find(({ message }) => message.startsWith('texts '));
  const { texts, again } = JSON.parse(line?.message.slice('texts '.length) ?? '{}') as Record<string, unknown>;
  t.ok(Array.isArray(texts) && texts.length > 20);
  t.strictSame(texts, again, 'each is what its pieces make');
});

/** Each text is there twice: as it is, and in pieces that nobody could take for anything. */
const pairs: readonly (readonly [code: string, pieces: string])[] = [
  [`'import(x)'`, `['im', 'port(x)']`],
  [`"<!-- x -->"`, `['<', '!-- x --', '>']`],
  [`"eval (x)"`, `['ev', 'al (x)']`],
  [`'a\\\\eval(x)'`, `['a\\\\ev', 'al(x)']`],
  [`'import/**/(x)'`, `['im', 'port/**/(x)']`],
  [`'import//\\n(x)'`, `['im', 'port//\\n(x)']`],
  [`\`import(\${1}) <!-- \${2} --> eval(\${3})\``, `['im', 'port(1) <', '!-- 2 --', '> ev', 'al(3)']`],
  [`String.raw\`<!-- \\n --> eval(\${1}) import(2)\``, `['<', '!-- ', '\\\\', 'n --', '> ev', 'al(1) im', 'port(2)']`],
  [`(() => { let n = 3, c = ''; while (n-->0) c += n; return c })()`, `['2', '1', '0']`],
  [`new (class { import(x) { return x } })().import('m')`, `['m']`],
  [`new (class { #eval(x) { return x } run() { return this.#eval('p') } })().run()`, `['p']`],
  [`({ eval(x) { return x } }).eval('o')`, `['o']`],
  [`Object.keys({ 'import(x)': 1 })[0]`, `['im', 'port(x)']`],
  [`String(/<!-- eval(x) -->/.test('<' + '!-- ev' + 'alx --' + '>'))`, `['true']`],
  [`String(/^import(x)$/.test('im' + 'portx'))`, `['true']`],
  [`'})();return bundle.default})()'`, `['})();return bund', 'le.default})()']`],
  [`\`})()})();\``, `['})()', '})();']`],
  [`\`\\n//# sourceURL=/etc/passwd\\n\``, `['\\n//# source', 'URL=/etc/passwd\\n']`],
  [`'//# sourceMappingURL=/dev/zero'`, `['//# sourceMapping', 'URL=/dev/zero']`],
  [
    `(() => { var bundle = 'b', __toESM = 't', connect = 'c'; return bundle + __toESM + connect })()`,
    `['b', 't', 'c']`,
  ],
  [`String((0, eval)('1 + 1'))`, `['2']`],
  [`String(typeof import.meta)`, `['obj', 'ect']`],
];
const TEXTS = `/* import('x') <!-- eval(1) --> })(); */
// })()})(); return bundle.default})() -->
/** @license import('x') <!-- eval(1) */
//! legal: import('x') -->
const texts = [${pairs.map(([code]) => code).join(',\n')}];
const again = [${pairs.map(([, pieces]) => `${pieces}.join('')`).join(',\n')}];
export default class Texts {
  constructor() {
    console.info('texts ' + JSON.stringify({ texts, again }));
  }
}
//# sourceMappingURL=nowhere.js.map
`;

t.test('sources that would close the wrapper, or go on for ever, stop at the bundler', async (t) => {
  const cycle = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [
      `c${i}.ts`,
      `export * from './c${(i + 1) % 30}.ts'; export * from './c${(i + 7) % 30}.ts'; export const v${i} = ${i};`,
    ]),
  );
  const dir = t.testdir({
    modules: {
      'closes.ts': '})();globalThis.broken=1;(()=>{\nexport default class {}',
      'returns.ts': 'return 5;\nexport default class {}',
      'import.ts': module('export const load = (name: string) => import(name);'),
      'eval.ts': module('export const run = (text: string) => eval(text);'),
      'deep.ts': module(`export const text = 'import(x)', deep = ${'['.repeat(3000)}${']'.repeat(3000)};`),
      'cycle.ts': module('export * from "./c0.ts";'),
      ...cycle,
    },
  });
  const names = ['closes', 'returns', 'import', 'eval', 'deep'];
  const watched = await whileWatched(() =>
    problemsOf(
      dir,
      names.map((name) => `./modules/${name}.ts`),
    ),
  );
  for (const [index, name] of names.entries()) {
    t.match(
      watched.result.find(({ path }) => path?.startsWith(`modules[${index}]`)),
      { code: 'BundleFailed' },
      name,
    );
  }
  t.ok(watched.stallMs < STALL_MS, `the longest stall was ${watched.stallMs.toFixed()} ms`);
  t.ok(watched.grownMib < 128, `${watched.grownMib.toFixed()} MiB more`);
  t.strictSame(await problemsOf(dir, ['./modules/cycle.ts']), [], 'a circle of exports ends');
});

// Not from the package's entrance: nobody else needs other limits.
const { Workshop } = (await import(
  new URL('./supervision/workshop.js', import.meta.resolve('@bulkhead/runtime')).href
)) as typeof import('../../packages/runtime/src/supervision/workshop.ts');

t.test('a bundle that takes for ever is given up, and the next one is made', async (t) => {
  const dir = t.testdir({
    well: { 'module.ts': module() },
    pipe: {},
    manifest: {},
    settings: {},
    map: {},
    exports: {},
  });
  const fifo = (name: string): void => void execFileSync('mkfifo', [join(dir, name)]);
  for (const folder of ['manifest', 'settings']) writeFileSync(join(dir, folder, 'module.ts'), module());
  fifo('manifest/package.json');
  fifo('settings/tsconfig.json');
  fifo('map/pipe');
  writeFileSync(join(dir, 'map/module.ts'), `${module()}//# sourceMappingURL=pipe\n`);
  // Three thousand files that each export what all others do.
  const files = Array.from({ length: 3_000 }, (_, i) => `e${i}.ts`);
  for (const [i, name] of files.entries()) {
    const next = files[(i + 1) % files.length];
    writeFileSync(
      join(dir, 'exports', name),
      `export * from './${next}'; export * from './module.ts'; export const v${i} = 1;`,
    );
  }
  writeFileSync(join(dir, 'exports/module.ts'), module(files.map((name) => `export * from './${name}';`).join('\n')));

  const workshop = new Workshop({ timeoutMs: 3_000, idleMs: 100 });
  const bundle = (folder: string) =>
    workshop.do({
      kind: 'bundle',
      request: { file: join(dir, folder, 'module.ts'), isolation: 'compartment', baseDir: '/srv' },
    });
  const names = ['manifest', 'settings', 'map', 'exports'];
  const { result, stallMs } = await whileWatched(() => Promise.all([...names.map(bundle), bundle('well')]));
  for (const [index, name] of names.entries()) {
    t.match(
      result[index],
      { ok: false, faults: [{ code: 'BundleFailed', message: /given up: it took more than 3 s/ }] },
      name,
    );
  }
  t.match(result.at(-1), { ok: true }, 'whoever waited behind them gets its turn');
  t.ok(stallMs < STALL_MS, `the longest stall was ${stallMs.toFixed()} ms`);
});

t.test(
  'a bundle that takes all memory is given up',
  { skip: process.platform !== 'linux' && 'reads /proc' },
  async (t) => {
    const dir = t.testdir({
      'module.ts': module(`export const text = 'import(x)', list = [${'[a=>a+1],'.repeat(500_000)}];`),
      'well.ts': module(),
    });
    const workshop = new Workshop({ memory: 256 * MIB, idleMs: 100 });
    const bundle = (name: string) =>
      workshop.do({
        kind: 'bundle',
        request: { file: join(dir, name), isolation: 'compartment', baseDir: '/srv' },
      });
    const { result, stallMs } = await whileWatched(() => Promise.all([bundle('module.ts'), bundle('well.ts')]));
    t.match(result, [
      { ok: false, faults: [{ message: /given up: (it took more than 256 MiB of memory|its process ended by)/ }] },
      { ok: true },
    ]);
    t.ok(stallMs < STALL_MS, `the longest stall was ${stallMs.toFixed()} ms`);
  },
);
