import t from 'tap';
import type { Json } from './client.ts';
import { refuses, startServer } from './harness.ts';

const KEYS = '/_matrix/client/v3/room_keys/keys';
const VERSION = '/_matrix/client/v3/room_keys/version';
const server = await startServer(t);
const alice = await server.register('alice');
const algorithm = 'm.megolm_backup.v1.curve25519-aes-sha2';
const missing = { status: 404, errcode: 'M_NOT_FOUND' };
const key = (more: Json = {}) => ({
  first_message_index: 5,
  forwarded_count: 1,
  is_verified: false,
  session_data: { ciphertext: 'x' },
  ...more,
});
const create = async () => String((await alice.post(VERSION, { algorithm, auth_data: { public_key: 'p' } })).version);
const room = encodeURIComponent('!room:example.com');

t.test('versions', async (t) => {
  await refuses(t, alice.get(VERSION), missing);
  const version = await create();
  const described = { version, algorithm, auth_data: { public_key: 'p' }, count: 0, etag: '0' };
  t.same(await alice.get(VERSION), described);
  await alice.put(`${VERSION}/${version}`, { algorithm, auth_data: { public_key: 'q' }, version });
  t.same(await alice.get(`${VERSION}/${version}`), { ...described, auth_data: { public_key: 'q' } });
  const invalid = { status: 400, errcode: 'M_INVALID_PARAM' };
  await refuses(t, alice.put(`${VERSION}/${version}`, { algorithm: 'rot13', auth_data: {} }), invalid);
  await refuses(t, alice.put(`${VERSION}/${version}`, { algorithm, auth_data: {}, version: '9' }), invalid);
  await refuses(t, alice.put(`${VERSION}/9`, { algorithm, auth_data: {} }), missing);
  await refuses(t, alice.get(`${VERSION}/x`), missing);
  await alice.delete(`${VERSION}/${version}`);
  await alice.delete(`${VERSION}/${version}`);
  await refuses(t, alice.delete(`${VERSION}/9`), missing);
  await refuses(t, alice.get(VERSION), missing);
  t.not(await create(), version, 'a version never comes back');
});

t.test('keys go in and come out', async (t) => {
  const version = await create();
  const put = (path: string, body: Json) => alice.put(`${KEYS}${path}?version=${version}`, body);
  const get = (path: string) => alice.get(`${KEYS}${path}`, { version });
  t.same(await get(''), { rooms: {} });
  t.same(await get(`/${room}`), { sessions: {} });
  await refuses(t, get(`/${room}/s1`), missing);
  t.same(await put(`/${room}/s1`, key()), { etag: '1', count: 1 });
  t.same(await put(`/${room}`, { sessions: { s2: key(), s3: key() } }), { etag: '2', count: 3 });
  t.same(await put('', { rooms: { '!other:example.com': { sessions: { s4: key() } } } }), { etag: '3', count: 4 });
  t.same(await get(`/${room}/s1`), key());
  t.same(Object.keys((await get(`/${room}`)).sessions as Json).sort(), ['s1', 's2', 's3']);
  t.same(Object.keys((await get('')).rooms as Json).sort(), ['!other:example.com', '!room:example.com']);
  t.match(await alice.get(VERSION), { etag: '3', count: 4 });
  t.same(await alice.delete(`${KEYS}/${room}/s1?version=${version}`), { etag: '4', count: 3 });
  t.same(await alice.delete(`${KEYS}/${room}?version=${version}`), { etag: '5', count: 1 });
  t.same(await alice.delete(`${KEYS}?version=${version}`), { etag: '6', count: 0 });
});

t.test('the better of two keys stays', async (t) => {
  const version = await create();
  const put = (more: Json) => alice.put(`${KEYS}/${room}/s?version=${version}`, key(more));
  const stored = () => alice.get(`${KEYS}/${room}/s`, { version });
  const steps = [
    [{ session_data: { n: 1 } }, 1],
    [{ session_data: { n: 2 }, first_message_index: 6 }, 1],
    [{ session_data: { n: 3 }, forwarded_count: 2 }, 1],
    [{ session_data: { n: 4 }, forwarded_count: 0 }, 4],
    [{ session_data: { n: 5 }, first_message_index: 4, forwarded_count: 9 }, 5],
    [{ session_data: { n: 6 }, first_message_index: 9, is_verified: true }, 6],
    [{ session_data: { n: 7 }, first_message_index: 0 }, 6],
  ] as const;
  for (const [more, kept] of steps) {
    await put(more);
    t.match(await stored(), { session_data: { n: kept } });
  }
});

t.test('keys go into the latest backup, of their owner', async (t) => {
  const old = await create();
  const latest = await create();
  await refuses(t, alice.put(`${KEYS}/${room}/s?version=${old}`, key()), {
    status: 403,
    errcode: 'M_WRONG_ROOM_KEYS_VERSION',
    body: { current_version: latest },
  });
  await alice.put(`${KEYS}/${room}/s?version=${latest}`, key());
  const bob = await server.register('bob');
  await refuses(t, bob.get(`${KEYS}`, { version: latest }), missing);
  await refuses(t, bob.put(`${KEYS}/${room}/s?version=${latest}`, key()), missing);
  await refuses(t, alice.put(`${KEYS}/${room}/s`, key()), { status: 400, errcode: 'M_MISSING_PARAM' });
  await refuses(t, alice.put(`${KEYS}/${room}/s?version=${latest}`, key({ first_message_index: -1 })), {
    status: 400,
    errcode: 'M_BAD_JSON',
  });
});
