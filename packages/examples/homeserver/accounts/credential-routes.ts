// What a user may do to the account itself: both need the password once more.

import { Hono } from 'hono';
import * as v from 'valibot';
import { readBody } from '../http/body.js';
import type { Env } from '../http/context.js';
import type { Server } from '../server.js';
import { Auth } from './interactive-auth.js';
import { checkPassword, hashPassword } from './passwords.js';

const ChangePassword = v.object({
  new_password: v.string(),
  logout_devices: v.optional(v.boolean(), true),
  auth: Auth,
});
const Deactivate = v.object({ auth: Auth });

export function credentialRoutes({
  accounts,
  authenticator,
  devices,
  interactiveAuth,
  memberships,
}: Server): Hono<Env> {
  const { user } = authenticator;
  const app = new Hono<Env>();

  app.post('/v3/account/password', user, async (c) => {
    const body = await readBody(c, ChangePassword);
    const { requester } = c.var;
    checkPassword(body.new_password);
    await interactiveAuth.check(requester, 'change password', body.auth);
    await accounts.setPassword(requester.userId, await hashPassword(body.new_password));
    if (body.logout_devices) await devices.deleteOthers(requester.userId, requester.deviceId);
    return c.json({});
  });

  app.post('/v3/account/deactivate', user, async (c) => {
    const { auth } = await readBody(c, Deactivate, {});
    const { requester } = c.var;
    await interactiveAuth.check(requester, 'deactivate account', auth);
    await accounts.deactivate(requester.userId);
    await devices.delete(requester.userId);
    await memberships.leaveAll(requester);
    // There are no addresses to unbind.
    return c.json({ id_server_unbind_result: 'success' });
  });

  return app;
}
