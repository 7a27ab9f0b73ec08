// Search over HTTP.

import { Hono } from 'hono';
import * as v from 'valibot';
import { EventFilter, RoomEventFilterBody } from '../filters/filter.js';
import { Name, objectOf, readBody } from '../http/body.js';
import type { Env } from '../http/context.js';
import type { Server } from '../server.js';
import { SEARCH_KEYS } from './searchable.js';

const MAX_RESULTS = 50;
const DEFAULT_RESULTS = 10;
const MAX_CONTEXT = 20;
const DEFAULT_CONTEXT = 5;

const ContextLimit = v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), DEFAULT_CONTEXT);

const RoomEvents = v.object({
  search_term: Name,
  keys: v.optional(v.array(v.picklist(SEARCH_KEYS))),
  filter: v.optional(objectOf(RoomEventFilterBody)),
  order_by: v.optional(v.picklist(['rank', 'recent']), 'rank'),
  event_context: v.optional(
    objectOf(
      v.object({
        before_limit: ContextLimit,
        after_limit: ContextLimit,
        include_profile: v.optional(v.boolean(), false),
      }),
    ),
  ),
  include_state: v.optional(v.boolean(), false),
  groupings: v.optional(
    objectOf(
      v.object({ group_by: v.optional(v.array(objectOf(v.object({ key: v.picklist(['room_id', 'sender']) })))) }),
    ),
  ),
});

const Body = v.object({ search_categories: objectOf(v.object({ room_events: v.optional(objectOf(RoomEvents)) })) });

export function searchRoutes({ authenticator, search }: Server): Hono<Env> {
  const app = new Hono<Env>();
  app.post('/v3/search', authenticator.user, async (c) => {
    const { room_events: wanted } = (await readBody(c, Body)).search_categories;
    if (!wanted) return c.json({ search_categories: {} });
    const { filter: body, event_context: context, groupings } = wanted;
    const found = await search.search(c.var.requester, {
      term: wanted.search_term,
      keys: wanted.keys ?? SEARCH_KEYS,
      filter: new EventFilter(body),
      order: wanted.order_by,
      limit: Math.min(Math.max(body?.limit ?? DEFAULT_RESULTS, 1), MAX_RESULTS),
      context: context && {
        before: Math.min(context.before_limit, MAX_CONTEXT),
        after: Math.min(context.after_limit, MAX_CONTEXT),
        includeProfile: context.include_profile,
      },
      groupBy: groupings?.group_by?.map(({ key }) => key) ?? [],
      includeState: wanted.include_state,
      from: c.req.query('next_batch'),
    });
    return c.json({ search_categories: { room_events: found } });
  });
  return app;
}
