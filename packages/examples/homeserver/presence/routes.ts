// Presence over HTTP; it reaches others through /sync.

import { Hono } from 'hono';
import * as v from 'valibot';
import { forbidden, notFound } from '../errors.js';
import { readBody } from '../http/body.js';
import type { Env } from '../http/context.js';
import type { Server } from '../server.js';
import { presenceContent } from './presence.js';

const SetPresence = v.object({
  presence: v.picklist(['online', 'offline', 'unavailable']),
  status_msg: v.nullish(v.pipe(v.string(), v.maxLength(1000))),
});

export function presenceRoutes({ accounts, authenticator, events, presence }: Server): Hono<Env> {
  const app = new Hono<Env>();
  const path = '/v3/presence/:userId/status';

  app.get(path, authenticator.user, async (c) => {
    const { userId } = c.var.requester;
    const subject = c.req.param('userId');
    const account = await accounts.find(subject);
    if (!account) throw notFound('User not found');
    // As others see it: a shadow-banned user shares a room with himself alone.
    if (subject !== userId && !(await events.sharingRooms(subject, [userId], userId)).has(userId)) {
      throw forbidden('You may not see the presence of this user');
    }
    return c.json(presenceContent(presence.get(subject)));
  });

  app.put(path, authenticator.user, async (c) => {
    const { userId } = c.var.requester;
    if (c.req.param('userId') !== userId) throw forbidden("You cannot change another user's presence");
    const { presence: state, status_msg } = await readBody(c, SetPresence);
    await presence.set(userId, state, status_msg ?? null);
    return c.json({});
  });

  return app;
}
