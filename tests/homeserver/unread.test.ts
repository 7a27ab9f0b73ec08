import t from 'tap';
import { Client, type Json } from './client.ts';
import { startServer } from './harness.ts';

const server = await startServer(t);
const V3 = '/_matrix/client/v3';
const RULES = `${V3}/pushrules/global`;
const e = encodeURIComponent;
let names = 0;

/** A room of two or three, of whom one talks and another counts. */
async function setUp({ members = 3, displayName }: { members?: number; displayName?: string } = {}) {
  const [alice, bob] = [await server.register(`talker${++names}`), await server.register(`counter${names}`)];
  if (displayName !== undefined) await bob.setDisplayName(displayName);
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Room' });
  await bob.join(room);
  if (members > 2) await (await server.register(`silent${names}`)).join(room);
  await bob.sync();
  const say = (body: string, more: Json = {}) =>
    alice.send(room, 'm.room.message', { body, msgtype: 'm.text', ...more });
  const counts = async (query: Json = {}) => {
    const { notification_count = -1, highlight_count = -1 } =
      (await bob.sync(query as never)).rooms.join[room]?.unread_notifications ?? {};
    return [notification_count, highlight_count];
  };
  const read = (id: string, type = 'm.read') => bob.post(`${V3}/rooms/${e(room)}/receipt/${type}/${e(id)}`);
  return { alice, bob, room, say, counts, read };
}

t.test('messages are counted until they are read', async (t) => {
  const { bob, room, say, counts, read } = await setUp();
  const first = await say('one');
  const second = await say('two');
  t.same(await counts(), [2, 0]);
  const third = await say('three');
  t.same(await counts(), [3, 0], 'carried forward');
  await read(first);
  t.same(await counts(), [2, 0]);
  await read(second, 'm.read.private');
  t.same(await counts(), [1, 0], 'a private receipt counts as well');
  await read(third);
  t.same(await counts(), [0, 0]);
  await say('four');
  await bob.say(room, 'I am here');
  t.same(await counts(), [0, 0], 'who answers has read');
  await say('five');
  t.same(await counts(), [1, 0]);
  const fresh = await Client.login(server.url, bob.userId.slice(1, bob.userId.indexOf(':')));
  t.match((await fresh.sync()).rooms.join[room]?.unread_notifications, { notification_count: 1, highlight_count: 0 });
});

t.test('mentions stand out', async (t) => {
  const { alice, bob, room, say, counts } = await setUp({ displayName: 'Bob the Builder' });
  const localpart = bob.userId.slice(1, bob.userId.indexOf(':'));
  const cases: readonly (readonly [string, Json, number, number])[] = [
    ['by id', { 'm.mentions': { user_ids: [bob.userId] } }, 1, 1],
    ['of somebody else', { 'm.mentions': { user_ids: [alice.userId] } }, 1, 0],
    ['of the room', { 'm.mentions': { room: true } }, 1, 1],
    ['by display name', { body: 'ask BOB THE BUILDER, he knows' }, 1, 1],
    ['by half a word', { body: 'ask bob the builders' }, 1, 0],
    ['by name, where mentions say otherwise', { body: 'Bob the Builder', 'm.mentions': {} }, 1, 0],
    ['by user name', { body: `hello ${localpart}!` }, 1, 1],
    ['by @room', { body: 'hello @room' }, 1, 1],
    ['a notice', { msgtype: 'm.notice' }, 0, 0],
    ['an edit', { 'm.relates_to': { rel_type: 'm.replace', event_id: '$x' } }, 0, 0],
  ];
  for (const [why, more, notifications, highlights] of cases) {
    await bob.say(room, 'read');
    await say('x', more);
    t.same(await counts(), [notifications, highlights], why);
  }
});

t.test('who may mention the room', async (t) => {
  const { alice, bob, room, counts } = await setUp();
  await alice.setState(room, 'm.room.power_levels', { users: { [bob.userId]: 100 }, notifications: { room: 50 } });
  await bob.say(room, 'read');
  await alice.send(room, 'm.room.message', { body: 'x', 'm.mentions': { room: true } });
  t.same(await counts(), [1, 0]);
});

t.test('rules of the user', async (t) => {
  const { alice, bob, room, say, counts } = await setUp();
  const expect = async (body: string, wanted: readonly number[], why: string) => {
    await bob.say(room, 'read');
    await say(body);
    t.same(await counts(), wanted, why);
  };
  const highlight = ['notify', { set_tweak: 'highlight' }];
  await bob.put(`${RULES}/content/cake`, { pattern: 'c?k*', actions: highlight });
  await expect('a Coke, please', [1, 1], 'a pattern');
  await expect('a mock', [1, 0], 'not within a word');
  await bob.put(`${RULES}/sender/${e(alice.userId)}`, { actions: [] });
  await expect('hello', [0, 0], 'a sender who is not listened to');
  await expect('cake', [1, 1], 'content comes before the sender');
  await bob.put(`${RULES}/override/quiet`, { actions: [], conditions: [{ kind: 'room_member_count', is: '>=3' }] });
  await expect('cake', [0, 0], 'an override comes first');
  await bob.put(`${RULES}/override/quiet`, { actions: [], conditions: [{ kind: 'full_moon' }] });
  await expect('cake', [1, 1], 'what is not known never holds');
  await bob.put(`${RULES}/override/.m.rule.master/enabled`, { enabled: true });
  await say('cake');
  t.same(await counts(), [0, 0], 'changed rules are asked anew');
});

t.test('what does not notify, and what does in a room of two', async (t) => {
  const { alice, bob, room, counts } = await setUp({ members: 2 });
  await alice.setState(room, 'm.room.topic', { topic: 'x' });
  await alice.send(room, 'm.reaction', { 'm.relates_to': { rel_type: 'm.annotation', event_id: '$x', key: 'y' } });
  t.same(await counts(), [0, 0]);
  await alice.send(room, 'm.room.encrypted', { algorithm: 'x', ciphertext: 'y' });
  t.same(await counts(), [1, 0]);
  await bob.put(`${RULES}/underride/.m.rule.encrypted_room_one_to_one/actions`, {
    actions: ['notify', { set_tweak: 'highlight' }],
  });
  await alice.send(room, 'm.room.encrypted', { algorithm: 'x', ciphertext: 'y' });
  t.same(await counts(), [2, 2]);
});

t.test('a pattern of many stars, and a long text', async (t) => {
  const { bob, say, counts } = await setUp();
  await bob.put(`${RULES}/content/stars`, { pattern: `${'*a'.repeat(60)}*b`, actions: [] });
  await say('a'.repeat(20_000));
  const began = performance.now();
  t.same(await counts(), [1, 0]);
  t.ok(performance.now() - began < 5_000);
});
