// Comlink messages of a hostile cell: what reaches a method of the ModuleApi's host end, and how each call is answered.

import assert from 'node:assert/strict';
import type { Homeserver } from '@bulkhead/sdk/contract';
import fc from 'fast-check';
import t from 'tap';
import { exposeGuarded } from '../../packages/runtime/src/api/guard.ts';
import { createApiMethods } from '../../packages/runtime/src/api/server.ts';
import type { ModuleStore } from '../../packages/runtime/src/api/storage.ts';
import type { Channel } from '../../packages/runtime/src/dispatch/channel.ts';
import { parseHostile } from '../../packages/runtime/src/dispatch/hostile.ts';
import { holds, prototypes } from './harness.ts';

/** What a module may call by name, as the documentation lists it. */
const METHODS = [
  'getProfile',
  'getUserInfo',
  'checkUserExists',
  'getUserByRequest',
  'createAndSendEvent',
  'getRoomState',
  'updateRoomMembership',
  'storage.get',
  'storage.set',
  'storage.delete',
  'storage.increment',
  'storage.list',
  'state.get',
  'state.list',
  'state.entries',
  'file.open',
  'fetch',
  'fetch.cancel',
];

const INHERITED = [
  'constructor',
  '__proto__',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '__defineGetter__',
];

const path = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(...METHODS).map((name) => [name] as unknown) },
  { weight: 2, arbitrary: fc.constantFrom(...INHERITED).map((name) => [name] as unknown) },
  {
    weight: 4,
    arbitrary: fc.array(
      fc.constantFrom(...METHODS.slice(0, 4), ...INHERITED, 'call', 'bind', 'apply', 'then', '', 'x'),
      {
        maxLength: 4,
      },
    ) as fc.Arbitrary<unknown>,
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(null, 'getProfile', 0, [0], [null], [['getProfile']], {
      0: 'fetch',
      length: 1,
    }),
  },
);

const values: readonly unknown[] = [
  '@a:example.org',
  '!room:example.org',
  'key',
  1,
  -0,
  1e308,
  null,
  true,
  [],
  {},
  { ttl: 5 },
  { by: 1, constructor: { prototype: { polluted: true } } },
  JSON.parse('{"then":"x"}'),
  { type: 'm.room.message', room_id: '!r:example.org', sender: '@a:example.org', content: { toString: 1 } },
  { method: 'GET', url: 'http://x/', headers: [], redirect: 'follow', stream: null },
];
const plain = fc.constantFrom(...values).map((value): unknown => ({ type: 'RAW', value }));
const argument = fc.oneof(
  { weight: 14, arbitrary: plain },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(
      { type: 'HANDLER', name: 'proxy', value: {} },
      { type: 'HANDLER', name: 'throw', value: { isError: true, value: { message: 'x', name: 'y', stack: 'z' } } },
      { type: 'HANDLER', name: 'throw', value: { isError: false, value: 1 } },
      { type: 'HANDLER', name: 'nobody', value: 1 },
      { type: 'HANDLER', name: '__proto__' },
      { type: 'raw', value: 1 },
      { value: 1 },
      { type: 'RAW' },
      null,
      7,
      [],
    ),
  },
);
const message = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record(
      {
        id: fc.oneof(
          { weight: 12, arbitrary: fc.constantFrom<unknown>('1', '2', 'a-b-c-d', '', '__proto__') },
          { weight: 1, arbitrary: fc.constantFrom<unknown>(1, null, {}, 'x'.repeat(101)) },
        ),
        type: fc.oneof(
          { weight: 12, arbitrary: fc.constant<unknown>('APPLY') },
          {
            weight: 4,
            arbitrary: fc.constantFrom<unknown>('GET', 'SET', 'CONSTRUCT', 'ENDPOINT', 'RELEASE', 'apply', null, 0),
          },
        ),
        path,
        argumentList: fc.oneof(
          { weight: 15, arbitrary: fc.array(argument, { maxLength: 4 }) as fc.Arbitrary<unknown> },
          {
            weight: 1,
            arbitrary: fc.constantFrom<unknown>(undefined, null, {}, 'RAW', Array(9).fill({ type: 'RAW' })),
          },
        ),
        value: plain,
      },
      { requiredKeys: ['id', 'type', 'path', 'argumentList'], noNullPrototype: true },
    ) as fc.Arbitrary<unknown>,
  },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown> },
);

/** Spells `__proto__` as a key, which no object literal does. */
const spelt = (text: string): string => text.replace('"value":', '"__proto__":{"polluted":true},"value":');

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The one shape that may pass, said once more: the call, or nothing. */
function allowed(given: unknown): { readonly id: string; readonly name: string; readonly args: unknown[] } | undefined {
  if (!isObject(given)) return undefined;
  const { id, type, path, argumentList } = given;
  if (typeof id !== 'string' || id.length > 100 || type !== 'APPLY') return undefined;
  if (!Array.isArray(path) || path.length !== 1 || !METHODS.includes(path[0])) return undefined;
  if (!Array.isArray(argumentList) || argumentList.length > 8) return undefined;
  if (!argumentList.every((each: unknown) => isObject(each) && each.type === 'RAW')) return undefined;
  return { id, name: path[0], args: argumentList.map(({ value }: { readonly value?: unknown }) => value) };
}

const isPlain = (value: unknown): boolean =>
  typeof value !== 'object' ||
  value === null ||
  ((Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype) && Object.values(value).every(isPlain));

/** The real methods of the ModuleApi over a homeserver, a store and a network that note what they were asked. */
function host() {
  const reached: { readonly name: string; readonly args: readonly unknown[] }[] = [];
  const note =
    (name: string, result: unknown) =>
    async (...args: readonly unknown[]): Promise<unknown> => {
      reached.push({ name, args });
      return result;
    };
  const homeserver = {
    serverName: 'example.org',
    getProfile: note('getProfile', { displayname: 'A' }),
    getUserInfo: note('getUserInfo', null),
    checkUserExists: note('checkUserExists', null),
    getUserByRequest: note('getUserByRequest', null),
    createAndSendEvent: note('createAndSendEvent', 'no event'),
    getRoomState: note('getRoomState', []),
    updateRoomMembership: () => {
      throw new Error('the homeserver has a bad day');
    },
  } as unknown as Homeserver;
  const store = Object.fromEntries(
    ['get', 'set', 'delete', 'increment', 'list'].map((name) => [name, note(`storage.${name}`, null)]),
  ) as unknown as ModuleStore;
  const posted: unknown[] = [];
  const failed: unknown[] = [];
  const methods = createApiMethods(
    {
      grants: { network: [], users: ['read'], rooms: ['read', 'write'], web: [], web_paths: [] },
      homeserver,
      store,
      // The signal that goes with a request is the host's own.
      fetcher: {
        fetch: ({ signal, ...request }: { readonly signal: AbortSignal }) =>
          note('fetch', { status: 200, body: null })(request),
      } as never,
      channel: { pending: () => undefined, deepest: 0 } as unknown as Channel,
      requests: new Map(),
      mostUnderWay: 1000,
      denied: () => {},
      hostFailed: (method) => failed.push(method),
    },
    { underWay: 0, refused: 0 },
  );
  const api = exposeGuarded(methods, (text) => posted.push(JSON.parse(text)));
  return { api, methods, reached, posted };
}

t.test('the methods are those', async (t) => {
  t.strictSame(Object.keys(host().methods).sort(), [...METHODS].sort());
  t.equal(Object.getPrototypeOf(host().methods), null);
});

t.test(
  'nothing but a call of a known method with plain arguments gets anywhere, and each is answered once',
  async (t) => {
    const { api, methods, reached, posted } = host();
    const own = { ...methods };
    const { unchanged, touched } = prototypes();
    let calls = 0;
    const property = fc.asyncProperty(message, fc.boolean(), async (given, spell) => {
      reached.length = 0;
      posted.length = 0;
      const text = JSON.stringify(given);
      const received = parseHostile(spell ? spelt(text) : text);
      const expected = allowed(received);
      let refused = false;
      try {
        api.receive(received);
      } catch (error) {
        // The channel's end; what it says is told to the admin.
        assert.equal(error instanceof Error, true);
        refused = true;
      }
      for (let turns = 0; turns < 50 && posted.length === 0 && !refused; turns++) await null;
      for (let turns = 0; turns < 12; turns++) await null;
      assert.equal(refused, expected === undefined);
      assert.equal(posted.length, refused ? 0 : 1);
      assert.equal(reached.length <= posted.length, true);
      for (const { name, args } of reached) {
        assert.equal(name, expected?.name);
        assert.equal(isPlain(args), true);
      }
      if (expected !== undefined) {
        calls++;
        const [{ id, type, value }] = posted as [{ id: unknown; type: unknown; value: { ok: unknown } }];
        assert.equal(id, expected.id);
        assert.equal(type, 'RAW', 'never as an exception');
        assert.equal(typeof value.ok, 'boolean');
      }
      assert.equal(unchanged(), true);
    });
    await holds(t, property);
    t.ok(calls > 0, 'some of them were calls');
    t.strictSame(touched(), []);
    t.strictSame({ ...methods }, own, 'no method was replaced');
  },
);
