import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHomeserver } from '@bulkhead/examples/homeserver';
import t from 'tap';
import { Client, type Json } from './client.ts';
import { createFakeModules } from './fake-modules.ts';
import { refuses, startServer } from './harness.ts';

const V3 = '/_matrix/client/v3';
const server = await startServer(t, { publicBaseUrl: 'https://matrix.example.com' });
const { url } = server;
const alice = await server.register('alice');
const nobody = new Client(url);

t.test('what clients ask when they start', async (t) => {
  t.match(await alice.get(`${V3}/capabilities`), {
    capabilities: {
      'm.room_versions': { default: '11', available: { 11: 'stable' } },
      'm.change_password': { enabled: true },
      'm.3pid_changes': { enabled: false },
    },
  });
  t.same(await alice.get(`${V3}/voip/turnServer`), {});
  t.same(await alice.get(`${V3}/thirdparty/protocols`), {});
  t.same(await alice.get(`${V3}/account/3pid`), { threepids: [] });
  t.same(await alice.get(`${V3}/pushers`), { pushers: [] });
  for (const path of ['capabilities', 'voip/turnServer', 'thirdparty/protocols', 'pushers', 'devices', 'pushrules/']) {
    await refuses(t, nobody.get(`${V3}/${path}`), { status: 401, errcode: 'M_MISSING_TOKEN' }, path);
  }
});

t.test('where the server is reached', async (t) => {
  t.same(await nobody.get('/.well-known/matrix/client'), {
    'm.homeserver': { base_url: 'https://matrix.example.com' },
  });
  const silent = await startServer(t);
  await refuses(t, new Client(silent.url).get('/.well-known/matrix/client'), { status: 404, errcode: 'M_NOT_FOUND' });
});

t.test('web pages of any origin may use it, also when it refuses', async (t) => {
  const cases: readonly (readonly [string, string, number])[] = [
    ['GET', '/_matrix/client/versions', 200],
    ['GET', '/.well-known/matrix/client', 200],
    ['GET', `${V3}/sync`, 401],
    ['GET', `${V3}/nothing`, 404],
    ['POST', `${V3}/login`, 400],
    ['GET', '/_matrix/media/v3/download/example.com/nothing', 404],
    ['OPTIONS', `${V3}/sync`, 204],
    ['OPTIONS', '/_matrix/media/v3/upload', 204],
    ['OPTIONS', `${V3}/nothing`, 204],
  ];
  for (const [method, path, status] of cases) {
    const response = await nobody.fetch(method, path, undefined, { headers: { origin: 'https://app.element.io' } });
    t.equal(response.status, status, `${method} ${path}`);
    t.equal(response.headers.get('access-control-allow-origin'), '*');
    if (method !== 'OPTIONS') continue;
    const list = (name: string) => new Set(response.headers.get(name)?.split(/, */));
    t.same(list('access-control-allow-methods'), new Set(['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']));
    t.same(list('access-control-allow-headers'), new Set(['X-Requested-With', 'Content-Type', 'Authorization']));
  }
  t.equal((await nobody.fetch('GET', '/')).headers.get('access-control-allow-origin'), null, 'what is not Matrix');
});

t.test('limits, and when to come back', async (t) => {
  const rate = { perSecond: 0.01, burstCount: 2 };
  const strict = await startServer(t, {
    rateLimits: { login: rate, message: rate, registration: { ...rate, burstCount: 4 } },
  });
  const bob = await strict.register('bob');
  const carol = await strict.register('carol');
  const room = await bob.createRoom({ preset: 'public_chat' });
  await carol.join(room);
  const limited = { status: 429, errcode: 'M_LIMIT_EXCEEDED', body: { retry_after_ms: Number } };

  const once = bob.transactionId();
  await bob.send(room, 'm.room.message', { body: '1' }, once);
  await bob.say(room, '2');
  await refuses(t, bob.say(room, '3'), limited);
  await refuses(t, bob.setState(room, 'm.room.topic', { topic: 'x' }), limited);
  await carol.say(room, 'others are not held up');
  const path = `${V3}/rooms/${encodeURIComponent(room)}/send/m.room.message/x`;
  const response = await bob.fetch('PUT', path, '{}');
  const { retry_after_ms: wait } = (await response.json()) as { retry_after_ms: number };
  t.ok(wait > 0 && wait <= 100_000, `${wait} ms`);
  t.equal(response.headers.get('retry-after'), String(Math.ceil(wait / 1000)));

  await Client.login(strict.url, 'bob', 'wrong').catch(() => undefined);
  await Client.login(strict.url, 'bob', 'wrong').catch(() => undefined);
  await refuses(t, Client.login(strict.url, 'bob'), limited, 'guesses count');
  await strict.register('dave');
  await strict.register('erin');
  await refuses(t, strict.register('fred'), limited);
});

t.test('limits and lifetimes in homeserver.yaml', async (t) => {
  const configFile = join(t.testdir(), 'homeserver.yaml');
  const start = async (text: string) => {
    await writeFile(configFile, text);
    const modules = async () => createFakeModules();
    const homeserver = await createHomeserver({ configFile, modules, logger: quiet });
    t.teardown(() => homeserver.close());
    return homeserver.config;
  };
  t.match(
    await start(`data: ':memory:'
public_baseurl: https://m.example.com
refreshable_access_token_lifetime: 2h
rc_message: { per_second: 3 }
`),
    {
      publicBaseUrl: 'https://m.example.com',
      accessTokenLifetimeMs: 7_200_000,
      rateLimits: { message: { perSecond: 3, burstCount: 2000 }, login: { perSecond: 20, burstCount: 200 } },
    },
  );
  await t.rejects(start('refreshable_access_token_lifetime: soon'), { message: /expected a duration/ });
  await t.rejects(start('rc_login: { per_second: 0 }'), { message: /rc_login\.per_second/ });
  await t.rejects(start('public_baseurl: here'), { message: /public_baseurl/ });
});

t.test('addresses with NUL', async (t) => {
  await refuses(t, alice.get(`${V3}/rooms/a%00b/state`), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, alice.get(`${V3}/profile/a%00b`), { status: 400, errcode: 'M_INVALID_PARAM' });
});

const quiet = { debug() {}, info() {}, warn() {}, error() {} } satisfies Json;
