// How an account begins and ends for a client.

import t from 'tap';
import { anonymous, logIn, PASSWORD, refusalOf, register, sdk, signUp, start, startExample, until } from './harness.ts';

t.test('accounts and sessions', async (t) => {
  const { url } = await startExample(t);

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
    const first = await signUp(t, url, 'bob');
    const second = await logIn(url, 'bob');
    let loggedOut: unknown;
    first.on(sdk.HttpApiEvent.SessionLoggedOut, (error) => {
      loggedOut = error;
    });
    t.same(
      (await second.getDevices()).devices.map(({ device_id }) => device_id).length,
      3,
      'of the registration and of two logins',
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
});
