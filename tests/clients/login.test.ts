// How an account begins and ends for a client.

import t from 'tap';
import { fixtures, startHomeserver } from '../e2e/harness.ts';
import {
  anonymous,
  isNode20,
  logIn,
  PASSWORD,
  refusalOf,
  register,
  sdk,
  start,
  startExample,
  until,
  withoutChance,
} from './harness.ts';

t.test('accounts and sessions', async (t) => {
  const { url } = await startExample(t, { accessTokenLifetimeMs: 2_000 });
  // His token expires while the others come and go.
  await register(url, 'dave');
  const renewed: string[] = [];
  const renew = async (refreshToken: string) => {
    const answer = await anonymous(url).refreshToken(refreshToken);
    renewed.push(answer.access_token);
    return { accessToken: answer.access_token, refreshToken: answer.refresh_token };
  };
  const dave = await logIn(url, 'dave', { tokenRefreshFunction: renew });
  const first = dave.getAccessToken();
  if (isNode20) await start(t, dave, { pollTimeout: 200 });

  await t.test('registers as the server’s flows say, logs in, and syncs', async (t) => {
    const client = anonymous(url);
    t.ok((await client.getVersions()).versions.includes('v1.11'));
    t.same(
      (await client.loginFlows()).flows.map(({ type }) => type),
      ['m.login.password'],
    );
    const auth = new sdk.InteractiveAuth({
      matrixClient: client,
      doRequest: (data) =>
        client.registerRequest({ username: 'alice', password: PASSWORD, ...(data && { auth: data }) }),
      stateUpdated: (type) => {
        if (type === 'm.login.dummy') void auth.submitAuthDict({ type });
      },
      requestEmailToken: () => Promise.reject(new Error('not asked for')),
    });
    const answer = await auth.attemptAuth();
    t.match(answer, { user_id: '@alice:example.com', access_token: String, device_id: String });

    const alice = await start(t, await logIn(url, 'alice'));
    t.equal(alice.getSyncState(), 'SYNCING');
    t.same(await alice.whoami(), { user_id: '@alice:example.com', device_id: alice.getDeviceId(), is_guest: false });
    t.ok(alice.pushRules?.global.underride?.length, 'it has its push rules');
    const capabilities = await alice.getCapabilities();
    t.equal(capabilities['m.room_versions']?.default, '11');
  });

  await t.test('a name that is taken, a wrong password', async (t) => {
    const client = anonymous(url);
    const taken = client.registerRequest({ username: 'alice', password: PASSWORD, auth: { type: 'm.login.dummy' } });
    t.match(await refusalOf(taken), { status: 400, errcode: 'M_USER_IN_USE' });
    t.equal(await client.isUsernameAvailable('alice'), false);
    t.equal(await client.isUsernameAvailable('nobody_yet'), true);
    const wrong = client.loginRequest({
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'alice' },
      password: 'wrong',
    });
    t.match(await refusalOf(wrong), { status: 403, errcode: 'M_FORBIDDEN' });
  });

  await t.test('a session that is ended elsewhere ends here', async (t) => {
    // The next of its polls is the one that hears of it.
    const first = await start(t, await register(url, 'bob'), { pollTimeout: 200 });
    const second = await logIn(url, 'bob');
    let loggedOut: unknown;
    first.on(sdk.HttpApiEvent.SessionLoggedOut, (error) => {
      loggedOut = error;
    });
    t.same(
      (await second.getDevices()).devices.map(({ device_id }) => device_id).length,
      2,
      'of the registration and of the login',
    );
    await second.setDeviceDetails(first.getDeviceId() ?? '', { display_name: 'the first' });
    t.match(await second.getDevice(first.getDeviceId() ?? ''), { display_name: 'the first' });
    await second.deleteDevice(first.getDeviceId() ?? '', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'bob' },
      password: PASSWORD,
    });
    t.match(await until(() => loggedOut, 'that the session is over'), { httpStatus: 401, errcode: 'M_UNKNOWN_TOKEN' });
    await second.logout(true);
    t.match(await refusalOf(second.whoami()), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  });

  await t.test('a changed password, and an account that is deactivated', async (t) => {
    const carol = await register(url, 'carol');
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'carol' }, password: PASSWORD };
    await carol.setPassword(auth, 'another one');
    t.match(await refusalOf(logIn(url, 'carol')), { status: 403, errcode: 'M_FORBIDDEN' });
    await carol.deactivateAccount({ ...auth, password: 'another one' });
    t.match(await refusalOf(carol.whoami()), { status: 401, errcode: 'M_UNKNOWN_TOKEN' });
  });

  await t.test('a token that has expired, and is renewed', async (t) => {
    if (isNode20) {
      await until(() => renewed.length > 0, 'that the library has done it');
    } else {
      // The newest library does so by itself only for OAuth, and leaves the application to it here.
      const refusal = await until(
        () =>
          dave.whoami().then(
            () => false,
            (error) => error instanceof sdk.MatrixError && error,
          ),
        'that it has expired',
      );
      t.match(refusal, { httpStatus: 401, errcode: 'M_UNKNOWN_TOKEN', data: { soft_logout: true } });
      dave.setAccessToken((await renew(dave.getRefreshToken() ?? '')).accessToken);
    }
    t.notOk(renewed.includes(first ?? ''));
    t.match(await dave.whoami(), { user_id: '@dave:example.com' });
    if (isNode20) t.equal(dave.getSyncState(), 'SYNCING');
  });
});

t.test(
  'account-expiry: a client whose account has expired stays logged in, and goes on once it is renewed',
  async (t) => {
    withoutChance(t);
    const { url } = await startHomeserver(t, `${fixtures}short-lived.yaml`);
    const renew = '/_synapse/client/account_expiry/renew';
    const request = (method: 'GET' | 'POST') =>
      alice.http.authedRequest<{ expires_at: number }>(method as never, renew, undefined, undefined, {
        prefix: '',
        priority: 'high',
      });
    const alice = await register(url, 'alice');
    let loggedOut = false;
    alice.on(sdk.HttpApiEvent.SessionLoggedOut, () => {
      loggedOut = true;
    });
    // The account lives for two seconds, and a busy machine may take longer to start a client.
    const alive = setInterval(() => request('POST').catch(() => {}), 200);
    t.teardown(() => clearInterval(alive));
    await start(t, alice, { pollTimeout: 200 });
    clearInterval(alive);
    await until(
      () => alice.getSyncState() === 'RECONNECTING' || alice.getSyncState() === 'ERROR',
      'that it has expired',
    );
    t.match(await refusalOf(alice.whoami()), { status: 403, errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT' });
    t.ok((await request('GET')).expires_at < Date.now(), 'by its own token it may look when that was');
    // It tries again after some seconds, and the account lives for two.
    await until(async () => {
      await request('POST');
      return alice.getSyncState() === 'SYNCING';
    }, 'that it syncs again');
    t.notOk(loggedOut, 'it never was logged out');
  },
);
