// What modules may ask of the host, through real cells.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { exposeGuarded } from '../../packages/runtime/src/api/guard.ts';
import { containments, event, eventually, get, lifeOf, type Running, reborn, sleep, start, tell } from './harness.ts';

const asks = (id: string, more: object = {}) => ({ module: './asks.ts', id, ...more });

/** What the module gets for each call, in order. */
async function ask(
  modules: Running,
  id: string,
  ...wishes: readonly (readonly [string, ...unknown[]])[]
): Promise<unknown[]> {
  const body = JSON.stringify(wishes.map(([call, ...args]) => ({ call, args })));
  const response = await get(modules, `/_synapse/client/${id}`, { method: 'POST', body });
  if (response.status !== 200) throw new Error(`${id}: ${response.status}`);
  return (await response.json()) as unknown[];
}

const member = (userId: string) => ({
  type: 'm.room.member',
  room_id: '!room:example.com',
  sender: userId,
  state_key: userId,
  content: { membership: 'join' },
  origin_server_ts: 1,
});

const alice = '@alice:example.com';
const everything = { users: ['read'], rooms: ['read', 'write'] };

for (const containment of containments) {
  t.test(`${containment}: what the module knows by itself`, async (t) => {
    const modules = await start(t, [asks('a')], { containment });
    t.same(
      await ask(
        modules,
        'a',
        ['isMine', alice],
        ['isMine', '@a:else.org'],
        ['isMine', '!r:example.com'],
        ['getQualifiedUserId', 'bob'],
      ),
      [true, false, true, '@bob:example.com'],
    );
    t.same(await ask(modules, 'a', ['getQualifiedUserId', alice], ['frozen']), [
      alice,
      ['TypeError', 'TypeError', 'TypeError'],
    ]);
    const [now] = await ask(modules, 'a', ['now']);
    t.ok(Math.abs(Number(now) - Date.now()) < 60_000);
    t.same(await ask(modules, 'a', ['timers']), [{ order: [], ticks: 3, argument: 'argument', type: 'number' }]);
    t.match(await ask(modules, 'a', ['abortSleep']), [{ name: 'TimeoutError' }]);
  });

  t.test(`${containment}: storage`, async (t) => {
    const modules = await start(t, [asks('a', { limits: { storage: '4KiB' } })], { containment });
    t.same(
      await ask(
        modules,
        'a',
        ['storage.get', 'k'],
        ['storage.set', 'k', { deep: [1, null, 'ä'] }],
        ['storage.get', 'k'],
        ['storage.increment', 'n'],
        ['storage.increment', 'n', 5],
        ['storage.list', { prefix: 'n' }],
        ['storage.delete', 'k'],
        ['storage.delete', 'k'],
        ['storage.get', 'k'],
      ),
      [
        'undefined',
        null,
        { deep: [1, null, 'ä'] },
        1,
        6,
        { entries: [['n', 6]], next: null },
        true,
        false,
        'undefined',
      ],
    );
    await ask(modules, 'a', ['storage.set', 'short', 1, { ttl: 200 }]);
    t.same(await ask(modules, 'a', ['storage.get', 'short']), [1]);
    await sleep(250);
    t.same(await ask(modules, 'a', ['storage.get', 'short']), ['undefined'], 'expired');
    t.match(await ask(modules, 'a', ['storage.set', 'big', 'x'.repeat(5_000)], ['storage.get', 'n']), [
      { name: 'ApiError', code: 'QuotaExceeded' },
      6,
    ]);
    t.match(
      await ask(
        modules,
        'a',
        ['storage.get', ''],
        ['storage.get', 5],
        ['storage.set', 'k', 1, { tll: 5 }],
        ['unspeakable'],
      ),
      [
        { code: 'InvalidArgument', message: /storage\.get: argument 1/ },
        { code: 'InvalidArgument' },
        { code: 'InvalidArgument', message: /argument 3/ },
        { name: 'TypeError' },
      ],
    );
  });

  t.test(`${containment}: the homeserver's part`, async (t) => {
    const sent: unknown[] = [];
    const modules = await start(t, [asks('a', { permissions: everything }), asks('bare')], {
      containment,
      homeserver: {
        getProfile: (userId) => (userId === alice ? { displayname: 'Alice' } : null),
        getUserInfo: () => {
          throw new Error('the database says: password=secret');
        },
        createAndSendEvent: (newEvent) => {
          sent.push(newEvent);
          if (newEvent.room_id === '!forbidden:example.com') {
            throw Object.assign(new Error('You are not in the room'), { errcode: 'M_FORBIDDEN' });
          }
          return { event_id: '$event' };
        },
        getRoomState: () => [member(alice), member('@bob:example.com')],
        checkUserExists: () => 42 as never,
      },
    });
    t.same(await ask(modules, 'a', ['getProfile', alice], ['getProfile', '@no:example.com']), [
      { displayname: 'Alice' },
      null,
    ]);
    t.same(await ask(modules, 'a', ['state', '!room:example.com']), [
      { size: 2, alice: 'join', list: 2, all: [true, true] },
    ]);
    const newEvent = { type: 'm.x', room_id: '!room:example.com', sender: alice, content: {} };
    t.same(await ask(modules, 'a', ['createAndSendEvent', newEvent]), [{ event_id: '$event' }]);
    t.same(sent, [newEvent]);
    t.match(
      await ask(modules, 'a', ['createAndSendEvent', { ...newEvent, room_id: '!forbidden:example.com' }]),
      [{ name: 'ApiError', code: 'HomeserverError', errcode: 'M_FORBIDDEN', message: 'You are not in the room' }],
      'an error for clients is one for modules',
    );
    t.match(
      await ask(modules, 'a', ['getUserInfo', alice]),
      [{ code: 'HomeserverError', message: 'getUserInfo failed' }],
      'of any other it learns nothing',
    );
    t.match(await ask(modules, 'a', ['checkUserExists', alice]), [{ code: 'HomeserverError' }], 'nor of nonsense');
    t.equal(
      modules.log.filter(({ level, fields }) => level === 'error' && fields.module === 'a').length,
      2,
      'but the admin does',
    );
    t.match(
      await ask(modules, 'a', [
        'updateRoomMembership',
        { sender: alice, target: alice, roomId: '!r:x', membership: 'join' },
      ]),
      [{ code: 'NotSupported', message: /this homeserver does not support updateRoomMembership/ }],
    );
    t.match(await ask(modules, 'a', ['createAndSendEvent', { ...newEvent, sender: 'alice' }], ['getProfile', 5]), [
      { code: 'InvalidArgument', message: /\(sender\)/ },
      { code: 'InvalidArgument' },
    ]);
    t.match(await ask(modules, 'bare', ['getProfile', alice], ['createAndSendEvent', newEvent]), [
      { code: 'PermissionDenied', message: /the module's entry says permissions: \{ users: \[read\] \}/ },
      { code: 'PermissionDenied', message: /permissions: \{ rooms: \[write\] \}/ },
    ]);
    t.equal(sent.length, 2);
  });
}

t.test('fetch goes where the admin granted', async (t) => {
  const server = createServer((request, response) => {
    if (request.url === '/away') response.writeHead(302, { location: '/here' });
    else response.setHeader('content-type', 'text/plain');
    response.end(`${request.method} ${request.url} ${request.headers['x-mine'] ?? ''}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  t.teardown(() => server.closeAllConnections());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const modules = await start(t, [asks('a', { permissions: { network: [host] } }), asks('bare')]);
  t.match(
    await ask(
      modules,
      'a',
      ['fetch', `http://${host}/here`, { headers: { 'x-mine': 'yes' } }],
      ['fetch', `http://${host}/away`],
    ),
    [
      { status: 200, body: 'GET /here yes', type: 'text/plain' },
      { status: 200, body: 'GET /here ', redirected: true, url: `http://${host}/here` },
    ],
  );
  t.match(await ask(modules, 'bare', ['fetch', `http://${host}/here`]), [
    {
      name: 'TypeError',
      code: 'PermissionDenied',
      message: new RegExp(`network: \\[${host.replaceAll('.', '\\.')}\\]`),
    },
  ]);
});

t.test('log lines', async (t) => {
  const modules = await start(t, [asks('a')]);
  await ask(
    modules,
    'a',
    ['logger.warn', 'careful', { user: alice, module: 'forged' }],
    ['logger.debug', 'plain'],
    ['logger.info', 5],
  );
  const line = (text: string) => modules.log.find(({ message }) => message === text);
  t.match(line('careful'), { level: 'warn', fields: { module: 'a', fields: { user: alice, module: 'forged' } } });
  t.match(line('plain'), { level: 'debug', fields: { module: 'a' } });
  t.match(line('5'), { level: 'info' });

  const before = modules.log.length;
  await ask(modules, 'a', ...Array.from({ length: 2_000 }, (_, i): [string, string] => ['logger.info', `flood ${i}`]));
  await sleep(1_500);
  await ask(modules, 'a', ['logger.info', 'after the flood']);
  await eventually(() => line('after the flood') !== undefined);
  const passed = modules.log.length - before;
  t.ok(passed < 1_000, `${passed} of 2000 lines passed`);
  t.ok(
    modules.log.some(
      ({ level, message }) => level === 'warn' && /^\d+ log lines of the module were dropped/.test(message),
    ),
    'the rest is told as a number',
  );
});

t.test('mode: observe', async (t) => {
  const puppet = (id: string, more: object = {}) => ({ module: './puppet.ts#Puppet', id, ...more });
  const modules = await start(t, [
    puppet('watcher', { mode: 'observe', timeout: '250ms', breaker: { failures: 100 } }),
    puppet('real'),
  ]);
  const outcome = async (what: string) => modules.spamChecker.checkEventForSpam(event(what, { to: 'watcher' }));
  for (const what of ['refuse', 'throw', 'hang', 'loop'] as const) {
    const startedAt = performance.now();
    const given = await outcome(what);
    t.match(given, { allowed: true, failures: [] }, `${what} has no effect`);
    t.ok(performance.now() - startedAt < 240, 'and nobody waits for it');
    await eventually(() => given.observed.length === 1);
    t.match(given.observed, [
      {
        module: 'watcher',
        would: what === 'refuse' ? 'reject' : 'fail',
        detail: what === 'refuse' ? 'as told' : String,
      },
    ]);
  }
});

t.test('a message that no honest module sends ends the cell', async (t) => {
  const modules = await start(t, [{ module: './puppet.ts#Puppet', id: 'bad' }]);
  const life = await lifeOf(modules, 'bad');
  t.match(await tell(modules, 'bad', 'forge'), { allowed: false, kind: 'crashed' });
  t.ok(modules.log.some(({ level, message }) => level === 'error' && message.startsWith('bad broke the protocol')));
  await reborn(modules, 'bad', life);
});

t.test('the guard lets nothing through but calls of known methods with plain arguments', (t) => {
  const called: unknown[][] = [];
  const api = exposeGuarded(
    {
      known: async (...args: unknown[]) => {
        called.push(args);
        return { ok: true, value: null };
      },
    },
    () => {},
  );
  const raw = (value: unknown) => ({ type: 'RAW', value });
  const apply = { id: 'x', type: 'APPLY', path: ['known'], argumentList: [raw(1)] };
  const hostile: readonly unknown[] = [
    null,
    'text',
    [],
    {},
    { ...apply, id: 5 },
    { ...apply, type: 'GET' },
    { ...apply, type: 'SET', value: raw(1) },
    { ...apply, type: 'CONSTRUCT' },
    { ...apply, type: 'ENDPOINT' },
    { ...apply, type: 'RELEASE' },
    { ...apply, path: [] },
    { ...apply, path: ['known', 'call'] },
    { ...apply, path: ['constructor'] },
    { ...apply, path: ['constructor', 'constructor'] },
    { ...apply, path: ['__proto__'] },
    { ...apply, path: ['toString'] },
    { ...apply, path: ['unknown'] },
    { ...apply, path: 'known' },
    { ...apply, argumentList: [{ type: 'HANDLER', name: 'throw', value: { isError: false } }] },
    { ...apply, argumentList: [{ type: 'HANDLER', name: 'proxy', value: {} }] },
    { ...apply, argumentList: Array(9).fill(raw(1)) },
    { ...apply, argumentList: { length: 1, 0: raw(1) } },
  ];
  for (const message of hostile) t.throws(() => api.receive(message), JSON.stringify(message));
  api.receive({ ...apply, extra: 'ignored' });
  t.same(called, [[1]]);
  t.end();
});
