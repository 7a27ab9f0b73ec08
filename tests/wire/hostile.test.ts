// JSON from a cell: bounded depth, no `__proto__`, and no text on which it takes long.

import fc from 'fast-check';
import t from 'tap';
import { parseHostile, TooDeep } from '../../packages/runtime/src/dispatch/hostile.ts';

const DEEPEST = 100;
const lists = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

t.test('depth is bounded, whatever it is made of', async (t) => {
  for (const nest of [lists, objects]) {
    t.doesNotThrow(() => parseHostile(nest(DEEPEST)));
    t.throws(() => parseHostile(nest(DEEPEST + 1)), TooDeep);
  }
  t.doesNotThrow(() => parseHostile(`[${'[],{},'.repeat(500)}1]`), 'what stands side by side is not deep');
  t.throws(() => parseHostile(`[${lists(50)},${objects(100)}]`), TooDeep);
  t.throws(() => parseHostile('['.repeat(1_000_000)), TooDeep, 'before it is known whether it ends');
});

t.test('brackets in strings are no depth', async (t) => {
  const text = JSON.stringify('['.repeat(500));
  t.equal(parseHostile(text), '['.repeat(500));
  t.strictSame(parseHostile('["\\"[[[", "\\\\", "[\\\\\\"["]'), ['"[[[', '\\', '[\\"[']);
  const hidden = `["\\\\", ${lists(DEEPEST)}]`;
  t.throws(() => parseHostile(hidden), TooDeep, 'an escaped backslash does not escape the quote behind it');
  t.throws(() => parseHostile(`["${'\\\\'.repeat(50)}", ${lists(DEEPEST)}]`), TooDeep);
});

t.test('an own key __proto__ does not arrive, however it is spelt', async (t) => {
  const spellings = ['__proto__', '\\u005f_proto__', '_\\u005Fproto\\u005f_', '\\u005F\\u005F\\u0070roto__'];
  for (const spelling of spellings) {
    const parsed = parseHostile(`{"a":[{"${spelling}":{"polluted":1},"b":2}]}`) as { a: object[] };
    t.strictSame(Object.keys(parsed.a[0] ?? {}), ['b'], spelling);
    t.strictSame(Object.assign({}, parsed.a[0]), { b: 2 });
  }
  t.strictSame(parseHostile('{"a":"__proto__"}'), { a: '__proto__' }, 'as a value it is a text');
  t.strictSame(parseHostile('{"a":null,"b":[null]}'), { a: null, b: [null] });
});

t.test('what is no JSON is an error, what is JSON arrives as it was', async (t) => {
  for (const text of ['', '{', ']', '"', '"\\', 'undefined', '[1,]', '"\\"']) t.throws(() => parseHostile(text));
  const property = fc.property(fc.json({ maxDepth: 20 }), (text) => {
    t.strictSame(parseHostile(text), parsedPlainly(text));
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 200 }));
});

const parsedPlainly = (text: string): unknown =>
  JSON.parse(text, (key, value) => (key === '__proto__' ? undefined : value));

t.test('no text takes longer than its length is worth', async (t) => {
  const MEBIBYTE = 1 << 20;
  const texts: Readonly<Record<string, string>> = {
    backslashes: `"${'\\'.repeat(MEBIBYTE)}`,
    'escaped quotes': `"${'\\"'.repeat(MEBIBYTE / 2)}"`,
    'backslashes before each quote': `"${`${'\\'.repeat(1001)}"`.repeat(1000)}`,
    'empty strings': `[${'"",'.repeat(MEBIBYTE / 3)}""]`,
    'a string that does not end': `"${'x'.repeat(MEBIBYTE)}`,
    'lists side by side': `[${'[],'.repeat(MEBIBYTE / 3)}[]]`,
    'names of prototypes': `[${'"__proto__",'.repeat(MEBIBYTE / 12)}1]`,
    'half a name': '__prot'.repeat(MEBIBYTE / 6),
    'closing brackets': ']'.repeat(MEBIBYTE),
  };
  for (const [name, text] of Object.entries(texts)) {
    const startedAt = performance.now();
    try {
      parseHostile(text);
    } catch {
      // Most of them are no JSON; that is found out as quickly.
    }
    const took = performance.now() - startedAt;
    t.ok(took < 500, `${name}: ${Math.round(took)} ms`);
  }
});
