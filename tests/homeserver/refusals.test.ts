// What the authorisation rules refuse, over HTTP, with status and errcode.

import t from 'tap';
import { Client } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');
const carol = await server.register('carol');
const dave = await server.register('dave');

const forbidden = { status: 403, errcode: 'M_FORBIDDEN' };

async function publicRoom(more = {}) {
  const room = await alice.createRoom({ preset: 'public_chat', ...more });
  await bob.join(room);
  return room;
}

t.test('who is not in the room can neither send nor read nor invite', async (t) => {
  const room = await alice.createRoom({});
  await refuses(t, bob.say(room, 'hello'), forbidden);
  await refuses(t, bob.setState(room, 'm.room.topic', { topic: 'mine' }), forbidden);
  await refuses(t, bob.invite(room, carol.userId), forbidden);
  await refuses(t, bob.kick(room, alice.userId), forbidden);
  await refuses(t, bob.ban(room, alice.userId), forbidden);
  await refuses(t, bob.leave(room), forbidden);
  await refuses(t, bob.messages(room), forbidden);
  await refuses(t, bob.state(room), forbidden);
  await refuses(t, bob.getState(room, 'm.room.create'), forbidden);
  await refuses(t, bob.members(room), forbidden);
});

t.test('a room that does not exist', async (t) => {
  const nowhere = '!nowhere:example.com';
  await refuses(t, alice.join(nowhere), { status: 404, errcode: 'M_NOT_FOUND' });
  await refuses(t, alice.join('#nowhere:example.com'), { status: 404, errcode: 'M_NOT_FOUND' });
  await refuses(t, alice.join('nonsense'), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, alice.say(nowhere, 'hello'), forbidden);
  await refuses(t, alice.messages(nowhere), forbidden);
});

t.test('an invite-only room admits the invited', async (t) => {
  const room = await alice.createRoom({ preset: 'private_chat' });
  await refuses(t, bob.join(room), forbidden);
  await alice.invite(room, bob.userId);
  await bob.join(room);
  await bob.say(room, 'hello');
});

t.test('a restricted room, too', async (t) => {
  const rule = { type: 'm.room.join_rules', content: { join_rule: 'restricted', allow: [] } };
  const room = await alice.createRoom({ initial_state: [rule] });
  await refuses(t, bob.join(room), forbidden);
});

t.test('the banned are out until they are unbanned', async (t) => {
  const room = await publicRoom();
  await alice.ban(room, bob.userId, 'noise');
  await refuses(t, bob.say(room, 'hello'), forbidden);
  await refuses(t, bob.join(room), forbidden);
  await refuses(t, bob.leave(room), forbidden);
  await refuses(t, alice.invite(room, bob.userId), forbidden);
  t.match(await alice.getState(room, 'm.room.member', bob.userId), { membership: 'ban', reason: 'noise' });
  await alice.unban(room, bob.userId);
  await bob.join(room);
  await refuses(t, alice.unban(room, bob.userId), forbidden, 'who is not banned cannot be unbanned');
});

t.test('kicking and banning take power, and more than the other has', async (t) => {
  const room = await publicRoom({
    power_level_content_override: { users: { [alice.userId]: 100, [bob.userId]: 50, [carol.userId]: 50 } },
  });
  await carol.join(room);
  await dave.join(room);
  await refuses(t, dave.kick(room, bob.userId), forbidden, 'no power');
  await refuses(t, dave.ban(room, bob.userId), forbidden, 'no power');
  await refuses(t, bob.kick(room, carol.userId), forbidden, 'an equal');
  await refuses(t, bob.ban(room, carol.userId), forbidden, 'an equal');
  await refuses(t, bob.kick(room, alice.userId), forbidden, 'somebody above');
  await bob.kick(room, dave.userId, 'bye');
  t.match(await bob.getState(room, 'm.room.member', dave.userId), { membership: 'leave', reason: 'bye' });
  await refuses(t, bob.kick(room, dave.userId), forbidden, 'who is not there cannot be kicked');
  await bob.ban(room, dave.userId);
  await refuses(t, carol.kick(room, dave.userId), forbidden, 'who is banned cannot be kicked');
});

t.test('unbanning takes the power to ban', async (t) => {
  const room = await publicRoom({
    power_level_content_override: { ban: 75, users: { [alice.userId]: 100, [bob.userId]: 50 } },
  });
  await alice.ban(room, carol.userId);
  await refuses(t, bob.unban(room, carol.userId), forbidden);
  await alice.unban(room, carol.userId);
});

t.test('inviting', async (t) => {
  const room = await publicRoom({ power_level_content_override: { invite: 50 } });
  await refuses(t, bob.invite(room, carol.userId), forbidden, 'no power');
  await refuses(t, alice.invite(room, bob.userId), forbidden, 'who is there already');
  await refuses(t, alice.invite(room, '@nobody:example.com'), { status: 404, errcode: 'M_NOT_FOUND' });
  await refuses(t, alice.invite(room, 'nonsense'), { status: 400, errcode: 'M_INVALID_PARAM' });
});

t.test('events and state take the power levels of their types', async (t) => {
  const room = await publicRoom({
    power_level_content_override: { events_default: 10, events: { 'm.cheap': 0, 'm.room.topic': 0 } },
  });
  await refuses(t, bob.say(room, 'hello'), forbidden);
  await bob.send(room, 'm.cheap', {});
  await refuses(t, bob.setState(room, 'm.room.name', { name: 'mine' }), forbidden);
  await refuses(t, bob.setState(room, 'm.custom', {}), forbidden, 'state_default is 50');
  await bob.setState(room, 'm.room.topic', { topic: 'anything' });
});

t.test('state under the id of another user', async (t) => {
  const room = await publicRoom({ power_level_content_override: { state_default: 0 } });
  await refuses(t, bob.setState(room, 'm.custom', {}, alice.userId), forbidden);
  await refuses(t, alice.setState(room, 'm.custom', {}, bob.userId), forbidden, 'whatever power one has');
  await bob.setState(room, 'm.custom', { mine: true }, bob.userId);
});

t.test('memberships through the state endpoint follow the same rules', async (t) => {
  const room = await alice.createRoom({});
  const member = 'm.room.member';
  await refuses(t, bob.setState(room, member, { membership: 'join' }, bob.userId), forbidden);
  await refuses(t, alice.setState(room, member, { membership: 'join' }, bob.userId), forbidden, 'nobody joins another');
  await alice.setState(room, member, { membership: 'invite' }, bob.userId);
  await bob.setState(room, member, { membership: 'join', displayname: 'Bobby' }, bob.userId);
  t.match(await alice.getState(room, member, bob.userId), { membership: 'join', displayname: 'Bobby' });
  await refuses(t, bob.setState(room, member, { membership: 'happy' }, bob.userId), {
    status: 400,
    errcode: 'M_INVALID_PARAM',
  });
  await refuses(t, bob.setState(room, member, { membership: 'leave' }, 'somebody'), {
    status: 400,
    errcode: 'M_INVALID_PARAM',
  });
  await refuses(t, bob.setState(room, member, { membership: 'knock' }, bob.userId), forbidden);
});

t.test('nobody gives away, or takes, more power than he has', async (t) => {
  const levels = {
    events: { 'm.room.power_levels': 50 },
    users: { [alice.userId]: 100, [bob.userId]: 50, [carol.userId]: 50 },
  };
  const room = await publicRoom({ power_level_content_override: levels });
  const current = await bob.getState(room, 'm.room.power_levels');
  const set = (change: object) => bob.setState(room, 'm.room.power_levels', { ...current, ...change });
  await refuses(t, set({ users: { ...levels.users, [bob.userId]: 100 } }), forbidden, 'more for himself');
  await refuses(t, set({ users: { ...levels.users, [dave.userId]: 51 } }), forbidden, 'more for another');
  await refuses(t, set({ users: { ...levels.users, [carol.userId]: 0 } }), forbidden, 'less for an equal');
  await refuses(t, set({ users: { ...levels.users, [alice.userId]: 50 } }), forbidden, 'less for somebody above');
  await refuses(t, set({ ban: 60 }), forbidden, 'a level above his own');
  await refuses(t, set({ events: { 'm.room.power_levels': 60 } }), forbidden, 'an event above his own');
  await refuses(t, set({ ban: '50' }), forbidden, 'a level that is no number');
  await refuses(t, set({ users: [] }), forbidden, 'users that are no map');
  await refuses(t, set({ users: { ...levels.users, somebody: 1 } }), forbidden, 'a key that is no user id');
  await set({ users: { ...levels.users, [dave.userId]: 50 }, ban: 40 });
  const now = await bob.getState(room, 'm.room.power_levels');
  await bob.setState(room, 'm.room.power_levels', { ...now, users: { ...levels.users, [bob.userId]: 0 } }).then(
    () => t.fail('dave has as much as bob'),
    () =>
      bob.setState(room, 'm.room.power_levels', {
        ...now,
        users: { ...levels.users, [bob.userId]: 0, [dave.userId]: 50 },
      }),
  );
  await refuses(t, bob.setState(room, 'm.room.topic', { topic: 'x' }), forbidden, 'he has taken his own power');
});

t.test('nobody speaks for another', async (t) => {
  const room = await publicRoom();
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/forged`;
  const forged = { body: 'not hers', sender: alice.userId };
  const { event_id } = await bob.request<{ event_id: string }>('PUT', path, forged, {
    query: { user_id: alice.userId },
  });
  t.match(await alice.event(room, event_id), { sender: bob.userId });
  const remote = { type: 'm.room.message', room_id: room, sender: '@mallory:elsewhere.example', content: {} };
  await refuses(
    t,
    async () => server.host.createAndSendEvent(remote),
    forbidden,
    'a module, for a user of another server',
  );
});

t.test('a room of another version', async (t) => {
  for (const version of ['1', '10', '12', 'org.example.own', 11]) {
    await refuses(t, alice.createRoom({ room_version: version }), {
      status: 400,
      errcode: 'M_UNSUPPORTED_ROOM_VERSION',
    });
  }
  const room = await alice.createRoom({ room_version: '11', creation_content: { room_version: '1', creator: '@x:y' } });
  t.match(await alice.getState(room, 'm.room.create'), { room_version: '11' });
});

t.test('a room is created once', async (t) => {
  const room = await publicRoom();
  await refuses(t, alice.setState(room, 'm.room.create', { room_version: '11' }), forbidden);
});

t.test('redacting what others sent takes power', async (t) => {
  const room = await publicRoom();
  const hers = await alice.say(room, 'hello');
  const his = await bob.say(room, 'oops');
  await refuses(t, bob.redact(room, hers), forbidden);
  await refuses(t, bob.redact(room, '$nothing'), { status: 404, errcode: 'M_NOT_FOUND' });
  await bob.redact(room, his, 'typo');
  await alice.redact(room, await bob.say(room, 'spam'));
});

t.test('events that break the format', async (t) => {
  const room = await publicRoom();
  const send = (content: object, type = 'm.room.message') => bob.send(room, type, content as Record<string, unknown>);
  await refuses(t, send({ body: 'x'.repeat(70_000) }), { status: 413, errcode: 'M_TOO_LARGE' });
  await refuses(t, send({}, 'x'.repeat(300)), { status: 413, errcode: 'M_TOO_LARGE' });
  await refuses(t, send({ half: 0.5 }), { status: 400, errcode: 'M_BAD_JSON' });
  await refuses(t, send({ large: 2 ** 60 }), { status: 400, errcode: 'M_BAD_JSON' });
  await refuses(t, send({ deep: nested(200) }), { status: 400, errcode: 'M_BAD_JSON' });
  await refuses(t, alice.setState(room, 'm.custom', {}, 'a\0b'), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, alice.getState(room, 'm.custom', 'a\0b'), { status: 400, errcode: 'M_INVALID_PARAM' });
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/list`;
  await refuses(t, bob.put(path, []), { status: 400, errcode: 'M_BAD_JSON' });
  await refuses(t, new Client(server.url).put(path, {}), { status: 401, errcode: 'M_MISSING_TOKEN' });
});

t.test('content comes back as it was sent', async (t) => {
  const room = await publicRoom();
  const content = { body: 'nul \0, snow ☃', list: [1, null, { a: true }], '': 'empty key' };
  await bob.send(room, 'm.odd', content);
  const { chunk } = await alice.messages(room, { dir: 'b', limit: 1 });
  t.same(chunk[0]?.content, content);
});

function nested(depth: number): unknown {
  return depth === 0 ? [] : [nested(depth - 1)];
}
