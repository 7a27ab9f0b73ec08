// The lock as a file: the same text for the same content, read back as what it was, and clear about what is wrong with it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readConfig } from '../../packages/runtime/src/config/read.ts';
import { describeModule } from '../../packages/runtime/src/integrity/describe.ts';
import { type Lock, type LockedModule, lockText, readLock } from '../../packages/runtime/src/integrity/lock.ts';
import type { Bundle } from '../../packages/runtime/src/loading/bundle.ts';
import { leftPad } from './project.ts';

const hash = `sha256-${'A'.repeat(43)}=`;
const module: LockedModule = {
  module: './a.ts',
  isolation: 'compartment',
  script: hash,
  asks: {},
  granted: {},
  dependencies: {},
  files: {},
};

t.test('is the same text whatever the order, and reads back', async (t) => {
  const one: Lock = {
    runtime: '1.0.0',
    modules: new Map([
      [
        'b',
        {
          ...module,
          files: { 'é.ts': hash, 'Z.ts': hash, 'a: #.ts': hash },
          asks: { users: ['read'], network: ['b', 'a', 'b'] },
        },
      ],
      [
        './a.ts#A',
        { ...module, dependencies: { '@a/b@1.0.0': { x: hash, 'a/b': hash }, 'a@1.10': {} }, granted: { web: [] } },
      ],
      ['no', module],
    ]),
  };
  const reversed = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(record).toReversed());
  const other: Lock = {
    ...one,
    modules: new Map(
      [...one.modules].toReversed().map(([id, { dependencies, files, asks, ...rest }]) => [
        id,
        {
          ...rest,
          dependencies: reversed(
            Object.fromEntries(Object.entries(dependencies).map(([name, of]) => [name, reversed(of)])),
          ),
          files: reversed(files),
          asks: reversed(asks),
        },
      ]),
    ),
  };
  const text = lockText(one);
  t.equal(lockText(other), text);
  const file = join(t.testdir({ 'modules.lock': text }), 'modules.lock');
  const read = readLock(file);
  t.equal(read.state === 'read' && lockText(read.lock), text);
  t.match(read, { lock: { modules: new Map([['no', { module: './a.ts' }]]) } });
});

t.test('what is wrong with it has a place', async (t) => {
  const good = lockText({ runtime: '1.0.0', modules: new Map([['a', { ...module, files: { 'a.ts': hash } }]]) });
  const dir = t.testdir({});
  const file = join(dir, 'modules.lock');
  for (const [what, text, problem] of [
    ['nothing', '', { message: 'expected a mapping with the keys lock, runtime and modules, got nothing' }],
    [
      'a hash',
      good.replace(`script: ${hash}`, 'script: sha256-AAAA'),
      { path: 'modules.a.script', place: { line: 9, column: 13 } },
    ],
    [
      "a file's hash",
      good.replace(`a.ts: ${hash}`, 'a.ts: 1'),
      { path: 'modules.a.files["a.ts"]', message: 'expected a hash, got 1' },
    ],
    [
      'a key',
      good.replace('granted:', 'grants: {}\n    granted:'),
      { path: 'modules.a.grants', message: 'unknown key "grants"', place: { line: 11, column: 5 } },
    ],
    [
      'a list',
      good.replace('asks: {}', 'asks: { users: [read, 5] }'),
      { path: 'modules.a.asks.users[1]', place: { line: 10, column: 27 } },
    ],
    ['twice', good + good, { message: /unique/, place: { line: 17 } }],
    ['a tab', good.replace('  a:', '\ta:'), { place: { line: 6 } }],
    ['an alias', good.replace('asks: {}', 'asks: &x {}').replace('granted: {}', 'granted: *x'), {}],
    [
      'a later format',
      good.replace('lock: 1', 'lock: 2'),
      { message: 'this version of Bulkhead reads format 1, this is 2', place: { line: 3, column: 7 } },
    ],
    ['bytes', Buffer.from([0x6c, 0xff]), { message: /cannot be read: .*utf-8/, place: undefined }],
  ] as const) {
    writeFileSync(file, text);
    const read = readLock(file);
    t.equal(read.state, 'damaged', what);
    if (read.state === 'damaged') t.match(read.problems[0], { code: 'LockUnreadable', hint: String, ...problem }, what);
  }
  mkdirSync(join(dir, 'folder'));
  t.match(readLock(join(dir, 'folder')), { state: 'damaged', problems: [{ message: /cannot be read/ }] });
  t.strictSame(readLock(join(dir, 'nowhere')), { state: 'none' });
});

t.test('whose a file is', async (t) => {
  const nameless = { 'package.json': '{}', 'index.js': '' };
  const dir = t.testdir({
    server: {
      'package.json': '{ "name": "the-server" }',
      'homeserver.yaml': 'modules:\n  - module: ./own.ts\n',
      'own.ts': '',
      cloned: { 'package.json': '{ "name": "cloned", "version": "0.1.0" }', 'index.ts': '' },
      node_modules: {
        'left-pad': leftPad('1.0.0'),
        '@a': { nameless },
        b: { 'package.json': '{ "name": "b", "version": "2.0.0" }', node_modules: { 'left-pad': leftPad('0.9.0') } },
        c: { node_modules: { 'left-pad': leftPad('1.0.0', 'something else') } },
      },
    },
    'beside.ts': '',
    'package.json': '{ "not": "valid",',
  });
  const root = join(dir, 'server');
  const sources = [
    'own.ts',
    '../beside.ts',
    'cloned/index.ts',
    ...['', '@a/nameless/index.js', 'b', 'c'].flatMap((at) =>
      at.endsWith('.js')
        ? `node_modules/${at}`
        : join('node_modules', at, at && 'node_modules', 'left-pad/lib/main.js'),
    ),
  ].map((path) => join(root, path));
  const [entry] = readConfig({ file: join(root, 'homeserver.yaml') }).config.modules;
  if (entry === undefined) throw new Error('no entry');
  const bundle: Bundle = { ok: true, script: '', sourceMap: '', sourceUrl: '', hash, sources };
  const { dependencies, files } = await describeModule(entry, bundle, { asks: {}, granted: {} });
  t.strictSame(Object.fromEntries(Object.entries(dependencies).map(([name, hashes]) => [name, Object.keys(hashes)])), {
    'cloned@0.1.0': ['index.ts'],
    'left-pad@1.0.0': ['lib/main.js'],
    '@a/nameless': ['index.js'],
    'left-pad@0.9.0': ['lib/main.js'],
    // The tests' own: there is no package of that name above the folder of the configuration that can be read.
    '@bulkhead/tests': [`.tap/fixtures/integrity-lock.test.ts-whose-a-file-is/beside.ts`],
  });
  t.strictSame(Object.keys(files), ['own.ts']);
  t.match(dependencies['left-pad@1.0.0']?.['lib/main.js'], /^sha256-\S{44} sha256-\S{44}$/, 'two that claim to be one');
  const lock = lockText({ runtime: '1', modules: new Map([['a', { ...module, dependencies, files }]]) });
  const file = join(dir, 'modules.lock');
  writeFileSync(file, lock);
  t.equal(readLock(file).state, 'read');
  t.notMatch(lock, dir);
});
