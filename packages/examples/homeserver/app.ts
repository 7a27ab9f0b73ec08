// The whole server as one Hono app: its own routes, then the modules' web resources, then 404.

import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { accountDataRoutes } from './account-data/routes.js';
import { credentialRoutes } from './accounts/credential-routes.js';
import { accountRoutes } from './accounts/routes.js';
import { userDirectoryRoutes } from './accounts/user-directory.js';
import { clientRoutes, wellKnownRoutes } from './client/routes.js';
import { deviceRoutes } from './devices/routes.js';
import { errorResponse, internalError, invalidParam, unrecognized } from './errors.js';
import { federationRoutes } from './federation/routes.js';
import { filterRoutes } from './filters/routes.js';
import type { Env } from './http/context.js';
import { keyBackupRoutes } from './keys/backup-routes.js';
import { keyRoutes } from './keys/routes.js';
import { clientMediaRoutes, mediaRoutes } from './media/routes.js';
import { PAGE_PATH, pageRoutes } from './page/routes.js';
import { presenceRoutes } from './presence/routes.js';
import { pushRoutes } from './push/routes.js';
import { receiptRoutes } from './receipts/routes.js';
import { directoryRoutes } from './rooms/directory-routes.js';
import { eventRoutes } from './rooms/event-routes.js';
import { roomRoutes } from './rooms/routes.js';
import { searchRoutes } from './search/routes.js';
import type { Server } from './server.js';
import { syncRoutes } from './sync/routes.js';

const CLIENT_ROUTES = [
  clientRoutes,
  accountRoutes,
  credentialRoutes,
  accountDataRoutes,
  deviceRoutes,
  keyRoutes,
  keyBackupRoutes,
  pushRoutes,
  receiptRoutes,
  filterRoutes,
  userDirectoryRoutes,
  roomRoutes,
  eventRoutes,
  directoryRoutes,
  searchRoutes,
  syncRoutes,
  presenceRoutes,
  clientMediaRoutes,
];

/** Web pages of any origin may use the server (client-server API, "Web Browser Clients"). */
const CORS = {
  origin: '*',
  allowMethods: ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'],
  allowHeaders: ['X-Requested-With', 'Content-Type', 'Authorization'],
};

export function createApp(server: Server): Hono<Env> {
  const app = new Hono<Env>();
  for (const path of ['/_matrix/*', '/.well-known/matrix/*']) app.use(path, cors(CORS));
  app.use('/_matrix/*', async (c, next) => {
    // The database stores none, and no identifier of Matrix has one.
    if (/%00/.test(c.req.url)) throw invalidParam('The address contains NUL');
    if (c.req.path.split('/').some(isTooLong)) throw invalidParam('A part of the address is too long');
    await next();
  });
  for (const routes of CLIENT_ROUTES) app.route('/_matrix/client', routes(server));
  app.route('/_matrix/media', mediaRoutes(server));
  app.route('/.well-known/matrix', wellKnownRoutes(server));
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

/** Nothing that goes by an index of the database may be much longer; identifiers have 255 bytes at most. */
const MAX_PART_BYTES = 1000;
const isTooLong = (part: string) => part.replace(/%[\da-f]{2}/gi, '.').length > MAX_PART_BYTES;

/** Whether a path is one of ours, whatever the method: the specification tells 404 and 405 apart. */
function matches(pattern: string, path: string): boolean {
  const parts = path.split('/');
  const wanted = pattern.split('/');
  return parts.length === wanted.length && wanted.every((part, index) => part.startsWith(':') || part === parts[index]);
}
