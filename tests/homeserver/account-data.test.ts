import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Client, type Json, type SyncBody } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');
const e = encodeURIComponent;
const global = (client: Client, type: string) => `/_matrix/client/v3/user/${e(client.userId)}/account_data/${e(type)}`;
const ofRoom = (client: Client, room: string, what: string) =>
  `/_matrix/client/v3/user/${e(client.userId)}/rooms/${e(room)}/${what}`;
const own = ({ account_data }: SyncBody) => account_data.events.filter(({ type }) => type !== 'm.push_rules');

t.test('account data is kept, and reaches the other clients of the user', async (t) => {
  const tablet = await Client.login(server.url, 'alice');
  await refuses(t, alice.get(global(alice, 'org.example.colours')), { status: 404, errcode: 'M_NOT_FOUND' });
  await alice.put(global(alice, 'org.example.colours'), { dark: true });
  t.same(await tablet.get(global(alice, 'org.example.colours')), { dark: true });
  t.same(own(await tablet.sync()), [{ type: 'org.example.colours', content: { dark: true } }]);
  t.same(own(await tablet.sync()), [], 'once');
  await alice.put(global(alice, 'org.example.colours'), { dark: false });
  await alice.put(global(alice, 'm.direct'), {});
  t.same(own(await tablet.sync()).length, 2);
  t.same(own(await bob.sync()), [], 'nobody else sees it');
});

t.test('a long poll wakes for account data', async (t) => {
  await alice.sync();
  const began = performance.now();
  const waiting = alice.sync({ timeout: 20_000 });
  await delay(100);
  await alice.put(global(alice, 'org.example.woken'), { now: 1 });
  t.same(own(await waiting), [{ type: 'org.example.woken', content: { now: 1 } }]);
  t.ok(performance.now() - began < 10_000);
});

t.test('data of a room stands with the room', async (t) => {
  const room = await alice.createRoom({});
  await alice.sync();
  await alice.put(ofRoom(alice, room, 'account_data/org.example.note'), { text: 'mine' });
  t.same(await alice.get(ofRoom(alice, room, 'account_data/org.example.note')), { text: 'mine' });
  const body = await alice.sync();
  t.same(body.rooms.join[room]?.account_data.events, [{ type: 'org.example.note', content: { text: 'mine' } }]);
  t.same(body.rooms.join[room]?.timeline.events, []);
  t.same(own(body), []);
  const fresh = await Client.login(server.url, 'alice');
  t.match((await fresh.sync()).rooms.join[room]?.account_data.events, [{ content: { text: 'mine' } }]);
});

t.test('data set before a room was joined comes with the room', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.put(ofRoom(bob, room, 'account_data/org.example.note'), { text: 'before' });
  await bob.sync();
  await bob.join(room);
  t.match((await bob.sync()).rooms.join[room]?.account_data.events, [{ content: { text: 'before' } }]);
});

t.test('tags', async (t) => {
  const room = await alice.createRoom({});
  await alice.sync();
  t.same(await alice.get(ofRoom(alice, room, 'tags')), { tags: {} });
  await Promise.all([
    alice.put(ofRoom(alice, room, 'tags/m.favourite'), { order: 0.25 }),
    alice.put(ofRoom(alice, room, 'tags/u.work'), {}),
  ]);
  t.same(await alice.get(ofRoom(alice, room, 'tags')), { tags: { 'm.favourite': { order: 0.25 }, 'u.work': {} } });
  t.match((await alice.sync()).rooms.join[room]?.account_data.events, [
    { type: 'm.tag', content: { tags: { 'm.favourite': { order: 0.25 } } } },
  ]);
  await alice.delete(ofRoom(alice, room, 'tags/m.favourite'));
  t.same(await alice.get(ofRoom(alice, room, 'tags')), { tags: { 'u.work': {} } });
  await alice.sync();
  await alice.delete(ofRoom(alice, room, 'tags/m.favourite'));
  t.same((await alice.sync()).rooms.join, {}, 'what is not there is not taken away again');
  await refuses(t, alice.put(ofRoom(alice, room, 'tags/u.x'), { order: 2 }), { status: 400, errcode: 'M_BAD_JSON' });
  await refuses(t, alice.put(ofRoom(alice, room, `tags/${'x'.repeat(300)}`), {}), {
    status: 400,
    errcode: 'M_INVALID_PARAM',
  });
});

t.test('what is refused', async (t) => {
  const room = await alice.createRoom({});
  const cases: readonly (readonly [string, () => Promise<unknown>, number, string])[] = [
    ['another user', () => bob.put(global(alice, 'x'), {}), 403, 'M_FORBIDDEN'],
    ['another user reads', () => bob.get(global(alice, 'x')), 403, 'M_FORBIDDEN'],
    ['another user tags', () => bob.put(ofRoom(alice, room, 'tags/x'), {}), 403, 'M_FORBIDDEN'],
    ['no object', () => alice.put(global(alice, 'x'), [] as unknown as Json), 400, 'M_BAD_JSON'],
    ['no room', () => alice.put(ofRoom(alice, 'elsewhere', 'account_data/x'), {}), 400, 'M_INVALID_PARAM'],
    ['read marker', () => alice.put(ofRoom(alice, room, 'account_data/m.fully_read'), {}), 405, 'M_BAD_JSON'],
    ['push rules', () => alice.put(global(alice, 'm.push_rules'), {}), 405, 'M_BAD_JSON'],
    ['NUL', () => alice.put(global(alice, 'a\0b'), {}), 400, 'M_INVALID_PARAM'],
    ['nobody', () => new Client(server.url).get(global(alice, 'x')), 401, 'M_MISSING_TOKEN'],
  ];
  for (const [why, request, status, errcode] of cases) await refuses(t, request, { status, errcode }, why);
});

t.test('a restart keeps it, and its place', async (t) => {
  const dataDir = t.testdir();
  const before = await startServer(t, { dataDir });
  const carol = await before.register('carol');
  await carol.put(global(carol, 'org.example.a'), { a: 1 });
  await carol.sync();
  await carol.put(global(carol, 'org.example.b'), { b: 2 });
  await before.close();
  const after = await startServer(t, { dataDir });
  const again = Object.assign(new Client(after.url, carol as never), { since: carol.since });
  t.same(own(await again.sync()), [{ type: 'org.example.b', content: { b: 2 } }]);
  await again.put(global(again, 'org.example.c'), { c: 3 });
  t.same(own(await again.sync()), [{ type: 'org.example.c', content: { c: 3 } }]);
});
