// Single events over HTTP: one of them, what is around it, what relates to it.

import { type Context, Hono } from 'hono';
import { notFound } from '../errors.js';
import { eventFilter } from '../filters/filters.js';
import { type Env, numberFrom } from '../http/context.js';
import { isEventId } from '../ids.js';
import type { Server } from '../server.js';
import { around } from './around.js';
import { clientEvent } from './client-event.js';
import { visibleRanges, within } from './history.js';
import { cutPage, readPage } from './paging.js';
import { MAX_RECURSION } from './relations.js';

const MAX_CONTEXT = 1000;
const DEFAULT_CONTEXT = 10;

export function eventRoutes({ authenticator, events, memberships }: Server): Hono<Env> {
  const app = new Hono<Env>();
  const { user } = authenticator;

  /** The event of the path, and what else of the room the user may see. What he may not see does not exist. */
  const visibleEvent = async (c: Context<Env>) => {
    const { roomId = '', eventId = '' } = c.req.param() as Record<string, string>;
    const { userId } = c.var.requester;
    const stored = isEventId(eventId) ? await events.get(eventId, userId) : undefined;
    const isForgotten = (await memberships.forgottenBy(userId)).has(roomId);
    if (stored?.event.room_id !== roomId || isForgotten) throw notFound('Event not found');
    const ranges = visibleRanges(await events.historyOf(roomId, userId), userId, events.head);
    if (within(ranges, stored.position, stored.position).length === 0) throw notFound('Event not found');
    return { stored, ranges };
  };

  app.get('/v3/rooms/:roomId/event/:eventId', user, async (c) => {
    const { stored } = await visibleEvent(c);
    const { userId, deviceId } = c.var.requester;
    return c.json(clientEvent(stored, userId, deviceId));
  });

  app.get('/v3/rooms/:roomId/context/:eventId', user, async (c) => {
    const roomId = c.req.param('roomId');
    const { userId, deviceId } = c.var.requester;
    const limit = numberFrom(c.req.query('limit'), { max: MAX_CONTEXT, fallback: DEFAULT_CONTEXT });
    const filter = eventFilter(c.req.query('filter'));
    const { stored, ranges } = await visibleEvent(c);
    const half = Math.floor(limit / 2);
    const limits = { before: half, after: limit - half };
    const { before, after, start, end, last } = await around(events, {
      stored,
      ranges,
      viewer: userId,
      limits,
      filter,
    });
    const senders = [stored, ...before, ...after].map(({ event }) => event.sender);
    const lazy = filter.lazyLoadMembers;
    const members = lazy ? await events.membersAt(roomId, userId, [...new Set(senders)], last) : [];
    const state = [...(await events.stateSince(roomId, userId, 0, last, !lazy)), ...members];
    const shown = (each: typeof stored) => clientEvent(each, userId, deviceId);
    return c.json({
      start,
      end,
      event: shown(stored),
      events_before: before.map(shown),
      events_after: after.map(shown),
      state: state.filter(({ event }) => filter.passes(event, roomId)).map(shown),
    });
  });

  const relations = '/v1/rooms/:roomId/relations/:eventId';
  for (const path of [relations, `${relations}/:relType`, `${relations}/:relType/:eventType`] as const) {
    app.get(path, user, async (c) => {
      const { roomId = '', eventId = '', relType, eventType } = c.req.param() as Record<string, string>;
      const { userId, deviceId } = c.var.requester;
      const { ranges } = await visibleEvent(c);
      const page = readPage({ dir: 'b', ...c.req.query() }, ranges, events.head);
      const recurse = c.req.query('recurse') === 'true';
      const found = await events.related(roomId, userId, { eventId, relType, eventType, recurse }, page);
      const { events: shown, next } = cutPage(page, found);
      return c.json({
        chunk: shown.map((each) => clientEvent(each, userId, deviceId)),
        ...(c.req.query('from') === undefined ? {} : { prev_batch: page.start }),
        ...(next === undefined ? {} : { next_batch: next }),
        ...(recurse ? { recursion_depth: MAX_RECURSION } : {}),
      });
    });
  }

  return app;
}
