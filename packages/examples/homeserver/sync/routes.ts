// GET /sync.

import { Hono } from 'hono';
import * as v from 'valibot';
import { invalidParam } from '../errors.js';
import { check } from '../http/body.js';
import { type Env, numberFrom } from '../http/context.js';
import type { Server } from '../server.js';

const MAX_TIMEOUT_MS = 5 * 60_000;

const Query = v.object({
  since: v.optional(v.string()),
  timeout: v.optional(v.string()),
  full_state: v.optional(v.picklist(['true', 'false']), 'false'),
  filter: v.optional(v.string()),
  set_presence: v.optional(v.picklist(['online', 'offline', 'unavailable']), 'online'),
});

export function syncRoutes({ authenticator, sync }: Server): Hono<Env> {
  const app = new Hono<Env>();
  app.get('/v3/sync', authenticator.user, async (c) => {
    const query = check(Query, c.req.query(), invalidParam);
    const { userId, deviceId, shadowBanned } = c.var.requester;
    const body = await sync.sync({
      userId,
      deviceId,
      shadowBanned,
      since: query.since,
      timeoutMs: numberFrom(query.timeout, { max: MAX_TIMEOUT_MS, fallback: 0 }),
      fullState: query.full_state === 'true',
      presence: query.set_presence,
      filter: query.filter,
      signal: c.req.raw.signal,
    });
    return c.json(body);
  });
  return app;
}
