import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Client, type Json } from './client.ts';
import { refuses, startServer } from './harness.ts';

const V3 = '/_matrix/client/v3';
const LIFETIME_MS = 1_000;
const server = await startServer(t, { accessTokenLifetimeMs: LIFETIME_MS });
const { url } = server;
const nobody = new Client(url);
await server.register('alice');

const login = (body: Json = {}) =>
  nobody.post(`${V3}/login`, {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: 'alice' },
    password: 'alices password',
    refresh_token: true,
    ...body,
  });
const refresh = (token: unknown) => nobody.post(`${V3}/refresh`, { refresh_token: token });
const as = (login: Json) => new Client(url, { accessToken: String(login.access_token) });
const SOFT = { status: 401, errcode: 'M_UNKNOWN_TOKEN', body: { soft_logout: true } };

t.test('only who asks for it gets a token that expires', async (t) => {
  const plain = await login({ refresh_token: false });
  t.notOk('refresh_token' in plain || 'expires_in_ms' in plain);
  const asked = await login();
  t.match(asked, { refresh_token: String, expires_in_ms: LIFETIME_MS });
  const auth = { type: 'm.login.dummy' };
  const registered = await nobody.post(`${V3}/register`, { username: 'r', password: 'x', refresh_token: true, auth });
  t.match(registered, { refresh_token: String, expires_in_ms: LIFETIME_MS });
  await delay(LIFETIME_MS + 100);
  t.match(await as(plain).whoami(), { device_id: plain.device_id });
  await refuses(t, as(asked).whoami(), SOFT, 'soft: the device is still there');
  const again = await refresh(asked.refresh_token);
  t.match(await as(again).whoami(), { device_id: asked.device_id });
});

t.test('a refresh token does until its successor is used', async (t) => {
  const first = await login();
  const lost = await refresh(first.refresh_token);
  const second = await refresh(first.refresh_token);
  t.notOk('device_id' in second);
  await refuses(t, as(lost).whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  await refuses(t, refresh(lost.refresh_token), SOFT);
  await as(second).whoami();
  await refuses(t, refresh(first.refresh_token), SOFT, 'the new access token was used');
  const third = await refresh(second.refresh_token);
  const fourth = await refresh(third.refresh_token);
  await refuses(t, refresh(second.refresh_token), SOFT, 'the new refresh token was used');
  await as(fourth).whoami();
  await refuses(t, as(first).whoami(), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
});

t.test('logging out ends the refresh token, too', async (t) => {
  const session = await login();
  await as(session).logout();
  await refuses(t, refresh(session.refresh_token), SOFT);
  await refuses(t, refresh('made up'), SOFT);
  await refuses(t, nobody.post(`${V3}/refresh`, {}), { status: 400, errcode: 'M_MISSING_PARAM' });
});
