// What clients ask about the server when they start, and settings in which they find what this server does not have.

import { Hono } from 'hono';
import { notFound } from '../errors.js';
import type { Env } from '../http/context.js';
import { ROOM_VERSION } from '../rooms/event.js';
import type { Server } from '../server.js';

const VERSIONS = ['v1.1', 'v1.2', 'v1.3', 'v1.4', 'v1.5', 'v1.6', 'v1.7', 'v1.8', 'v1.9', 'v1.10', 'v1.11'];

const CAPABILITIES = {
  'm.room_versions': { default: ROOM_VERSION, available: { [ROOM_VERSION]: 'stable' } },
  'm.change_password': { enabled: true },
  'm.set_displayname': { enabled: true },
  'm.set_avatar_url': { enabled: true },
  'm.3pid_changes': { enabled: false },
  'm.get_login_token': { enabled: false },
};

/** Below /_matrix/client. */
export function clientRoutes({ authenticator }: Server): Hono<Env> {
  const { user } = authenticator;
  const app = new Hono<Env>();
  app.get('/versions', (c) => c.json({ versions: VERSIONS, unstable_features: {} }));
  app.get('/v3/capabilities', user, (c) => c.json({ capabilities: CAPABILITIES }));
  // No calls through a server, no bridges, no addresses, nothing pushed.
  app.get('/v3/voip/turnServer', user, (c) => c.json({}));
  app.get('/v3/thirdparty/protocols', user, (c) => c.json({}));
  app.get('/v3/account/3pid', user, (c) => c.json({ threepids: [] }));
  app.get('/v3/pushers', user, (c) => c.json({ pushers: [] }));
  return app;
}

/** Below /.well-known/matrix. */
export function wellKnownRoutes({ config }: Server): Hono<Env> {
  const app = new Hono<Env>();
  app.get('/client', (c) => {
    if (config.publicBaseUrl === undefined) throw notFound('The server does not say where it is reached');
    return c.json({ 'm.homeserver': { base_url: config.publicBaseUrl } });
  });
  return app;
}
