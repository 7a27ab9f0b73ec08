// Which module answers a path.

import t from 'tap';
import { problemsOf } from '../runtime/harness.ts';
import { answer, ask, startWeb, web } from './harness.ts';

t.test('the longest path wins, at segment borders', async (t) => {
  const modules = await startWeb(t, [
    web('short', { '/_synapse/client/a': 'id' }),
    web('long', { '/_synapse/client/a/b/': 'id', '/_synapse/client/ä ö': 'id' }),
  ]);
  const owner = async (path: string): Promise<string | undefined> => (await ask(modules, path))?.text();
  const owners = {
    '/_synapse/client/a': 'short',
    '/_synapse/client/a/': 'short',
    '/_synapse/client/a?x=/_synapse/client/a/b': 'short',
    '/_synapse/client/a/bc': 'short',
    '/_synapse/client/a/c/b': 'short',
    '/_synapse/client/a/b': 'long',
    '/_synapse/client/a/b/c/d': 'long',
    '/_synapse/client//a///b': 'long',
    '/_synapse/client/%61/%62': 'long',
    '/_synapse/client/a/x/../b': 'long',
    '/_synapse/client/a/x/%2e%2e/b': 'long',
    '/_synapse/client/a/./b': 'long',
    '/_synapse/client/%C3%A4%20%C3%B6': 'long',
    '/_synapse/client/a/b/..': 'short',
    '/_synapse/client/ab': undefined,
    '/_synapse/client': undefined,
    '/a': undefined,
    '/': undefined,
    '/_synapse/client/%ff': undefined,
  };
  for (const [path, expected] of Object.entries(owners)) t.equal(await owner(path), expected, path);
});

t.test('of equals the one that stands first; the other is warned once', async (t) => {
  const modules = await startWeb(t, [
    web('first', { '/_synapse/client/x': 'id' }),
    web('second', { '/_synapse/client/%78/': 'id' }),
  ]);
  t.equal(await (await answer(modules, '/_synapse/client/x')).text(), 'first');
  const warnings = () =>
    modules.log.filter(({ level }) => level === 'warn').map(({ message, fields }) => [fields.module, message]);
  const expected = [['second', '/_synapse/client/%78/ is answered by first, which stands first']];
  t.same(warnings(), expected);
  await modules.restart('second');
  await modules.restart('first');
  t.same(warnings(), expected, 'once');
});

t.test('reserved paths, however they are spelled', async (t) => {
  const reserved = [
    '/_matrix',
    '/_matrix/client/v3/login',
    '/_matrix/',
    '/%5fmatrix/x',
    '/_MATRIX/x',
    '/.well-known/matrix/server',
    '/.well-known/matrix',
    '/_synapse/admin/v1',
    '/_synapse',
    '/',
    '/mine/deeper',
  ];
  const modules = reserved.map((path, index) => web(`m${index}`, { [path]: 'id' }));
  const problems = await problemsOf(startWeb(t, modules, { reservedPaths: ['/mine/*'] }));
  t.same(
    problems.map(({ module }) => module),
    modules.map(({ id }) => id),
  );
  for (const problem of problems) t.match(problem, { code: 'SetupFailed', message: /is in the reserved/ });
});

t.test('a path that is read differently by somebody is registered by nobody', async (t) => {
  const refused = [
    '//_matrix/x',
    '/_MATRIX/../_matrix/x',
    '/x/%2e%2e/_matrix',
    '/x/../_matrix',
    '/%2e/_matrix',
    '/_synapse/client/./x',
    '/_matrix%2Fclient',
    '/\\_matrix',
    '/x%2f..%2f_matrix',
    '/x/%252e%252e/_matrix',
    '/_matrix//../_synapse/client/x',
    '/_ma\ttrix',
    '/_matrix#x',
    '/_matrix?x',
    '/_matrix%3fx',
    '/_matrix;x',
    '/_matrix%20',
    '/%255fmatrix',
    '/_synapse/client/../admin',
  ];
  const modules = refused.map((path, index) =>
    web(`m${index}`, { [path]: 'id' }, { permissions: { web_paths: ['/*'] } }),
  );
  const problems = await problemsOf(startWeb(t, modules));
  t.same(
    problems.map(({ module }) => module),
    modules.map(({ id }) => id),
  );
  for (const problem of problems) t.match(problem, { code: 'SetupFailed', message: /has a path that is not plain/ });
});

t.test('a request that is the homeserver’s own to some router goes to no module', async (t) => {
  const modules = await startWeb(t, [
    web(
      'mine',
      { '/_synapse/client/mine': 'id', '/100%25': 'id' },
      { permissions: { web_paths: ['/_synapse/client/*', '/100%25'] } },
    ),
  ]);
  const served = [
    '/_synapse/client/mine/a%2Fb',
    '/_synapse/client/mine/100%25',
    '/100%25/x',
    '/_synapse/client/mine/%ff',
  ];
  for (const path of served) t.equal(await (await ask(modules, path))?.text(), 'mine', path);
  const refused = [
    '/login/..%2f_synapse/client/mine',
    '/_matrix/..%5c_synapse/client/mine',
    '/_synapse/client/mine/..%2f..%2f..%2f_matrix/client/v3/login',
    '/_synapse/client/mine/%252e%252e/x',
    '/_synapse/client/mine/%252e%252e%252fx',
    '/_synapse/client/mine%2f..%2fother',
    '/_synapse/client/mine/..;/..;/..;/_matrix',
    '/_synapse/client/mine/.%09.%2f..%3fx',
    '/_synapse/client/%256dine',
    `/_synapse/client/mine/%${'25'.repeat(5)}41`,
    '/_synapse%2fclient%2fmine',
  ];
  for (const path of refused) t.equal(await ask(modules, path), undefined, path);
});

t.test('a later life cannot take a reserved path either', async (t) => {
  const module = new URL('./fixtures/turncoat.ts', import.meta.url).pathname;
  const modules = await startWeb(t, [{ module, id: 'turncoat' }]);
  t.equal((await answer(modules, '/_synapse/client/turncoat')).status, 200);
  await t.rejects(modules.restart('turncoat'), { message: /\/_matrix.* is in the reserved/ });
  t.equal(await ask(modules, '/_matrix/client/v3/login'), undefined);
  t.equal((await answer(modules, '/_synapse/client/turncoat')).status, 200, 'the life before goes on');
});

t.test('nobody has a resource', async (t) => {
  const modules = await startWeb(t, [web('none', {})]);
  t.equal(await ask(modules, '/_synapse/client/none'), undefined);
});
