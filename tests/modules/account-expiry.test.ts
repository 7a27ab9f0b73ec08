import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { ask, startModules } from './harness.js';

const yaml = `
modules:
  - module: ./modules/account-expiry/index.ts#AccountExpiry
    id: account-expiry
    permissions: { users: [read] }
    config: { period: 1s }
`;

const homeserver = {
  getUserByRequest(request: Request) {
    const token = request.headers.get('authorization')?.replace('Bearer ', '');
    if (!token) throw Object.assign(new Error('Missing access token'), { errcode: 'M_MISSING_TOKEN' });
    const userId = `@${token}:example.com`;
    return { userId, isGuest: false, shadowBanned: false, authenticatedEntity: userId };
  },
};

const renewal = (method: string, token?: string) =>
  new Request('http://example.com/_synapse/client/account_expiry/renew', {
    method,
    headers: token ? { authorization: `Bearer ${token}` } : {},
  });

const modules = await startModules(t, yaml, homeserver);

t.test('an account expires and is renewed by its owner', async (t) => {
  const { isUserExpired, onUserRegistration } = modules.accountValidity;
  const user = '@alice:example.com';

  t.same(await onUserRegistration(user), { failures: [], observed: [] });
  t.match(await isUserExpired(user), { expired: false, module: 'account-expiry' });
  await delay(1_050);
  t.match(await isUserExpired(user), { expired: true, status: 403, errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT' });

  const renewed = await ask(modules, renewal('POST', 'alice'));
  t.equal(renewed.status, 200);
  const { expires_at } = (await renewed.json()) as { expires_at: number };
  t.ok(expires_at > Date.now());
  t.match(await isUserExpired(user), { expired: false });

  const status = await ask(modules, renewal('GET', 'alice'));
  t.same(await status.json(), { user_id: user, expires_at });
});

t.test('accounts older than the module never expire', async (t) => {
  t.match(await modules.accountValidity.isUserExpired('@old:example.com'), { expired: null, failures: [] });
  const renewed = await ask(modules, renewal('POST', 'old'));
  t.same(await renewed.json(), { user_id: '@old:example.com', expires_at: null });
  t.match(await modules.accountValidity.isUserExpired('@old:example.com'), { expired: null });
});

t.test('the expiry outlives the module', async (t) => {
  await modules.accountValidity.onUserRegistration('@carol:example.com');
  await modules.restart('account-expiry');
  const { expired } = await modules.accountValidity.isUserExpired('@carol:example.com');
  t.not(expired, null, 'whoever it does not know has no expiry');
});

t.test('the resource tells nobody anything, and knows its methods', async (t) => {
  const anonymous = await ask(modules, renewal('POST'));
  t.equal(anonymous.status, 401);
  t.match(await anonymous.json(), { errcode: 'M_MISSING_TOKEN' });

  const put = await ask(modules, renewal('PUT', 'alice'));
  t.equal(put.status, 405);
  t.equal(put.headers.get('allow'), 'GET, POST');
});
