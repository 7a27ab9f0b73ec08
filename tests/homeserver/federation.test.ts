// Two servers and their users: joining, inviting, talking and leaving across, and a server that is down for a while.

import t from 'tap';
import { bodies, type Client } from './client.ts';
import { allowed, refused } from './fake-modules.ts';
import { ask, type FederatedServer, is, says, startPair, waitFor } from './federation-harness.ts';
import { refuses } from './harness.ts';

const aliasOf = ({ name }: FederatedServer) => `#meet:${name}`;

/** A room of Alice's on the first server, which Bob of the second one has joined. */
async function meeting(a: FederatedServer, b: FederatedServer): Promise<{ alice: Client; bob: Client; room: string }> {
  const [alice, bob] = [await a.register('alice'), await b.register('bob')];
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'meet', name: 'Meeting' });
  await bob.join(aliasOf(a));
  await Promise.all([alice.sync(), bob.sync()]);
  return { alice, bob, room };
}

t.test('a room on the other server is joined by its alias, and both sides talk', async (t) => {
  const [a, b] = await startPair(t);
  const alice = await a.register('alice');
  await alice.setDisplayName('Alice');
  const bob = await b.register('bob');
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'meet', name: 'Meeting' });
  await alice.sync();

  t.same(await bob.resolve(aliasOf(a)), { room_id: room, servers: [a.name] });
  await refuses(t, bob.resolve(`#none:${a.name}`), { status: 404, errcode: 'M_NOT_FOUND' });
  t.same(await bob.profile(alice.userId), { displayname: 'Alice' });
  await refuses(t, bob.profile(`@nobody:${a.name}`), { status: 404, errcode: 'M_NOT_FOUND' });

  t.match(await bob.join(aliasOf(a)), room);
  t.match(await bob.getState(room, 'm.room.name'), { name: 'Meeting' });
  t.match(await bob.getState(room, 'm.room.member', alice.userId), { displayname: 'Alice', membership: 'join' });
  await waitFor(alice, room, is(bob.userId, 'join'));

  await alice.say(room, 'hello Bob');
  await waitFor(bob, room, says('hello Bob'));
  await bob.say(room, 'hello Alice');
  const seen = await waitFor(alice, room, says('hello Alice'));
  t.equal(seen.find(says('hello Alice'))?.sender, bob.userId);
  await bob.setDisplayName('Bob');
  await waitFor(alice, room, (event) => event.content.displayname === 'Bob');
  t.same(bodies((await bob.messages(room, { dir: 'f', limit: 100 })).chunk), ['hello Bob', 'hello Alice']);

  t.match(
    b.fake
      .callsOf('checkEventForSpam')
      .map(([event, options]) => [event.content.body, options?.origin])
      .slice(-2),
    [
      ['hello Bob', 'federation'],
      ['hello Alice', 'client'],
    ],
  );
  await alice.redact(room, seen.find(says('hello Alice'))?.event_id ?? '');
  await waitFor(bob, room, ({ type }) => type === 'm.room.redaction');
  t.same(bodies((await bob.messages(room, { dir: 'f', limit: 100 })).chunk), ['hello Bob', undefined]);
});

t.test('an invite goes across, and is accepted or turned down', async (t) => {
  const [a, b] = await startPair(t);
  const [alice, bob] = [await a.register('alice'), await b.register('bob')];
  const room = await alice.createRoom({ preset: 'private_chat', name: 'Private', invite: [bob.userId] });
  const invited = (await bob.sync()).rooms.invite[room]?.invite_state.events ?? [];
  t.match(
    invited.find(({ type }) => type === 'm.room.name'),
    { content: { name: 'Private' } },
  );
  t.match(invited.find(is(bob.userId, 'invite')), { sender: alice.userId });
  t.match(b.fake.callsOf('userMayInvite'), [[alice.userId, bob.userId, room, { origin: 'federation' }]]);

  await bob.join(room);
  await alice.sync();
  await bob.say(room, 'here I am');
  await waitFor(alice, room, says('here I am'));
  t.match(await alice.getState(room, 'm.room.member', bob.userId), { membership: 'join' });

  const other = await alice.createRoom({ preset: 'private_chat' });
  await alice.invite(other, bob.userId);
  await bob.leave(other);
  await waitFor(alice, other, is(bob.userId, 'leave'));
  await refuses(t, bob.join(other), { status: 403, errcode: 'M_FORBIDDEN' });

  await refuses(t, alice.invite(other, `@nobody:${b.name}`), { status: 403, errcode: 'M_FORBIDDEN' });
  const gone = await b.register('gone');
  const auth = {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: 'gone' },
    password: 'gones password',
  };
  const { session } = await gone.post('/_matrix/client/v3/account/deactivate').catch((refusal) => refusal.body);
  await gone.post('/_matrix/client/v3/account/deactivate', { auth: { ...auth, session } });
  await refuses(t, alice.invite(other, gone.userId), { status: 403, errcode: 'M_FORBIDDEN' });
  b.fake.answers = { userMayInvite: () => refused({ errcode: 'M_NOT_TODAY', error: 'Not today' }) };
  await refuses(t, alice.invite(other, bob.userId), { status: 403, errcode: 'M_NOT_TODAY' });
  await refuses(t, alice.getState(other, 'm.room.member', `@nobody:${b.name}`), { status: 404 });
  t.match(await alice.getState(other, 'm.room.member', bob.userId), { membership: 'leave' });
  t.notOk((await bob.sync()).rooms.invite[other]);
});

t.test('who leaves and who is kicked is out on both sides', async (t) => {
  const [a, b] = await startPair(t);
  const { alice, bob, room } = await meeting(a, b);
  await bob.leave(room);
  await waitFor(alice, room, is(bob.userId, 'leave'));
  await alice.say(room, 'not for Bob');

  await bob.join(room);
  await waitFor(alice, room, is(bob.userId, 'join'));
  await alice.say(room, 'welcome back');
  await waitFor(bob, room, says('welcome back'));

  await alice.kick(room, bob.userId, 'enough');
  await waitFor(bob, room, is(bob.userId, 'leave'));
  await refuses(t, bob.say(room, 'let me in'), { status: 403 });
  await alice.ban(room, bob.userId);
  await refuses(t, bob.join(room), { status: 403, errcode: 'M_FORBIDDEN' });
});

t.test('a server that was down gets what it has missed, one that sends does too', async (t) => {
  const [a, b] = await startPair(t);
  const { alice, bob, room } = await meeting(a, b);
  await b.stop();
  await alice.say(room, 'one');
  await alice.setState(room, 'm.room.topic', { topic: 'news' });
  await alice.say(room, 'two');
  await b.start();
  const back = b.again(bob);
  const seen = await waitFor(back, room, says('two'));
  t.same(bodies(seen), ['one', 'two']);
  t.match(await back.getState(room, 'm.room.topic'), { topic: 'news' });

  await a.stop();
  await back.say(room, 'three');
  await a.start();
  await waitFor(a.again(alice), room, says('three'));
});

t.test('what is done at the same time ends in the same state', async (t) => {
  const [a, b] = await startPair(t);
  const { alice, bob, room } = await meeting(a, b);
  await alice.setState(room, 'm.room.power_levels', {
    ...(await alice.getState(room, 'm.room.power_levels')),
    users: { [alice.userId]: 100, [bob.userId]: 50 },
  });
  await alice.setState(room, 'm.room.topic', { topic: 'before' });
  await waitFor(bob, room, (event) => event.content.topic === 'before');

  // Neither hears of the other: Bob changes the topic while Alice takes that right from him.
  await b.stop();
  await alice.setState(room, 'm.room.power_levels', {
    ...(await alice.getState(room, 'm.room.power_levels')),
    users: { [alice.userId]: 100 },
  });
  await a.stop();
  await b.start();
  const back = b.again(bob);
  await back.setState(room, 'm.room.topic', { topic: 'by Bob' });
  await back.say(room, 'I have changed it');
  await a.start();
  const here = a.again(alice);
  await here.say(room, 'now');
  await waitFor(back, room, says('now'));
  await waitFor(here, room, says('I have changed it'));
  await back.say(room, 'and on');
  await waitFor(here, room, says('and on'));
  for (const client of [here, back]) {
    t.match(await client.getState(room, 'm.room.topic'), { topic: 'before' });
    t.notOk(((await client.getState(room, 'm.room.power_levels')).users as object)[bob.userId as never]);
  }
  await refuses(t, back.setState(room, 'm.room.topic', { topic: 'again' }), { status: 403 });
});

t.test('both sides send all the time, and agree in the end', async (t) => {
  const [a, b] = await startPair(t);
  const { alice, bob, room } = await meeting(a, b);
  const levels = await alice.getState(room, 'm.room.power_levels');
  await alice.setState(room, 'm.room.power_levels', { ...levels, state_default: 0, events: {} });
  await waitFor(bob, room, ({ type, content }) => type === 'm.room.power_levels' && content.state_default === 0);
  const talk = async (client: Client) => {
    for (let i = 0; i < 25; i++) {
      await client.say(room, `${client.userId} ${i}`);
      if (i % 3 === 0) await client.setState(room, 'm.room.topic', { topic: `${client.userId} ${i}` });
      if (i % 5 === 0) await client.setState(room, 'test.mine', { i, by: client.userId }, String(i % 2));
    }
  };
  await Promise.all([talk(alice), talk(bob)]);
  await waitFor(alice, room, says(`${bob.userId} 24`));
  await waitFor(bob, room, says(`${alice.userId} 24`));
  await alice.say(room, 'ready');
  await waitFor(bob, room, says('ready'));
  await bob.say(room, 'so am I');
  await waitFor(alice, room, says('so am I'));
  const ids = async (client: Client) => (await client.state(room)).map(({ event_id }) => event_id).sort();
  t.same(await ids(alice), await ids(bob));
  const texts = async (client: Client) => bodies((await client.messages(room, { dir: 'f', limit: 500 })).chunk).sort();
  t.same(await texts(alice), await texts(bob));
  t.equal((await texts(bob)).length, 52);
});

t.test('members of another room may join, for whom a member of the room vouches', async (t) => {
  const [a, b] = await startPair(t);
  const { alice, bob, room } = await meeting(a, b);
  const carol = await b.register('carol');
  const inner = await alice.createRoom({
    preset: 'private_chat',
    initial_state: [
      {
        type: 'm.room.join_rules',
        content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: room }] },
      },
    ],
  });
  await refuses(t, carol.join(inner), { status: 403, errcode: 'M_FORBIDDEN' });
  await bob.join(inner);
  await bob.say(inner, 'inside');
  await waitFor(alice, inner, says('inside'));
  t.match(await alice.getState(inner, 'm.room.member', bob.userId), { join_authorised_via_users_server: alice.userId });
});

t.test('who comes back finds the room as it is by then', async (t) => {
  const [a, b] = await startPair(t);
  const { alice, bob, room } = await meeting(a, b);
  await alice.setState(room, 'm.room.topic', { topic: 'then' });
  await waitFor(bob, room, (event) => event.content.topic === 'then');
  await bob.leave(room);
  await waitFor(alice, room, is(bob.userId, 'leave'));
  const carol = await a.register('carol');
  await carol.join(room);
  await alice.setState(room, 'm.room.topic', { topic: 'now' });
  await bob.join(room);
  t.match(await bob.getState(room, 'm.room.topic'), { topic: 'now' });
  t.match(await bob.getState(room, 'm.room.member', carol.userId), { membership: 'join' });
  const ids = async (client: Client) => (await client.state(room)).map(({ event_id }) => event_id).sort();
  t.same(await ids(alice), await ids(bob));
  await bob.say(room, 'back');
  await waitFor(carol, room, says('back'));
});

t.test('an event that a module takes for spam is seen by nobody on its server', async (t) => {
  const [a, b] = await startPair(t);
  const { alice, bob, room } = await meeting(a, b);
  const carol = await a.register('carol');
  await carol.join(room);
  a.fake.answers = {
    checkEventForSpam: ({ content, sender }) =>
      sender === bob.userId && (content.body === 'spam' || content.topic) ? refused() : allowed,
  };
  await alice.setState(room, 'm.room.power_levels', {
    ...(await alice.getState(room, 'm.room.power_levels')),
    users: { [alice.userId]: 100, [bob.userId]: 50 },
  });
  await waitFor(
    bob,
    room,
    ({ type, content }) => type === 'm.room.power_levels' && bob.userId in (content.users as object),
  );
  const spam = await bob.say(room, 'spam');
  await bob.setState(room, 'm.room.topic', { topic: 'spam' });
  await bob.say(room, 'no spam');
  const seen = await waitFor(alice, room, says('no spam'));
  t.notOk(seen.some(says('spam')), 'not in /sync');
  for (const client of [alice, carol]) {
    t.same(bodies((await client.messages(room)).chunk), ['no spam'], 'not in /messages');
    await refuses(t, client.event(room, spam), { status: 404 });
    await refuses(t, client.getState(room, 'm.room.topic'), { status: 404 }, 'not in the state');
  }
  t.same(bodies((await bob.messages(room)).chunk), ['no spam', 'spam'], 'its own users see it');
  await alice.say(room, 'still here');
  await waitFor(bob, room, says('still here'));
});

t.test('a module refuses an event of another server, and may not replace it', async (t) => {
  const [a, b] = await startPair(t);
  const { alice, bob, room } = await meeting(a, b);
  a.fake.answers = {
    checkEventAllowed: async (event, state) => {
      if (event.content.body !== 'forbidden') return allowed;
      const create = await state.get('m.room.create', '');
      return refused({ error: `Not in ${create?.sender}'s room` });
    },
  };
  await bob.say(room, 'forbidden');
  await bob.say(room, 'permitted');
  const seen = await waitFor(alice, room, says('permitted'));
  t.notOk(seen.some(says('forbidden')));
  t.ok(
    a.fake
      .callsOf('checkEventAllowed')
      .some(([event, , options]) => event.sender === bob.userId && options?.origin === 'federation'),
  );
});

t.test('without federation there is nothing of it', async (t) => {
  const { startServer } = await import('./harness.ts');
  const server = await startServer(t);
  for (const path of ['/_matrix/key/v2/server', '/_matrix/federation/v1/version']) {
    t.equal((await fetch(server.url + path)).status, 404);
  }
});

t.test('the keys and the version are there for everybody', async (t) => {
  const [a, b] = await startPair(t);
  t.match(await (await fetch(`${a.url}/_matrix/key/v2/server`)).json(), {
    server_name: a.name,
    verify_keys: { [a.signer.key.id]: { key: a.signer.key.publicKey } },
  });
  t.match(await (await fetch(`${a.url}/_matrix/federation/v1/version`)).json(), { server: { name: String } });
  const { status } = await ask(a, '/_matrix/federation/v1/query/profile', { signer: b.signer });
  t.equal(status, 400);
});
