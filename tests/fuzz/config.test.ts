// Any text as a configuration file: it is read or its problems are told, each with a place in it, soon, and without a trace
// on prototypes. What is comment or white space changes nothing.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { formatProblems } from '../../packages/runtime/src/config/problem.ts';
import { type ReadConfig, readConfig } from '../../packages/runtime/src/config/read.ts';
import { holds, prototypes, RUNS } from './harness.ts';

const FILE = '/srv/matrix/homeserver.yaml';
/** Far more than any of these texts takes, even on a machine that does other things. */
const SOON_MS = 5_000;

const read = (text: string): ReadConfig => readConfig({ text, file: FILE });

const valid = [
  'modules:\n  - module: ./a.ts#A\n    config: { words: [x, "y"], n: 010 }\n    timeout: 5s\n  - module: pkg.Export\n    id: b\n',
  'bulkhead: { fan_out: { check_event_for_spam: sequential } }\nmodule_defaults:\n  limits: { memory: 32MiB }\nmodules: []\n',
  'x: &x { a: 1, b: [1, 2] }\nmodules:\n- module: a\n  config:\n    <<: *x\n    a: *x\n    text: |\n      line\n      line\n',
  'listeners: [!tag x]\nmodules:\n  - { module: a, config: { "__proto__": { p: 1 }, constructor: { prototype: 2 } } }\n',
  'modules:\n  - module: a\n    permissions: { network: ["*.example.com"], users: [read] }\n    on_failures: { user_may_invite: allow }\n',
];

const tokens = [
  ...['modules:', 'bulkhead:', 'module_defaults:', 'module: a', '- ', '  ', '\n', '\n', '\n  ', '\n  - ', '\n    '],
  ...[': ', ', ', '{', '}', '[', ']', '"', "'", '? ', '|', '>-', '#', ' # c', '---\n', '...\n', '%YAML 1.2\n---\n'],
  ...[
    '&a ',
    '*a',
    '&b ',
    '*b',
    '<<: *a',
    '<<: [*a, *b]',
    '<<',
    '!env HOME',
    '!env ',
    '!!set ',
    '!!binary ',
    '!<x> ',
    '!',
  ],
  ...['__proto__: { p: 1 }', 'constructor: ', 'toString', 'config: ', 'id: ', 'limits: { memory: ', 'timeout: '],
  ...['\r\n', '\r', '\t', '\0', '\ufeff', '\u2028', '\u0085', '\ud800', '\u{1f600}', '\u001b[2J', '\u202e'],
  ...['1e999', '.nan', '-.inf', '9'.repeat(30), '0x', '0o7', '1:30', '~', 'null', 'yes', '2024-01-01', '12e4', '-0'],
  ...['&a [*a, *a]', '&b [*a, *a]'],
];
const deep = ['['.repeat(150), '{a: '.repeat(150), '- '.repeat(150), '? '.repeat(150), '['.repeat(3000)];
const token = fc.oneof(
  { weight: 1000, arbitrary: fc.constantFrom(...tokens) },
  { weight: 1, arbitrary: fc.constantFrom(...deep) },
);

/** ASCII most of the time, halves of surrogate pairs now and then. */
const characters = (most: number): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof({ weight: 4, arbitrary: fc.nat(0x7f) }, { weight: 1, arbitrary: fc.nat(0xffff) }), {
      maxLength: most,
    })
    .map((units) => String.fromCharCode(...units));

interface Change {
  readonly at: number;
  readonly remove: number;
  readonly insert: string;
  readonly repeat: boolean;
}
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(200),
  remove: fc.oneof({ weight: 3, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(60) }),
  insert: fc.oneof(token, fc.constant(''), characters(3)),
  repeat: fc.boolean(),
});

function mutate(text: string, changes: readonly Change[]): string {
  let mutated = text;
  for (const { at, remove, insert, repeat } of changes) {
    const place = at % (mutated.length + 1);
    // What is removed is sometimes put down twice instead.
    const taken = mutated.slice(place, place + remove);
    mutated = mutated.slice(0, place) + (repeat ? taken + taken : '') + insert + mutated.slice(place + remove);
  }
  return mutated;
}

const anything = fc.oneof(
  fc.array(token, { maxLength: 15 }).map((parts) => parts.join('')),
  fc.array(token, { maxLength: 10 }).map((parts) => `modules:\n  - module: a\n    config: ${parts.join('')}`),
  characters(40),
);
const almostValid = fc
  .tuple(fc.constantFrom(...valid), fc.array(change, { minLength: 1, maxLength: 4 }))
  .map(([text, changes]) => mutate(text, changes));

const { unchanged, touched } = prototypes();

function check(text: string): void {
  const startedAt = performance.now();
  const { config, problems } = read(text);
  const told = formatProblems(problems);
  assert.equal(performance.now() - startedAt < SOON_MS, true, 'soon');
  assert.equal(unchanged(), true, 'prototypes are as they were');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(told, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]/, 'nothing that steers a terminal');
  const lines = text.split('\n');
  for (const { place, message } of problems) {
    if (place === undefined) {
      assert.equal(message, 'nested too deeply');
      continue;
    }
    assert.equal(place.file, FILE);
    const line = lines[place.line - 1];
    assert.notEqual(line, undefined, `line ${place.line} of ${lines.length}`);
    assert.equal(place.column >= 1 && place.column <= (line as string).length + 1, true, `column ${place.column}`);
  }
  for (const entry of config.modules) {
    assert.equal(typeof entry.specifier, 'string');
    assert.doesNotThrow(() => JSON.stringify(entry.config));
    assert.equal(entry.locate(['config', 'absent', 0])?.file, FILE);
  }
}

t.test('the files that are changed below are right', async (t) => {
  for (const text of valid) t.strictSame(read(text).problems, []);
});

t.test('any text is read, or what is wrong is told with its place', async (t) => {
  await holds(t, fc.property(anything, check), { numRuns: RUNS * 0.3 });
});

t.test('so is a right file with bytes removed, doubled and put in', async (t) => {
  await holds(t, fc.property(almostValid, check), { numRuns: RUNS * 0.3 });
});

// Data, and the many ways to write it.

type Data = null | boolean | number | string | readonly Data[] | { readonly [key: string]: Data };

const key = fc.oneof(fc.constantFrom('a', 'b', 'words', '__proto__', 'constructor', 'toString', '<<', 'yes', '1', ''));
const scalar: fc.Arbitrary<Data> = fc.oneof(
  fc.constantFrom<Data>(
    null,
    true,
    false,
    0,
    1,
    -7,
    0.5,
    'x',
    '',
    'yes',
    '1e3',
    '# no comment',
    'a: b',
    'ä\u{1f600}',
    '<<',
  ),
  fc.integer(),
  characters(6).filter((text) => text.isWellFormed()),
);
const data: fc.Arbitrary<Data> = fc.letrec<{ tree: Data }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(key, tie('tree'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).tree;

interface Style {
  readonly indent: number;
  readonly newline: string;
  readonly bom: boolean;
  /** What stands at the ends of lines and between them, in turn. */
  readonly noise: readonly (readonly [end: string, between: string])[];
}
const style: fc.Arbitrary<Style> = fc.record({
  indent: fc.integer({ min: 1, max: 5 }),
  newline: fc.constantFrom('\n', '\n', '\r\n'),
  bom: fc.boolean(),
  noise: fc.array(
    fc.tuple(
      fc.constantFrom('', ' ', '  ', ' # comment', '\t', '  #: [ {" \' &a *b'),
      fc.constantFrom('', '', '#', '   # modules: []', '  ', '#\ttab'),
    ),
    { minLength: 1, maxLength: 6 },
  ),
});

const isFlat = (value: Data): boolean => typeof value !== 'object' || value === null || Object.keys(value).length === 0;

function* write(value: Data, indent: number, depth: number): Generator<string> {
  const lead = ' '.repeat(indent * depth);
  const entries = Array.isArray(value)
    ? value.map((item): [string, Data] => ['-', item])
    : Object.entries(value as Record<string, Data>).map(([name, item]): [string, Data] => [
        `${JSON.stringify(name)}:`,
        item,
      ]);
  for (const [name, item] of entries) {
    if (isFlat(item)) yield `${lead}${name} ${JSON.stringify(item)}`;
    else {
      yield `${lead}${name}`;
      yield* write(item, indent, depth + 1);
    }
  }
}

function styled(value: Data, { indent, newline, bom, noise }: Style): string {
  const lines = [...write(value, indent, 0)].flatMap((line, index) => {
    const [end, between] = noise[index % noise.length] as readonly [string, string];
    return between === '' ? [line + end] : [line + end, between];
  });
  return (bom ? '\ufeff' : '') + lines.join(newline) + newline;
}

t.test('comments, white space, line ends and a byte order mark change nothing', async (t) => {
  const property = fc.property(data, style, (config, style) => {
    const { config: got, problems } = read(styled({ modules: [{ module: 'a', config }] }, style));
    assert.deepEqual(problems, []);
    // JSON compares own keys, `__proto__` among them.
    assert.equal(JSON.stringify(got.modules[0]?.config), JSON.stringify(config ?? {}));
    assert.equal(unchanged(), true);
  });
  await holds(t, property, { numRuns: RUNS * 0.4 });
});

t.test('afterwards prototypes are what they were', async (t) => {
  t.strictSame(touched(), []);
});
