// Receipts, read markers and typing over HTTP.

import { Hono } from 'hono';
import * as v from 'valibot';
import { invalidParam } from '../errors.js';
import { readBody } from '../http/body.js';
import { type Env, ownUserId } from '../http/context.js';
import { isEventId } from '../ids.js';
import type { Server } from '../server.js';

const Receipt = v.object({ thread_id: v.optional(v.string()) });

const ReadMarkers = v.object({
  'm.fully_read': v.optional(v.string()),
  'm.read': v.optional(v.string()),
  'm.read.private': v.optional(v.string()),
});

const Typing = v.object({
  typing: v.boolean(),
  timeout: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
});

const DEFAULT_TYPING_MS = 30_000;
const MAX_TYPING_MS = 120_000;

export function receiptRoutes({ authenticator, receipts, typing }: Server): Hono<Env> {
  const { user } = authenticator;
  const app = new Hono<Env>();

  app.post('/v3/rooms/:roomId/receipt/:type/:eventId', user, async (c) => {
    const { roomId, type, eventId } = c.req.param();
    const { thread_id: threadId } = await readBody(c, Receipt, {});
    const { requester } = c.var;
    if (type === 'm.fully_read') {
      if (threadId !== undefined) throw invalidParam('m.fully_read concerns the whole room');
      await receipts.setFullyRead(requester, roomId, eventId);
    } else if (type === 'm.read' || type === 'm.read.private') {
      if (threadId !== undefined && threadId !== 'main' && !isEventId(threadId)) {
        throw invalidParam('The thread is neither main nor an event id');
      }
      await receipts.set(requester, roomId, type, eventId, threadId);
    } else throw invalidParam(`${type} is no type of receipt`);
    return c.json({});
  });

  app.post('/v3/rooms/:roomId/read_markers', user, async (c) => {
    const roomId = c.req.param('roomId');
    const body = await readBody(c, ReadMarkers);
    const { requester } = c.var;
    for (const type of ['m.read', 'm.read.private'] as const) {
      const eventId = body[type];
      if (eventId !== undefined) await receipts.set(requester, roomId, type, eventId);
    }
    const fullyRead = body['m.fully_read'];
    if (fullyRead !== undefined) await receipts.setFullyRead(requester, roomId, fullyRead);
    return c.json({});
  });

  app.put('/v3/rooms/:roomId/typing/:userId', user, async (c) => {
    ownUserId(c);
    const { typing: isTyping, timeout = DEFAULT_TYPING_MS } = await readBody(c, Typing);
    await typing.set(c.var.requester, c.req.param('roomId'), isTyping ? Math.min(timeout, MAX_TYPING_MS) : 0);
    return c.json({});
  });

  return app;
}
