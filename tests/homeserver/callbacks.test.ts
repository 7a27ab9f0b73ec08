// Every callback: called where the specification's table says, not called where it leaves it out, and what it says is done.

import type { CallbackName } from '@bulkhead/sdk/contract';
import t from 'tap';
import { bodies, Client } from './client.ts';
import { allowed, refused } from './fake-modules.ts';
import { refuses, startServer } from './harness.ts';

const V3 = '/_matrix/client/v3';
const server = await startServer(t, { admins: ['@admin:example.com'] });
const { fake, url } = server;
const admin = await server.register('admin');
const alice = await server.register('alice');
const bob = await server.register('bob');
const nothing = { failures: [], observed: [] };
const mine = refused({ status: 429, errcode: 'M_MINE', error: 'No', extra: { why: 'because' } });
const refusal = { status: 429, errcode: 'M_MINE', body: { error: 'No', why: 'because' } };

t.beforeEach(() => {
  fake.answers = {};
  fake.forgetCalls();
});

const called = () =>
  [...new Set(fake.calls.map(({ callback }) => callback))].filter((name) => name !== 'isUserExpired');
const kinds = (callback: 'checkEventAllowed' | 'checkEventForSpam') =>
  fake.callsOf(callback).map(([event]) => event.type);

t.test('checkEventForSpam: every event but memberships, before it is sent', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  fake.forgetCalls();
  const id = await bob.say(room, 'hello');
  t.match(fake.callsOf('checkEventForSpam'), [
    [
      {
        type: 'm.room.message',
        room_id: room,
        sender: bob.userId,
        content: { body: 'hello' },
        event_id: id,
        origin_server_ts: Number,
      },
      { origin: 'client', roomVersion: '11' },
    ],
  ]);
  await alice.setState(room, 'm.room.topic', { topic: 'x' });
  await bob.redact(room, id);
  t.same(kinds('checkEventForSpam'), ['m.room.message', 'm.room.topic', 'm.room.redaction']);
  fake.forgetCalls();
  await bob.leave(room);
  await alice.invite(room, bob.userId);
  await bob.join(room);
  await alice.kick(room, bob.userId);
  await alice.ban(room, bob.userId);
  t.same(kinds('checkEventForSpam'), []);

  fake.answers = { checkEventForSpam: () => mine };
  await refuses(t, alice.say(room, 'spam'), refusal);
  fake.answers = {};
  t.same(bodies((await alice.messages(room)).chunk), [undefined], 'the redacted one is all there is');
});

t.test('checkEventForSpam is not asked about what is not allowed anyway', async (t) => {
  const room = await alice.createRoom({});
  fake.forgetCalls();
  await refuses(t, bob.say(room, 'hello'), { status: 403 });
  t.same(kinds('checkEventForSpam'), []);
});

t.test('checkEventAllowed: every event, before the authorisation rules', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Here', invite: [bob.userId] });
  t.same(kinds('checkEventAllowed'), [
    'm.room.create',
    'm.room.member',
    'm.room.power_levels',
    'm.room.join_rules',
    'm.room.history_visibility',
    'm.room.guest_access',
    'm.room.name',
    'm.room.member',
  ]);
  fake.forgetCalls();
  await bob.join(room);
  const id = await bob.say(room, 'hello');
  await bob.redact(room, id);
  await alice.setState(room, 'm.room.topic', { topic: 'x' });
  await bob.setDisplayName('Bob');
  await alice.kick(room, bob.userId);
  t.same(kinds('checkEventAllowed'), [
    'm.room.member',
    'm.room.message',
    'm.room.redaction',
    'm.room.topic',
    'm.room.member',
    'm.room.member',
  ]);
  t.match(fake.callsOf('checkEventAllowed')[0]?.[2], { origin: 'client', roomVersion: '11' });
  fake.forgetCalls();
  await refuses(t, bob.setState(room, 'm.room.name', { name: 'x' }), { status: 403, errcode: 'M_FORBIDDEN' });
  t.same(kinds('checkEventAllowed'), ['m.room.name'], 'asked although it is not authorised');

  fake.answers = { checkEventAllowed: () => mine };
  await refuses(t, alice.say(room, 'hello'), refusal);
  await refuses(t, alice.ban(room, bob.userId), refusal);
  await refuses(t, bob.join(room), refusal);
});

t.test('checkEventAllowed looks at the state before the event, whatever happens meanwhile', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', topic: 'before' });
  await bob.join(room);
  const seen: unknown[] = [];
  fake.answers = {
    async checkEventAllowed(event, state) {
      if (event.type !== 'm.room.message') return allowed;
      await alice.setState(room, 'm.room.topic', { topic: 'after' });
      seen.push((await state.get('m.room.topic', ''))?.content.topic);
      seen.push((await state.get('m.room.nothing', '')) ?? 'none');
      seen.push((await state.list('m.room.member')).map(({ state_key }) => state_key));
      const all: string[] = [];
      for await (const item of state.entries()) all.push(item.type);
      seen.push(all.length);
      return allowed;
    },
  };
  await bob.say(room, 'hello');
  t.same(seen, ['before', 'none', [alice.userId, bob.userId], 8]);
  t.same(await bob.getState(room, 'm.room.topic'), { topic: 'after' });
});

t.test(
  'an event that takes the room the other way while modules are asked is authorised by what is then',
  async (t) => {
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    fake.answers = {
      async checkEventForSpam(event) {
        if (event.sender === bob.userId) await alice.ban(room, bob.userId);
        return allowed;
      },
    };
    await refuses(t, bob.say(room, 'too late'), { status: 403, errcode: 'M_FORBIDDEN' });
    t.same(bodies((await alice.messages(room)).chunk), []);
  },
);

t.test('a replacement is rebuilt, authorised, and checked for spam as it is now', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  fake.forgetCalls();
  fake.answers = {
    checkEventAllowed: (event) =>
      event.content.body === 'please'
        ? {
            ...allowed,
            replacement: {
              module: 'fake',
              event: { ...event, content: { ...event.content, body: 'thank you' }, event_id: '$forged' },
            },
          }
        : allowed,
  };
  const id = await bob.say(room, 'please');
  t.not(id, '$forged');
  t.match(fake.callsOf('checkEventForSpam'), [[{ event_id: id, content: { body: 'thank you' } }]]);
  t.match((await alice.messages(room)).chunk[0], { event_id: id, sender: bob.userId, content: { body: 'thank you' } });

  fake.answers = {
    checkEventAllowed: (event) => ({
      ...allowed,
      replacement: { module: 'fake', event: { ...event, sender: '@carol:example.com' } },
    }),
  };
  await refuses(t, bob.say(room, 'please'), { status: 403, errcode: 'M_FORBIDDEN' }, 'carol is not in the room');
});

t.test('a module that sends into the room while it is asked does not wait for itself', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  let depth = 0;
  fake.answers = {
    async checkEventForSpam(event) {
      if (event.type === 'm.room.message' && ++depth <= 5) {
        const content = { msgtype: 'm.text', body: `level ${depth}` };
        await server.host.createAndSendEvent({ type: 'm.room.message', room_id: room, sender: alice.userId, content });
      }
      return allowed;
    },
  };
  await alice.say(room, 'first');
  t.same(bodies((await alice.messages(room, { dir: 'f', limit: 100 })).chunk), [
    'level 5',
    'level 4',
    'level 3',
    'level 2',
    'level 1',
    'first',
  ]);
});

t.test('onCreateRoom: first of all, and what it makes of the request counts', async (t) => {
  await alice.createRoom({ name: 'plain' });
  t.equal(called()[0], 'onCreateRoom');
  t.match(fake.callsOf('onCreateRoom'), [
    [
      { userId: alice.userId, isGuest: false, shadowBanned: false, authenticatedEntity: alice.userId },
      { name: 'plain' },
      false,
    ],
  ]);
  fake.forgetCalls();
  await admin.createRoom({});
  t.equal(fake.callsOf('onCreateRoom')[0]?.[2], true);

  fake.answers = { onCreateRoom: (_, content) => ({ ...allowed, content: { ...content, name: 'changed' } }) };
  fake.forgetCalls();
  const room = await alice.createRoom({ name: 'plain' });
  t.match(await alice.getState(room, 'm.room.name'), { name: 'changed' });
  t.match(fake.callsOf('userMayCreateRoom'), [[alice.userId, { name: 'changed' }]], 'the others see the change');

  fake.answers = { onCreateRoom: () => mine };
  fake.forgetCalls();
  await refuses(t, alice.createRoom({ preset: 'no such thing' }), refusal, 'before the request is looked at');
  t.same(called(), ['onCreateRoom']);
});

t.test('userMayCreateRoom: not for admins', async (t) => {
  await alice.createRoom({ topic: 'x' });
  t.match(fake.callsOf('userMayCreateRoom'), [[alice.userId, { topic: 'x' }]]);
  fake.answers = { userMayCreateRoom: () => mine };
  fake.forgetCalls();
  await refuses(t, alice.createRoom({}), refusal);
  t.same(called(), ['onCreateRoom', 'userMayCreateRoom']);
  fake.forgetCalls();
  await admin.createRoom({});
  t.same(fake.callsOf('userMayCreateRoom'), []);
});

t.test('userMayInvite: by the endpoint, by state, by createRoom; not by admins', async (t) => {
  const room = await alice.createRoom({ invite: [bob.userId] });
  t.same(fake.callsOf('userMayInvite'), [[alice.userId, bob.userId, room]]);
  await bob.leave(room);
  fake.forgetCalls();
  await alice.invite(room, bob.userId);
  await bob.leave(room);
  await alice.setState(room, 'm.room.member', { membership: 'invite' }, bob.userId);
  t.same(fake.callsOf('userMayInvite').length, 2);
  await bob.leave(room);

  fake.answers = { userMayInvite: () => mine };
  await refuses(t, alice.invite(room, bob.userId), refusal);
  await refuses(t, alice.setState(room, 'm.room.member', { membership: 'invite' }, bob.userId), refusal);
  await refuses(t, alice.createRoom({ invite: [bob.userId], room_alias_name: 'halfmade' }), refusal);
  await refuses(t, alice.resolve('#halfmade:example.com'), { status: 404 }, 'no half a room is left');
  fake.forgetCalls();
  const hers = await admin.createRoom({ invite: [alice.userId] });
  await admin.invite(hers, bob.userId);
  await bob.join(hers);
  t.same(fake.callsOf('userMayInvite'), []);
});

t.test('userMayCreateRoomAlias: with a room and later, by admins too', async (t) => {
  const room = await alice.createRoom({ room_alias_name: 'first' });
  await alice.createAlias('#second:example.com', room);
  await alice.createRoom({});
  await alice.resolve('#first:example.com');
  t.same(fake.callsOf('userMayCreateRoomAlias'), [
    [alice.userId, '#first:example.com'],
    [alice.userId, '#second:example.com'],
  ]);
  fake.answers = { userMayCreateRoomAlias: () => mine };
  await refuses(t, alice.createAlias('#third:example.com', room), refusal);
  await refuses(t, alice.createRoom({ room_alias_name: 'third' }), refusal);
  await refuses(t, admin.createRoom({ room_alias_name: 'third' }), refusal);
  fake.forgetCalls();
  await alice.deleteAlias('#second:example.com');
  t.same(fake.callsOf('userMayCreateRoomAlias'), []);
});

t.test('userMayPublishRoom: into the directory and out of it', async (t) => {
  const room = await alice.createRoom({ visibility: 'public' });
  t.same(fake.callsOf('userMayPublishRoom'), [[alice.userId, room]]);
  fake.forgetCalls();
  await alice.publish(room, 'private');
  await alice.publish(room, 'public');
  t.same(fake.callsOf('userMayPublishRoom').length, 2);
  fake.answers = { userMayPublishRoom: () => mine };
  await refuses(t, alice.publish(room, 'private'), refusal);
  await refuses(t, alice.createRoom({ visibility: 'public' }), refusal);
  t.ok(
    (await alice.publicRooms()).chunk.some(({ room_id }) => room_id === room),
    'it stays as it was',
  );
  fake.forgetCalls();
  await alice.createRoom({ preset: 'public_chat' });
  t.same(fake.callsOf('userMayPublishRoom'), [], 'public to join is not published');
});

t.test('checkUsernameForSpam: each result; hidden ones are made up for, three pages long', async (t) => {
  const stage = await alice.createRoom({ preset: 'public_chat' });
  const crowd: Client[] = [];
  for (let i = 0; i < 8; i++) crowd.push(await server.register(`crowd${i}`));
  await crowd[0]?.setDisplayName('Zero');
  for (const user of crowd) await user.join(stage);
  fake.forgetCalls();

  const search = async (limit: number) => {
    const { limited, results } = await bob.searchUsers('crowd', limit);
    return { limited, names: results.map(({ user_id }) => user_id.slice(1, user_id.indexOf(':'))) };
  };
  t.same(await search(2), { limited: true, names: ['crowd0', 'crowd1'] });
  t.same(fake.callsOf('checkUsernameForSpam'), [
    [{ user_id: '@crowd0:example.com', display_name: 'Zero', avatar_url: null }, bob.userId],
    [{ user_id: '@crowd1:example.com', display_name: null, avatar_url: null }, bob.userId],
  ]);

  const hide = (...hidden: number[]) => {
    fake.forgetCalls();
    fake.answers = {
      checkUsernameForSpam: ({ user_id }) =>
        hidden.some((i) => user_id.startsWith(`@crowd${i}`)) ? refused() : allowed,
    };
  };
  hide(0, 3);
  t.same(await search(2), { limited: true, names: ['crowd1', 'crowd2'] }, 'a second page');
  t.equal(fake.callsOf('checkUsernameForSpam').length, 4);
  hide(0, 1, 2, 3, 4, 5);
  t.same(await search(2), { limited: true, names: [] }, 'no more than three pages');
  t.equal(fake.callsOf('checkUsernameForSpam').length, 6);
  hide(0, 1, 2, 3, 4, 5, 6, 7);
  t.same(await search(10), { limited: false, names: [] }, 'there are no others');
});

t.test('checkRegistrationForSpam: once, after authentication, before the user exists', async (t) => {
  const body = { username: 'checked', password: 'x' };
  const session = await sessionFor(body);
  t.same(fake.callsOf('checkRegistrationForSpam'), [], 'not before');
  let existed: unknown;
  fake.answers = {
    checkRegistrationForSpam: async () => {
      existed = await server.host.checkUserExists('@checked:example.com');
      return { behaviour: 'allow', ...nothing };
    },
  };
  await new Client(url).request(
    'POST',
    `${V3}/register`,
    { ...body, auth: { type: 'm.login.dummy', session } },
    {
      headers: { 'user-agent': 'Second/2' },
    },
  );
  t.equal(existed, null);
  const [call, ...more] = fake.callsOf('checkRegistrationForSpam');
  t.same(more, []);
  t.match(call, [
    null,
    'checked',
    [
      ['First/1', '127.0.0.1'],
      ['Second/2', '127.0.0.1'],
    ],
    null,
  ]);
});

t.test('checkRegistrationForSpam: a name that the server makes up is null', async (t) => {
  await new Client(url).post(`${V3}/register`, { password: 'x', auth: { type: 'm.login.dummy' } });
  t.equal(fake.callsOf('checkRegistrationForSpam')[0]?.[1], null);
});

t.test('checkRegistrationForSpam: DENY leaves no account', async (t) => {
  const denial = {
    cause: 'refused',
    module: 'fake',
    status: 429,
    errcode: 'M_UNKNOWN',
    error: 'Rate limited',
    extra: {},
  } as const;
  fake.answers = { checkRegistrationForSpam: () => ({ behaviour: 'deny', ...denial, ...nothing }) };
  await refuses(t, server.register('denied'), { status: 429, errcode: 'M_UNKNOWN', body: { error: 'Rate limited' } });
  t.equal(await server.host.checkUserExists('@denied:example.com'), null);
  t.same(fake.callsOf('onUserRegistration'), []);
});

t.test('onUserRegistration: the account exists, and /register waits', async (t) => {
  const order: string[] = [];
  fake.answers = {
    async onUserRegistration(userId) {
      order.push(String(await server.host.checkUserExists(userId)));
      await new Promise((resolve) => setTimeout(resolve, 100));
      order.push('told');
      return nothing;
    },
  };
  await server.register('announced');
  order.push('answered');
  t.same(order, ['@announced:example.com', 'told', 'answered']);
  fake.forgetCalls();
  await Client.login(url, 'announced');
  t.same(fake.callsOf('onUserRegistration'), [], 'not on login');
});

t.test('isUserExpired: every authenticated request, but not the way out', async (t) => {
  const user = await server.register('expiring');
  const other = await Client.login(url, 'expiring');
  t.same(fake.callsOf('isUserExpired'), [], 'not for those who have no token yet');
  await user.whoami();
  t.same(fake.callsOf('isUserExpired'), [[user.userId]]);

  fake.answers = {
    isUserExpired: () => ({
      expired: true,
      cause: 'refused',
      module: 'fake',
      status: 403,
      errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT',
      error: 'User account has expired',
      extra: {},
      ...nothing,
    }),
  };
  const expired = { status: 403, errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT' };
  await refuses(t, user.whoami(), expired);
  await refuses(t, user.sync(), expired);
  await refuses(t, user.createRoom({}), expired);
  await refuses(t, user.upload('x'), expired);
  fake.answers = {};
  await user.whoami();

  fake.forgetCalls();
  await user.logout();
  await other.logoutAll();
  await refuses(t, user.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await user.get('/_matrix/client/versions').catch(() => undefined);
  t.same(fake.callsOf('isUserExpired'), []);
});

t.test('a module that cannot be asked is a 500, and not the one of expired accounts', async (t) => {
  const failed = refused({ cause: 'failed', status: 500, errcode: 'M_UNKNOWN', error: 'A module failed' });
  const room = await alice.createRoom({});
  fake.answers = { checkEventForSpam: () => failed };
  await refuses(t, alice.say(room, 'x'), { status: 500, errcode: 'M_UNKNOWN' });
});

t.test('requests that read call nothing but isUserExpired', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'quiet' });
  const mxc = await alice.upload('x');
  fake.forgetCalls();
  await alice.whoami();
  await alice.profile();
  await alice.messages(room);
  await alice.members(room);
  await alice.state(room);
  await alice.resolve('#quiet:example.com');
  await alice.publicRooms();
  await alice.presence(alice.userId);
  await (await alice.download(mxc)).arrayBuffer();
  t.same(new Set(fake.calls.map(({ callback }): CallbackName => callback)), new Set(['isUserExpired']));
});

async function sessionFor(body: Record<string, unknown>): Promise<unknown> {
  const client = new Client(url);
  const headers = { 'user-agent': 'First/1', 'content-type': 'application/json' };
  const response = await client.fetch('POST', `${V3}/register`, JSON.stringify(body), { headers });
  return ((await response.json()) as { session: string }).session;
}
