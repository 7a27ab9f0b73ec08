import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHomeserver } from '@bulkhead/examples/homeserver';
import t from 'tap';
import { bodies, Client } from './client.ts';
import { createFakeModules } from './fake-modules.ts';
import { refuses, startServer } from './harness.ts';

t.test('a restart keeps everything but who is online', async (t) => {
  const dataDir = t.testdir();
  const before = await startServer(t, { dataDir });
  const alice = await before.register('alice');
  const bob = await before.register('bob');
  await alice.setDisplayName('Alice');
  const room = await alice.createRoom({
    preset: 'public_chat',
    visibility: 'public',
    room_alias_name: 'kept',
    name: 'Kept',
  });
  await bob.join(room);
  await alice.say(room, 'one');
  await alice.setPresence('online');
  await bob.sync();
  const secret = await alice.say(room, 'secret');
  await alice.redact(room, secret);
  const mxc = await alice.upload('a file');
  await before.close();

  const after = await startServer(t, { dataDir });
  const again = (client: Client) => Object.assign(new Client(after.url, client as never), { since: client.since });
  const [alice2, bob2] = [again(alice), again(bob)];
  t.match(await alice2.whoami(), { user_id: alice.userId, device_id: alice.deviceId });
  t.same(await bob2.profile(alice.userId), { displayname: 'Alice' });
  t.ok(await Client.login(after.url, 'bob'), 'the password is known');
  await refuses(t, after.register('alice'), { errcode: 'M_USER_IN_USE' });
  t.match(await bob2.resolve('#kept:example.com'), { room_id: room });
  t.match((await bob2.publicRooms()).chunk, [{ room_id: room, num_joined_members: 2 }]);
  t.equal(await (await bob2.download(mxc)).text(), 'a file');

  // The token of the first life leads on in the second.
  const news = await bob2.sync();
  t.same(
    news.rooms.join[room]?.timeline.events.map(({ type }) => type),
    ['m.room.message', 'm.room.redaction'],
  );
  t.same(bodies((await bob2.messages(room, { dir: 'f', limit: 100 })).chunk), ['one', undefined]);
  await alice2.say(room, 'two');
  t.same(bodies((await bob2.sync()).rooms.join[room]?.timeline.events), ['two']);
  await alice2.setPresence('unavailable');
  t.match(
    (await bob2.sync()).presence.events.find(({ sender }) => sender === alice.userId),
    {
      content: { presence: 'unavailable' },
    },
  );
});

t.test('a first start that was interrupted is made anew', async (t) => {
  const dataDir = t.testdir({ db: { PG_VERSION: '18', base: {} } });
  const server = await startServer(t, { dataDir });
  await server.register('alice');
});

t.test('the configuration file', async (t) => {
  const file = join(t.testdir(), 'homeserver.yaml');
  const start = async (yaml: string, overrides = {}) => {
    await writeFile(file, yaml);
    const homeserver = await createHomeserver({
      configFile: file,
      modules: async () => createFakeModules(),
      ...overrides,
    });
    await homeserver.close();
    return homeserver.config;
  };
  process.env.TEST_HOST = '127.0.0.2';
  t.match(
    await start(`
      server_name: matrix.example.org
      listen: { port: 8448, host: !env TEST_HOST }
      data: ':memory:'
      admins: ["@root:matrix.example.org"]
      enable_registration: no
      max_upload_size: 1024
      modules: [{ module: not.looked.at }]
      module_defaults: { timeout: 1s }
      bulkhead: {}
    `),
    {
      serverName: 'matrix.example.org',
      listen: { port: 8448, host: '127.0.0.2' },
      dataDir: undefined,
      admins: new Set(['@root:matrix.example.org']),
      enableRegistration: false,
      maxUploadSize: 1024,
    },
  );
  t.match(await start('server_name: a.example', { memory: true, serverName: 'b.example' }), {
    serverName: 'b.example',
    listen: { port: 8008, host: '127.0.0.1' },
    enableRegistration: true,
  });
  await t.rejects(start('servername: x\nlisten: { port: 70000 }', { memory: true }), {
    message: /listen\.port: .*\n.*servername: unknown key, did you mean server_name\?/,
  });
  const federation = { 'b.example:8448': 'https://10.0.0.1', 'localhost:1': 'http://127.0.0.1:1', c: 'http://[::1]:1' };
  t.same((await start('', { memory: true, federation })).federation, new Map(Object.entries(federation)));
  for (const url of ['http://10.0.0.1', 'http://localhost:1', 'http://127.0.0.1.example', 'ftp://127.0.0.1', 'x']) {
    await t.rejects(start(`federation: { b: "${url}" }`, { memory: true }), { message: /federation\.b: / });
  }
  await t.rejects(start('- a list', { memory: true }), { message: /must be a mapping/ });
  await t.rejects(start('server_name: !env NOT_THERE_AT_ALL', { memory: true }), {
    message: /has no NOT_THERE_AT_ALL/,
  });
});

t.test('closed registration', async (t) => {
  const server = await startServer(t, { enableRegistration: false });
  await refuses(t, server.register('alice'), { status: 403, errcode: 'M_FORBIDDEN' });
});

t.test('a server whose modules do not start leaves nothing open', async (t) => {
  const dataDir = t.testdir();
  const failing = startServer(t, {
    dataDir,
    modules: async () => {
      throw new Error('a module is wrong');
    },
  });
  await t.rejects(failing, { message: 'a module is wrong' });
  await (await startServer(t, { dataDir })).register('alice');
});
