// A client whose account expires while it syncs.

import t from 'tap';
import { fixtures, startHomeserver } from '../e2e/harness.ts';
import { refusalOf, sdk, signUp, until } from './harness.ts';

t.test(
  'account-expiry: a client whose account has expired stays logged in, and goes on once it is renewed',
  async (t) => {
    const { url } = await startHomeserver(t, `${fixtures}short-lived.yaml`);
    const renew = '/_synapse/client/account_expiry/renew';
    const request = (method: 'GET' | 'POST') =>
      alice.http.authedRequest<{ expires_at: number }>(method as never, renew, undefined, undefined, {
        prefix: '',
        priority: 'high',
      });
    const alice = await signUp(t, url, 'alice');
    let loggedOut = false;
    alice.on(sdk.HttpApiEvent.SessionLoggedOut, () => {
      loggedOut = true;
    });
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
