// Account data and tags over HTTP.

import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { invalidParam, notFound, setByServer } from '../errors.js';
import { JsonObject, readBody, readObject } from '../http/body.js';
import { type Env, ownUserId } from '../http/context.js';
import { isRoomId } from '../ids.js';
import type { Content } from '../rooms/event.js';
import type { Server } from '../server.js';
import { NO_ROOM } from './account-data.js';

/** Clients change these through endpoints of their own. */
const SET_BY_SERVER: ReadonlySet<string> = new Set(['m.fully_read', 'm.push_rules']);

export function accountDataRoutes({ authenticator, accountData, pushRules }: Server): Hono<Env> {
  const { user } = authenticator;
  const app = new Hono<Env>();

  const get = async (c: Context<Env>, roomId: string) => {
    const userId = ownUserId(c);
    const type = c.req.param('type') ?? '';
    if (roomId === NO_ROOM && type === 'm.push_rules') return c.json({ global: await pushRules.of(userId) });
    const content = await accountData.get(userId, roomId, type);
    if (!content) throw notFound('There is no such account data');
    return c.json(content);
  };
  const put = async (c: Context<Env>, roomId: string) => {
    const userId = ownUserId(c);
    const type = c.req.param('type') ?? '';
    if (SET_BY_SERVER.has(type)) throw setByServer(type);
    await accountData.set(userId, roomId, type, await readObject(c));
    return c.json({});
  };

  app.get('/v3/user/:userId/account_data/:type', user, (c) => get(c, NO_ROOM));
  app.put('/v3/user/:userId/account_data/:type', user, (c) => put(c, NO_ROOM));
  app.get('/v3/user/:userId/rooms/:roomId/account_data/:type', user, (c) => get(c, roomIn(c)));
  app.put('/v3/user/:userId/rooms/:roomId/account_data/:type', user, (c) => put(c, roomIn(c)));

  app.get('/v3/user/:userId/rooms/:roomId/tags', user, async (c) => {
    const content = await accountData.get(ownUserId(c), roomIn(c), 'm.tag');
    return c.json({ tags: tagsIn(content) });
  });

  app.put('/v3/user/:userId/rooms/:roomId/tags/:tag', user, async (c) => {
    const [userId, roomId] = [ownUserId(c), roomIn(c)];
    const tag = c.req.param('tag');
    if (Buffer.byteLength(tag) > MAX_TAG_BYTES) throw invalidParam('Tags may have 255 bytes');
    const value = await readBody(c, Tag, {});
    await accountData.update(userId, roomId, 'm.tag', (before) => ({
      ...before,
      tags: Object.fromEntries([...Object.entries(tagsIn(before)), [tag, value]]),
    }));
    return c.json({});
  });

  app.delete('/v3/user/:userId/rooms/:roomId/tags/:tag', user, async (c) => {
    const tag = c.req.param('tag');
    await accountData.update(ownUserId(c), roomIn(c), 'm.tag', (before) => {
      const tags = Object.entries(tagsIn(before));
      const left = tags.filter(([name]) => name !== tag);
      return left.length === tags.length ? undefined : { ...before, tags: Object.fromEntries(left) };
    });
    return c.json({});
  });

  return app;
}

const MAX_TAG_BYTES = 255;
const Tag = v.looseObject({ order: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))) });

/** Clients can write anything into m.tag as account data, too. */
const tagsIn = (content: Content | undefined): Content => (v.is(JsonObject, content?.tags) ? content.tags : {});

function roomIn(c: Context<Env>): string {
  const roomId = c.req.param('roomId') ?? '';
  if (!isRoomId(roomId)) throw invalidParam(`${roomId} is no room id`);
  return roomId;
}
