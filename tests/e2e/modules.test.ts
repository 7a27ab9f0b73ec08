// The example modules as the example's homeserver.yaml has them, from where a client stands.

import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { bodies, Client, joinedRoom } from '../homeserver/client.ts';
import { refuses } from '../homeserver/harness.ts';
import { examples, fixtures, startHomeserver } from './harness.ts';

const RENEW = '/_synapse/client/account_expiry/renew';
const DAY = 86_400_000;

t.test('homeserver.yaml', async (t) => {
  const file = `${examples}homeserver.yaml`;
  // The one thing that is changed: a busy machine may take longer for an answer than a module that is in a hurry has.
  const text = (await readFile(file, 'utf8')).replaceAll(/timeout: \d+ms/g, 'timeout: 20s');
  const server = await startHomeserver(t, file, { config: { text, file } });
  const { register, url } = server;
  t.same(
    server.modules.status().filter(({ state }) => state !== 'running'),
    [],
    'every module runs',
  );
  const [admin, alice, bob, carol] = (await Promise.all(['admin', 'alice', 'bob', 'carol'].map(register))) as [
    Client,
    Client,
    Client,
    Client,
  ];

  await t.test('account-expiry: accounts are told when they expire, and renew', async (t) => {
    const { expires_at: first } = await alice.get<{ expires_at: number }>(RENEW);
    t.ok(first > Date.now() + 29 * DAY && first <= Date.now() + 30 * DAY);
    const renewed = await alice.post<{ user_id: string; expires_at: number }>(RENEW);
    t.match(renewed, { user_id: alice.userId });
    t.ok(renewed.expires_at >= first);
    t.same(await alice.get(RENEW), renewed);
    await refuses(t, new Client(url).get(RENEW), { status: 401, errcode: 'M_MISSING_TOKEN' });
    await refuses(t, new Client(url, { accessToken: 'no such' }).post(RENEW), {
      status: 401,
      errcode: 'M_UNKNOWN_TOKEN',
    });
  });

  await t.test('freeze-room: nobody speaks, joins or changes anything, until it thaws', async (t) => {
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const freeze = (frozen: unknown, who = alice) => who.setState(room, 'org.example.room.frozen', { frozen });
    await refuses(t, freeze(true, bob), { status: 403, errcode: 'M_FORBIDDEN' }, 'not everybody freezes');
    await refuses(t, freeze('yes'), { status: 403, errcode: 'M_BAD_JSON' });
    await freeze(true);
    const frozen = { status: 403, errcode: 'M_FORBIDDEN', body: { error: 'This room is frozen' } };
    await refuses(t, bob.say(room, 'anybody?'), frozen);
    await refuses(t, alice.say(room, 'me neither'), frozen);
    await refuses(t, alice.setState(room, 'm.room.topic', { topic: 'x' }), frozen);
    await refuses(t, carol.join(room), frozen);
    await refuses(t, alice.kick(room, bob.userId), frozen);
    t.same(bodies((await bob.messages(room)).chunk), [], 'members read');
    await bob.leave(room);
    await freeze(false);
    await bob.join(room);
    await bob.say(room, 'warm again');
    t.same(bodies((await alice.messages(room)).chunk), ['warm again']);
  });

  await t.test('rewrite-event: links lose their tracking, rooms begin with the default state', async (t) => {
    const room = await alice.createRoom({ preset: 'public_chat' });
    t.same(await alice.getState(room, 'm.room.guest_access'), { guest_access: 'forbidden' });
    const open = await alice.createRoom({
      initial_state: [{ type: 'm.room.guest_access', content: { guest_access: 'can_join' } }],
    });
    t.same(
      await alice.getState(open, 'm.room.guest_access'),
      { guest_access: 'can_join' },
      'who asks for more gets it',
    );
    await bob.join(room);
    await bob.sync();
    const id = await alice.send(room, 'm.room.message', {
      msgtype: 'm.text',
      body: 'https://example.org/?utm_source=mail&id=7#top',
      format: 'org.matrix.custom.html',
      formatted_body: '<a href="https://example.org/?id=7&amp;fbclid=x">here</a>',
    });
    const [event] = joinedRoom(await bob.sync(), room).timeline.events;
    t.match(event, {
      event_id: id,
      sender: alice.userId,
      content: {
        body: 'https://example.org/?id=7#top',
        formatted_body: '<a href="https://example.org/?id=7">here</a>',
      },
    });
    await alice.say(room, 'https://example.org/?id=7');
    t.same(bodies((await bob.messages(room)).chunk), ['https://example.org/?id=7', 'https://example.org/?id=7#top']);
  });

  await t.test('domain-invites: by server; the directory is for admins', async (t) => {
    const room = await alice.createRoom({});
    await alice.invite(room, bob.userId);
    t.ok((await bob.sync()).rooms.invite[room], 'within the server');
    await refuses(t, alice.invite(room, '@mallory:evil.example'), {
      status: 403,
      errcode: 'M_FORBIDDEN',
      body: { error: 'Users of example.com may not invite users of evil.example' },
    });
    await refuses(t, alice.createRoom({ invite: ['@mallory:evil.example'] }), { status: 403, errcode: 'M_FORBIDDEN' });
    await refuses(t, alice.invite(room, '@friend:partner.org'), { status: 404 }, 'listed, but there is no federation');

    const error = 'Only admins may list rooms in the directory';
    await refuses(t, alice.publish(room), { status: 403, errcode: 'M_FORBIDDEN', body: { error } });
    await refuses(t, alice.createRoom({ visibility: 'public' }), { status: 403, body: { error } });
    const lobby = await admin.createRoom({ visibility: 'public' });
    t.same(
      (await alice.publicRooms()).chunk.map(({ room_id }) => room_id),
      [lobby],
    );
  });

  await t.test('word-list: messages, topics and names; and who is found by a search', async (t) => {
    const room = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(room);
    const refusal = {
      status: 403,
      errcode: 'M_FORBIDDEN',
      body: { error: 'Advertising for gambling is not welcome here' },
    };
    await refuses(t, bob.say(room, 'Free   SPINS for all'), refusal);
    await refuses(t, alice.setState(room, 'm.room.topic', { topic: 'our casino' }), refusal);
    await refuses(t, alice.createRoom({ name: 'Casino' }), refusal);
    await refuses(t, bob.say(room, 'what is your seed phrase?'), { status: 403, errcode: 'M_FORBIDDEN' });
    await bob.say(room, 'nothing of that');
    t.same(bodies((await alice.messages(room)).chunk), ['nothing of that']);

    const found = async () => (await alice.searchUsers('bob')).results.map(({ user_id }) => user_id);
    t.same(await found(), [bob.userId]);
    await bob.setDisplayName('Casino Bob');
    t.same(await found(), [], 'hidden by his name');
    await bob.setDisplayName('Bob');
    t.same(await found(), [bob.userId]);
  });

  await t.test('signup-and-media', async (t) => {
    await refuses(t, register('spammy'), { status: 429, errcode: 'M_UNKNOWN', body: { error: 'Rate limited' } });
    const room = await alice.createRoom({ preset: 'public_chat' });
    const ghost = await register('ghostly');
    await ghost.join(room);
    t.match(await ghost.say(room, 'boo'), /^\$/);
    t.same(bodies((await ghost.messages(room)).chunk), ['boo']);
    t.same(bodies((await alice.messages(room)).chunk), [], 'who begins like a ghost is alone');

    const program = Uint8Array.from([0x4d, 0x5a, 0x90, 0]);
    await refuses(t, alice.upload(program), {
      status: 400,
      errcode: 'M_UNKNOWN',
      body: { error: 'Files of this kind are not accepted' },
    });
    await refuses(t, alice.upload(new Uint8Array(20_971_521)), { status: 400, errcode: 'M_TOO_LARGE' });
    const mxc = await alice.upload('harmless');
    t.equal(await (await bob.download(mxc)).text(), 'harmless');
  });

  await t.test('demo, rogue and presence-router', async (t) => {
    const evilguy = await register('evilguy');
    await refuses(t, evilguy.createRoom(), { status: 403, errcode: 'M_FORBIDDEN' });
    const hello = await evilguy.fetch('GET', '/_synapse/client/demo/hello?name=bob');
    t.match(hello.headers.get('content-type'), /^application\/json/);
    t.same(await hello.json(), { hello: 'bob' });
    await refuses(t, evilguy.get('/_synapse/client/demo/hello'), { status: 400, errcode: 'M_MISSING_PARAM' });

    const room = await alice.createRoom({});
    await refuses(t, alice.say(room, '!rogue throw'), { status: 500, errcode: 'M_UNKNOWN' });
    await refuses(t, alice.say(room, '!rogue leak'), { status: 403, body: { error: 'could see: nothing' } });

    const watcher = await register('watcher');
    await alice.setPresence('online', 'here');
    await carol.setPresence('online', 'here');
    const senders = (await watcher.sync()).presence.events.map(({ sender }) => sender);
    t.ok(senders.includes(alice.userId));
    t.notOk(senders.includes(carol.userId));
  });
});

t.test('account-expiry: an account that has expired can do nothing but leave, and renew', async (t) => {
  const { register, url } = await startHomeserver(t, `${fixtures}short-lived.yaml`);
  const alice = await register('alice');
  const second = await Client.login(url, 'alice');
  // From here on it lives for two seconds, which a busy machine may take for one request.
  await delay(2_100);
  const expired = { status: 403, errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT' };
  await refuses(t, alice.whoami(), expired);
  await refuses(t, alice.createRoom(), expired);
  await refuses(t, alice.sync(), expired);
  t.ok((await alice.get<{ expires_at: number }>(RENEW)).expires_at < Date.now(), 'he can look');

  let stood = false;
  for (let attempt = 0; attempt < 5 && !stood; attempt++) {
    const { expires_at } = await alice.post<{ expires_at: number }>(RENEW);
    t.ok(expires_at > Date.now() - 2_000, 'he renews with the token that he has');
    stood = await alice.whoami().then(
      () => true,
      () => false,
    );
  }
  t.ok(stood, 'and is himself again');
  await delay(2_100);
  await refuses(t, alice.whoami(), expired, 'until next time');
  await second.logout();
  t.pass('the way out is open');
  const third = await Client.login(url, 'alice');
  await refuses(t, third.whoami(), expired, 'a new login does not renew');
  await third.post(RENEW);
});
