import { generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto';
import t from 'tap';
import { Client, type Json, Refusal } from './client.ts';
import { refuses, startServer } from './harness.ts';

const V3 = '/_matrix/client/v3';
const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');

type Signed = Json & { signatures: Record<string, Record<string, string>> };

interface Pair {
  readonly publicKey: string;
  readonly secret: KeyObject;
}

function newPair(): Pair {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  return { publicKey: Buffer.from(x, 'base64url').toString('base64').replaceAll('=', ''), secret: privateKey };
}

/** Written for the test alone, so that both sides being wrong in the same way is unlikely. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

function signed(object: Json, userId: string, keyId: string, { secret }: Pair): Signed {
  const { signatures = {}, unsigned: _, ...bare } = object as Partial<Signed>;
  const signature = signBytes(null, Buffer.from(canonical(bare)), secret)
    .toString('base64')
    .replaceAll('=', '');
  return { ...bare, signatures: { ...signatures, [userId]: { ...signatures[userId], [keyId]: signature } } };
}

function deviceKeys({ userId, deviceId }: Client, pair: Pair): Signed {
  const keys = { [`curve25519:${deviceId}`]: newPair().publicKey, [`ed25519:${deviceId}`]: pair.publicKey };
  const algorithms = ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'];
  return signed({ user_id: userId, device_id: deviceId, algorithms, keys }, userId, `ed25519:${deviceId}`, pair);
}

const upload = (client: Client, body: Json) => client.post(`${V3}/keys/upload`, body);
const query = (client: Client, ...users: Client[]) =>
  client.post<Record<string, Record<string, Json>>>(`${V3}/keys/query`, {
    device_keys: Object.fromEntries(users.map(({ userId }) => [userId, []])),
  });
const claim = async (client: Client, of: Client, algorithm = 'signed_curve25519') => {
  const body = { one_time_keys: { [of.userId]: { [of.deviceId]: algorithm } } };
  const answer = await client.post<{ one_time_keys: Record<string, Record<string, Json>> }>(`${V3}/keys/claim`, body);
  return answer.one_time_keys[of.userId]?.[of.deviceId];
};
const login = (name: string) => Client.login(server.url, name);

t.test('device keys are given out as they came, with the name of the device', async (t) => {
  const phone = await Client.login(server.url, 'alice', undefined, { initial_device_display_name: 'Phone' });
  const keys = deviceKeys(phone, newPair());
  t.same(await upload(phone, { device_keys: keys }), { one_time_key_counts: { signed_curve25519: 0 } });
  const found = await query(bob, alice);
  t.same(found.device_keys?.[alice.userId]?.[phone.deviceId], { ...keys, unsigned: { device_display_name: 'Phone' } });
  t.same(found.failures, {});
  const one = { device_keys: { [alice.userId]: ['NOTHING'], '@nobody:example.com': [] } };
  t.same((await bob.post(`${V3}/keys/query`, one)).device_keys, {});
  await phone.logout();
  t.same((await query(bob, alice)).device_keys, {}, 'they go with the device');
});

t.test('one-time keys go to one, the oldest first; the fallback key to everybody', async (t) => {
  const device = await login('alice');
  const key = (key: string) => ({ key, signatures: {} });
  const first = { 'signed_curve25519:A': key('a'), 'signed_curve25519:B': key('b'), 'curve25519:C': 'c' };
  t.same(await upload(device, { one_time_keys: first }), {
    one_time_key_counts: { signed_curve25519: 2, curve25519: 1 },
  });
  await upload(device, { one_time_keys: { 'signed_curve25519:A': key('a') } });
  await refuses(t, upload(device, { one_time_keys: { 'signed_curve25519:A': key('other') } }), {
    status: 400,
    errcode: 'M_UNKNOWN',
  });
  await upload(device, { fallback_keys: { 'signed_curve25519:F': { ...key('f'), fallback: true } } });
  t.match(await device.sync(), {
    device_one_time_keys_count: { signed_curve25519: 2, curve25519: 1 },
    device_unused_fallback_key_types: ['signed_curve25519'],
  });

  t.same(await claim(bob, device), { 'signed_curve25519:A': key('a') });
  const both = await Promise.all([claim(bob, device), claim(bob, device)]);
  t.same(
    both.flatMap((keys) => Object.keys(keys ?? {})).sort(),
    ['signed_curve25519:B', 'signed_curve25519:F'],
    'never one key twice',
  );
  t.same(Object.keys((await claim(bob, device)) ?? {}), ['signed_curve25519:F']);
  t.same(await claim(bob, device, 'unheard_of'), undefined);
  const body = await device.sync();
  t.same(body.device_one_time_keys_count, { signed_curve25519: 0, curve25519: 1 });
  t.same(body.device_unused_fallback_key_types, []);
  await upload(device, { fallback_keys: { 'signed_curve25519:G': { ...key('g'), fallback: true } } });
  t.same((await device.sync()).device_unused_fallback_key_types, ['signed_curve25519']);
});

t.test('a device that is logged out and in again has no keys', async (t) => {
  const device = await login('alice');
  await upload(device, { one_time_keys: { 'signed_curve25519:A': { key: 'a' } } });
  await device.sync();
  await device.logout();
  const again = await Client.login(server.url, 'alice', undefined, { device_id: device.deviceId });
  t.same((await again.sync()).device_one_time_keys_count, { signed_curve25519: 0 });
});

t.test('who shares a room learns of new devices', async (t) => {
  const [carol, dave, stranger] = [
    await server.register('carol'),
    await server.register('dave'),
    await server.register('stranger'),
  ];
  const room = await carol.createRoom({ preset: 'public_chat' });
  await dave.join(room);
  for (const each of [carol, dave, stranger]) await each.sync();
  const { since } = dave;
  const waiting = dave.sync({ timeout: 20_000, filter: '{"presence":{"not_types":["*"]}}' });
  const keys = deviceKeys(carol, newPair());
  await upload(carol, { device_keys: keys });
  t.same((await waiting).device_lists, { changed: [carol.userId], left: [] });
  t.same((await carol.sync()).device_lists.changed, [carol.userId], 'also he himself');
  t.same((await stranger.sync()).device_lists, { changed: [], left: [] });
  await upload(carol, { device_keys: keys });
  t.same((await dave.sync()).device_lists.changed, [], 'the same keys are no news');
  t.same(await dave.get(`${V3}/keys/changes`, { from: since, to: dave.since }), { changed: [carol.userId], left: [] });
  const tablet = await login('carol');
  await upload(tablet, { device_keys: deviceKeys(tablet, newPair()) });
  await dave.sync();
  await tablet.logout();
  t.same((await dave.sync()).device_lists.changed, [carol.userId], 'a device is gone');
});

t.test('who comes into encrypted rooms, and who goes', async (t) => {
  const [erin, frank, grace] = [
    await server.register('erin'),
    await server.register('frank'),
    await server.register('grace'),
  ];
  const encryption = { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } };
  const room = await erin.createRoom({ preset: 'public_chat', initial_state: [encryption] });
  await grace.join(room);
  for (const each of [erin, frank, grace]) await each.sync();
  const { since } = frank;
  await frank.join(room);
  t.same(new Set((await frank.sync()).device_lists.changed), new Set([erin.userId, frank.userId, grace.userId]));
  t.same((await erin.sync()).device_lists, { changed: [frank.userId], left: [] });
  await grace.leave(room);
  t.same((await erin.sync()).device_lists, { changed: [], left: [grace.userId] });
  t.same(new Set((await grace.sync()).device_lists.left), new Set([erin.userId, frank.userId]));
  const changes = await frank.get<{ left: string[] }>(`${V3}/keys/changes`, { from: since, to: frank.since });
  t.ok(Array.isArray(changes.left));
  // An invite that is declined tells nothing of who is in the room.
  const secret = await erin.createRoom({ initial_state: [encryption], invite: [grace.userId] });
  await grace.sync();
  await grace.leave(secret);
  t.same((await grace.sync()).device_lists, { changed: [], left: [] });
});

t.test('cross-signing keys, and what is signed with them', async (t) => {
  const hal = await server.register('hal');
  const [master, self, user] = [newPair(), newPair(), newPair()];
  const crossKey = (usage: string, { publicKey }: Pair) => ({
    user_id: hal.userId,
    usage: [usage],
    keys: { [`ed25519:${publicKey}`]: publicKey },
  });
  const byMaster = (key: Json, by = master) => signed(key, hal.userId, `ed25519:${by.publicKey}`, by);
  const masterKey = crossKey('master', master);
  const keys = {
    master_key: masterKey,
    self_signing_key: byMaster(crossKey('self_signing', self)),
    user_signing_key: byMaster(crossKey('user_signing', user)),
  };
  const publish = (body: Json) => hal.post(`${V3}/keys/device_signing/upload`, body);
  const invalid = { status: 400, errcode: 'M_INVALID_SIGNATURE' };
  await refuses(t, publish({ self_signing_key: keys.self_signing_key }), { status: 400, errcode: 'M_MISSING_PARAM' });
  await refuses(t, publish({ ...keys, self_signing_key: crossKey('self_signing', self) }), invalid, 'not signed');
  const forged = byMaster(crossKey('self_signing', self), newPair());
  await refuses(t, publish({ ...keys, self_signing_key: forged }), invalid, 'signed by another key');
  const tampered = { ...keys.self_signing_key, usage: ['self_signing', 'master'] };
  await refuses(t, publish({ ...keys, self_signing_key: tampered }), invalid, 'changed after it was signed');
  await refuses(t, publish({ master_key: { ...masterKey, user_id: bob.userId } }), {
    status: 400,
    errcode: 'M_INVALID_PARAM',
  });
  await refuses(t, publish({ master_key: { ...masterKey, keys: { 'ed25519:x': 'y' } } }), { errcode: 'M_BAD_JSON' });

  await publish(keys);
  await publish(keys);
  const other = newPair();
  const replaced = { master_key: { ...crossKey('master', other) } };
  const challenge = await publish(replaced).catch((error: unknown) => error);
  t.ok(
    challenge instanceof Refusal && challenge.status === 401 && challenge.body.session,
    'to replace takes a password',
  );

  const found = await query(bob, hal);
  t.match(found.master_keys?.[hal.userId], masterKey);
  t.match(found.self_signing_keys?.[hal.userId], crossKey('self_signing', self));
  t.same(found.user_signing_keys, {}, 'nobody else’s business');
  t.match((await query(hal, hal)).user_signing_keys?.[hal.userId], crossKey('user_signing', user));

  const pair = newPair();
  const device = deviceKeys(hal, pair);
  await upload(hal, { device_keys: device });
  const sign = (client: Client, owner: Client, keyId: string, object: Json) =>
    client.post<{ failures: Record<string, Record<string, Json>> }>(`${V3}/keys/signatures/upload`, {
      [owner.userId]: { [keyId]: object },
    });
  const selfId = `ed25519:${self.publicKey}`;
  const vouched = signed(device, hal.userId, selfId, self);
  t.same(await sign(hal, hal, hal.deviceId, vouched), { failures: {} });
  const shown = (await query(bob, hal)).device_keys?.[hal.userId]?.[hal.deviceId] as Signed | undefined;
  t.same(shown?.signatures[hal.userId], vouched.signatures[hal.userId]);
  const ofDevice = signed(masterKey, hal.userId, `ed25519:${hal.deviceId}`, pair);
  t.same(await sign(hal, hal, master.publicKey, ofDevice), { failures: {} });

  const failure = async (request: Promise<{ failures: Record<string, Record<string, Json>> }>) =>
    Object.values(Object.values((await request).failures)[0] ?? {})[0]?.errcode;
  const guess = signed(device, hal.userId, selfId, newPair());
  t.equal(await failure(sign(hal, hal, hal.deviceId, guess)), 'M_INVALID_SIGNATURE');
  const changed = signed({ ...device, algorithms: [] }, hal.userId, selfId, self);
  t.equal(await failure(sign(hal, hal, hal.deviceId, changed)), 'M_INVALID_SIGNATURE', 'another object');
  t.equal(await failure(sign(hal, hal, 'NOTHING', vouched)), 'M_INVALID_PARAM');
  t.equal(await failure(sign(bob, hal, hal.deviceId, vouched)), 'M_INVALID_PARAM', 'a device of another user');
});

t.test('a signature on another user’s key is for the signer alone', async (t) => {
  const [ivan, judy] = [await server.register('ivan'), await server.register('judy')];
  const pairs = new Map<Client, { master: Pair; user: Pair; masterKey: Json }>();
  for (const client of [ivan, judy]) {
    const [master, user] = [newPair(), newPair()];
    const key = (usage: string, { publicKey }: Pair) => ({
      user_id: client.userId,
      usage: [usage],
      keys: { [`ed25519:${publicKey}`]: publicKey },
    });
    const masterKey = key('master', master);
    const userKey = signed(key('user_signing', user), client.userId, `ed25519:${master.publicKey}`, master);
    await client.post(`${V3}/keys/device_signing/upload`, { master_key: masterKey, user_signing_key: userKey });
    pairs.set(client, { master, user, masterKey });
  }
  const [own, theirs] = [pairs.get(ivan), pairs.get(judy)];
  if (!own || !theirs) throw new Error('no keys');
  const keyId = `ed25519:${own.user.publicKey}`;
  const vouched = signed(theirs.masterKey, ivan.userId, keyId, own.user);
  t.same(await ivan.post(`${V3}/keys/signatures/upload`, { [judy.userId]: { [theirs.master.publicKey]: vouched } }), {
    failures: {},
  });
  const seenBy = async (viewer: Client) => {
    const key = (await query(viewer, judy)).master_keys?.[judy.userId] as Signed | undefined;
    return key?.signatures[ivan.userId]?.[keyId];
  };
  t.ok(await seenBy(ivan));
  t.notOk(await seenBy(judy));
  t.notOk(await seenBy(bob));
});

t.test('what is refused', async (t) => {
  const device = await login('alice');
  const keys = deviceKeys(device, newPair());
  const cases: readonly (readonly [string, () => Promise<unknown>, string])[] = [
    ['another user', () => upload(device, { device_keys: { ...keys, user_id: bob.userId } }), 'M_INVALID_PARAM'],
    ['another device', () => upload(device, { device_keys: { ...keys, device_id: 'X' } }), 'M_INVALID_PARAM'],
    ['half the keys', () => upload(device, { device_keys: { user_id: alice.userId } }), 'M_MISSING_PARAM'],
    ['a nameless key', () => upload(device, { one_time_keys: { curve25519: 'x' } }), 'M_BAD_JSON'],
    ['NUL', () => upload(device, { one_time_keys: { 'curve25519:\0': 'x' } }), 'M_BAD_JSON'],
    ['two fallback keys', () => upload(device, { fallback_keys: { 'c:A': 'x', 'c:B': 'y' } }), 'M_INVALID_PARAM'],
    ['no users', () => device.post(`${V3}/keys/query`, {}), 'M_MISSING_PARAM'],
    ['no list', () => device.post(`${V3}/keys/query`, { device_keys: { [bob.userId]: {} } }), 'M_BAD_JSON'],
    ['no claims', () => device.post(`${V3}/keys/claim`, {}), 'M_MISSING_PARAM'],
    ['no token', () => device.get(`${V3}/keys/changes`, { from: 's0_0_0_0_0' }), 'M_MISSING_PARAM'],
    ['no such token', () => device.get(`${V3}/keys/changes`, { from: 'x', to: 'y' }), 'M_INVALID_PARAM'],
  ];
  for (const [why, request, errcode] of cases) await refuses(t, request, { status: 400, errcode }, why);
  const many = Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`curve25519:${n}`, 'x']));
  await refuses(t, upload(device, { one_time_keys: many }), { status: 400, errcode: 'M_UNKNOWN' });
});
