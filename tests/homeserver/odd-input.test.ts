// Requests that no client should send: each gets the answer that says what is wrong with it, and none an internal error.

import { randomBytes } from 'node:crypto';
import t from 'tap';
import { Client, type Json } from './client.ts';
import { refuses, startServer } from './harness.ts';

const V3 = '/_matrix/client/v3';
const e = encodeURIComponent;
/** Longer than the database's indexes take, and not to be compressed. */
const LONG = randomBytes(3000).toString('hex');
const invalid = { status: 400, errcode: 'M_INVALID_PARAM' };
const badJson = { status: 400, errcode: 'M_BAD_JSON' };

const server = await startServer(t);
const alice = await server.register('alice');
const room = await alice.createRoom({});
const event = await alice.say(room, 'hello');
const inRoom = `${V3}/rooms/${e(room)}`;
const ofAlice = `${V3}/user/${e(alice.userId)}`;
const readTo = (body: Json) => alice.post(`${inRoom}/receipt/m.read/${e(event)}`, body);

t.test('names without end', async (t) => {
  await alice.post(`${V3}/room_keys/version`, { algorithm: 'x', auth_data: {} });
  const key = { first_message_index: 0, forwarded_count: 0, is_verified: true, session_data: {} };
  for (const [what, request] of [
    ['account data', () => alice.put(`${ofAlice}/account_data/${LONG}`)],
    ['account data of a room', () => alice.put(`${ofAlice}/rooms/${e(room)}/account_data/${LONG}`)],
    ['a message to devices', () => alice.put(`${V3}/sendToDevice/x/${LONG}`, { messages: {} })],
    ['a transaction', () => alice.put(`${inRoom}/send/m.room.message/${LONG}`)],
    ['a key in the backup', () => alice.put(`${V3}/room_keys/keys/${e(room)}/${LONG}?version=1`, key)],
    ['a thread', () => readTo({ thread_id: `$${LONG}` })],
  ] as const) {
    await refuses(t, request, invalid, what);
  }
  // What is encoded has a third of the bytes that it seems to have.
  await alice.put(`${ofAlice}/account_data/${e('語'.repeat(330))}`);
});

t.test('NUL, which the database does not take', async (t) => {
  const password = 'a long secret';
  for (const [what, path, body] of [
    ['a login', 'login', { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'a\0' }, password }],
    ['a login as of old', 'login', { type: 'm.login.password', user: 'a\0', password }],
    ['a search for users', 'user_directory/search', { search_term: 'a\0' }],
    ['a signature', 'keys/signatures/upload', { [alice.userId]: { X: { signatures: { x: { k: 'a\0' } } } } }],
  ] as const) {
    await refuses(t, alice.post(`${V3}/${path}`, body), badJson, what);
  }
  await refuses(t, readTo({ thread_id: '$a\0' }), invalid);
  const unknown = { status: 404, errcode: 'M_NOT_FOUND' };
  await refuses(t, alice.post(`${inRoom}/read_markers`, { 'm.read': '$a\0' }), unknown);

  const account = { username: 'bob', password, auth: { type: 'm.login.dummy' } };
  const nobody = new Client(server.url);
  const register = (more: Json) => nobody.post(`${V3}/register`, { ...account, ...more });
  await refuses(t, register({ initial_device_display_name: 'a\0' }), badJson);
  t.match(await register({}), { user_id: '@bob:example.com' }, 'the refused request has not made the account');
});

t.test('half of a character, which UTF-8 does not have', async (t) => {
  const half = '\ud83e';
  await refuses(t, alice.say(room, half), badJson, 'as a value');
  await refuses(t, alice.send(room, 'm.custom', { [half]: 1 }), badJson, 'as a key');
  const content = {};
  await refuses(t, alice.createRoom({ initial_state: [{ type: half, content }] }), invalid, 'as a type');
  await refuses(t, alice.createRoom({ initial_state: [{ type: 'x', state_key: half, content }] }), invalid);
  await alice.say(room, '\ud83e\udd80');
});

t.test('queries', async (t) => {
  await refuses(t, alice.get(`${V3}/sync`, { full_state: 'perhaps' }), invalid);
  await refuses(t, alice.get(`${V3}/sync`, { set_presence: 'asleep' }), invalid);
  const thumbnail = '/_matrix/client/v1/media/thumbnail/example.com/x';
  await refuses(t, alice.get(thumbnail, { width: -1, height: 1 }), invalid);
  await refuses(t, alice.get(thumbnail, { width: 1 }), { status: 400, errcode: 'M_MISSING_PARAM' });
});

t.test('more users than a statement of the database has parameters', async (t) => {
  const users = Array.from({ length: 66_000 }, (_, index) => `@${index.toString(36)}:a`);
  const about = (value: unknown) => Object.fromEntries([...users, alice.userId].map((userId) => [userId, value]));
  t.match(await alice.post(`${V3}/keys/query`, { device_keys: about([]) }), { device_keys: {} });
  await alice.put(`${V3}/sendToDevice/x/1`, { messages: about({}) });
  const claims = Object.fromEntries(users.slice(0, 25_000).map((userId) => [userId, { d: 'x' }]));
  t.same(await alice.post(`${V3}/keys/claim`, { one_time_keys: claims }), { one_time_keys: {}, failures: {} });
});

t.test('fallback keys for ever more algorithms', async (t) => {
  const keys = (from: number) => Object.fromEntries([0, 1, 2, 3, 4, 5].map((index) => [`a${from + index}:k`, 'x']));
  const upload = (from: number) => alice.post(`${V3}/keys/upload`, { fallback_keys: keys(from) });
  await upload(0);
  await upload(0);
  await refuses(t, upload(6), { status: 400, errcode: 'M_UNKNOWN' });
});
