// Ways into a room besides an invite: knocking, being in another room, and a room that takes the place of one.

import t from 'tap';
import { type Client, joinedRoom } from './client.ts';
import { allowed, refused } from './fake-modules.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const { fake } = server;
const alice = await server.register('alice');
const bob = await server.register('bob');
const carol = await server.register('carol');

const forbidden = { status: 403, errcode: 'M_FORBIDDEN' };
const notFound = { status: 404, errcode: 'M_NOT_FOUND' };
const joinRule = (join_rule: string, ...rooms: string[]) => ({
  type: 'm.room.join_rules',
  content: { join_rule, allow: rooms.map((room_id) => ({ type: 'm.room_membership', room_id })) },
});
const memberOf = (room: string, { userId }: Client) => alice.getState(room, 'm.room.member', userId);

t.afterEach(() => {
  fake.answers = {};
});

t.test('knocking', async (t) => {
  const room = await alice.createRoom({ name: 'Door', room_alias_name: 'door', initial_state: [joinRule('knock')] });
  await alice.sync();
  await bob.sync();
  await refuses(t, bob.join(room), forbidden);
  t.equal(await bob.knock('#door:example.com', 'let me in'), room);
  t.match(await memberOf(room, bob), { membership: 'knock', reason: 'let me in' });
  t.match(joinedRoom(await alice.sync(), room).timeline.events, [{ state_key: bob.userId }], 'who is inside hears it');
  const { knock } = (await bob.sync()).rooms;
  const shown = knock[room]?.knock_state.events.map(({ type, state_key }) => `${type}|${state_key}`) ?? [];
  for (const key of ['m.room.create|', 'm.room.name|', 'm.room.join_rules|', `m.room.member|${bob.userId}`]) {
    t.ok(shown.includes(key), key);
  }
  t.same((await bob.sync()).rooms.knock, {}, 'once');
  await refuses(t, bob.messages(room), forbidden, 'and reads nothing');

  await bob.leave(room);
  t.match(await memberOf(room, bob), { membership: 'leave' }, 'who knocks may go again');
  await bob.knock(room);
  await alice.kick(room, bob.userId);
  t.ok((await bob.sync()).rooms.leave[room], 'or is turned away');
  await bob.knock(room);
  await alice.invite(room, bob.userId);
  await bob.join(room);
});

t.test('where nobody can knock', async (t) => {
  const room = await alice.createRoom({ initial_state: [joinRule('knock')] });
  const knocks = (client: Client) => client.knock(room);
  await alice.ban(room, bob.userId);
  await refuses(t, knocks(bob), forbidden, 'the banned');
  await alice.unban(room, bob.userId);
  await alice.invite(room, bob.userId);
  await refuses(t, knocks(bob), forbidden, 'the invited');
  await bob.join(room);
  await refuses(t, knocks(bob), forbidden, 'who is inside');
  await refuses(
    t,
    alice.setState(room, 'm.room.member', { membership: 'knock' }, carol.userId),
    forbidden,
    'for another',
  );
  for (const rule of ['invite', 'public', 'restricted', 'private']) {
    await alice.setState(room, 'm.room.join_rules', { join_rule: rule });
    await refuses(t, knocks(carol), forbidden, rule);
  }
  await refuses(t, bob.knock('!nowhere:example.com'), notFound);
  await refuses(t, bob.knock('nonsense'), { status: 400, errcode: 'M_INVALID_PARAM' });
});

t.test('members of another room may join a restricted one', async (t) => {
  const space = await alice.createRoom({ preset: 'public_chat' });
  const room = await alice.createRoom({ initial_state: [joinRule('restricted', '!other:example.com', space)] });
  await refuses(t, bob.join(room), forbidden);
  await bob.join(space);
  await bob.join(room);
  t.match(await memberOf(room, bob), { membership: 'join', join_authorised_via_users_server: alice.userId });
  await bob.setDisplayName('Bobby');
  t.match(await memberOf(room, bob), { displayname: 'Bobby', join_authorised_via_users_server: undefined });
  await bob.leave(space);
  await bob.leave(room);
  await refuses(t, bob.join(room), forbidden);
  await alice.invite(room, bob.userId);
  await bob.join(room);
  t.match(await memberOf(room, bob), { join_authorised_via_users_server: undefined }, 'the invited need nobody');
  await alice.ban(room, bob.userId);
  await bob.join(space);
  await refuses(t, bob.join(room), forbidden, 'the banned stay out');
});

t.test('who vouches may invite himself', async (t) => {
  const space = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(space);
  await carol.join(space);
  const levels = { invite: 50, users: { [alice.userId]: 100 } };
  const rules = joinRule('knock_restricted', space);
  const room = await alice.createRoom({ initial_state: [rules], power_level_content_override: levels });
  await carol.join(room);
  await alice.leave(room);
  await refuses(t, bob.join(room), forbidden, 'nobody inside may');
  await bob.knock(room);

  const open = await alice.createRoom({ initial_state: [rules] });
  await carol.join(open);
  await alice.leave(open);
  await bob.join(open);
  const own = await bob.getState(open, 'm.room.member', bob.userId);
  t.match(own, { join_authorised_via_users_server: carol.userId }, 'anybody may');
});

t.test('nobody vouches for himself', async (t) => {
  const room = await alice.createRoom({ initial_state: [joinRule('restricted', '!other:example.com')] });
  const content = { membership: 'join', join_authorised_via_users_server: alice.userId };
  await refuses(t, bob.setState(room, 'm.room.member', content, bob.userId), forbidden);
});

t.test('an upgrade', async (t) => {
  const space = { type: 'm.space', 'm.federate': false, more: 1 };
  const room = await alice.createRoom({
    preset: 'public_chat',
    visibility: 'public',
    creation_content: space,
    name: 'Name',
    topic: 'Topic',
    room_alias_name: 'moving',
    initial_state: [
      { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } },
      { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      { type: 'com.example.own', content: { not: 'carried over' } },
    ],
  });
  await bob.join(room);
  await alice.sync();
  const last = await bob.say(room, 'the last');
  fake.forgetCalls();
  const replacement = await alice.upgrade(room);

  t.same(await alice.getState(room, 'm.room.tombstone'), {
    body: 'This room has been replaced',
    replacement_room: replacement,
  });
  const predecessor = { room_id: room, event_id: last };
  const kept = { type: 'm.space', 'm.federate': false, room_version: '11' };
  t.same(await alice.getState(replacement, 'm.room.create'), { ...kept, predecessor });
  for (const type of ['name', 'topic', 'history_visibility', 'encryption', 'join_rules', 'guest_access']) {
    t.same(await alice.getState(replacement, `m.room.${type}`), await alice.getState(room, `m.room.${type}`), type);
  }
  await refuses(t, alice.getState(replacement, 'com.example.own'), notFound);
  t.same((await alice.joinedMembers(replacement)).joined, { [alice.userId]: {} }, 'who asked is in it, and alone');

  t.match(await alice.resolve('#moving:example.com'), { room_id: replacement });
  t.same(await alice.getState(replacement, 'm.room.canonical_alias'), { alias: '#moving:example.com' });
  t.same(await alice.getState(room, 'm.room.canonical_alias'), {});
  t.same(
    (await alice.publicRooms()).chunk.map(({ room_id }) => room_id),
    [replacement],
  );

  const { events_default, invite, users } = await alice.getState(room, 'm.room.power_levels');
  t.same([events_default, invite, users], [50, 50, { [alice.userId]: 100 }]);
  t.match(await alice.getState(replacement, 'm.room.power_levels'), { events_default: 0, invite: 0 });
  await refuses(t, bob.say(room, 'hello?'), forbidden);
  await bob.join(replacement);
  const { rooms } = await alice.sync();
  t.ok(rooms.join[room]?.timeline.events.some(({ type }) => type === 'm.room.tombstone'));
  t.ok(rooms.join[replacement]);
  t.match(fake.callsOf('userMayCreateRoom'), [[alice.userId, { room_version: '11' }]]);
  t.equal(fake.callsOf('onCreateRoom').length, 0);
});

t.test('an upgrade that is refused changes nothing', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const untouched = async (message: string) => {
    await refuses(t, alice.getState(room, 'm.room.tombstone'), notFound, message);
    t.same((await bob.joinedRooms()).joined_rooms.filter((each) => each === room).length, 1);
  };
  const joined = (await alice.joinedRooms()).joined_rooms.length;
  await refuses(t, bob.upgrade(room), forbidden, 'no power');
  await refuses(t, carol.upgrade(room), forbidden, 'not in the room');
  await refuses(t, alice.upgrade(room, '1'), { status: 400, errcode: 'M_UNSUPPORTED_ROOM_VERSION' });
  await refuses(t, alice.post(`/_matrix/client/v3/rooms/${room}/upgrade`), { status: 400, errcode: 'M_MISSING_PARAM' });
  await refuses(t, alice.upgrade('!nowhere:example.com'), forbidden);
  await untouched('refused by the rules');
  fake.answers = { userMayCreateRoom: () => refused() };
  await refuses(t, alice.upgrade(room), forbidden);
  await untouched('refused by userMayCreateRoom');
  fake.answers = { checkEventAllowed: ({ type }) => (type === 'm.room.topic' ? refused() : allowed) };
  await alice.setState(room, 'm.room.name', { name: 'x' });
  fake.answers = { checkEventAllowed: ({ type }) => (type === 'm.room.name' ? refused() : allowed) };
  await refuses(t, alice.upgrade(room), forbidden, 'one of the events of the new room');
  await untouched('refused by checkEventAllowed');
  // The tombstone is the last thing that is authorised: by then the new room is complete.
  fake.answers = {
    async checkEventForSpam({ type, room_id }) {
      if (type === 'm.room.join_rules' && room_id !== room) {
        const levels = await alice.getState(room, 'm.room.power_levels');
        await alice.setState(room, 'm.room.power_levels', { ...levels, users: { [alice.userId]: 0 } });
      }
      return allowed;
    },
  };
  await refuses(t, alice.upgrade(room), forbidden, 'she lost her power meanwhile');
  await untouched('and the new room is not there');
  t.equal((await alice.joinedRooms()).joined_rooms.length, joined);
});

t.test('an upgrade by who may do little else', async (t) => {
  const room = await alice.createRoom({
    preset: 'public_chat',
    name: 'Name',
    power_level_content_override: {
      events: { 'm.room.tombstone': 50, 'm.room.name': 100, 'm.room.power_levels': 100 },
      users: { [alice.userId]: 100, [bob.userId]: 50 },
    },
  });
  await bob.join(room);
  const replacement = await bob.upgrade(room);
  t.match(await bob.getState(replacement, 'm.room.name'), { name: 'Name' });
  const levels = await bob.getState(replacement, 'm.room.power_levels');
  t.match(levels, { users: { [alice.userId]: 100, [bob.userId]: 50 } }, 'he gains nothing by it');
  t.match(await alice.getState(room, 'm.room.power_levels'), { events_default: 0 }, 'what he may not close stays open');
});

t.test('a summary', async (t) => {
  const room = await alice.createRoom({
    preset: 'public_chat',
    name: 'Name',
    topic: 'Topic',
    room_alias_name: 'summary',
    initial_state: [{ type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  });
  const summary = {
    room_id: room,
    name: 'Name',
    topic: 'Topic',
    canonical_alias: '#summary:example.com',
    join_rule: 'public',
    num_joined_members: 1,
    world_readable: false,
    guest_can_join: false,
    room_version: '11',
    encryption: 'm.megolm.v1.aes-sha2',
  };
  t.same(await alice.summary(room), { ...summary, membership: 'join' });
  t.same(await bob.summary('#summary:example.com'), { ...summary, membership: 'leave' });
  const response = await fetch(`${server.url}/_matrix/client/v1/room_summary/${encodeURIComponent(room)}`);
  t.same(await response.json(), summary, 'without an access token');
  for (const path of [`summary/${room}`, `rooms/${room}/summary`]) {
    t.match(await bob.get(`/_matrix/client/unstable/im.nheko.summary/${path}`), summary);
  }
});

t.test('a summary is for who may enter, or is in', async (t) => {
  const space = await alice.createRoom({ preset: 'public_chat' });
  const room = await alice.createRoom({});
  await refuses(t, bob.summary(room), notFound);
  await refuses(t, bob.summary('!nowhere:example.com'), notFound);
  await refuses(t, bob.summary('nonsense'), { status: 400, errcode: 'M_INVALID_PARAM' });
  await alice.setState(room, 'm.room.join_rules', joinRule('restricted', space).content);
  await refuses(t, bob.summary(room), notFound);
  await bob.join(space);
  t.match(await bob.summary(room), { allowed_room_ids: [space], membership: 'leave' });
  await refuses(t, carol.summary(room), notFound);
  await alice.invite(room, carol.userId);
  t.match(await carol.summary(room), { membership: 'invite' });
  const dora = await server.register('dora');
  await alice.setState(room, 'm.room.join_rules', { join_rule: 'knock' });
  t.match(await dora.summary(room), { join_rule: 'knock' });
  await alice.setState(room, 'm.room.join_rules', { join_rule: 'invite' });
  await refuses(t, dora.summary(room), notFound);
  await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'world_readable' });
  t.match(await dora.summary(room), { world_readable: true });
});
