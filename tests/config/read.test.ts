import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { ModuleEntry } from '../../packages/runtime/src/config/entry.ts';
import { ConfigurationError, formatProblems, problemAt } from '../../packages/runtime/src/config/problem.ts';
import { readConfig } from '../../packages/runtime/src/config/read.ts';

const read = (text: string) => readConfig({ text, file: '/srv/matrix/homeserver.yaml' });

function readOne(text: string): ModuleEntry {
  const { config, problems } = read(text);
  t.equal(formatProblems(problems), '');
  const [entry] = config.modules;
  if (!entry) throw new Error('expected an entry');
  return entry;
}

t.test('a plain Synapse-style entry gets every default', (t) => {
  const { locate: _, ...entry } = readOne('modules:\n  - module: my_super_module.MySuperClass\n    config:\n');
  t.strictSame(entry, {
    id: 'my_super_module.MySuperClass',
    specifier: 'my_super_module.MySuperClass',
    baseDir: '/srv/matrix',
    config: {},
    timeout: undefined,
    timeouts: {},
    setupTimeout: 30_000,
    onFailure: undefined,
    onFailures: {},
    required: true,
    mode: 'enforce',
    isolation: 'compartment',
    hull: 'shared',
    instances: 1,
    limits: {
      memory: 64 * 2 ** 20,
      result: undefined,
      callsInFlight: 1000,
      apiCalls: 1000,
      cpu: 1,
      hostTime: 0.2,
      storage: 64 * 2 ** 20,
    },
    breaker: { failures: 5, window: 60_000 },
    permissions: { network: [], users: [], rooms: [], web: [], web_paths: ['/_synapse/client/*'] },
    integrity: undefined,
    path: 'modules[0]',
  });
  t.end();
});

t.test('every key has its effect', (t) => {
  const { config, problems } = read(`
server_name: example.org
bulkhead: { containment: thread, fan_out: sequential, storage: ./data, restarts_per_minute: 7, sandbox: none, spares: no }
modules:
  - module: ./demo.ts#Demo
    id: demo
    timeout: 250ms
    timeouts: { check_media_file_for_spam: 10s, on_user_registration: 20 }
    setup_timeout: 1m
    on_failure: allow
    on_failures: { check_event_for_spam: reject }
    required: no
    mode: observe
    isolation: thread
    limits: { memory: 128MiB, result: 64KiB, calls_in_flight: 10, storage: 0 }
    breaker: { failures: 3, window: 5m }
    permissions:
      network: [API.example.com, 'localhost:8080', '[::1]:80']
      users: [read]
      rooms: [read, write]
      web: [credentials, cookies, service_worker]
    config: { a: [1, { b: null }] }
`);
  t.strictSame(problems, []);
  const { modules, ...whole } = config;
  t.strictSame(whole, {
    containment: 'thread',
    fanOut: 'sequential',
    fanOuts: {},
    storage: '/srv/matrix/data',
    restartsPerMinute: 7,
    sandbox: 'none',
    spares: false,
  });
  t.match(modules, [
    {
      id: 'demo',
      specifier: './demo.ts#Demo',
      config: { a: [1, { b: null }] },
      timeout: 250,
      timeouts: { checkMediaFileForSpam: 10_000, onUserRegistration: 20 },
      setupTimeout: 60_000,
      onFailure: 'allow',
      onFailures: { checkEventForSpam: 'reject' },
      required: false,
      mode: 'observe',
      isolation: 'thread',
      hull: 'own',
      limits: { memory: 128 * 2 ** 20, result: 64 * 2 ** 10, callsInFlight: 10, storage: 0 },
      breaker: { failures: 3, window: 300_000 },
      integrity: undefined,
      permissions: {
        network: ['api.example.com', 'localhost:8080', '[::1]:80'],
        users: ['read'],
        rooms: ['read', 'write'],
        web: ['credentials', 'cookies', 'service_worker'],
      },
    },
  ]);
  t.end();
});

t.test('fan_out per callback', (t) => {
  const { config } = read('bulkhead: { fan_out: { user_may_invite: sequential } }');
  t.equal(config.fanOut, 'parallel');
  t.strictSame(config.fanOuts, { userMayInvite: 'sequential' });
  t.end();
});

t.test('defaults stand behind what an entry says; maps are merged key by key', (t) => {
  const entry = readOne(`
module_defaults:
  timeout: 1s
  mode: observe
  on_failures: { check_event_for_spam: allow, user_may_invite: allow }
  limits: { memory: 32MiB, calls_in_flight: 7 }
  permissions: { users: [read], rooms: [read] }
modules:
  - module: a
    timeout: 2s
    on_failures: { user_may_invite: reject }
    limits: { memory: 16MiB }
    permissions: { rooms: [write] }
`);
  t.match(entry, {
    timeout: 2_000,
    mode: 'observe',
    onFailures: { checkEventForSpam: 'allow', userMayInvite: 'reject' },
    limits: { memory: 16 * 2 ** 20, callsInFlight: 7 },
    permissions: { users: ['read'] },
  });
  t.strictSame(entry.permissions.rooms, ['write']);
  t.end();
});

t.test('scalars are what they are in Synapse', (t) => {
  const { config } = readOne(`
modules:
  - module: a
    config:
      booleans: [yes, No, on, OFF, true]
      texts: [y, n, 12e4, 2024-01-01, "yes", 0o10, ~x]
      numbers: [010, 0x10, 1_000, 1.5e+3, -7]
      nothing: [~, null]
`);
  t.strictSame(config, {
    booleans: [true, false, true, false, true],
    texts: ['y', 'n', '12e4', '2024-01-01', 'yes', '0o10', '~x'],
    numbers: [8, 16, 1000, 1500, -7],
    nothing: [null, null],
  });
  t.end();
});

t.test('aliases, merge keys and __proto__', (t) => {
  const { config } = readOne(`
common: &common { a: 1, b: 1 }
other: &other { b: 2, c: 2 }
modules:
  - module: a
    config:
      b: 0
      <<: [*common, *other]
      words: &words [x]
      same: *words
      __proto__: { polluted: true }
`);
  const given = config as Record<string, unknown>;
  t.strictSame(
    { ...given },
    JSON.parse('{"b":0,"a":1,"c":2,"words":["x"],"same":["x"],"__proto__":{"polluted":true}}'),
  );
  t.equal(given.polluted, undefined, 'the prototype is not touched');
  t.not(given.words, given.same, 'each alias is a copy of its own');
  t.end();
});

t.test('a place for every path, or for the nearest that exists', (t) => {
  const { locate } = readOne(`base: &base
  inherited: 1
modules:
  - module: a
    config:
      <<: *base
      words: [x, yy]
      block:
        - deep: true
    timeout: 1s
`);
  const at = (...path: (string | number)[]) => {
    const place = locate(path);
    return `${place?.line}:${place?.column}`;
  };
  t.equal(at(), '4:5');
  t.equal(at('module'), '4:13');
  t.equal(at('config'), '5:5', 'a block is shown by its key');
  t.equal(at('config', 'words'), '7:14');
  t.equal(at('config', 'words', 1), '7:18');
  t.equal(at('config', 'words', 9), '7:14');
  t.equal(at('config', 'block', 0, 'deep'), '9:17');
  t.equal(at('config', 'inherited'), '2:14', 'through a merge key');
  t.equal(at('config', 'absent', 'deeper'), '5:5');
  t.equal(at('limits', 'memory'), '4:5');
  t.match(locate(['timeout']), {
    file: '/srv/matrix/homeserver.yaml',
    frame: '  10 |     timeout: 1s\n     |              ^',
  });
  t.end();
});

t.test('valid entries come back beside the problems of others, and of their own', (t) => {
  const { config, problems } = read(`
modules:
  - module: good
  - module: bad-timeout
    timeout: soon
  - id: no-module
  - module: unreadable-value
    config: { n: 99999999999999999999 }
  - module: good
`);
  t.equal(problems.length, 4);
  t.strictSame(
    config.modules.map(({ id, path }) => [id, path]),
    [
      ['good', 'modules[0]'],
      ['bad-timeout', 'modules[1]'],
      ['good-2', 'modules[4]'],
    ],
  );
  t.end();
});

t.test('a problem names the module', (t) => {
  const { problems } = read(
    'modules:\n  - { module: a, id: x, mode: 1 }\n  - { module: b, mode: 1 }\n  - { mode: 1 }\nbulkhead: 1\n',
  );
  t.strictSame(
    problems.map(({ module }) => module),
    ['x', 'b', undefined, undefined, undefined],
  );
  t.end();
});

t.test('a configuration given as an object', (t) => {
  const given = {
    listeners: [() => {}],
    modules: [{ module: './a.ts', config: { words: ['x'] }, timeout: undefined }],
  };
  const { config, problems } = readConfig({ value: given, baseDir: '/srv' });
  t.strictSame(problems, []);
  t.match(config.modules, [{ specifier: './a.ts', baseDir: '/srv', config: { words: ['x'] } }]);
  t.not(config.modules[0]?.config, given.modules[0]?.config, 'a fresh copy');

  const loop: unknown[] = [];
  loop.push(loop);
  const bad = readConfig({
    value: {
      modules: [
        { module: 'a', timeout: true },
        { module: 'b', config: { when: new Date(0), run() {}, big: 1n, loop } },
      ],
    },
  });
  t.match(
    formatProblems(bad.problems),
    /^error\[InvalidValue\] modules\[0\]\.timeout: expected a duration like .*, got true$/m,
  );
  t.match(formatProblems(bad.problems), 'modules[1].config.when: expected plain data, got an object of class Date');
  t.match(formatProblems(bad.problems), 'modules[1].config.run: expected plain data, got a function');
  t.match(formatProblems(bad.problems), 'modules[1].config.big: expected plain data, got 1');
  t.match(formatProblems(bad.problems), 'modules[1].config.loop[0]: stands inside itself');
  t.ok(bad.problems.every(({ place }) => place === undefined));

  let bomb: unknown = 'x';
  for (let level = 0; level < 30; level++) bomb = Array(10).fill(bomb);
  const exploding = readConfig({ value: { modules: [{ module: 'a', config: { bomb } }] } });
  t.match(formatProblems(exploding.problems), 'more than 10000 values are there repeatedly');
  t.match(readConfig({ value: 5 }).problems, [{ message: 'expected a mapping with the key "modules", got 5' }]);
  t.end();
});

t.test('files', (t) => {
  const dir = t.testdir({ 'good.yaml': 'modules: [{ module: a }]', empty: '', 'latin1.yaml': '' });
  writeFileSync(join(dir, 'latin1.yaml'), Buffer.from([0x61, 0x3a, 0x20, 0xe4]));
  t.match(readConfig({ file: join(dir, 'good.yaml') }), { config: { modules: [{ baseDir: dir }] }, problems: [] });
  t.match(readConfig({ file: join(dir, 'empty') }), { config: { modules: [] }, problems: [] });
  const failures = {
    'absent.yaml': 'there is no such file',
    'latin1.yaml': 'it is not UTF-8',
    '.': 'it is a folder',
  };
  for (const [name, why] of Object.entries(failures)) {
    const file = join(dir, name);
    t.match(readConfig({ file }).problems, [{ code: 'FileNotReadable', message: `${file} cannot be read: ${why}` }]);
  }
  if (process.getuid?.() !== 0) {
    chmodSync(join(dir, 'empty'), 0);
    t.match(readConfig({ file: join(dir, 'empty') }).problems, [{ message: /permission denied$/ }]);
  }
  t.end();
});

t.test('nesting that would exhaust the stack is a problem, not a crash', (t) => {
  const { problems } = read(`modules: ${'['.repeat(50_000)}`);
  t.match(problems, [{ code: 'YamlSyntax', message: 'nested too deeply' }]);
  t.end();
});

t.test('places are in the file, also where the parser has lost its way', (t) => {
  const { problems } = read('modules:\n  - module: a\n    config: }\n1e999\n  - modules:');
  const lines = problems.map(({ place }) => place?.line);
  t.strictSame(lines, [...lines].sort(), 'in order');
  t.match(problems.at(-1), { place: { line: 5, frame: /^ {2}5 \| {3}- modules:/ } });
  const cr = read('modules:\n  - module: "a\r"\n    mode: 1\n');
  t.match(cr.problems, [{ place: { line: 3, frame: /mode: 1/ } }], 'a carriage return alone begins no line');
  t.end();
});

t.test('what turns the direction of writing is shown as what it is', (t) => {
  const { problems } = read('modules:\n  - module: a\n    "\u202eyek": 1\n');
  const told = formatProblems(problems);
  t.notMatch(told, '\u202e');
  t.equal(told.match(/\u{fffd}yek/gu)?.length, 3, 'in the path, the message and the line');
  t.end();
});

t.test('merges of merges are looked through once', (t) => {
  const levels = Array.from({ length: 40 }, (_, n) => `a${n + 1}: &a${n + 1} { <<: [*a${n}, *a${n}] }`);
  const { problems } = read(`a0: &a0 { x: 1 }\n${levels.join('\n')}\nmodules: [{ <<: *a40 }, { <<: *a40 }]\n`);
  t.match(problems, [
    { message: 'the aliases up to *a40 stand for more than 10000 values' },
    { message: 'the key "module" is missing', place: { line: 42 } },
  ]);
  t.end();
});

t.test('later stages place their faults by the same paths', (t) => {
  const entry = readOne('modules:\n  - module: a\n    config:\n      words: 5\n');
  const fault = { code: 'ConfigRejected', message: 'expected a list of words, got 5', hint: 'make it a list' } as const;
  const problem = problemAt(entry, fault, ['config', 'words']);
  t.equal(
    formatProblems([problem]),
    `error[ConfigRejected] modules[0].config.words (/srv/matrix/homeserver.yaml:4:14): expected a list of words, got 5
  4 |       words: 5
    |              ^
  hint: make it a list`,
  );
  t.match(formatProblems([problem], { color: true }), '\u001b[31m');
  const error = new ConfigurationError([problem, problem]);
  t.match(error, { name: 'ConfigurationError', code: 'ConfigurationError', problems: [problem, problem] });
  t.equal(error.message, formatProblems([problem, problem]));
  t.end();
});
