// The whole server as one Hono app: its own routes, then the modules' web resources, then 404.

import { Hono } from 'hono';
import { accountRoutes } from './accounts/routes.js';
import { userDirectoryRoutes } from './accounts/user-directory.js';
import { errorResponse, internalError, invalidParam, unrecognized } from './errors.js';
import { federationRoutes } from './federation/routes.js';
import type { Env } from './http/context.js';
import { clientMediaRoutes, mediaRoutes } from './media/routes.js';
import { PAGE_PATH, pageRoutes } from './page/routes.js';
import { presenceRoutes } from './presence/routes.js';
import { directoryRoutes } from './rooms/directory-routes.js';
import { eventRoutes } from './rooms/event-routes.js';
import { roomRoutes } from './rooms/routes.js';
import type { Server } from './server.js';
import { syncRoutes } from './sync/routes.js';

const VERSIONS = ['v1.1', 'v1.2', 'v1.3', 'v1.4', 'v1.5', 'v1.6', 'v1.7', 'v1.8', 'v1.9', 'v1.10', 'v1.11'];

const CLIENT_ROUTES = [
  accountRoutes,
  userDirectoryRoutes,
  roomRoutes,
  eventRoutes,
  directoryRoutes,
  syncRoutes,
  presenceRoutes,
  clientMediaRoutes,
];

export function createApp(server: Server): Hono<Env> {
  const app = new Hono<Env>();
  app.get('/_matrix/client/versions', (c) => c.json({ versions: VERSIONS, unstable_features: {} }));
  app.use('/_matrix/*', async (c, next) => {
    // No identifier contains NUL, and PostgreSQL's text cannot.
    if (c.req.path.includes('\0')) throw invalidParam('The path may not contain NUL');
    await next();
  });
  for (const routes of CLIENT_ROUTES) app.route('/_matrix/client', routes(server));
  app.route('/_matrix/media', mediaRoutes(server));
  app.route(PAGE_PATH, pageRoutes(server));
  app.get('/', (c) => c.redirect(PAGE_PATH));
  if (server.federation) app.route('/_matrix', federationRoutes(server.federation));

  app.notFound(async (c) => {
    const answer = await server.modules.fetch(c.req.raw);
    if (answer) return answer;
    const known = app.routes.some(({ method, path }) => method !== 'ALL' && matches(path, c.req.path));
    throw unrecognized(known ? 405 : 404);
  });

  app.onError((error, c) => {
    const answer = errorResponse(error);
    if (answer) return answer;
    server.logger.error({ err: error, method: c.req.method, path: c.req.path }, 'A request failed');
    return internalError();
  });
  return app;
}

/** Whether a path is one of ours, whatever the method: the specification tells 404 and 405 apart. */
function matches(pattern: string, path: string): boolean {
  const parts = path.split('/');
  const wanted = pattern.split('/');
  return parts.length === wanted.length && wanted.every((part, index) => part.startsWith(':') || part === parts[index]);
}
