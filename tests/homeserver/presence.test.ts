import { setTimeout as delay } from 'node:timers/promises';
import { PRESENCE_ALL_USERS, type UserPresenceState } from '@bulkhead/sdk/contract';
import t from 'tap';
import type { Client, SyncBody } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const { fake } = server;
const nothing = { failures: [], observed: [] };

const seen = ({ presence }: SyncBody) => new Map(presence.events.map(({ sender, content }) => [sender, content]));
const quietly = (client: Client, query = {}) => client.sync({ set_presence: 'offline', ...query });

t.beforeEach(() => {
  fake.answers = {};
  fake.forgetCalls();
});

t.test('set, get, and who may see it', async (t) => {
  const alice = await server.register('alice');
  const bob = await server.register('bob');
  const room = await alice.createRoom({ preset: 'public_chat' });
  await alice.setPresence('unavailable', 'at lunch');
  t.match(await alice.presence(alice.userId), {
    presence: 'unavailable',
    status_msg: 'at lunch',
    currently_active: false,
    last_active_ago: Number,
  });
  await refuses(t, bob.presence(alice.userId), { status: 403, errcode: 'M_FORBIDDEN' });
  await bob.join(room);
  t.match(await bob.presence(alice.userId), { presence: 'unavailable' });
  t.match(await alice.presence(bob.userId), { presence: 'offline' });
  await refuses(t, bob.presence('@nobody:example.com'), { status: 404, errcode: 'M_NOT_FOUND' });
  await refuses(
    t,
    bob.put(`/_matrix/client/v3/presence/${encodeURIComponent(alice.userId)}/status`, { presence: 'online' }),
    {
      status: 403,
      errcode: 'M_FORBIDDEN',
    },
  );
  await refuses(t, bob.setPresence('asleep'), { status: 400, errcode: 'M_BAD_JSON' });
});

t.test('it reaches those who share a room, wakes them, and nobody else', async (t) => {
  const [alice, bob, stranger] = await users('p1.alice', 'p1.bob', 'p1.stranger');
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await Promise.all([quietly(bob), quietly(stranger)]);

  const waiting = quietly(bob, { timeout: 10_000 });
  await delay(50);
  await alice.setPresence('online', 'hello');
  t.match(seen(await waiting).get(alice.userId), { presence: 'online', status_msg: 'hello' });
  t.same(seen(await quietly(bob)), new Map(), 'told once');
  t.same(seen(await quietly(stranger)), new Map());

  const late = await server.register('p1.late');
  await quietly(late);
  await late.join(room);
  t.match(seen(await quietly(late)).get(alice.userId), { presence: 'online' }, 'who joins learns who is there');
});

t.test('syncing makes a user appear; asking for it does not', async (t) => {
  const [alice, bob] = await users('p2.alice', 'p2.bob');
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await quietly(bob);
  await quietly(alice);
  t.notOk(seen(await quietly(bob)).has(alice.userId));
  await alice.sync();
  t.match(seen(await quietly(bob, { timeout: 20_000 })).get(alice.userId), {
    presence: 'online',
    currently_active: true,
  });
});

t.test('the router is asked at every sync whom the user follows', async (t) => {
  const [watcher, near, far, other] = await users('p3.watcher', 'p3.near', 'p3.far', 'p3.other');
  await Promise.all([near.setPresence('online'), far.setPresence('online'), other.setPresence('online')]);
  fake.answers = { getInterestedUsers: () => ({ users: new Set([near.userId, far.userId]), ...nothing }) };
  fake.forgetCalls();
  const first = seen(await quietly(watcher));
  t.same(fake.callsOf('getInterestedUsers'), [[watcher.userId]]);
  t.same([...first.keys()].sort(), [far.userId, near.userId].sort());

  const waiting = quietly(watcher, { timeout: 10_000 });
  await delay(50);
  await other.setPresence('unavailable');
  await delay(50);
  await far.setPresence('unavailable');
  t.same([...seen(await waiting).keys()], [far.userId]);
  t.equal(fake.callsOf('getInterestedUsers').length, 2, 'once for each request, however long it waits');
});

t.test('a user may follow everybody', async (t) => {
  const [watcher, anyone] = await users('p4.watcher', 'p4.anyone');
  await anyone.setPresence('online');
  fake.answers = { getInterestedUsers: () => ({ users: PRESENCE_ALL_USERS, ...nothing }) };
  t.ok(seen(await quietly(watcher)).has(anyone.userId));
});

t.test('the router is asked at every change who shall receive it', async (t) => {
  const [subject, receiver, other] = await users('p5.subject', 'p5.receiver', 'p5.other');
  await Promise.all([quietly(receiver), quietly(other)]);
  fake.answers = {
    getUsersForStates: (states) => ({
      users: new Map([
        [receiver.userId, states as UserPresenceState[]],
        ['@nobody:example.com', states as UserPresenceState[]],
      ]),
      ...nothing,
    }),
  };
  const waiting = quietly(receiver, { timeout: 10_000 });
  await delay(50);
  fake.forgetCalls();
  await subject.setPresence('online', 'routed');
  t.match(fake.callsOf('getUsersForStates'), [
    [
      [
        {
          user_id: subject.userId,
          state: 'online',
          status_msg: 'routed',
          currently_active: true,
          last_active_ts: Number,
        },
      ],
    ],
  ]);
  t.match(seen(await waiting).get(subject.userId), { presence: 'online', status_msg: 'routed' });
  t.same(seen(await quietly(receiver)), new Map(), 'told once');
  t.same(seen(await quietly(other)), new Map());

  fake.forgetCalls();
  await subject.setPresence('online', 'routed');
  t.same(fake.callsOf('getUsersForStates'), [], 'nothing changed');
});

function users<const N extends readonly string[]>(...names: N): Promise<{ [I in keyof N]: Client }> {
  return Promise.all(names.map((name) => server.register(name))) as Promise<{ [I in keyof N]: Client }>;
}
