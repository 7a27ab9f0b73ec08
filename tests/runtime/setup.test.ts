// From a configuration to modules that are set up, or to every problem that stands in the way, and nothing started.

import t from 'tap';
import { configOf, eventually, fixtures, hullsOf, type LogLine, problemsOf, recorder, start } from './harness.ts';

const setup = (name: string, more: object = {}) => ({ module: `./setups.ts#${name}`, id: name.toLowerCase(), ...more });

/** The line of the problem's place, from the file's text. */
const lineAt = (modules: readonly object[], line: number | undefined): string =>
  configOf(modules as never)
    .text.split('\n')
    [(line ?? 0) - 1]?.trim() ?? '';

t.test('one problem each, with its place', async (t) => {
  const cases = [
    [setup('Missing'), 'ExportNotFound', /no export "Missing"/, '"module": "./setups.ts#Missing",'],
    [setup('NotAClass'), 'ConfigRejected', /no module class, but a string/, ''],
    [setup('Throws'), 'SetupFailed', /^TypeError: this one cannot be constructed/, '"module": "./setups.ts#Throws",'],
    [setup('Rejects'), 'SetupFailed', /nor this one/, '"module": "./setups.ts#Rejects",'],
    [setup('RejectsConfig', { config: { words: ['a', 5] } }), 'ConfigRejected', /^expected a word$/, '5'],
    [
      setup('Parses', { config: { list: [{ n: 1 }, { n: 'two' }] } }),
      'ConfigRejected',
      /Expected number/,
      '"n": "two"',
    ],
    [setup('Defined', { config: { size: 'XL' } }), 'ConfigRejected', /Invalid/, '"size": "XL"'],
    [setup('Chokes'), 'ConfigRejected', /^TypeError: /, ''],
    [
      setup('Misspells'),
      'SetupFailed',
      /there is no callback "chekEventForSpam"; did you mean "checkEventForSpam"\?/,
      '',
    ],
    [setup('WrongCategory'), 'SetupFailed', /belongs to registerSpamCheckerCallbacks, not to/, ''],
    [setup('Twice'), 'SetupFailed', /"userMayInvite" is registered twice/, ''],
    [setup('NoFunction'), 'SetupFailed', /"userMayInvite" must be a function, not string/, ''],
    [setup('HalfARouter'), 'SetupFailed', /"getInterestedUsers" requires "getUsersForStates"/, ''],
    [setup('BadPath'), 'SetupFailed', /begins with "\/"/, ''],
    [setup('BadResource'), 'SetupFailed', /must be a function or have a fetch method/, ''],
    [setup('Hangs', { setup_timeout: '200ms' }), 'SetupTimedOut', /200 ms/, ''],
    [setup('ParsesForEver', { setup_timeout: '200ms' }), 'SetupTimedOut', /200 ms/, ''],
    [setup('SlowInBoth', { setup_timeout: '400ms' }), 'SetupTimedOut', /400 ms/, ''],
  ] as const;
  const modules = cases.map(([module]) => module);
  const problems = await problemsOf(start(t, modules));
  t.equal(problems.length, cases.length, 'all of them in one run');
  for (const [module, code, message, line] of cases) {
    const problem = problems.find((each) => each.module === module.id);
    t.match(problem, { code, message }, module.module);
    t.match(problem?.place, { file: `${fixtures}homeserver.yaml`, frame: /\^/ });
    if (line !== '') t.equal(lineAt(modules, problem?.place?.line), line);
  }
  t.same(hullsOf(), [], 'and nothing runs');
});

t.test('a hint says what to do', async (t) => {
  const problems = await problemsOf(start(t, [setup('Throw'), setup('Hangs', { setup_timeout: '100ms' })]));
  t.match(problems, [{ hint: /did you mean "Throws"\?/ }, { hint: /setup_timeout/ }]);
});

t.test('every parseConfig is run before any module is set up', async (t) => {
  const log: LogLine[] = [];
  await start(t, [setup('Tells'), setup('Tells', { id: 'second' }), setup('Tells', { id: 'third' })], {
    logger: recorder(log),
  });
  const said = log.map(({ message }) => message).filter((message) => /^(parse|set up)$/.test(message));
  t.same(said, ['parse', 'parse', 'parse', 'set up', 'set up', 'set up']);
});

t.test('what parseConfig gets and gives', async (t) => {
  const modules = await start(t, [
    setup('Shows', { config: { a: [1] } }),
    setup('Shows', { id: 'nothing' }),
    setup('Shows', { id: 'null', config: null }),
    setup('Keeps'),
  ]);
  const told = modules.log
    .filter(({ message }) => message === 'config')
    .map(({ fields }) => [fields.module, fields.fields]);
  t.same(
    new Map(told as [string, unknown][]),
    new Map<string, unknown>([
      ['shows', { config: { a: [1] } }],
      ['nothing', { config: {} }],
      ['null', { config: {} }],
      ['keeps', { config: 'a Map of 1, a RegExp and a function' }],
    ]),
  );
});

t.test('registration after set-up is an error that says so', async (t) => {
  const modules = await start(t, [setup('Late')]);
  await eventually(() => modules.log.some(({ message }) => message === 'late'));
  t.match(
    modules.log.filter(({ message }) => message === 'late'),
    [
      { fields: { fields: { code: 'RegistrationClosed', message: /callbacks can be registered only while/ } } },
      { fields: { fields: { code: 'RegistrationClosed', message: /web resources can be registered only while/ } } },
    ],
  );
  t.equal(modules.has('userMayInvite'), false);
});

t.test('what is wrong with the file, the modules and their set-up is told in one run', async (t) => {
  const problems = await problemsOf(
    start(
      t,
      [
        { module: './nowhere.ts', id: 'nowhere' },
        { module: './imports-node.ts', id: 'imports-node' },
        setup('Throws'),
        setup('RejectsConfig', { config: { words: [1] } }),
        { module: './puppet.ts#Puppet', id: 'fine' },
        { module: './puppet.ts#Puppet', id: 'typo', timout: '1s' },
      ],
      { file: { bulkhead: { fan_out: 'sideways' } } },
    ),
  );
  t.same(
    new Set(problems.map(({ code, module }) => `${code} ${module}`)),
    new Set([
      'InvalidValue undefined',
      'ModuleNotFound nowhere',
      'NodeImport imports-node',
      'SetupFailed throws',
      'ConfigRejected rejectsconfig',
      'UnknownKey typo',
    ]),
  );
  t.match(
    problems.find(({ code }) => code === 'NodeImport')?.message,
    /imports-node\.ts.*node:fs/s,
    'with the chain of imports',
  );
  t.same(hullsOf(), [], 'nothing was started');
});

t.test('a module cannot have the storage of a run that failed', async (t) => {
  const storage = t.testdir();
  await problemsOf(start(t, [setup('Throws')], { storage }));
  t.ok(await start(t, [setup('Shows')], { storage }), 'the folder is free again');
});
