// Every callback, all the way: a client over HTTP, the homeserver, the runtime, a hull, a cell, a module, and back.
// Each is called where the specification's table says, with these arguments, and not where the table leaves it out;
// what the module says, or that it fails, is what the client sees.

import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { CallbackName, EventData, Requester, StateLookup } from '@bulkhead/sdk/contract';
import t, { type Test } from 'tap';
import { bodies, Client, joinedRoom } from '../homeserver/client.ts';
import { refuses } from '../homeserver/harness.ts';
import { fixtures, startHomeserver } from './harness.ts';
import { RecorderClient, type SeenFile, type SeenState } from './recorder.ts';

const V3 = '/_matrix/client/v3';
const server = await startHomeserver(t, `${fixtures}recorder.yaml`);
const { modules, url, logged } = server;
const recorder = new RecorderClient(url);
const [admin, alice, bob] = await Promise.all(['admin', 'alice', 'bob'].map(server.register));
if (!admin || !alice || !bob) throw new Error('Somebody is missing');

t.beforeEach(() => recorder.answer());

/** How a check may refuse, and what the client sees of it. `usual` is what the row says of itself. */
const refusals = (usual: { status: number; errcode: string; error: string }, booleanThatRefuses = false) =>
  [
    [
      String(booleanThatRefuses),
      { returns: booleanThatRefuses },
      { status: usual.status, errcode: usual.errcode, body: { error: usual.error } },
    ],
    [
      'deny() with a code, a reason and more',
      { returns: { verdict: 'deny', code: 'M_X.Y', reason: 'Not today', extra: { why: 1, errcode: 'M_FORGED' } } },
      { status: usual.status, errcode: 'M_X.Y', body: { error: 'Not today', why: 1 } },
    ],
    [
      '[Codes.X, extra]',
      { returns: [{ verdict: 'deny', code: 'M_LIMIT_EXCEEDED' }, { limit: { of: 3 } }] },
      { status: usual.status, errcode: 'M_LIMIT_EXCEEDED', body: { error: usual.error, limit: { of: 3 } } },
    ],
    [
      'MatrixError',
      { refuses: { status: 451, errcode: 'ORG_EXAMPLE_LEGAL', message: 'The law', extra: { law: 7 } } },
      { status: 451, errcode: 'ORG_EXAMPLE_LEGAL', body: { error: 'The law', law: 7 } },
    ],
  ] as const;

/** A module's mistakes, each of them a 500 where nothing else is said. */
const mistakes = [
  ['an error', { throws: 'out of order' }],
  ['a wrong type', { returns: 42 }],
  ['a code that signs users out', { returns: { verdict: 'deny', code: 'M_UNKNOWN_TOKEN' } }],
  ['a status that is no refusal', { refuses: { status: 200, errcode: 'M_X', message: 'fine' } }],
] as const;
const FAILED = { status: 500, errcode: 'M_UNKNOWN' };

/** Every form of refusal and every mistake of one callback reaches the client of `request`. */
async function saysNo(
  t: Test,
  callback: CallbackName,
  request: () => Promise<unknown>,
  usual: { status: number; errcode: string; error: string },
  { booleanThatRefuses = false, failed = FAILED as { status: number; errcode: string; body?: object } } = {},
): Promise<void> {
  for (const [form, answer, refusal] of refusals(usual, booleanThatRefuses)) {
    await recorder.answer({ [callback]: answer });
    await refuses(t, request, refusal, `refused by ${form}`);
  }
  for (const [mistake, answer] of mistakes) {
    await recorder.answer({ [callback]: answer });
    await refuses(t, request, failed, `${mistake} of the module`);
  }
  await recorder.answer();
}

const forbidden = (error: string) => ({ status: 403, errcode: 'M_FORBIDDEN', error });
const types = async (callback: 'checkEventForSpam' | 'checkEventAllowed') =>
  (await recorder.args(callback)).map(([event]) => (event as EventData).type);

// Spam checker

t.test('checkEventForSpam', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await recorder.answer();
  const id = await bob.say(room, 'hello');

  t.match(await recorder.calls('checkEventForSpam'), [
    {
      args: [
        {
          type: 'm.room.message',
          room_id: room,
          sender: bob.userId,
          event_id: id,
          content: { msgtype: 'm.text', body: 'hello' },
          origin_server_ts: Number,
        },
      ],
      context: { origin: 'client', roomVersion: '11', attempt: 1 },
    },
  ]);

  await alice.setState(room, 'm.room.topic', { topic: 'x' });
  await bob.redact(room, id);
  t.same(await types('checkEventForSpam'), ['m.room.message', 'm.room.topic', 'm.room.redaction']);

  await recorder.answer();
  await admin.createRoom({ name: 'Office' });
  const made = await types('checkEventForSpam');
  t.ok(made.includes('m.room.create') && made.includes('m.room.name'), "an admin's events and those of createRoom");
  t.notOk(made.includes('m.room.member'));

  await recorder.answer();
  await bob.leave(room);
  await alice.invite(room, bob.userId);
  await bob.join(room);
  await alice.kick(room, bob.userId);
  await alice.ban(room, bob.userId);
  await alice.unban(room, bob.userId);
  await bob.setDisplayName('Bob');
  await alice.setState(room, 'm.room.member', { membership: 'join', displayname: 'A' }, alice.userId);
  t.same(await types('checkEventForSpam'), [], 'memberships are not asked about');

  await saysNo(
    t,
    'checkEventForSpam',
    () => alice.say(room, 'spam'),
    forbidden('This message has been rejected as probable spam'),
    { booleanThatRefuses: true },
  );
  await recorder.answer({ checkEventForSpam: { returns: 'no links' } });
  await refuses(t, alice.say(room, 'spam'), { status: 403, errcode: 'M_FORBIDDEN', body: { error: 'no links' } });
  await refuses(t, alice.setState(room, 'm.room.topic', { topic: 'spam' }), { status: 403 });
  await recorder.answer({ checkEventForSpam: { returns: 'NOT_SPAM' } });
  await alice.say(room, 'ham');
  t.same(bodies((await alice.messages(room)).chunk), ['ham', undefined], 'nothing that was refused is there');

  const remote = { ...message('!elsewhere:example.org', '@mallory:example.org'), event_id: '$remote' };
  await recorder.answer({ checkEventForSpam: { returns: 'no links' } });
  t.match(
    await modules.spamChecker.checkEventForSpam(remote, { origin: 'federation', roomVersion: '10' }),
    { allowed: false, cause: 'refused', module: 'recorder', error: 'no links' },
    'from another server',
  );
  t.match(await recorder.calls('checkEventForSpam'), [
    { args: [remote], context: { origin: 'federation', roomVersion: '10' } },
  ]);
});

t.test('userMayInvite', async (t) => {
  const room = await alice.createRoom({ invite: [bob.userId] });
  t.same(await recorder.args('userMayInvite'), [[alice.userId, bob.userId, room]], 'with createRoom');
  await bob.leave(room);
  await recorder.answer();
  await alice.invite(room, bob.userId);
  await bob.join(room);
  await bob.leave(room);
  await alice.setState(room, 'm.room.member', { membership: 'invite' }, bob.userId);
  await alice.kick(room, bob.userId);
  const invite = [alice.userId, bob.userId, room];
  t.same(await recorder.args('userMayInvite'), [invite, invite], 'later, by either endpoint, and for nothing else');

  await recorder.answer();
  const office = await admin.createRoom({ invite: [alice.userId] });
  await admin.invite(office, bob.userId);
  t.same(await recorder.args('userMayInvite'), [], 'not for admins');

  await saysNo(
    t,
    'userMayInvite',
    () => alice.invite(room, bob.userId),
    forbidden('You are not allowed to invite this user'),
  );
  await recorder.answer({ userMayInvite: { returns: false } });
  await refuses(t, alice.createRoom({ invite: [bob.userId], room_alias_name: 'half' }), { status: 403 });
  await refuses(t, alice.setState(room, 'm.room.member', { membership: 'invite' }, bob.userId), { status: 403 });
  await refuses(t, alice.resolve('#half:example.com'), { status: 404 }, 'no half a room is left');

  t.match(
    await modules.spamChecker.userMayInvite('@mallory:example.org', bob.userId, '!r:example.org'),
    { allowed: false, status: 403, errcode: 'M_FORBIDDEN' },
    'from another server',
  );
  t.same((await recorder.args('userMayInvite')).at(-1), ['@mallory:example.org', bob.userId, '!r:example.org']);
});

t.test('userMayCreateRoom', async (t) => {
  await alice.createRoom({ topic: 'x' });
  t.same(await recorder.args('userMayCreateRoom'), [[alice.userId, { topic: 'x' }]]);
  t.same((await recorder.asked()).slice(0, 2), ['onCreateRoom', 'userMayCreateRoom'], 'after onCreateRoom');

  await recorder.answer({ onCreateRoom: { changes: { topic: 'y' } } });
  await alice.createRoom({ topic: 'x' });
  t.same(await recorder.args('userMayCreateRoom'), [[alice.userId, { topic: 'y' }]], 'what onCreateRoom made of it');

  await recorder.answer({ userMayCreateRoom: { returns: false } });
  await admin.createRoom({});
  t.same(await recorder.args('userMayCreateRoom'), [], 'not for admins');

  await saysNo(
    t,
    'userMayCreateRoom',
    () => alice.createRoom({ room_alias_name: 'never' }),
    forbidden('You are not permitted to create rooms'),
  );
  await recorder.answer({ userMayCreateRoom: { returns: false } });
  await refuses(t, alice.createRoom({ room_alias_name: 'never' }), { status: 403 });
  t.same(await recorder.asked(), ['onCreateRoom', 'userMayCreateRoom'], 'nobody else is asked then');
  await refuses(t, alice.resolve('#never:example.com'), { status: 404 });
});

t.test('userMayCreateRoomAlias', async (t) => {
  const room = await alice.createRoom({ room_alias_name: 'first' });
  await alice.createAlias('#second:example.com', room);
  await admin.createRoom({ room_alias_name: 'office' });
  t.same(await recorder.args('userMayCreateRoomAlias'), [
    [alice.userId, '#first:example.com'],
    [alice.userId, '#second:example.com'],
    [admin.userId, '#office:example.com'],
  ]);
  await recorder.answer();
  await alice.createRoom({});
  await alice.resolve('#second:example.com');
  await alice.deleteAlias('#second:example.com');
  t.same(await recorder.args('userMayCreateRoomAlias'), []);

  await saysNo(
    t,
    'userMayCreateRoomAlias',
    () => alice.createAlias('#third:example.com', room),
    forbidden('You are not permitted to create this alias'),
  );
  await recorder.answer({ userMayCreateRoomAlias: { returns: false } });
  await refuses(t, alice.createRoom({ room_alias_name: 'third' }), { status: 403 });
  await refuses(t, admin.createRoom({ room_alias_name: 'third' }), { status: 403 });
  await refuses(t, alice.resolve('#third:example.com'), { status: 404 });
});

t.test('userMayPublishRoom', async (t) => {
  const room = await alice.createRoom({ visibility: 'public' });
  await alice.publish(room, 'private');
  await alice.publish(room, 'public');
  const office = await admin.createRoom({ visibility: 'public' });
  t.same(await recorder.args('userMayPublishRoom'), [
    [alice.userId, room],
    [alice.userId, room],
    [alice.userId, room],
    [admin.userId, office],
  ]);
  await recorder.answer();
  await alice.createRoom({ preset: 'public_chat' });
  await alice.publicRooms();
  t.same(await recorder.args('userMayPublishRoom'), [], 'a public room is not a published one');

  await saysNo(
    t,
    'userMayPublishRoom',
    () => alice.publish(room, 'private'),
    forbidden('You are not permitted to change the entry of this room in the directory'),
  );
  await recorder.answer({ userMayPublishRoom: { returns: false } });
  await refuses(t, alice.createRoom({ visibility: 'public', room_alias_name: 'unseen' }), { status: 403 });
  await refuses(t, alice.resolve('#unseen:example.com'), { status: 404 });
  const listed = (await alice.publicRooms()).chunk.map(({ room_id }) => room_id);
  t.ok(listed.includes(room), 'the entry is as it was');
});

t.test('checkUsernameForSpam', async (t) => {
  const stage = await alice.createRoom({ preset: 'public_chat' });
  const crowd = await Promise.all([0, 1, 2, 3, 4, 5, 6].map((i) => server.register(`crowd${i}`)));
  for (const user of crowd) await user.join(stage);
  await crowd[0]?.setDisplayName('Zero');
  const search = async (limit: number) => {
    const { limited, results } = await bob.searchUsers('crowd', limit);
    return { limited, names: results.map(({ user_id }) => user_id.slice(1, user_id.indexOf(':'))) };
  };
  const asked = async () =>
    (await recorder.args('checkUsernameForSpam')).map(([profile]) =>
      (profile as { user_id: string }).user_id.slice('@crowd'.length, '@crowd0'.length),
    );
  const hide = (...hidden: number[]) =>
    recorder.answer({ checkUsernameForSpam: hidden.map((i) => ({ when: `@crowd${i}:`, returns: false })) });

  await recorder.answer();
  t.same(await search(2), { limited: true, names: ['crowd0', 'crowd1'] });
  t.same(
    [...(await recorder.args('checkUsernameForSpam'))].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? 1 : -1)),
    [
      [{ user_id: '@crowd1:example.com', display_name: null, avatar_url: null }, bob.userId],
      [{ user_id: '@crowd0:example.com', display_name: 'Zero', avatar_url: null }, bob.userId],
    ],
  );
  await hide(0, 3);
  t.same(await search(2), { limited: true, names: ['crowd1', 'crowd2'] }, 'a second page makes up for it');
  t.same((await asked()).sort(), ['0', '1', '2', '3']);
  await hide(0, 1, 2, 3, 4, 5);
  t.same(await search(2), { limited: true, names: [] }, 'after three pages it says that there may be more');
  t.same((await asked()).sort(), ['0', '1', '2', '3', '4', '5']);
  await hide(0, 1, 2, 3, 4, 5, 6);
  t.same(await search(10), { limited: false, names: [] }, 'there are no others');

  for (const [mistake, answer] of mistakes) {
    await recorder.answer({ checkUsernameForSpam: answer });
    t.same(await search(2), { limited: true, names: ['crowd0', 'crowd1'] }, `a search goes on after ${mistake}`);
  }
  await recorder.answer({ checkUsernameForSpam: { changes: { display_name: 'Changed', user_id: '@x:example.com' } } });
  t.match((await bob.searchUsers('crowd0')).results, [{ user_id: '@crowd0:example.com', display_name: 'Zero' }]);

  await recorder.answer();
  await bob.profile('@crowd0:example.com');
  await bob.members(stage).catch(() => undefined);
  t.same(await recorder.args('checkUsernameForSpam'), [], 'a search, and nothing else');
});

t.test('checkRegistrationForSpam', async (t) => {
  const sessionOf = async (body: object, agent: string) => {
    const headers = { 'user-agent': agent, 'content-type': 'application/json' };
    const response = await new Client(url).fetch('POST', `${V3}/register`, JSON.stringify(body), { headers });
    return ((await response.json()) as { session: string }).session;
  };
  const body = { username: 'checked', password: 'x' };
  const session = await sessionOf(body, 'First/1');
  t.same(await recorder.args('checkRegistrationForSpam'), [], 'not before authentication');
  const complete = { ...body, auth: { type: 'm.login.dummy', session } };
  await new Client(url).request('POST', `${V3}/register`, complete, { headers: { 'user-agent': 'Second/2' } });
  t.same(await recorder.args('checkRegistrationForSpam'), [
    [
      null,
      'checked',
      [
        ['First/1', '127.0.0.1'],
        ['Second/2', '127.0.0.1'],
      ],
      null,
    ],
  ]);
  await recorder.answer();
  await new Client(url).post(`${V3}/register`, { password: 'x', auth: { type: 'm.login.dummy' } });
  t.equal((await recorder.args('checkRegistrationForSpam'))[0]?.[1], null, 'a name that the server makes up');
  await recorder.answer();
  await Client.login(url, 'checked', 'x');
  t.same(await recorder.args('checkRegistrationForSpam'), [], 'not on login');

  const rateLimited = { status: 429, errcode: 'M_UNKNOWN', body: { error: 'Rate limited' } };
  const denied = () => server.register('denied');
  const answers = [
    [{ returns: 'deny' }, rateLimited],
    [{ returns: { verdict: 'deny' } }, rateLimited],
    [{ refuses: { status: 403, errcode: 'M_X', message: 'No', extra: { a: 1 } } }, { status: 403, errcode: 'M_X' }],
    ...[{ throws: 'out of order' }, { returns: true }, { returns: 'maybe' }].map(
      (mistake) => [mistake, FAILED] as const,
    ),
  ] as const;
  for (const [answer, refusal] of answers) {
    await recorder.answer({ checkRegistrationForSpam: answer });
    await refuses(t, denied, refusal, JSON.stringify(answer));
    t.same(await recorder.args('onUserRegistration'), []);
  }
  await recorder.answer();
  await denied();
  t.pass('no account was left behind: the name is free');
});

t.test('a shadow-banned user is alone and cannot tell', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await recorder.answer({ checkRegistrationForSpam: { returns: 'shadow_ban' } });
  const ghost = await server.register('ghost');
  t.equal((await recorder.args('onUserRegistration')).length, 1, 'he has an account like others');
  await recorder.answer();

  await ghost.join(room);
  const id = await ghost.say(room, 'boo');
  t.match(id, /^\$/);
  t.match((await recorder.args('checkEventForSpam')).at(-1), [{ sender: ghost.userId, event_id: id }]);
  const hers = await ghost.createRoom({ invite: [bob.userId] });
  t.match((await recorder.args('onCreateRoom')).at(-1)?.[0], { userId: ghost.userId, shadowBanned: true });
  t.match(await ghost.invite(await ghost.createRoom({}), bob.userId), {});

  const synced = await bob.sync({ since: undefined });
  t.same(bodies(joinedRoom(synced, room).timeline.events), []);
  t.notMatch(JSON.stringify(synced.rooms.invite), /ghost/, 'his invites do nothing');
  t.notMatch(JSON.stringify(await bob.messages(room)), /boo|ghost/);
  t.notMatch(JSON.stringify(await bob.members(room)), /ghost/);
  t.same(bodies((await ghost.messages(room)).chunk), ['boo'], 'he sees himself');
  t.ok((await ghost.sync()).rooms.join[hers]);
});

t.test('checkMediaFileForSpam', async (t) => {
  const bytes = new Uint8Array(300_000).map((_, i) => (i * 7919) >> 3);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await recorder.answer({ checkMediaFileForSpam: { afterMs: 500 } });
  const uploading = alice.upload(bytes, 'application/octet-stream');
  let call: readonly unknown[] | undefined;
  while (call === undefined) {
    await delay(20);
    [call] = await recorder.args('checkMediaFileForSpam');
  }
  const [file, info] = call as [SeenFile, { fileId: string }];
  t.same(file, { size: bytes.length, sha256 }, 'all of the bytes');
  t.same(info, { fileId: info.fileId, urlCache: false });
  const mxc = `mxc://example.com/${info.fileId}`;
  t.equal((await bob.download(mxc)).status, 404, 'not served while it is asked about');
  t.equal(await uploading, mxc);
  const download = await bob.download(mxc);
  t.equal(download.status, 200);
  t.equal(
    createHash('sha256')
      .update(new Uint8Array(await download.arrayBuffer()))
      .digest('hex'),
    sha256,
  );
  t.equal((await recorder.args('checkMediaFileForSpam')).length, 1, 'asked once, not on download');

  await saysNo(t, 'checkMediaFileForSpam', () => alice.upload('x'), {
    status: 400,
    errcode: 'M_UNKNOWN',
    error: 'Bad content',
  });
  await recorder.answer({ checkMediaFileForSpam: { returns: false } });
  await refuses(t, alice.upload('refused'), { status: 400 });
  const [[, refused] = []] = await recorder.args('checkMediaFileForSpam');
  t.equal(
    (await bob.download(`mxc://example.com/${(refused as { fileId: string }).fileId}`)).status,
    404,
    'and is gone',
  );

  await recorder.answer();
  const thumbnail = { width: 32, height: 32, method: 'crop', type: 'image/png' } as const;
  const remote = { serverName: 'example.org', fileId: 'abc', urlCache: true, thumbnail };
  const source = { size: bytes.length, open: async () => new Blob([bytes]).stream() };
  t.match(await modules.spamChecker.checkMediaFileForSpam(source, remote), { allowed: true, failures: [] });
  t.same(await recorder.args('checkMediaFileForSpam'), [[{ size: bytes.length, sha256 }, remote]], 'from elsewhere');
});

// Account validity

t.test('isUserExpired', async (t) => {
  const user = await server.register('expiring');
  const [second, third] = [await Client.login(url, 'expiring'), await Client.login(url, 'expiring')];
  t.same(await recorder.args('isUserExpired'), [], 'not for requests without a token');
  await user.whoami();
  t.same(await recorder.args('isUserExpired'), [[user.userId]]);
  await recorder.answer();
  await admin.whoami();
  t.same(await recorder.args('isUserExpired'), [[admin.userId]], 'admins, too');

  const expired = { status: 403, errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT', body: { error: 'User account has expired' } };
  await recorder.answer({ isUserExpired: { when: user.userId, returns: true } });
  for (const [what, request] of Object.entries({
    whoami: () => user.whoami(),
    sync: () => user.sync(),
    createRoom: () => user.createRoom({}),
    upload: () => user.upload('x'),
    search: () => user.searchUsers('x'),
    directory: () => user.publish('!x:example.com'),
    presence: () => user.setPresence('online'),
  })) {
    await refuses(t, request, expired, what);
  }
  await alice.whoami();
  t.same(await recorder.asked(), [], 'nobody is asked about a request of an expired account');
  await recorder.answer({ isUserExpired: { returns: false } });
  await user.whoami();
  t.pass('the token stays valid');

  for (const [mistake, answer] of mistakes) {
    await recorder.answer({ isUserExpired: answer });
    await user.whoami();
    t.equal((await recorder.args('isUserExpired')).length, 1, `accounts stay valid after ${mistake}`);
  }

  await recorder.answer({ isUserExpired: { returns: true } });
  await second.logout();
  await refuses(t, user.whoami(), expired);
  await third.logoutAll();
  t.same(await recorder.args('isUserExpired'), [[user.userId]], 'not on the way out');
  await recorder.answer();
  await refuses(t, user.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await user.get('/_matrix/client/versions');
  t.same(await recorder.args('isUserExpired'), []);
});

t.test('onUserRegistration', async (t) => {
  await recorder.answer({ onUserRegistration: { afterMs: 300 } });
  const user = await server.register('announced');
  t.match(
    await recorder.calls('onUserRegistration'),
    [{ args: [user.userId], answered: true }],
    'done before the answer',
  );
  t.same(await recorder.asked(), ['checkRegistrationForSpam', 'onUserRegistration']);
  await recorder.answer();
  await Client.login(url, 'announced');
  await user.whoami();
  t.same(await recorder.args('onUserRegistration'), [], 'not on login');

  await recorder.answer({ onUserRegistration: { throws: 'out of order' } });
  const other = await server.register('announced2');
  await other.whoami();
  t.equal((await recorder.args('onUserRegistration')).length, 1, 'a failure of the module is not the user’s');
});

// Third-party rules

t.test('checkEventAllowed', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', topic: 'Here', invite: [bob.userId] });
  t.same(await types('checkEventAllowed'), [
    'm.room.create',
    'm.room.member',
    'm.room.power_levels',
    'm.room.join_rules',
    'm.room.history_visibility',
    'm.room.guest_access',
    'm.room.topic',
    'm.room.member',
  ]);
  const seen = (await recorder.args('checkEventAllowed')).map(([, state]) => state as SeenState);
  t.same(
    seen.map(({ count }) => count),
    [0, 1, 2, 3, 4, 5, 6, 7],
    'each with the state before it',
  );

  await recorder.answer();
  await bob.join(room);
  const id = await bob.say(room, 'hello');
  await alice.setState(room, 'm.room.topic', { topic: 'There' });
  await bob.redact(room, id);
  await bob.leave(room);
  await alice.ban(room, bob.userId);
  await alice.unban(room, bob.userId);
  t.same(await types('checkEventAllowed'), [
    'm.room.member',
    'm.room.message',
    'm.room.topic',
    'm.room.redaction',
    'm.room.member',
    'm.room.member',
    'm.room.member',
  ]);
  const [, said, topic, redaction] = await recorder.calls('checkEventAllowed');
  t.match(said, {
    args: [
      { type: 'm.room.message', room_id: room, sender: bob.userId, content: { body: 'hello' } },
      { create: alice.userId, topic: 'Here', members: [alice.userId, bob.userId], count: 8 },
    ],
    context: { origin: 'client', roomVersion: '11' },
  });
  t.match(topic?.args, [{ content: { topic: 'There' } }, { topic: 'Here' }], 'the state before the event');
  t.match(redaction?.args, [{ redacts: id }, { topic: 'There' }]);

  await recorder.answer();
  await bob.join(room);
  await refuses(t, bob.setState(room, 'm.room.name', { name: 'x' }), { status: 403, errcode: 'M_FORBIDDEN' });
  t.same(await recorder.asked(), ['checkEventAllowed'], 'before the authorisation rules, and checkEventForSpam after');
  t.same(await types('checkEventAllowed'), ['m.room.member', 'm.room.name']);

  await saysNo(
    t,
    'checkEventAllowed',
    () => alice.say(room, 'no'),
    forbidden('This event is not allowed in this context'),
  );
  await recorder.answer({ checkEventAllowed: { returns: [false, null] } });
  await refuses(t, bob.leave(room), { status: 403, errcode: 'M_FORBIDDEN' });
  await refuses(t, alice.createRoom({ room_alias_name: 'disallowed' }), { status: 403 });
  await refuses(t, alice.resolve('#disallowed:example.com'), { status: 404 });
  t.same(bodies((await alice.messages(room)).chunk), [undefined], 'nothing that was refused is there');
});

t.test('checkEventAllowed replaces an event', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await recorder.answer({
    checkEventAllowed: {
      when: 'please',
      replaces: { content: { msgtype: 'm.text', body: 'thank you' }, event_id: '$forged', depth: 99 },
    },
  });
  const id = await bob.say(room, 'please');
  t.not(id, '$forged');
  t.match((await alice.messages(room)).chunk[0], { event_id: id, sender: bob.userId, content: { body: 'thank you' } });
  t.match(joinedRoom(await alice.sync({ since: undefined }), room).timeline.events.at(-1), {
    event_id: id,
    content: { body: 'thank you' },
  });
  t.match(await recorder.args('checkEventForSpam'), [[{ event_id: id, content: { body: 'thank you' } }]]);

  for (const [what, replaces] of Object.entries({
    'another room': { room_id: '!other:example.com' },
    'another type': { type: 'm.room.topic' },
    'a state key': { state_key: '' },
    'a sender of another server': { sender: '@mallory:example.org' },
  })) {
    await recorder.answer({ checkEventAllowed: { replaces } });
    await refuses(t, bob.say(room, 'please'), FAILED, `a replacement with ${what} is a failure`);
  }
  await recorder.answer({ checkEventAllowed: { replaces: { sender: '@nobody:example.com' } } });
  await refuses(t, bob.say(room, 'please'), { status: 403, errcode: 'M_FORBIDDEN' }, 'it is authorised anew');
});

t.test('checkEventAllowed: an event of another server is allowed or refused, never replaced', async (t) => {
  const event = message('!r:example.org', '@mallory:example.org');
  const ask = () => modules.thirdPartyRules.checkEventAllowed(event, noState, { origin: 'federation' });
  await recorder.answer({ checkEventAllowed: { replaces: { content: { body: 'nicer' } } } });
  const before = logged.length;
  const outcome = await ask();
  t.match(outcome, { allowed: true, failures: [] });
  t.equal(outcome.allowed && outcome.replacement, undefined);
  t.match(await recorder.calls('checkEventAllowed'), [{ context: { origin: 'federation' } }]);
  const warnings = logged.slice(before).filter(({ level }) => level === 'warn');
  t.match(warnings, [{ message: /replacement.*dropped/, fields: { module: 'recorder' } }]);
  await recorder.answer({ checkEventAllowed: { returns: false } });
  t.match(await ask(), { allowed: false, status: 403, errcode: 'M_FORBIDDEN' });
});

t.test('onCreateRoom', async (t) => {
  await alice.createRoom({ name: 'plain' });
  const [first] = (await recorder.calls()).filter(({ callback }) => callback !== 'isUserExpired');
  t.match(first, { callback: 'onCreateRoom', args: [{}, { name: 'plain' }, false] }, 'before all others');
  const requester: Requester = {
    userId: alice.userId,
    deviceId: alice.deviceId,
    isGuest: false,
    shadowBanned: false,
    authenticatedEntity: alice.userId,
  };
  t.same(first?.args[0], requester, 'who asks, and no token');
  await recorder.answer();
  await admin.createRoom({});
  t.match(await recorder.args('onCreateRoom'), [[{ userId: admin.userId }, {}, true]], 'admins, too');

  const initial_state = [{ type: 'org.example.mark', state_key: 'k', content: { by: 'module' } }];
  for (const [how, answer] of Object.entries({
    'changed in place': { changes: { name: 'changed', initial_state } },
    returned: { returns: { name: 'changed', initial_state } },
  })) {
    await recorder.answer({ onCreateRoom: answer });
    const room = await alice.createRoom({ name: 'plain' });
    t.match(await alice.getState(room, 'm.room.name'), { name: 'changed' }, how);
    t.match(await alice.getState(room, 'org.example.mark', 'k'), { by: 'module' }, how);
  }

  const error = 'Room creation forbidden with these parameters';
  const asked = { preset: 'no such thing', room_alias_name: 'unmade' };
  await recorder.answer({
    onCreateRoom: { refuses: { status: 429, errcode: 'M_MINE', message: 'No', extra: { why: 'because' } } },
  });
  const refusal = { status: 429, errcode: 'M_MINE', body: { error: 'No', why: 'because' } };
  await refuses(t, alice.createRoom(asked), refusal, 'before the request is looked at');
  t.same(await recorder.asked(), ['onCreateRoom']);
  await refuses(t, alice.resolve('#unmade:example.com'), { status: 404 }, 'nothing is stored');
  await refuses(t, admin.createRoom({}), refusal);
  const failures = [...mistakes.map(([, answer]) => answer), { returns: { verdict: 'deny' } }];
  for (const answer of failures) {
    await recorder.answer({ onCreateRoom: answer });
    const refusal = { status: 403, errcode: 'M_UNKNOWN', body: { error } };
    await refuses(t, alice.createRoom({}), refusal, JSON.stringify(answer));
  }
  await recorder.answer();
  const room = await alice.createRoom({});
  await recorder.answer();
  await alice.say(room, 'x');
  await alice.setState(room, 'm.room.name', { name: 'x' });
  t.same(await recorder.args('onCreateRoom'), []);
});

// Presence router

t.test('getInterestedUsers and getUsersForStates', async (t) => {
  const watcher = await server.register('watcher');
  const actor = await server.register('actor');
  const told = (sync: { presence: { events: readonly { sender: string }[] } }) =>
    sync.presence.events.map(({ sender }) => sender).filter((userId) => userId !== watcher.userId);

  await recorder.answer();
  await watcher.sync();
  await watcher.sync();
  t.same(await recorder.args('getInterestedUsers'), [[watcher.userId], [watcher.userId]], 'once for each /sync');
  await recorder.answer();
  await watcher.whoami();
  await watcher.profile();
  t.same(await recorder.args('getInterestedUsers'), []);

  await recorder.answer();
  await actor.setPresence('online', 'busy acting');
  t.match(await recorder.args('getUsersForStates'), [
    [
      [
        {
          user_id: actor.userId,
          state: 'online',
          status_msg: 'busy acting',
          currently_active: true,
          last_active_ts: Number,
          last_user_sync_ts: Number,
          last_federation_update_ts: Number,
        },
      ],
    ],
  ]);
  await recorder.answer();
  await actor.setPresence('online', 'busy acting');
  t.same(await recorder.args('getUsersForStates'), [], 'nothing has changed');
  t.same(told(await watcher.sync()), [], 'a stranger is told nothing');

  await recorder.answer({ getUsersForStates: { routes: [watcher.userId, '@nobody:example.com'] } });
  const waiting = watcher.sync({ timeout: 30_000, set_presence: 'offline' });
  await delay(100);
  await actor.setPresence('unavailable', 'a break');
  t.same(told(await waiting), [actor.userId], 'a state that is routed to him wakes him');

  await recorder.answer({ getInterestedUsers: { returns: [actor.userId] } });
  t.same(told(await watcher.sync({ since: undefined })), [actor.userId], 'one that he is interested in');
  await recorder.answer({ getInterestedUsers: { returns: 'ALL' } });
  t.ok(told(await watcher.sync({ since: undefined })).includes(actor.userId));

  await recorder.answer({ getInterestedUsers: { throws: 'x' }, getUsersForStates: { throws: 'x' } });
  await actor.setPresence('online', 'nobody hears');
  t.same(told(await watcher.sync()), [], 'a module that fails is left out');
  await recorder.answer({ getInterestedUsers: { returns: 42 }, getUsersForStates: { returns: 42 } });
  await actor.setPresence('online', 'still nobody');
  t.same(told(await watcher.sync()), []);

  const invented = { ...(await stateOf(actor)), status_msg: 'invented' };
  await recorder.answer({ getUsersForStates: { returns: { [watcher.userId]: [invented] } } });
  await actor.setPresence('online', 'the real one');
  t.same(told(await watcher.sync()), [], 'presence is routed, not invented');
});

t.test('requests that read ask about nothing but expiry', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'quiet' });
  const mxc = await alice.upload('x');
  await recorder.answer();
  await alice.profile();
  await alice.messages(room);
  await alice.members(room);
  await alice.state(room);
  await alice.resolve('#quiet:example.com');
  await alice.publicRooms();
  await alice.presence(alice.userId);
  await (await alice.download(mxc)).arrayBuffer();
  t.same(new Set((await recorder.calls()).map(({ callback }) => callback)), new Set(['isUserExpired']));
});

t.test('on_failures: reject, on the rows that let pass by default', async (t) => {
  await modules.reload(`${fixtures}recorder-strict.yaml`);
  for (const [mistake, answer] of mistakes) {
    await recorder.answer({ isUserExpired: answer });
    await refuses(t, alice.whoami(), FAILED, `isUserExpired: ${mistake} is a 500, never an expired account`);
    await recorder.answer({ checkUsernameForSpam: answer });
    t.same((await alice.searchUsers('bob')).results, [], `checkUsernameForSpam: ${mistake} hides`);
  }
  await recorder.answer();
  await alice.whoami();
});

/** The presence that a callback is given of a user, as it is now. */
async function stateOf(user: Client): Promise<object> {
  await recorder.answer();
  await user.setPresence('unavailable', String(Math.random()));
  const [[[state] = []] = []] = (await recorder.args('getUsersForStates')) as readonly (readonly object[][])[];
  return state as object;
}

function message(room_id: string, sender: string): EventData {
  return { type: 'm.room.message', room_id, sender, origin_server_ts: 1, content: { msgtype: 'm.text', body: 'hi' } };
}

const noState: StateLookup = { get: () => undefined, list: () => [], entries: () => [] };
