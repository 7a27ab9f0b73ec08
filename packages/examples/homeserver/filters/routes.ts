// Filters over HTTP.

import { Hono } from 'hono';
import { notFound } from '../errors.js';
import { readObject } from '../http/body.js';
import { type Env, ownUserId } from '../http/context.js';
import type { Server } from '../server.js';

export function filterRoutes({ authenticator, filters }: Server): Hono<Env> {
  const app = new Hono<Env>();
  app.post('/v3/user/:userId/filter', authenticator.user, async (c) =>
    c.json({ filter_id: await filters.store(ownUserId(c), await readObject(c)) }),
  );
  app.get('/v3/user/:userId/filter/:filterId', authenticator.user, async (c) => {
    const content = await filters.find(ownUserId(c), c.req.param('filterId'));
    if (!content) throw notFound('There is no such filter');
    return c.json(content);
  });
  return app;
}
