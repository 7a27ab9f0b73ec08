// Login, logout, registration and profiles over HTTP.

import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import {
  forbidden,
  guestAccessForbidden,
  invalidParam,
  missingParam,
  notFound,
  softLogout,
  unknownRequest,
  userDeactivated,
} from '../errors.js';
import { Name, readBody, readObject } from '../http/body.js';
import { type Env, requestInfo } from '../http/context.js';
import type { Server } from '../server.js';
import { verifyPassword } from './passwords.js';
import type { Login as LoggedIn } from './tokens.js';

const Login = v.object({
  type: v.string(),
  identifier: v.optional(v.looseObject({ type: v.string(), user: v.optional(Name) })),
  /** Older than `identifier`, and still sent. */
  user: v.optional(Name),
  password: v.optional(v.string()),
  device_id: v.optional(Name),
  initial_device_display_name: v.optional(Name),
  refresh_token: v.optional(v.boolean(), false),
});

export function accountRoutes(server: Server): Hono<Env> {
  const { config, accounts, tokens, devices, registration, authenticator, memberships, federation, limits } = server;
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
    const userId = name.startsWith('@') ? name : accounts.userId(name);
    limits.login.take(requestInfo(c)[1]);
    limits.login.take(userId);
    const account = await accounts.find(userId);
    if (account?.deactivated) throw userDeactivated();
    if (!(await verifyPassword(body.password, account?.passwordHash)) || !account) {
      throw forbidden('Invalid user name or password');
    }
    const login = await tokens.login(account.userId, {
      deviceId: body.device_id,
      displayName: body.initial_device_display_name,
      refreshable: body.refresh_token,
    });
    return c.json({ user_id: account.userId, home_server: config.serverName, ...loginBody(login) });
  });

  app.post('/v3/refresh', async (c) => {
    const { refresh_token: refreshToken } = await readBody(c, v.object({ refresh_token: v.string() }));
    const login = await tokens.refresh(refreshToken);
    if (!login) throw softLogout('The refresh token is unknown, or was used already');
    const { device_id: _, ...body } = loginBody(login);
    return c.json(body);
  });

  app.post('/v3/logout', expiredUser, async (c) => {
    const { userId, deviceId } = c.var.requester;
    if (deviceId !== undefined) await devices.delete(userId, [deviceId]);
    return c.json({});
  });

  app.post('/v3/logout/all', expiredUser, async (c) => {
    await devices.delete(c.var.requester.userId);
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
    const seen = requestInfo(c);
    limits.registration.take(seen[1]);
    const result = await registration.register(await readObject(c), seen);
    if (!result.done) return c.json(result.challenge, 401);
    const { userId, login } = result;
    return c.json({ user_id: userId, home_server: config.serverName, ...(login && loginBody(login)) });
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

const loginBody = ({ deviceId, accessToken, refreshToken, expiresInMs }: LoggedIn) => ({
  device_id: deviceId,
  access_token: accessToken,
  ...(refreshToken === undefined ? {} : { refresh_token: refreshToken, expires_in_ms: expiresInMs }),
});

const MAX_FIELD_BYTES = 1000;

/** An empty text clears the field, as in other homeservers. */
function field(text: string | null | undefined): string | null {
  if (text === undefined || text === null || text === '') return null;
  if (text.includes('\0') || Buffer.byteLength(text) > MAX_FIELD_BYTES) throw invalidParam('The text is too long');
  return text;
}
