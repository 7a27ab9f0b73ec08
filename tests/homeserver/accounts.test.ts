import t from 'tap';
import { Client, type Json, Refusal } from './client.ts';
import { refuses, startServer } from './harness.ts';

const V3 = '/_matrix/client/v3';
const server = await startServer(t);
const { url } = server;
const nobody = new Client(url);

t.test('versions and login flows', async (t) => {
  t.match(await nobody.get('/_matrix/client/versions'), { versions: ['v1.1'] });
  t.same(await nobody.get(`${V3}/login`), { flows: [{ type: 'm.login.password' }] });
});

t.test('what is not ours is 404, a wrong method 405, and a module may answer it', async (t) => {
  await refuses(t, nobody.get('/_matrix/client/v3/nothing'), { status: 404, errcode: 'M_UNRECOGNIZED' });
  await refuses(t, nobody.post('/elsewhere'), { status: 404, errcode: 'M_UNRECOGNIZED' });
  await refuses(t, nobody.put('/_matrix/client/versions'), { status: 405, errcode: 'M_UNRECOGNIZED' });
  await refuses(t, nobody.delete(`${V3}/createRoom`), { status: 405, errcode: 'M_UNRECOGNIZED' });
  server.fake.resource = (request) =>
    new URL(request.url).pathname === '/_synapse/client/demo' ? Response.json({ hello: 'bob' }) : undefined;
  t.same(await nobody.get('/_synapse/client/demo'), { hello: 'bob' });
  await refuses(t, nobody.get('/_synapse/client/other'), { status: 404, errcode: 'M_UNRECOGNIZED' });
});

t.test('registration asks for authentication, then creates the account', async (t) => {
  const body = { username: 'two.steps', password: 'correct horse', initial_device_display_name: 'Phone' };
  const challenge = await refusalOf(nobody.post(`${V3}/register`, body));
  t.equal(challenge.status, 401);
  t.match(challenge.body, { flows: [{ stages: ['m.login.dummy'] }], params: {}, session: String });

  const { session } = challenge.body;
  // The first request's parameters need not be sent again.
  const done = await nobody.post(`${V3}/register`, { auth: { type: 'm.login.dummy', session } });
  t.match(done, { user_id: '@two.steps:example.com', access_token: String, device_id: String });
  t.match(await Client.login(url, 'two.steps', 'correct horse'), { userId: '@two.steps:example.com' });

  await refuses(t, nobody.post(`${V3}/register`, { auth: { type: 'm.login.dummy', session } }), {
    status: 400,
    errcode: 'M_UNKNOWN',
  });
});

t.test('another stage does not do', async (t) => {
  const auth = { type: 'm.login.recaptcha' };
  const answer = await refusalOf(nobody.post(`${V3}/register`, { username: 'robot', password: 'x', auth }));
  t.match(answer, { status: 401, errcode: 'M_UNRECOGNIZED' });
  t.ok(answer.body.session);
});

t.test('registration without a name, or without logging in', async (t) => {
  const auth = { type: 'm.login.dummy' };
  t.match(await nobody.post(`${V3}/register`, { password: 'some password', auth }), {
    user_id: /^@[a-z]{12}:example.com$/,
  });
  const quiet = await nobody.post(`${V3}/register`, { username: 'quiet', password: 'x', inhibit_login: true, auth });
  t.same(quiet, { user_id: '@quiet:example.com', home_server: 'example.com' });
});

t.test('names that cannot be registered', async (t) => {
  await server.register('taken');
  const auth = { type: 'm.login.dummy' };
  const register = (username: string) => nobody.post(`${V3}/register`, { username, password: 'x', auth });
  const available = (username: string) => nobody.get(`${V3}/register/available`, { username });
  for (const [username, errcode] of [
    ['taken', 'M_USER_IN_USE'],
    ['Capital', 'M_INVALID_USERNAME'],
    ['with space', 'M_INVALID_USERNAME'],
    ['_service', 'M_INVALID_USERNAME'],
    ['12345', 'M_INVALID_USERNAME'],
    ['x'.repeat(250), 'M_INVALID_USERNAME'],
  ] as const) {
    await refuses(t, register(username), { status: 400, errcode }, username);
    await refuses(t, available(username), { status: 400, errcode }, username);
  }
  t.same(await available('free'), { available: true });
  await refuses(t, nobody.get(`${V3}/register/available`), { status: 400, errcode: 'M_MISSING_PARAM' });
  await refuses(t, nobody.post(`${V3}/register`, { username: 'nopass', auth }), {
    status: 400,
    errcode: 'M_MISSING_PARAM',
  });
  await refuses(t, nobody.post(`${V3}/register?kind=guest`, {}), { status: 403, errcode: 'M_GUEST_ACCESS_FORBIDDEN' });
});

t.test('of two registrations of one name at once, one succeeds', async (t) => {
  const results = await Promise.allSettled([server.register('twin'), server.register('twin')]);
  t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const failed = results.find((result) => result.status === 'rejected');
  t.match(failed?.reason, { status: 400, errcode: 'M_USER_IN_USE' });
});

t.test('login', async (t) => {
  const alice = await server.register('alice');
  t.match(await alice.whoami(), { user_id: alice.userId, device_id: alice.deviceId, is_guest: false });

  const again = await Client.login(url, alice.userId, 'alices password', { device_id: 'TABLET' });
  t.equal(again.deviceId, 'TABLET');
  t.not(again.accessToken, alice.accessToken);
  const old = { type: 'm.login.password', user: 'alice', password: 'alices password' };
  t.match(await nobody.post(`${V3}/login`, old), { user_id: alice.userId, home_server: 'example.com' });

  for (const [why, body, status, errcode] of [
    ['wrong password', { ...old, password: 'guess' }, 403, 'M_FORBIDDEN'],
    ['no such user', { ...old, user: 'nobody' }, 403, 'M_FORBIDDEN'],
    ['a user of another server', { ...old, user: '@alice:elsewhere.org' }, 403, 'M_FORBIDDEN'],
    ['unknown type', { type: 'm.login.token' }, 400, 'M_UNKNOWN'],
    ['no password', { ...old, password: undefined }, 400, 'M_MISSING_PARAM'],
    ['no user', { ...old, user: undefined }, 400, 'M_MISSING_PARAM'],
    ['no type', {}, 400, 'M_MISSING_PARAM'],
    ['wrong type of value', { ...old, password: 5 }, 400, 'M_BAD_JSON'],
  ] as const) {
    await refuses(t, nobody.post(`${V3}/login`, body), { status, errcode }, why);
  }
});

t.test('a login with a known device takes the old token', async (t) => {
  const first = await server.register('onedevice');
  await first.whoami();
  const second = await Client.login(url, 'onedevice', undefined, { device_id: first.deviceId });
  t.equal(second.deviceId, first.deviceId);
  await refuses(t, first.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await second.whoami();
});

t.test('access tokens', async (t) => {
  const user = await server.register('tokens');
  await refuses(t, nobody.whoami(), { status: 401, errcode: 'M_MISSING_TOKEN' });
  await refuses(t, new Client(url, { accessToken: 'made up' }).whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  t.match(await nobody.get(`${V3}/account/whoami`, { access_token: user.accessToken }), { user_id: user.userId });
});

t.test('logout ends one device, logout/all ends all', async (t) => {
  const first = await server.register('leaver');
  const second = await Client.login(url, 'leaver');
  const third = await Client.login(url, 'leaver');
  await first.logout();
  await refuses(t, first.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await second.whoami();
  await second.logoutAll();
  await refuses(t, second.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await refuses(t, third.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
});

t.test('bodies that are no JSON, no object, or too large', async (t) => {
  const login = (body: string) => nobody.fetch('POST', `${V3}/login`, body).then(errorOf);
  t.match(await login('{'), { status: 400, errcode: 'M_NOT_JSON' });
  t.match(await login(''), { status: 400, errcode: 'M_NOT_JSON' });
  t.match(await login('[]'), { status: 400, errcode: 'M_BAD_JSON' });
  t.match(await login(JSON.stringify({ type: 'x'.repeat(1_100_000) })), { status: 413, errcode: 'M_TOO_LARGE' });
});

t.test('profiles', async (t) => {
  const alice = await server.register('profiled');
  const bob = await server.register('onlooker');
  t.same(await bob.profile(alice.userId), {});
  await alice.setDisplayName('Alice ☃');
  await alice.setAvatarUrl('mxc://example.com/picture');
  t.same(await nobody.profile(alice.userId), { displayname: 'Alice ☃', avatar_url: 'mxc://example.com/picture' });
  const path = `${V3}/profile/${encodeURIComponent(alice.userId)}`;
  t.same(await nobody.get(`${path}/displayname`), { displayname: 'Alice ☃' });
  t.same(await nobody.get(`${path}/avatar_url`), { avatar_url: 'mxc://example.com/picture' });
  await refuses(t, bob.put(`${path}/displayname`, { displayname: 'Mallory' }), { status: 403, errcode: 'M_FORBIDDEN' });
  await refuses(t, nobody.put(`${path}/displayname`, {}), { status: 401, errcode: 'M_MISSING_TOKEN' });
  await refuses(t, alice.setDisplayName('a\0b'), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, nobody.profile('@nobody:example.com'), { status: 404, errcode: 'M_NOT_FOUND' });
  await alice.setDisplayName(null);
  t.same(await nobody.profile(alice.userId), { avatar_url: 'mxc://example.com/picture' });
});

t.test('a new profile reaches the rooms', async (t) => {
  const alice = await server.register('renamed');
  const room = await alice.createRoom({});
  await alice.setDisplayName('New Name');
  t.match(await alice.getState(room, 'm.room.member', alice.userId), { membership: 'join', displayname: 'New Name' });
});

async function refusalOf(request: Promise<unknown>): Promise<Refusal> {
  const error = await request.then(
    () => new Error('It was not refused'),
    (reason: unknown) => reason,
  );
  if (error instanceof Refusal) return error;
  throw error;
}

async function errorOf(response: Response) {
  const { errcode } = (await response.json()) as Json;
  return { status: response.status, errcode };
}
