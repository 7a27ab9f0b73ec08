import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Client, type Json, Refusal } from './client.ts';
import { allowed } from './fake-modules.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');
const V3 = '/_matrix/client/v3';
const another = (name: string) => Client.login(server.url, name);
const sessionOf = async (request: Promise<unknown>): Promise<Json> => {
  const error = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Refusal) || error.status !== 401) throw new Error(`expected a challenge, got ${error}`);
  return error.body;
};
const password = (session: unknown, user = 'alice', secret = `${user}s password`) => ({
  auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password: secret, session },
});
const remove = (client: Client, deviceId: string, body?: object) =>
  client.request('DELETE', `${V3}/devices/${deviceId}`, body);

t.test('devices are listed, found and renamed', async (t) => {
  const phone = await Client.login(server.url, 'alice', undefined, {
    device_id: 'PHONE',
    initial_device_display_name: 'Phone',
  });
  t.match(await phone.get(`${V3}/devices`), { devices: [{ device_id: alice.deviceId }, { device_id: 'PHONE' }] });
  t.match(await alice.get(`${V3}/devices/PHONE`), { device_id: 'PHONE', display_name: 'Phone' });
  await alice.put(`${V3}/devices/PHONE`, { display_name: 'New phone' });
  await alice.put(`${V3}/devices/PHONE`, {});
  t.match(await alice.get(`${V3}/devices/PHONE`), { display_name: 'New phone' });
  const missing = { status: 404, errcode: 'M_NOT_FOUND' };
  await refuses(t, alice.get(`${V3}/devices/NOTHING`), missing);
  await refuses(t, alice.put(`${V3}/devices/NOTHING`, { display_name: 'x' }), missing);
  await refuses(t, bob.get(`${V3}/devices/PHONE`), missing, 'of another user');
  await refuses(t, Client.login(server.url, 'alice', undefined, { device_id: 'a\0b' }), {
    status: 400,
    errcode: 'M_BAD_JSON',
  });
});

t.test('to delete a device takes the password', async (t) => {
  const victim = await another('alice');
  const challenge = await sessionOf(remove(alice, victim.deviceId));
  t.match(challenge, { flows: [{ stages: ['m.login.password'] }], params: {}, session: String });
  t.notOk(challenge.errcode);
  const { session } = challenge;
  const wrong = [
    ['wrong password', password(session, 'alice', 'guess'), 401, 'M_FORBIDDEN'],
    ['another user', password(session, 'bob'), 401, 'M_FORBIDDEN'],
    ['another stage', { auth: { type: 'm.login.dummy', session } }, 401, 'M_UNRECOGNIZED'],
    ['no such session', password('made up'), 400, 'M_UNKNOWN'],
  ] as const;
  for (const [why, body, status, errcode] of wrong) {
    await refuses(t, remove(alice, victim.deviceId, body), { status, errcode }, why);
  }
  const second = await another('alice');
  await refuses(t, remove(alice, second.deviceId, password(session)), { status: 400 }, 'for another device');
  await refuses(t, remove(bob, victim.deviceId, password(session, 'bob')), { status: 400 }, 'of another user');
  await victim.whoami();
  await remove(alice, victim.deviceId, password(session));
  await refuses(t, victim.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await refuses(t, remove(alice, victim.deviceId, password(session)), { status: 400 }, 'a session is good for once');
});

t.test('several devices at once', async (t) => {
  const victims = [await another('alice'), await another('alice')];
  const devices = victims.map(({ deviceId }) => deviceId);
  const { session } = await sessionOf(alice.post(`${V3}/delete_devices`, { devices }));
  await alice.post(`${V3}/delete_devices`, { devices, ...password(session) });
  for (const victim of victims) await refuses(t, victim.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await alice.whoami();
});

t.test('a new password logs the other devices out', async (t) => {
  const carol = await server.register('carol');
  const other = await another('carol');
  const change = (more: Json) => carol.post(`${V3}/account/password`, { new_password: 'new secret', ...more });
  const { session } = await sessionOf(change({}));
  await change(password(session, 'carol'));
  await carol.whoami();
  await refuses(t, other.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await refuses(t, another('carol'), { status: 403, errcode: 'M_FORBIDDEN' });
  const again = await Client.login(server.url, 'carol', 'new secret');
  const keep = { new_password: 'carols password', logout_devices: false };
  const { session: next } = await sessionOf(carol.post(`${V3}/account/password`, keep));
  await carol.post(`${V3}/account/password`, { ...keep, ...password(next, 'carol', 'new secret') });
  await again.whoami();
  await refuses(t, change({ new_password: '' }), { status: 400, errcode: 'M_UNKNOWN' });
});

t.test('a deactivated account is gone, and its name taken', async (t) => {
  const dave = await server.register('dave');
  const room = await alice.createRoom({ preset: 'public_chat' });
  await dave.join(room);
  const { session } = await sessionOf(dave.post(`${V3}/account/deactivate`));
  t.same(await dave.post(`${V3}/account/deactivate`, password(session, 'dave')), {
    id_server_unbind_result: 'success',
  });
  await refuses(t, dave.whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await refuses(t, another('dave'), { status: 403, errcode: 'M_USER_DEACTIVATED' });
  await refuses(t, server.register('dave'), { status: 400, errcode: 'M_USER_IN_USE' });
  await refuses(t, alice.invite(room, dave.userId), { status: 404, errcode: 'M_NOT_FOUND' });
  t.match(await alice.getState(room, 'm.room.member', dave.userId), { membership: 'leave' });
  t.match(await server.host.getUserInfo(dave.userId), { isDeactivated: true });
});

const send = (from: Client, messages: Json, transaction = from.transactionId(), type = 'org.example.hello') =>
  from.put(`${V3}/sendToDevice/${type}/${transaction}`, { messages });

t.test('a message waits for its device until it is acknowledged', async (t) => {
  const [phone, tablet] = [await another('bob'), await another('bob')];
  await Promise.all([phone.sync(), tablet.sync()]);
  const { since } = phone;
  await send(alice, { [bob.userId]: { [phone.deviceId]: { n: 1 } } });
  const message = { type: 'org.example.hello', sender: alice.userId, content: { n: 1 } };
  t.same((await phone.sync()).to_device.events, [message]);
  t.same((await phone.sync({ since })).to_device.events, [message], 'the answer may have been lost');
  t.same((await phone.sync()).to_device.events, []);
  t.same((await phone.sync({ since })).to_device.events, [], 'acknowledged is gone');
  t.same((await tablet.sync()).to_device.events, [], 'it was for the other one');
});

t.test('a message to all devices wakes them', async (t) => {
  const [phone, tablet] = [await another('bob'), await another('bob')];
  await Promise.all([phone.sync(), tablet.sync()]);
  const waiting = Promise.all([phone.sync({ timeout: 20_000 }), tablet.sync({ timeout: 20_000 })]);
  await delay(100);
  await send(alice, { [bob.userId]: { '*': { n: 2 } }, '@nobody:example.com': { X: {} } });
  for (const body of await waiting) t.match(body.to_device.events, [{ content: { n: 2 } }]);
});

t.test('a repeated request sends nothing twice, from one device', async (t) => {
  const phone = await another('bob');
  await phone.sync();
  const messages = { [bob.userId]: { [phone.deviceId]: {} } };
  await Promise.all([send(alice, messages, 'again'), send(alice, messages, 'again')]);
  await send(alice, messages, 'again', 'org.example.other');
  await send(await another('alice'), messages, 'again');
  t.equal((await phone.sync()).to_device.events.length, 3);
});

t.test('many messages come in several goes, in order', async (t) => {
  const phone = await another('bob');
  await phone.sync();
  for (let n = 0; n < 105; n++) await send(alice, { [bob.userId]: { [phone.deviceId]: { n } } });
  const first = (await phone.sync()).to_device.events;
  const second = (await phone.sync({ timeout: 20_000 })).to_device.events;
  t.equal(first.length, 100);
  t.same(
    [...first, ...second].map(({ content }) => content.n),
    Array.from({ length: 105 }, (_, n) => n),
  );
  t.same((await phone.sync()).to_device.events, []);
});

t.test('a shadow-banned user writes to nobody but himself', async (t) => {
  server.fake.answers = { checkRegistrationForSpam: () => ({ ...allowed, behaviour: 'shadow_ban' }) as never };
  const mallory = await server.register('mallory');
  server.fake.answers = {};
  const phone = await another('bob');
  await send(mallory, { [bob.userId]: { '*': {} }, [mallory.userId]: { '*': {} } });
  t.same((await phone.sync()).to_device.events, []);
  t.equal((await mallory.sync()).to_device.events.length, 1);
});

t.test('messages that are none', async (t) => {
  for (const [body, errcode] of [
    [{}, 'M_MISSING_PARAM'],
    [{ messages: [] }, 'M_BAD_JSON'],
    [{ messages: { bob: {} } }, 'M_BAD_JSON'],
    [{ messages: { [bob.userId]: { X: 'text' } } }, 'M_BAD_JSON'],
  ] as const) {
    await refuses(t, alice.put(`${V3}/sendToDevice/x/${alice.transactionId()}`, body), { status: 400, errcode });
  }
});
