import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { type Bundle, bundleModule } from '../../packages/runtime/src/loading/bundle.ts';
import { mapStack } from '../../packages/runtime/src/loading/stack.ts';
import { callInCompartment } from './compartment.ts';

const fixtures = join(import.meta.dirname, 'fixtures');
const insideEntry = join(fixtures, 'inside.js');

type Isolation = 'compartment' | 'thread';

const bundle = (file: string, isolation: Isolation = 'compartment') => bundleModule({ file, insideEntry, isolation });

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
  t.strictSame(
    await callInCompartment(demo.script, 'order'),
    { value: ['inside', 'module'] },
    'the inside comes first',
  );
  t.strictSame(await callInCompartment(demo.script, 'surroundings'), { value: ['undefined', 'object', 'object'] });
  t.equal(demo.hash, createHash('sha256').update(demo.script).digest('hex'));
  t.ok(demo.inputs.includes(join(fixtures, 'demo.ts')) && demo.inputs.includes(insideEntry));
  t.ok(demo.inputs.some((input) => input.includes('/hono/')));
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
    ['demo.ts', 24, 9],
    ['censored.ts', 34, 9],
  ] as const) {
    const made = await bundled(join(fixtures, name));
    const thrown = await callInCompartment(made.script, 'boom', { reason: 'boom' });
    const stack = 'stack' in thrown ? thrown.stack : '';
    t.match(stack, `boom (bulkhead:///${name}:2:`, 'the script has a name of its own');
    t.match(mapStack(stack, made), `boom (${join(fixtures, name)}:${line}:${column})`, 'with or without evasion');
    t.match(mapStack(stack, made), `(${insideEntry}:7:`);
  }
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
  const call = runInNewContext(script, { require: createRequire(import.meta.url) }) as (...args: string[]) => unknown;
  t.match(call('own'), /^node\.tsnode\.ts/);
  t.equal(await call('late', 'node:path'), 'b');
  t.equal(call('strict'), true);
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
    'tagged.ts': 'export const html = String.raw`\n<!-- comment -->`;\n',
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
  t.match(await faultsOf(join(dir, 'tagged.ts')), [/^BundleFailed: tagged\.ts:1:\d+: this may be the text of an HTML/]);
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
  const folder = () => ({
    'a.ts': 'import x from "cjs"; export const a = () => x;',
    'inside.js': 'export const connect = (m) => m;',
    node_modules: { cjs: { 'package.json': '{}', 'index.js': 'module.exports = 1' } },
  });
  const dir = t.testdir({ one: folder(), two: folder() });
  const [one, two] = await Promise.all(
    ['one', 'two'].map((name) =>
      bundleModule({
        file: join(dir, name, 'a.ts'),
        insideEntry: join(dir, name, 'inside.js'),
        isolation: 'compartment',
      }),
    ),
  );
  t.ok(one?.ok && two?.ok && one.hash === two.hash);
});
