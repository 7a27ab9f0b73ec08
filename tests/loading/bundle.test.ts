import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { type Bundle, bundleModule } from '../../packages/runtime/src/loading/bundle.ts';
import { makeBundle } from '../../packages/runtime/src/loading/make.ts';
import { mapStack } from '../../packages/runtime/src/loading/stack.ts';
import { callInCompartment } from './compartment.ts';

const fixtures = join(import.meta.dirname, 'fixtures');

type Isolation = 'compartment' | 'thread';

const bundle = (file: string, isolation: Isolation = 'compartment') =>
  bundleModule({ file, isolation, baseDir: '/srv' }, makeBundle);

async function bundled(file: string, isolation: Isolation = 'compartment'): Promise<Bundle> {
  const result = await bundle(file, isolation);
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result;
}

async function faultsOf(file: string): Promise<readonly string[]> {
  const result = await bundle(file);
  if (result.ok) throw new Error('expected faults');
  return result.faults.map(({ code, message }) => `${code}: ${message}`);
}

t.test('a module with popular packages runs in a compartment', async (t) => {
  const demo = await bundled(join(fixtures, 'demo.ts'));
  t.strictSame(await callInCompartment(demo.script, 'hello', 'http://x/hello?name=bob'), { value: { hello: 'bob' } });
  t.strictSame(await callInCompartment(demo.script, 'check', { word: 'x' }), { value: { word: 'x' } });
  t.match(await callInCompartment(demo.script, 'check', 5), { error: /ValiError: .* received 5/ });
  t.strictSame(await callInCompartment(demo.script, 'surroundings'), { value: ['undefined', 'object', 'object'] });
  t.equal(demo.hash, `sha256-${createHash('sha256').update(demo.script).digest('base64')}`);
  t.ok(demo.sources.includes(join(fixtures, 'demo.ts')));
  t.ok(demo.sources.some((source) => source.includes('/hono/')));
});

t.test('text that SES would refuse keeps its meaning', async (t) => {
  const censored = await bundled(join(fixtures, 'censored.ts'));
  t.strictSame(await callInCompartment(censored.script, 'texts', 'w'), {
    value: [
      "import('x')",
      '<!-- comment -->',
      'never use eval(x)',
      'import(w) <!-- w --> eval(w)',
      true,
      3,
      { 'import(x)': 'key', 'eval(y)': 'key too' },
      'imported w',
      'evaluated w',
    ],
  });
});

t.test('stacks lead to the files', async (t) => {
  for (const [name, line, column] of [
    ['demo.ts', 20, 9],
    ['censored.ts', 34, 9],
  ] as const) {
    const made = await bundled(join(fixtures, name));
    const thrown = await callInCompartment(made.script, 'boom', { reason: 'boom' });
    const stack = 'stack' in thrown ? thrown.stack : '';
    t.match(stack, `boom (bulkhead:///${name}:2:`, 'the script has a name of its own');
    t.match(mapStack(stack, made), `boom (${join(fixtures, name)}:${line}:${column})`, 'with or without evasion');
  }
});

t.test("the language's globals are locals, and a module may have its own of the same name", async (t) => {
  const dir = t.testdir({
    'a.ts': `
      import { list } from './b.ts';
      export const shadowed = () => [list(), Array.isArray([]), undefined === void 0];
      export const assigned = () => { Math = { max: () => 7 } as Math; return [Math.max(1, 2), globalThis.Math.max(1, 2)]; };
      export const faster = () => msOf(() => URL !== undefined) / msOf(() => Number !== undefined);
      function msOf(lookUp: () => boolean): number {
        const startedAt = Date.now();
        for (let i = 0; i < 300_000; i++) lookUp();
        return Math.max(1, Date.now() - startedAt);
      }
    `,
    'b.ts': 'class Map { readonly mine = true } const Set = 5; export const list = () => [new Map().mine, Set];',
  });
  const { script } = await bundled(join(dir, 'a.ts'));
  t.strictSame(await callInCompartment(script, 'shadowed'), { value: [[true, 5], true, true] });
  t.strictSame(await callInCompartment(script, 'assigned'), { value: [7, 2] });
  const faster = await callInCompartment(script, 'faster');
  t.ok('value' in faster && Number(faster.value) > 2, `than another global: ${JSON.stringify(faster)}`);
});

t.test('a name that no URL holds', async (t) => {
  const dir = t.testdir({ 'my möd (1).ts': 'export const boom = () => { throw new Error("x"); };' });
  const file = join(dir, 'my möd (1).ts');
  const made = await bundled(file);
  const thrown = await callInCompartment(made.script, 'boom');
  t.match(mapStack('stack' in thrown ? thrown.stack : '', made), `${file}:1:35`);
});

t.test('in a thread, built-ins come from the require that is given', async (t) => {
  const dir = t.testdir({
    'node.ts': `
      import { basename } from 'node:path';
      export const own = () => basename(import.meta.url) + basename(import.meta.filename) + basename(import.meta.dirname);
      export const late = async (name: string) => (await import(name)).basename('/a/b');
      export const strict = () => (function (this: unknown) { return this === undefined; })();
    `,
  });
  const { script } = await bundled(join(dir, 'node.ts'), 'thread');
  const module = runInNewContext(script, { require: createRequire(import.meta.url) }) as {
    own(): string;
    late(name: string): Promise<string>;
    strict(): boolean;
  };
  t.match(module.own(), /^node\.tsnode\.ts/);
  t.equal(await module.late('node:path'), 'b');
  t.equal(module.strict(), true);
});

t.test("an import of Node's is refused with the chain that leads to it", async (t) => {
  const dir = t.testdir({
    linked: t.fixture('symlink', '.'),
    'direct.ts': 'import { readFileSync } from "node:fs"; export default readFileSync;',
    'demo.ts': 'import { pad } from "./lib/pad.ts"; export default pad;',
    lib: { 'pad.ts': 'import leftPad from "left-pad"; export const pad = leftPad;' },
    'two.ts': 'import a from "left-pad"; import b from "child_process"; export default [a, b];',
    'optional.ts': 'let has = true; try { require("fs"); } catch { has = false } export const hasFs = () => has;',
    'late.ts': 'export const f = () => import("node:fs");',
    'type.ts': 'import type { Stats } from "node:fs"; export const size = (stats: Stats) => stats.size;',
    node_modules: {
      'left-pad': { 'package.json': '{}', 'index.js': 'const fs = require("fs"); module.exports = fs.existsSync;' },
    },
  });
  t.strictSame(await faultsOf(join(dir, 'direct.ts')), [
    'NodeImport: node:fs does not exist in a compartment: direct.ts -> node:fs',
  ]);
  for (const file of ['demo.ts', 'linked/demo.ts'])
    t.strictSame(await faultsOf(join(dir, file)), [
      'NodeImport: node:fs does not exist in a compartment: demo.ts -> lib/pad.ts -> left-pad/index.js -> node:fs',
    ]);
  t.strictSame(
    [...(await faultsOf(join(dir, 'two.ts')))].sort(),
    [
      'NodeImport: node:child_process does not exist in a compartment: two.ts -> node:child_process',
      'NodeImport: node:fs does not exist in a compartment: two.ts -> left-pad/index.js -> node:fs',
    ],
    'all of them',
  );
  t.match(await faultsOf(join(dir, 'late.ts')), [/late\.ts -> node:fs$/]);
  t.ok((await bundle(join(dir, 'type.ts'))).ok, 'a type is no import');
  const { script } = await bundled(join(dir, 'optional.ts'));
  t.strictSame(await callInCompartment(script, 'hasFs'), { value: false }, 'a require that may fail fails');
  t.ok((await bundle(join(dir, 'demo.ts'), 'thread')).ok);
});

t.test('what a compartment cannot carry out has its place in the file', async (t) => {
  const dir = t.testdir({
    'import.ts': 'export const text = "import(x)";\nexport const load = (name: string) => import(name);\n',
    'eval.ts': 'export const run = () => {\n  return eval("1");\n};\n',
    'bundled.ts': 'export const late = async () => (await import("./other.ts")).other;\n',
    'other.ts': 'export const other = "other";\n',
  });
  t.strictSame(await faultsOf(join(dir, 'import.ts')), [
    `BundleFailed: import.ts:2:39: import() cannot be carried out in a compartment
  2 | export const load = (name: string) => import(name);
    |                                       ^`,
  ]);
  t.strictSame(await faultsOf(join(dir, 'eval.ts')), [
    `BundleFailed: eval.ts:2:10: eval() cannot be carried out in a compartment
  2 |   return eval("1");
    |          ^`,
  ]);
  const { script } = await bundled(join(dir, 'bundled.ts'));
  t.strictSame(await callInCompartment(script, 'late'), { value: 'other' }, 'import() of a known file is bundled');
});

t.test('errors of compilation', async (t) => {
  const dir = t.testdir({
    'syntax.ts': 'export const a = 1;\nexport let 1 = 3;\n',
    'absent.ts': 'import x from "no-such-package";\nimport y from "./no-such-file.ts";\nexport default [x, y];\n',
  });
  t.strictSame(await faultsOf(join(dir, 'syntax.ts')), [
    `BundleFailed: syntax.ts:2:12: Expected identifier but found "1"
  2 | export let 1 = 3;
    |            ^`,
  ]);
  const result = await bundle(join(dir, 'absent.ts'));
  t.match(result, {
    ok: false,
    faults: [
      {
        message: /^absent\.ts:1:15: Could not resolve "no-such-package"/,
        hint: `is it installed? Looked for it from ${dir}`,
      },
      { message: /^absent\.ts:2:15: Could not resolve "\.\/no-such-file\.ts"/, hint: undefined },
    ],
  });
  t.match(await faultsOf(join(dir, 'gone.ts')), [/^BundleFailed: /]);
});

t.test('the work is shared until a file changes', async (t) => {
  const dir = t.testdir({ 'a.ts': 'export { b } from "./b.ts";', 'b.ts': 'export const b = () => 1;' });
  const file = join(dir, 'a.ts');
  // A file that has just been written counts as changed.
  await sleep(50);
  const [first, second] = await Promise.all([bundled(file), bundled(file)]);
  t.equal(first, second, 'by those who ask at the same time');
  t.equal(await bundled(file), first, 'and by those who ask later');
  t.not(await bundled(file, 'thread'), first, 'not between isolations');

  writeFileSync(join(dir, 'b.ts'), 'export const b = () => 2;');
  const edited = await Promise.all([bundled(file), bundled(file), bundled(file)]);
  for (const { script } of edited) t.strictSame(await callInCompartment(script, 'b'), { value: 2 });

  rmSync(join(dir, 'b.ts'));
  t.match(await faultsOf(file), [/Could not resolve "\.\/b\.ts"/]);
  writeFileSync(join(dir, 'b.ts'), 'export const b = () => 3;');
  t.strictSame(await callInCompartment((await bundled(file)).script, 'b'), { value: 3 }, 'a failure is not kept');
});

t.test('an edit while a bundle is being made is seen by whoever asks after it', async (t) => {
  const dir = t.testdir({ 'a.ts': 'export const a = () => 1;' });
  const file = join(dir, 'a.ts');
  await sleep(50);
  const before = bundled(file);
  writeFileSync(file, 'export const a = () => 2;');
  const after = bundled(file);
  await before;
  t.strictSame(await callInCompartment((await after).script, 'a'), { value: 2 });
});

t.test('the same module makes the same script wherever it lies', async (t) => {
  const cjs = () => ({
    'package.json': '{ "browser": { "fs": false } }',
    'index.js': 'require("fs"); const other = require("./lib"); module.exports = { boom: () => other.boom() };',
    lib: { 'index.js': 'exports.boom = () => { throw new Error("boom"); };' },
  });
  const module = () => ({
    'index.ts':
      'import x from "cjs"; export default { x }; export const boom = () => x.boom(); export const late = () => import("./esm.ts");',
    'esm.ts': 'export const esm = 1;',
  });
  const dir = t.testdir({
    own: { ...module(), node_modules: { cjs: cjs() } },
    hoisted: { folder: { 'my möd': module() }, node_modules: { cjs: cjs() } },
    linked: {
      ...module(),
      node_modules: { cjs: t.fixture('symlink', '../.störe ő/cjs@1.0.0/node_modules/cjs') },
      '.störe ő': { 'cjs@1.0.0': { node_modules: { cjs: cjs() } } },
    },
  });
  const at = (folder: string) =>
    makeBundle({ file: join(dir, folder, 'index.ts'), isolation: 'compartment', baseDir: '/srv' });
  const all = await Promise.all([at('own'), at('hoisted/folder/my möd'), at('linked')]);
  for (const [made, packages] of [
    [all[0], 'own/node_modules/cjs'],
    [all[1], 'hoisted/node_modules/cjs'],
    [all[2], 'linked/.störe ő/cjs@1.0.0/node_modules/cjs'],
  ] as const) {
    if (!made?.ok || !all[0]?.ok) throw new Error(JSON.stringify(made));
    t.equal(made.hash, all[0].hash, packages);
    t.match(made.script, '{"cjs/lib/index.js"(');
    const inPackage = made.sources.filter((source) => source.includes('/cjs/'));
    t.strictSame(
      inPackage.toSorted(),
      ['index.js', 'lib/index.js'].map((name) => join(dir, packages, name)),
    );
    const namespace = runInNewContext(made.script) as { boom: () => void };
    const stack = mapStack(stackOf(namespace.boom), made);
    t.match(stack, `${join(dir, packages, 'lib/index.js')}:1:30`, 'positions are right where names were shortened');
    t.match(stack, `${join(dir, packages, 'index.js')}:1:85`);
    t.match(stack, /index\.ts:1:72/);
  }
});

t.test('text that looks like the name of a file is left alone', async (t) => {
  const texts = [
    `__commonJS({"../node_modules/cjs/other.js"(exports,module){`,
    `__commonJS({"node_modules/cjs/other.js"(exports,module){`,
  ];
  const dir = t.testdir({
    'a.ts': `import x from "cjs"; export const texts = () => [${texts.map((text) => `'${text}'`).join()}, x];`,
    node_modules: { cjs: { 'package.json': '{}', 'index.js': 'module.exports = 1' } },
  });
  const { script } = await bundled(join(dir, 'a.ts'));
  t.strictSame(await callInCompartment(script, 'texts'), { value: [...texts, 1] });
});

t.test('in a thread a module knows its place, and the hash does not', async (t) => {
  const source = 'export const place = () => [import.meta.url, import.meta.filename, import.meta.dirname];';
  const throws = 'export const boom = () => { throw new Error("boom"); };';
  const dir = t.testdir({ one: { 'a.ts': source + throws }, two: { 'a.ts': source + throws } });
  const made = await Promise.all(['one', 'two'].map((name) => bundled(join(dir, name, 'a.ts'), 'thread')));
  t.equal(made[0]?.hash, made[1]?.hash);
  for (const [index, folder] of ['one', 'two'].entries()) {
    const { script } = made[index] as Bundle;
    const module = runInNewContext(script, { require: createRequire(import.meta.url) }) as {
      place(): string[];
      boom(): never;
    };
    const file = join(dir, folder, 'a.ts');
    t.strictSame([...module.place()], [pathToFileURL(file).href, file, join(dir, folder)]);
    t.match(mapStack(stackOf(module.boom), made[index] as Bundle), `${file}:1:${source.length + 35}`);
  }
});

function stackOf(thrower: () => unknown): string {
  try {
    thrower();
  } catch (error) {
    return (error as Error).stack ?? '';
  }
  throw new Error('nothing was thrown');
}
