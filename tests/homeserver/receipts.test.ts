import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Client, type SyncBody } from './client.ts';
import { allowed } from './fake-modules.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');
const e = encodeURIComponent;
const path = (room: string, what: string) => `/_matrix/client/v3/rooms/${e(room)}/${what}`;
const receipt = (client: Client, room: string, type: string, eventId: string, body = {}) =>
  client.post(path(room, `receipt/${type}/${e(eventId)}`), body);
const type = (client: Client, room: string, body: object) => client.put(path(room, `typing/${e(client.userId)}`), body);
const ephemeral = ({ rooms }: SyncBody, room: string, wanted: string) =>
  (rooms.join[room]?.ephemeral.events ?? []).filter((event) => event.type === wanted).map(({ content }) => content);
const fullyRead = ({ rooms }: SyncBody, room: string) =>
  rooms.join[room]?.account_data.events.find((event) => event.type === 'm.fully_read')?.content;

async function sharedRoom() {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await alice.sync();
  await bob.sync();
  return room;
}

t.test('a receipt reaches the others once, and wakes them', async (t) => {
  const room = await sharedRoom();
  const id = await alice.say(room, 'read me');
  await alice.sync();
  const waiting = alice.sync({ timeout: 20_000 });
  await delay(100);
  await receipt(bob, room, 'm.read', id);
  const body = await waiting;
  t.match(ephemeral(body, room, 'm.receipt'), [{ [id]: { 'm.read': { [bob.userId]: { ts: Number } } } }]);
  t.same(body.rooms.join[room]?.timeline.events, []);
  t.same((await alice.sync()).rooms.join, {});
  const fresh = await Client.login(server.url, 'alice');
  t.match(ephemeral(await fresh.sync(), room, 'm.receipt'), [{ [id]: { 'm.read': { [bob.userId]: {} } } }]);
});

t.test('receipts only move forwards', async (t) => {
  const room = await sharedRoom();
  const [first, second] = [await alice.say(room, 'one'), await alice.say(room, 'two')];
  await receipt(bob, room, 'm.read', second);
  await alice.sync();
  await receipt(bob, room, 'm.read', first);
  await receipt(bob, room, 'm.read', second);
  t.same((await alice.sync()).rooms.join, {});
});

t.test('a private receipt is private', async (t) => {
  const room = await sharedRoom();
  const id = await alice.say(room, 'psst');
  await Promise.all([alice.sync(), bob.sync()]);
  await receipt(bob, room, 'm.read.private', id);
  t.same((await alice.sync()).rooms.join, {});
  t.match(ephemeral(await bob.sync(), room, 'm.receipt'), [{ [id]: { 'm.read.private': { [bob.userId]: {} } } }]);
  const fresh = await Client.login(server.url, 'alice');
  t.same(ephemeral(await fresh.sync(), room, 'm.receipt'), []);
});

t.test('one for the room and one for each thread', async (t) => {
  const room = await sharedRoom();
  const id = await alice.say(room, 'root');
  await alice.sync();
  await receipt(bob, room, 'm.read', id);
  await receipt(bob, room, 'm.read', id, { thread_id: 'main' });
  const told = ephemeral(await alice.sync(), room, 'm.receipt');
  const ofBob = told.map((content) => JSON.stringify(content).includes('"thread_id":"main"'));
  t.same(ofBob.sort(), [false, true]);
});

t.test('read markers', async (t) => {
  const room = await sharedRoom();
  const [first, second] = [await alice.say(room, 'one'), await alice.say(room, 'two')];
  await bob.sync();
  await bob.post(path(room, 'read_markers'), { 'm.fully_read': second, 'm.read': second });
  const body = await bob.sync();
  t.same(fullyRead(body, room), { event_id: second });
  t.match(ephemeral(body, room, 'm.receipt'), [{ [second]: { 'm.read': {} } }]);
  await receipt(bob, room, 'm.fully_read', first);
  t.same((await bob.sync()).rooms.join, {}, 'forwards only');
  t.same(ephemeral(await alice.sync(), room, 'm.receipt').length, 1);
});

t.test('typing', async (t) => {
  const room = await sharedRoom();
  const waiting = alice.sync({ timeout: 20_000 });
  await delay(100);
  await type(bob, room, { typing: true, timeout: 300 });
  t.same(ephemeral(await waiting, room, 'm.typing'), [{ user_ids: [bob.userId] }]);
  t.same(ephemeral(await alice.sync({ timeout: 20_000 }), room, 'm.typing'), [{ user_ids: [] }], 'it ends by itself');
  await type(bob, room, { typing: true });
  await type(bob, room, { typing: true });
  t.same(ephemeral(await alice.sync(), room, 'm.typing'), [{ user_ids: [bob.userId] }]);
  await type(bob, room, { typing: false });
  t.same(ephemeral(await alice.sync(), room, 'm.typing'), [{ user_ids: [] }]);
  await type(bob, room, { typing: false });
  t.same((await alice.sync()).rooms.join, {}, 'nothing has changed');
});

t.test('nobody sees what a shadow-banned user reads and types', async (t) => {
  server.fake.answers = { checkRegistrationForSpam: () => ({ ...allowed, behaviour: 'shadow_ban' }) as never };
  const mallory = await server.register('mallory');
  server.fake.answers = {};
  const room = await sharedRoom();
  const id = await alice.say(room, 'hello');
  await mallory.join(room);
  await alice.sync();
  await receipt(mallory, room, 'm.read', id);
  await type(mallory, room, { typing: true });
  t.same((await alice.sync()).rooms.join, {});
  t.match(ephemeral(await mallory.sync(), room, 'm.receipt'), [{ [id]: { 'm.read': { [mallory.userId]: {} } } }]);
});

t.test('what is refused', async (t) => {
  const room = await sharedRoom();
  const other = await alice.createRoom({});
  const id = await alice.say(room, 'here');
  const elsewhere = await alice.say(other, 'elsewhere');
  const carol = await server.register('carol');
  const cases: readonly (readonly [string, () => Promise<unknown>, number, string])[] = [
    ['unknown type', () => receipt(bob, room, 'm.seen', id), 400, 'M_INVALID_PARAM'],
    ['unknown event', () => receipt(bob, room, 'm.read', '$nothing'), 404, 'M_NOT_FOUND'],
    ['event of another room', () => receipt(alice, room, 'm.read', elsewhere), 404, 'M_NOT_FOUND'],
    ['empty thread', () => receipt(bob, room, 'm.read', id, { thread_id: '' }), 400, 'M_INVALID_PARAM'],
    ['thread of a marker', () => receipt(bob, room, 'm.fully_read', id, { thread_id: 'main' }), 400, 'M_INVALID_PARAM'],
    ['not in the room', () => receipt(carol, room, 'm.read', id), 403, 'M_FORBIDDEN'],
    ['marker, not in the room', () => receipt(carol, room, 'm.fully_read', id), 403, 'M_FORBIDDEN'],
    ['typing, not in the room', () => type(carol, room, { typing: true }), 403, 'M_FORBIDDEN'],
    [
      'typing for another',
      () => carol.put(path(room, `typing/${e(bob.userId)}`), { typing: true }),
      403,
      'M_FORBIDDEN',
    ],
    ['typing, no word of it', () => type(bob, room, {}), 400, 'M_MISSING_PARAM'],
    ['typing, negative', () => type(bob, room, { typing: true, timeout: -1 }), 400, 'M_BAD_JSON'],
  ];
  for (const [why, request, status, errcode] of cases) await refuses(t, request, { status, errcode }, why);
});
