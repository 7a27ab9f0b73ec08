// A shadow-banned user is alone, and cannot tell.

import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { bodies, type Client } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');
server.fake.answers = {
  checkRegistrationForSpam: () => ({ behaviour: 'shadow_ban', module: 'fake', failures: [], observed: [] }),
};
const ghost = await server.register('ghost');
server.fake.answers = {};

const everything = async (client: Client, room: string) => {
  const synced = (await client.sync({ since: undefined })).rooms.join[room];
  const { chunk } = await client.messages(room, { dir: 'f', limit: 500 });
  const state = await client.state(room);
  return JSON.stringify([synced, chunk, state]);
};

t.test('he joins, talks and is answered with event ids; nobody else sees any of it', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await bob.sync();
  const waiting = bob.sync({ timeout: 1_000, set_presence: 'offline' });
  await delay(50);

  await ghost.join(room);
  const id = await ghost.say(room, 'boo');
  t.match(id, /^\$/);
  await ghost.setState(room, 'com.example.ghost', {}, ghost.userId).catch(() => undefined);
  await ghost.setDisplayName('Casper');

  t.same((await waiting).rooms.join, {}, 'nobody is woken with news');
  for (const other of [alice, bob]) t.notMatch(await everything(other, room), /ghost|boo|Casper/);
  t.same(
    (await alice.members(room)).chunk.map(({ state_key }) => state_key),
    [alice.userId, bob.userId],
  );

  await alice.say(room, 'who is there?');
  const seen = (await ghost.sync()).rooms.join[room];
  t.same(bodies(seen?.timeline.events), ['boo', 'who is there?']);
  t.match(seen?.summary, { 'm.heroes': [alice.userId, bob.userId], 'm.joined_member_count': 3 });
  const { summary } = (await alice.sync({ since: undefined })).rooms.join[room] ?? {};
  t.same(summary, { 'm.heroes': [bob.userId], 'm.joined_member_count': 2, 'm.invited_member_count': 0 });
  t.same(bodies((await ghost.messages(room, { dir: 'f', limit: 100 })).chunk), ['boo', 'who is there?']);
  t.same((await ghost.members(room)).chunk.length, 3);
  t.match(await ghost.getState(room, 'm.room.member', ghost.userId), { membership: 'join', displayname: 'Casper' });
});

t.test('nobody counts him, whoever asked first', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const seenBy = async (client: Client) => (await client.sync({ since: undefined })).rooms.join[room]?.summary;
  const summary = { 'm.heroes': [bob.userId], 'm.joined_member_count': 2, 'm.invited_member_count': 0 };
  for (const isKnown of [false, true]) {
    if (isKnown) t.same(await seenBy(alice), summary);
    await ghost.join(room);
    await ghost.setDisplayName(`Casper ${isKnown}`);
    await seenBy(ghost);
    t.same(await seenBy(alice), summary);
  }
});

t.test('his own long poll hears him and the others', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await ghost.join(room);
  await ghost.sync();
  for (const [speaker, text] of [
    [ghost, 'me'],
    [alice, 'you'],
  ] as const) {
    const waiting = ghost.sync({ timeout: 10_000 });
    await delay(50);
    await speaker.say(room, text);
    t.same(bodies((await waiting).rooms.join[room]?.timeline.events), [text]);
  }
});

t.test('his invites do nothing', async (t) => {
  const room = await ghost.createRoom({ invite: [alice.userId] });
  await ghost.invite(room, bob.userId);
  for (const other of [alice, bob]) {
    t.notOk((await other.sync({ since: undefined })).rooms.invite[room]);
    await refuses(t, other.join(room), { status: 404, errcode: 'M_NOT_FOUND' });
  }
  t.match(await ghost.getState(room, 'm.room.member', bob.userId), { membership: 'invite' });
});

t.test('his rooms and names are his own', async (t) => {
  const room = await ghost.createRoom({ visibility: 'public', room_alias_name: 'haunted', name: 'Haunted' });
  t.same(await ghost.resolve('#haunted:example.com'), { room_id: room, servers: ['example.com'] });
  await refuses(t, alice.resolve('#haunted:example.com'), { status: 404, errcode: 'M_NOT_FOUND' });
  await refuses(t, alice.join('#haunted:example.com'), { status: 404, errcode: 'M_NOT_FOUND' });
  const { chunk } = await alice.publicRooms();
  t.notOk(chunk.some(({ room_id }) => room_id === room));
  await refuses(t, alice.messages(room), { status: 403, errcode: 'M_FORBIDDEN' });
});

t.test('what he does to others does nothing', async (t) => {
  const users = { [alice.userId]: 100, [ghost.userId]: 50 };
  const room = await alice.createRoom({ preset: 'public_chat', power_level_content_override: { users } });
  await bob.join(room);
  await ghost.join(room);
  const id = await bob.say(room, 'still here');
  await ghost.redact(room, id);
  await ghost.setState(room, 'm.room.name', { name: 'Mine' });
  await ghost.kick(room, bob.userId);
  await ghost.ban(room, bob.userId);

  await bob.say(room, 'and going strong');
  t.same(bodies((await alice.messages(room, { dir: 'f', limit: 100 })).chunk), ['still here', 'and going strong']);
  await refuses(t, alice.getState(room, 'm.room.name'), { status: 404 });
  t.match(await alice.getState(room, 'm.room.member', bob.userId), { membership: 'join' });
  t.match(await ghost.getState(room, 'm.room.member', bob.userId), { membership: 'ban' });
});

t.test('what he does to himself he sees', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await ghost.join(room);
  const id = await ghost.say(room, 'oops');
  await ghost.redact(room, id);
  t.same((await ghost.event(room, id)).content, {});
  await refuses(t, alice.event(room, id), { status: 404, errcode: 'M_NOT_FOUND' });
  const own = await ghost.createRoom({});
  await ghost.say(own, 'one');
  await ghost.say(own, 'two');
  await refuses(t, ghost.setState(own, 'm.room.create', { room_version: '11' }), { status: 403 }, 'it is a room');
});

t.test('the room that he replaces stays what it is', async (t) => {
  const room = await alice.createRoom({
    preset: 'public_chat',
    visibility: 'public',
    room_alias_name: 'stays',
    power_level_content_override: { users: { [alice.userId]: 100, [ghost.userId]: 100 } },
  });
  await ghost.join(room);
  const replacement = await ghost.upgrade(room);
  t.match(await ghost.getState(room, 'm.room.tombstone'), { replacement_room: replacement });
  await refuses(t, alice.getState(room, 'm.room.tombstone'), { status: 404 });
  await refuses(t, alice.summary(replacement), { status: 404 });
  t.match(await alice.resolve('#stays:example.com'), { room_id: room });
  t.ok((await alice.publicRooms()).chunk.some(({ room_id }) => room_id === room));
  await bob.join(room);
  await bob.say(room, 'everybody may still talk');
});

t.test('what others do to him counts', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await ghost.join(room);
  await alice.ban(room, ghost.userId);
  await refuses(t, ghost.say(room, 'boo'), { status: 403, errcode: 'M_FORBIDDEN' });
  await refuses(t, ghost.join(room), { status: 403, errcode: 'M_FORBIDDEN' });
});

t.test('rules hold for him as for all', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await refuses(t, ghost.say(room, 'boo'), { status: 403, errcode: 'M_FORBIDDEN' });
  await ghost.join(room);
  await refuses(t, ghost.setState(room, 'm.room.name', { name: 'x' }), { status: 403, errcode: 'M_FORBIDDEN' });
});

t.test('nobody finds him, nobody sees him come and go', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await ghost.join(room);
  t.same((await alice.searchUsers('ghost')).results, []);
  await alice.sync();
  await ghost.setPresence('online', 'boo');
  await ghost.sync();
  t.notOk((await alice.sync()).presence.events.some(({ sender }) => sender === ghost.userId));
  await refuses(t, alice.presence(ghost.userId), { status: 403, errcode: 'M_FORBIDDEN' });
  t.match(await ghost.presence(ghost.userId), { presence: 'online' });
  t.match(await ghost.presence(alice.userId), { presence: 'online' }, 'while he sees the others');
});
