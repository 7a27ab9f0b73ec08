// Aliases and the public directory over HTTP.

import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { invalidParam } from '../errors.js';
import { readBody } from '../http/body.js';
import { type Env, numberFrom } from '../http/context.js';
import { isRoomId } from '../ids.js';
import type { Server } from '../server.js';
import { NOBODY } from './rows.js';
import { summarise } from './summary.js';
import { whereabouts } from './whereabouts.js';

const MAX_PAGE = 500;
const DEFAULT_PAGE = 100;

const Visibility = v.picklist(['public', 'private']);

const Search = v.object({
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  since: v.optional(v.string()),
  filter: v.optional(v.object({ generic_search_term: v.nullish(v.string()) }), {}),
});

/** The second and third are what clients asked for before it was specified (MSC3266). */
const SUMMARY_PATHS = [
  '/v1/room_summary/:room',
  '/unstable/im.nheko.summary/summary/:room',
  '/unstable/im.nheko.summary/rooms/:room/summary',
] as const;

export function directoryRoutes(server: Server): Hono<Env> {
  const { authenticator, config, directory, events } = server;
  const app = new Hono<Env>();
  const { user } = authenticator;

  /** For what is open to everybody; who says who he is may see more. */
  const viewerOf = (c: Context<Env>): Promise<string> =>
    authenticator.requester(c.req.raw, { allowExpired: true }).then(
      ({ userId }) => userId,
      () => NOBODY,
    );

  const alias = '/v3/directory/room/:alias';
  app.get(alias, async (c) => {
    const viewer = await viewerOf(c);
    const { roomId, via } = await whereabouts(server, c.req.param('alias'), viewer);
    return c.json({ room_id: roomId, servers: via });
  });
  app.put(alias, user, async (c) => {
    const { room_id } = await readBody(c, v.object({ room_id: v.string() }));
    if (!isRoomId(room_id)) throw invalidParam(`${room_id} is no room id`);
    await directory.createAlias(c.var.requester.userId, c.req.param('alias'), room_id);
    return c.json({});
  });
  app.delete(alias, user, async (c) => {
    await directory.deleteAlias(c.var.requester.userId, c.req.param('alias'));
    return c.json({});
  });

  for (const path of SUMMARY_PATHS) {
    app.get(path, async (c) => {
      const room = c.req.param('room');
      const viewer = await viewerOf(c);
      return c.json(await summarise(events, isRoomId(room) ? room : await directory.resolve(room, viewer), viewer));
    });
  }

  const entry = '/v3/directory/list/room/:roomId';
  app.get(entry, async (c) => {
    const published = await directory.isPublished(c.req.param('roomId'));
    return c.json({ visibility: published ? 'public' : 'private' });
  });
  app.put(entry, user, async (c) => {
    const { visibility } = await readBody(c, v.object({ visibility: v.optional(Visibility, 'public') }), {});
    await directory.setPublished(c.var.requester.userId, c.req.param('roomId'), visibility === 'public');
    return c.json({});
  });

  const checkServer = (c: Context<Env>) => {
    const server = c.req.query('server');
    if (server !== undefined && server !== config.serverName) throw invalidParam('This server knows no other servers');
  };
  app.get('/v3/publicRooms', async (c) => {
    checkServer(c);
    const limit = numberFrom(c.req.query('limit'), { min: 1, max: MAX_PAGE, fallback: DEFAULT_PAGE });
    return c.json(await directory.publicRooms(limit, c.req.query('since'), undefined));
  });
  app.post('/v3/publicRooms', user, async (c) => {
    checkServer(c);
    const { limit = DEFAULT_PAGE, since, filter } = await readBody(c, Search, {});
    const term = filter.generic_search_term ?? undefined;
    return c.json(await directory.publicRooms(Math.min(limit, MAX_PAGE), since, term));
  });

  return app;
}
