// Login, logout, registration and profiles over HTTP.

import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { forbidden, guestAccessForbidden, invalidParam, missingParam, notFound, unknownRequest } from '../errors.js';
import { readBody, readObject } from '../http/body.js';
import { type Env, requestInfo } from '../http/context.js';
import type { Server } from '../server.js';
import { verifyPassword } from './passwords.js';

const Login = v.object({
  type: v.string(),
  identifier: v.optional(v.looseObject({ type: v.string(), user: v.optional(v.string()) })),
  /** Older than `identifier`, and still sent. */
  user: v.optional(v.string()),
  password: v.optional(v.string()),
  device_id: v.optional(v.string()),
  initial_device_display_name: v.optional(v.string()),
});

export function accountRoutes({
  config,
  accounts,
  registration,
  authenticator,
  memberships,
  federation,
}: Server): Hono<Env> {
  const app = new Hono<Env>();
  const { user, expiredUser } = authenticator;

  app.get('/v3/login', (c) => c.json({ flows: [{ type: 'm.login.password' }] }));

  app.post('/v3/login', async (c) => {
    const body = await readBody(c, Login);
    if (body.type !== 'm.login.password') throw unknownRequest(`Unknown login type ${body.type}`);
    if (body.identifier && body.identifier.type !== 'm.id.user') throw unknownRequest('Unknown identifier type');
    const name = body.identifier?.user ?? body.user;
    if (name === undefined) throw missingParam('identifier');
    if (body.password === undefined) throw missingParam('password');
    const account = await accounts.find(name.startsWith('@') ? name : accounts.userId(name));
    if (!(await verifyPassword(body.password, account?.passwordHash)) || !account) {
      throw forbidden('Invalid user name or password');
    }
    const device = await accounts.createDevice(account.userId, body.device_id, body.initial_device_display_name);
    return c.json({
      user_id: account.userId,
      access_token: device.accessToken,
      device_id: device.deviceId,
      home_server: config.serverName,
    });
  });

  app.post('/v3/logout', expiredUser, async (c) => {
    const { userId, deviceId } = c.var.requester;
    if (deviceId !== undefined) await accounts.deleteDevice(userId, deviceId);
    return c.json({});
  });

  app.post('/v3/logout/all', expiredUser, async (c) => {
    await accounts.deleteDevices(c.var.requester.userId);
    return c.json({});
  });

  app.get('/v3/account/whoami', user, (c) => {
    const { userId, deviceId, isGuest } = c.var.requester;
    return c.json({ user_id: userId, device_id: deviceId, is_guest: isGuest });
  });

  app.get('/v3/register/available', async (c) => {
    const username = c.req.query('username');
    if (username === undefined) throw missingParam('username');
    await registration.checkUsername(username);
    return c.json({ available: true });
  });

  app.post('/v3/register', async (c) => {
    const kind = c.req.query('kind') ?? 'user';
    if (kind === 'guest') throw guestAccessForbidden();
    if (kind !== 'user') throw unknownRequest(`Unknown kind of account ${kind}`);
    const result = await registration.register(await readObject(c), requestInfo(c));
    if (!result.done) return c.json(result.challenge, 401);
    const { userId, device } = result;
    return c.json({
      user_id: userId,
      home_server: config.serverName,
      ...(device && { access_token: device.accessToken, device_id: device.deviceId }),
    });
  });

  app.get('/v3/profile/:userId', async (c) => c.json(await profileFor(c)));
  app.get('/v3/profile/:userId/displayname', async (c) => {
    const { displayname } = await profileFor(c);
    return c.json({ displayname });
  });
  app.get('/v3/profile/:userId/avatar_url', async (c) => {
    const { avatar_url } = await profileFor(c);
    return c.json({ avatar_url });
  });

  app.put('/v3/profile/:userId/displayname', user, async (c) => {
    const { displayname } = await readBody(c, v.object({ displayname: v.nullish(v.string()) }));
    await setProfile(c, { displayName: field(displayname) });
    return c.json({});
  });
  app.put('/v3/profile/:userId/avatar_url', user, async (c) => {
    const { avatar_url } = await readBody(c, v.object({ avatar_url: v.nullish(v.string()) }));
    await setProfile(c, { avatarUrl: field(avatar_url) });
    return c.json({});
  });

  async function profileFor(c: Context<Env>) {
    const userId = c.req.param('userId') ?? '';
    if (federation && memberships.elsewhere?.isRemote(userId)) return federation.queries.profile(userId);
    const profile = await accounts.profile(userId);
    if (!profile) throw notFound('User not found');
    return profile;
  }

  async function setProfile(c: Context<Env>, change: Parameters<typeof accounts.setProfile>[1]): Promise<void> {
    const { requester } = c.var;
    if (c.req.param('userId') !== requester.userId) throw forbidden("You cannot change another user's profile");
    await accounts.setProfile(requester.userId, change);
    await memberships.profileChanged(requester);
  }

  return app;
}

const MAX_FIELD_BYTES = 1000;

/** An empty text clears the field, as in other homeservers. */
function field(text: string | null | undefined): string | null {
  if (text === undefined || text === null || text === '') return null;
  if (text.includes('\0') || Buffer.byteLength(text) > MAX_FIELD_BYTES) throw invalidParam('The text is too long');
  return text;
}
