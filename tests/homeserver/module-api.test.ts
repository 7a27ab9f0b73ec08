// What modules may ask of the homeserver, as the adapter carries it out.

import t from 'tap';
import { bodies } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t, { admins: ['@alice:example.com'] });
const { host } = server;
const alice = await server.register('alice');
const bob = await server.register('bob');

t.test('users', async (t) => {
  await bob.setDisplayName('Bob');
  t.same(await host.getProfile(bob.userId), { displayname: 'Bob' });
  t.equal(await host.getProfile('@nobody:example.com'), null);
  t.equal(await host.checkUserExists(bob.userId), bob.userId);
  t.equal(await host.checkUserExists('@nobody:example.com'), null);
  t.equal(await host.getUserInfo('@nobody:example.com'), null);
  t.match(await host.getUserInfo(alice.userId), {
    userId: alice.userId,
    isAdmin: true,
    isGuest: false,
    isDeactivated: false,
    isShadowBanned: false,
    creationTs: Number,
  });
  t.match(await host.getUserInfo(bob.userId), { isAdmin: false });
});

t.test('events go through the rules and every callback', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  const message = { type: 'm.room.message', room_id: room, content: { body: 'from a module' } };
  server.fake.forgetCalls();
  const { event_id } = await host.createAndSendEvent({ ...message, sender: alice.userId });
  t.match((await alice.messages(room)).chunk[0], { event_id, sender: alice.userId });
  t.match(
    server.fake.calls.map(({ callback }) => callback),
    ['checkEventAllowed', 'checkEventForSpam'],
  );
  await refuses(t, async () => host.createAndSendEvent({ ...message, sender: bob.userId }), { errcode: 'M_FORBIDDEN' });
  await refuses(t, async () => host.createAndSendEvent({ ...message, sender: '@nobody:example.com' }), {
    errcode: 'M_FORBIDDEN',
  });
  const state = { type: 'm.room.topic', room_id: room, sender: alice.userId, content: { topic: 'x' }, state_key: '' };
  await host.createAndSendEvent(state);
  t.same(await alice.getState(room, 'm.room.topic'), { topic: 'x' });
});

t.test('memberships, by either method', async (t) => {
  const room = await alice.createRoom({});
  server.fake.forgetCalls();
  await host.updateRoomMembership({ sender: alice.userId, target: bob.userId, roomId: room, membership: 'invite' });
  t.ok((await bob.sync()).rooms.invite[room]);
  const join = { sender: bob.userId, target: bob.userId, roomId: room, membership: 'join' } as const;
  const { event_id } = await host.updateRoomMembership({ ...join, content: { 'com.example.by': 'module' } });
  t.match((await alice.messages(room)).chunk[0], {
    event_id,
    content: { membership: 'join', 'com.example.by': 'module' },
  });
  const member = { type: 'm.room.member', room_id: room, sender: alice.userId };
  await host.createAndSendEvent({ ...member, state_key: bob.userId, content: { membership: 'ban', reason: 'rules' } });
  t.match(await alice.getState(room, 'm.room.member', bob.userId), { membership: 'ban', reason: 'rules' });
  await refuses(t, async () => host.createAndSendEvent({ ...member, state_key: bob.userId, content: {} }), {
    errcode: 'M_INVALID_PARAM',
  });
  await refuses(t, async () => host.updateRoomMembership(join), { errcode: 'M_FORBIDDEN' });
});

t.test('an invite by a module asks userMayInvite like any other', async (t) => {
  const room = await bob.createRoom({});
  server.fake.forgetCalls();
  const change = { sender: bob.userId, target: alice.userId, roomId: room, membership: 'invite' } as const;
  await host.updateRoomMembership(change);
  t.same(server.fake.callsOf('userMayInvite'), [[bob.userId, alice.userId, room]]);
});

t.test('state, whole and filtered', async (t) => {
  const room = await alice.createRoom({ name: 'Room', preset: 'public_chat' });
  await bob.join(room);
  const types = async (filter: [string, string | null][] | null) =>
    (await host.getRoomState(room, filter)).map(({ type, state_key }) => `${type}|${state_key}`).sort();
  t.equal((await types(null)).length, 8);
  t.same(
    await types([
      ['m.room.name', ''],
      ['m.room.member', null],
      ['m.room.nothing', ''],
    ]),
    [`m.room.member|${alice.userId}`, `m.room.member|${bob.userId}`, 'm.room.name|'],
  );
  await refuses(t, async () => host.getRoomState('!nowhere:example.com', null), { errcode: 'M_NOT_FOUND' });
});

t.test('who makes a request', async (t) => {
  const request = (headers: Record<string, string>) => new Request('http://example.com/_synapse/client/x', { headers });
  const hers = request({ authorization: `Bearer ${bob.accessToken}` });
  t.same(await host.getUserByRequest(hers, {}), {
    userId: bob.userId,
    deviceId: bob.deviceId,
    isGuest: false,
    shadowBanned: false,
    authenticatedEntity: bob.userId,
  });
  await refuses(t, async () => host.getUserByRequest(request({}), {}), { errcode: 'M_MISSING_TOKEN' });
  await refuses(t, async () => host.getUserByRequest(request({ authorization: 'Bearer x' }), {}), {
    errcode: 'M_UNKNOWN_TOKEN',
  });
  server.fake.answers = {
    isUserExpired: () => ({
      expired: true,
      cause: 'refused',
      module: 'fake',
      status: 403,
      errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT',
      error: 'expired',
      extra: {},
      failures: [],
      observed: [],
    }),
  };
  await refuses(t, async () => host.getUserByRequest(hers, {}), { errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT' });
  t.match(await host.getUserByRequest(hers, { allowExpired: true }), { userId: bob.userId });
  server.fake.answers = {};
});

t.test('a hundred events at once by one module', async (t) => {
  const room = await alice.createRoom({});
  const event = { type: 'm.room.message', room_id: room, sender: alice.userId };
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => host.createAndSendEvent({ ...event, content: { body: `${i}` } })),
  );
  t.equal(new Set(bodies((await alice.messages(room, { dir: 'b', limit: 200 })).chunk)).size, 100);
});
