// What a module says that it needs, held against what the admin grants, through real cells.

import { createModuleRuntime, type Modules } from '@bulkhead/runtime';
import t, { type Test } from 'tap';
import { readNeeds } from '../../packages/runtime/src/config/permissions.ts';
import { eventually, fixtures, get, problemsOf, type Running, recorder, start } from './harness.ts';

const needs = (name: string, more: object = {}) => ({ module: `./needs.ts#${name}`, id: name.toLowerCase(), ...more });

const says = (permissions: unknown, more: object = {}) => needs('Says', { config: { permissions }, ...more });

/** The file as an admin writes it. */
const yaml = (text: string) => ({ text, file: `${fixtures}homeserver.yaml` });

const startFrom = (t: Test, text: string): Promise<Modules> =>
  createModuleRuntime({
    config: yaml(text),
    homeserver: { serverName: 'example.com' },
    storage: t.testdir(),
    logger: recorder([]),
  }).then((modules) => {
    t.teardown(() => modules.close({ drainMs: 0 }));
    return modules;
  });

t.test('what is not granted stops the start, at the entry, with the lines to add', async (t) => {
  const problems = await problemsOf(
    startFrom(
      t,
      `modules:
  - module: ./needs.ts#Much
    id: bare
    limits: { memory: 48MiB, storage: 1MiB }
  - module: ./needs.ts#Much
    id: part
    required: false
    permissions:
      network: ["*.example.com:*"]
      rooms: [write]
      web: [cookies]
  - module: ./puppet.ts#Puppet
    id: fine
`,
    ),
  );
  t.strictSame(
    problems.map(({ code, module, path, place, message, hint }) => [
      `${code} ${module} ${path} ${place?.line}:${place?.column}`,
      message,
      ...(hint ?? '').split('\n'),
    ]),
    [
      [
        'NotGranted bare modules[0].module 2:13',
        'it needs what is not granted: network: api.example.com:8443, hooks.example.net; users: read; rooms: read, write; web: cookies; web_paths: /hello; storage: 10MiB',
        'to grant it, add this line: permissions: { network: [api.example.com:8443, hooks.example.net], users: [read], rooms: [read, write], web: [cookies], web_paths: [/_synapse/client/*, /hello] }',
        'to grant the storage, its limits have to say: storage: 10MiB',
      ],
      [
        'NotGranted part modules[1].permissions 8:5',
        'it needs what is not granted: network: hooks.example.net; users: read; rooms: read; web_paths: /hello',
        'to grant it, the entry has to say: permissions: { network: ["*.example.com:*", hooks.example.net], users: [read], rooms: [write, read], web: [cookies], web_paths: [/_synapse/client/*, /hello] }',
      ],
    ],
  );
});

t.test('with the lines that the hint shows it starts, and shows what it asked for and has', async (t) => {
  const [problem] = await problemsOf(
    startFrom(t, 'modules:\n  - module: ./needs.ts#Much\n    id: much\n    limits: { storage: 1MiB }\n'),
  );
  const [, line] = /add this line: (.*)/.exec(problem?.hint ?? '') ?? [];
  const [, storage] = /have to say: (.*)/.exec(problem?.hint ?? '') ?? [];
  const modules = await startFrom(
    t,
    `modules:
  - module: ./needs.ts#Much
    id: much
    ${line}
    limits: { ${storage} }
`,
  );
  t.match(modules.status(), [
    {
      id: 'much',
      state: 'running',
      permissions: {
        asked: { network: ['api.example.com:8443', 'hooks.example.net'], storage: ['10MiB'], web_paths: ['/hello'] },
        granted: { users: ['read'], storage: ['10MiB'], web_paths: ['/_synapse/client/*', '/hello'] },
      },
    },
  ]);
  t.equal(await (await get(modules, '/hello/world')).text(), 'hello');
});

t.test('a grant may be wider than the need', async (t) => {
  const modules = await start(t, [
    says(
      {
        network: ['api.example.com:8443', '*.b.example.com:8443'],
        web_paths: ['/_synapse/client/says', '/a/b'],
        storage: '1MiB',
      },
      { permissions: { network: ['*.example.com:8443'], web_paths: ['/a', '/_synapse/client/*'] } },
    ),
  ]);
  t.match(modules.status(), [{ state: 'running' }]);
});

t.test('what a module needs may depend on its configuration', async (t) => {
  const entry = { config: { url: 'https://hooks.example.org:8443/x' } };
  const problems = await problemsOf(start(t, [needs('Hook', entry)]));
  t.match(problems, [{ code: 'NotGranted', hint: /network: \[hooks\.example\.org:8443\]/ }]);
  const granted = { ...entry, permissions: { network: ['hooks.example.org:8443'] } };
  t.match((await start(t, [needs('Hook', granted)])).status(), [{ state: 'running' }]);
});

t.test('needs that nobody can grant are an error that says what is wrong with them', async (t) => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ user: ['read'] }, /^permissions\.user: unknown key "user" \(did you mean users\?\)$/],
    [{ users: ['write'] }, /^permissions\.users\[0\]: expected "read", got "write"$/],
    [{ rooms: 'read' }, /^permissions\.rooms: expected a list of permissions, got "read"$/],
    [{ network: ['https://api.example.com/'] }, /^permissions\.network\[0\]: expected a host like/],
    [{ network: Array.from({ length: 101 }, (_, i) => `h${i}.example.com`) }, /expected at most 100/],
    [{ web_paths: ['hello'] }, /^permissions\.web_paths\[0\]: expected a path like/],
    [{ web_paths: ['/_matrix/../_matrix/client'] }, /expected a path like .*are the homeserver's/],
    [{ storage: 'much' }, /^permissions\.storage: expected a size like "10MiB"/],
    [{ users: ['read', 5], files: [] }, /users\[1\]: expected "read", got 5\npermissions\.files: unknown key/],
    [['users'], /^permissions: expected a mapping from groups to what is needed/],
    [null, /^permissions: expected a mapping .*, got null$/],
    [5, /^permissions: expected a mapping .*, got 5$/],
  ];
  for (const [permissions, message] of cases) {
    const read = readNeeds(permissions);
    t.match('faults' in read ? read.faults.join('\n') : 'all is well', message);
  }
  const startedAt = performance.now();
  for (const much of [
    { users: Array(300_000).fill(1) },
    { network: Array(300_000).fill('') },
    Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [i, 1])),
    { ['x'.repeat(1_000_000)]: [] },
    { network: ['x'.repeat(1_000_000)], web_paths: ['/'.repeat(1_000_000)], storage: '1'.repeat(1_000_000) },
  ]) {
    const read = readNeeds(much);
    t.ok('faults' in read && read.faults.join().length < 1_000, 'a flood is refused in a few words');
  }
  t.ok(performance.now() - startedAt < 1_000, 'and at once');
  const problems = await problemsOf(start(t, [says({ user: [], files: [] }), needs('Cyclic'), needs('Throws')]));
  t.match(problems, [
    {
      code: 'InvalidPermissions',
      message: /^permissions\.user: .*did you mean.*\npermissions\.files: unknown key/,
      hint: /its author/,
      path: 'modules[0].module',
      place: { frame: /\^/ },
    },
    { module: 'cyclic', code: 'InvalidPermissions', message: /^permissions: expected a mapping .*JSON/ },
    { module: 'throws', code: 'ConfigRejected', message: /which permissions\?/ },
  ]);
  t.match((await start(t, [says(5, { required: false })])).status(), [
    { state: 'parked', cause: /expected a mapping/ },
  ]);
});

t.test('a web resource is where every module may have one, or where the admin says', async (t) => {
  const registers = (id: string, paths: readonly string[], more: object = {}) =>
    needs('Registers', { id, config: { paths }, ...more });
  const problems = await problemsOf(
    start(t, [
      registers('elsewhere', ['/_synapse/client/a', '/hello', '/hi']),
      registers('everything', ['/_synapse/client']),
      registers('spelled', ['/_synapse/client/../other', '/_synapse/client/%2e%2e/other']),
      registers('confined', ['/_synapse/client/mine/x', '/_synapse/client/other'], {
        permissions: { web_paths: ['/_synapse/client/mine'] },
      }),
      registers('none', ['/_synapse/client/b'], { permissions: { web_paths: [] } }),
      registers('below', ['/x'], { permissions: { web_paths: ['/x/*'] } }),
      registers('reserved', ['/_matrix/client/x'], { permissions: { web_paths: ['/'] } }),
    ]),
  );
  t.strictSame(
    problems.map(({ module, code, message }) => `${module} ${code} ${message}`),
    [
      'elsewhere NotGranted it needs what is not granted: web_paths: /hello, /hi',
      'everything NotGranted it needs what is not granted: web_paths: /_synapse/client',
      'spelled SetupFailed the web resource "/_synapse/client/../other" has a path that is not plain',
      'confined NotGranted it needs what is not granted: web_paths: /_synapse/client/other',
      'none NotGranted it needs what is not granted: web_paths: /_synapse/client/b',
      'below NotGranted it needs what is not granted: web_paths: /x',
      'reserved SetupFailed the web resource /_matrix/client/x is in the reserved /_matrix',
    ],
  );
  t.match(problems[0]?.hint, /permissions: \{ web_paths: \[\/_synapse\/client\/\*, \/hello, \/hi\] \}$/);
  t.match(problems[3]?.hint, /web_paths: \[\/_synapse\/client\/mine, \/_synapse\/client\/other\]/);

  const modules = await start(t, [
    registers('granted', ['/hello', '/x/y', '/_synapse/client/ä ö'], {
      permissions: { web_paths: ['/hello', '/x/*', '/_synapse/client/ä ö'] },
    }),
    registers('usual', ['/_synapse/client/usual']),
  ]);
  for (const path of ['/hello', '/hello/below', '/x/y', '/_synapse/client/%C3%A4%20%C3%B6']) {
    t.equal(await (await get(modules, path)).text(), 'granted', path);
  }
  t.equal(await (await get(modules, '/_synapse/client/usual')).text(), 'usual');
});

t.test('a later life that asks for more is refused, and the one before goes on', async (t) => {
  const refused = { name: 'StartFailure', code: 'NotGranted' };
  const modules = await start(t, [needs('Grows', { config: { path: '/more' } })]);
  await t.rejects(modules.restart('grows'), { ...refused, message: /web_paths: \/more/, hint: /\/more\]/ });
  t.equal(await (await get(modules, '/_synapse/client/grows')).text(), 'life 1');
  t.equal(await modules.fetch(new Request('http://localhost/more')), undefined);
});

t.test('one that asks for something else that is granted is not', async (t) => {
  const fickle = await start(t, [needs('Fickle', { permissions: { network: ['*.example.com'] } })]);
  const [before] = fickle.status();
  await fickle.restart('fickle');
  t.not(
    fickle.status()[0]?.permissions.asked.network?.[0],
    before?.permissions.asked.network?.[0],
    'within the grants',
  );
});

t.test('so is one that declares more', async (t) => {
  const permissions = { users: ['read'], rooms: ['write'] };
  const startBefore = async (ms: number): Promise<[Running, number]> => {
    const until = Date.now() + ms;
    const starting = start(t, [needs('Bides', { permissions, config: { until } })]);
    return starting.then(
      (modules) => [modules, until],
      () => startBefore(ms * 4),
    ); // a busy machine was late
  };
  const [modules, until] = await startBefore(1_500);
  await eventually(() => Date.now() > until, 60_000);
  await t.rejects(modules.restart('bides'), {
    code: 'NotGranted',
    message: 'it needs what is not granted: rooms: read',
    hint: /the entry has to say: permissions: \{ users: \[read\], rooms: \[write, read\] \}$/,
  });
  t.match(modules.status(), [{ state: 'running', permissions: { asked: { users: ['read'] } } }]);
});

t.test('and one that comes after a loss', async (t) => {
  const modules = await start(t, [needs('Grows', { config: { path: '/more' } })]);
  await get(modules, '/_synapse/client/grows?crash');
  const refused = () => modules.log.find(({ message }) => message === 'grows could not be set up again');
  await eventually(() => refused() !== undefined);
  t.match(refused(), { level: 'error', fields: { err: { code: 'NotGranted', message: /web_paths: \/more/ } } });
  t.equal(await modules.fetch(new Request('http://localhost/more')), undefined);
});

t.test('a reload that takes a needed grant away, or brings a need, is refused', async (t) => {
  const grants = { users: ['read'], network: ['a.example.com'] };
  const config = (permissions: object, asked: object) =>
    yaml(JSON.stringify({ modules: [says(asked, { permissions })] }, null, 2));
  const modules = await start(t, [says({ users: ['read'] }, { permissions: grants })]);
  for (const faulty of [config({}, { users: ['read'] }), config(grants, { rooms: ['read'] })]) {
    t.match(await problemsOf(modules.reload(faulty)), [{ code: 'NotGranted', module: 'says' }]);
    t.match(modules.status(), [{ state: 'running', permissions: { asked: { users: ['read'] }, granted: grants } }]);
  }
  await modules.reload(config(grants, { network: ['a.example.com'] }));
  t.match(modules.status(), [{ state: 'running', permissions: { asked: { network: ['a.example.com'] } } }]);
});

t.test('a call without the permission is denied, and the admin is told once how to grant it', async (t) => {
  const modules = await start(t, [needs('Calls')], { homeserver: { getProfile: () => ({}) } });
  const call = async (body: object): Promise<unknown> =>
    (await get(modules, '/_synapse/client/calls', { method: 'POST', body: JSON.stringify(body) })).json();
  const denials = () => modules.log.filter(({ level, fields }) => level === 'warn' && fields.module === 'calls');

  t.strictSame(await call({ calls: 50, hosts: 2 }), ['PermissionDenied']);
  t.strictSame(
    denials().map(({ fields, message }) => [fields.method, message.slice(0, 200)]),
    [
      [
        'getProfile',
        "calls: getProfile needs the permission users:read; to grant it, the module's entry says permissions: { users: [read] }",
      ],
      ...[0, 1].map((host) => [
        'fetch',
        `calls: the module may not reach host${host}.example.com; to grant it, the module's entry says permissions: { network: [host${host}.example.com] }`,
      ]),
      ['fetch', denials()[3]?.message.slice(0, 200)],
    ],
  );
  t.ok((denials()[3]?.message.length ?? 0) < 600, 'a long name is cut');

  await call({ calls: 5, hosts: 40 });
  const told = denials().length;
  t.equal(told, 20, 'a flood of hosts is not a flood of lines');
  await modules.restart('calls');
  await call({ calls: 5, hosts: 50 });
  t.equal(denials().length, told, 'not even after a restart');
});
