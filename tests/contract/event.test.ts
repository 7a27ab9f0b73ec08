// The test of an event that makes no copy says what the schema says, of whatever is given.

import assert from 'node:assert/strict';
import { EventData, isEventData } from '@bulkhead/sdk/contract';
import fc from 'fast-check';
import t from 'tap';
import * as v from 'valibot';

const texts = fc.oneof(
  fc.constantFrom(
    '',
    '@a:b',
    '@a:',
    '@:b',
    '@ab',
    '!r',
    '!',
    '$e',
    '$',
    '#a:b',
    '!r\0',
    '@a:b\0',
    `@a:${'b'.repeat(252)}`,
  ),
  fc.constantFrom(
    `!${'é'.repeat(127)}`,
    `!${'é'.repeat(128)}`,
    'x'.repeat(255),
    'x'.repeat(256),
    '漢'.repeat(85),
    '漢'.repeat(86),
  ),
  fc.string(),
);
const anything = fc.oneof(
  texts,
  fc.constantFrom(
    undefined,
    null,
    0,
    1.5,
    2 ** 53,
    Number.NaN,
    true,
    {},
    [],
    new Map(),
    new Date(0),
    Object.create(null),
  ),
);
const right = {
  type: 'm.room.message',
  room_id: '!room:example.org',
  sender: '@alice:example.org',
  origin_server_ts: 1,
  content: {},
};
const fields = [...Object.keys(EventData.entries), 'other', 'depth'];
const changes = fc.dictionary(fc.constantFrom(...fields), anything, { maxKeys: 2, noNullPrototype: true });

const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

t.test('what it takes the schema takes as it is, and nothing else that is plain', async (t) => {
  let taken = 0;
  const property = fc.property(changes, (changed) => {
    const event = { ...right, ...changed };
    const parsed = v.safeParse(EventData, event);
    assert.equal(isEventData(event), parsed.success);
    if (parsed.success) {
      taken++;
      assert.deepEqual(asJson(parsed.output), asJson(event));
    }
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 5_000 }));
  t.ok(taken > 500, `${taken} were events`);
});

t.test('what a copy would change is left to the schema', async (t) => {
  class Event {
    type = 'm.x';
    get sender() {
      return '@alice:example.org';
    }
  }
  const own = (name: string) => Object.defineProperty({ ...right }, name, { value: {}, enumerable: true });
  for (const value of [
    Object.assign(new Event(), { room_id: '!r', origin_server_ts: 1, content: {} }),
    { ...right, toJSON: () => ({}) },
    own('__proto__'),
    own('constructor'),
    [],
    null,
    'event',
  ]) {
    t.notOk(isEventData(value));
  }
});
