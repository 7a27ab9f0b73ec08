// Backups of room keys over HTTP.

import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { invalidParam, missingParam, notFound } from '../errors.js';
import { JsonObject, Name, objectOf, readBody } from '../http/body.js';
import type { Env } from '../http/context.js';
import type { Server } from '../server.js';
import type { BackupState } from './backup.js';

const Index = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const Key = objectOf(
  v.object({ first_message_index: Index, forwarded_count: Index, is_verified: v.boolean(), session_data: JsonObject }),
);
const Sessions = objectOf(v.object({ sessions: objectOf(v.record(Name, Key)) }));
const Rooms = v.object({ rooms: objectOf(v.record(Name, Sessions)) });
const Version = v.object({ algorithm: Name, auth_data: JsonObject, version: v.optional(v.string()) });

export function keyBackupRoutes({ authenticator, keyBackups }: Server): Hono<Env> {
  const { user } = authenticator;
  const app = new Hono<Env>();

  app.post('/v3/room_keys/version', user, async (c) => {
    const { algorithm, auth_data } = await readBody(c, Version);
    return c.json({ version: await keyBackups.create(c.var.requester.userId, algorithm, auth_data) });
  });
  app.get('/v3/room_keys/version', user, async (c) => c.json(await keyBackups.describe(c.var.requester.userId)));

  app.get('/v3/room_keys/version/:version', user, async (c) =>
    c.json(await keyBackups.describe(c.var.requester.userId, c.req.param('version'))),
  );
  app.put('/v3/room_keys/version/:version', user, async (c) => {
    const { algorithm, auth_data, version } = await readBody(c, Version);
    const wanted = c.req.param('version');
    if (version !== undefined && version !== wanted) throw invalidParam('The body names another version');
    await keyBackups.update(c.var.requester.userId, wanted, algorithm, auth_data);
    return c.json({});
  });
  app.delete('/v3/room_keys/version/:version', user, async (c) => {
    await keyBackups.delete(c.var.requester.userId, c.req.param('version'));
    return c.json({});
  });

  const keys = '/v3/room_keys/keys';
  app.put(keys, user, async (c) => {
    const { rooms } = await readBody(c, Rooms);
    const byRoom = Object.entries(rooms).map(([roomId, { sessions }]) => [roomId, sessions] as const);
    return c.json(await keyBackups.add(...backupIn(c), Object.fromEntries(byRoom)));
  });
  app.put(`${keys}/:roomId`, user, async (c) => {
    const { sessions } = await readBody(c, Sessions);
    return c.json(await keyBackups.add(...backupIn(c), { [c.req.param('roomId')]: sessions }));
  });
  app.put(`${keys}/:roomId/:sessionId`, user, async (c) => {
    const key = await readBody(c, Key);
    const { roomId, sessionId } = c.req.param();
    return c.json(await keyBackups.add(...backupIn(c), { [roomId]: { [sessionId]: key } }));
  });

  app.get(keys, user, async (c) => {
    const found = await keyBackups.get(...backupIn(c), {});
    const rooms = Object.entries(found).map(([roomId, sessions]) => [roomId, { sessions }]);
    return c.json({ rooms: Object.fromEntries(rooms) });
  });
  app.get(`${keys}/:roomId`, user, async (c) => {
    const roomId = c.req.param('roomId');
    const found = await keyBackups.get(...backupIn(c), { roomId });
    return c.json({ sessions: found[roomId] ?? {} });
  });
  app.get(`${keys}/:roomId/:sessionId`, user, async (c) => {
    const { roomId, sessionId } = c.req.param();
    const found = (await keyBackups.get(...backupIn(c), { roomId, sessionId }))[roomId]?.[sessionId];
    if (!found) throw notFound('There is no such key');
    return c.json(found);
  });

  const remove = async (c: Context<Env>): Promise<BackupState> => {
    const { roomId, sessionId } = c.req.param() as Record<string, string | undefined>;
    return keyBackups.remove(...backupIn(c), { roomId, sessionId });
  };
  for (const path of [keys, `${keys}/:roomId`, `${keys}/:roomId/:sessionId`] as const) {
    app.delete(path, user, async (c) => c.json(await remove(c)));
  }

  return app;
}

function backupIn(c: Context<Env>): [userId: string, version: string] {
  const version = c.req.query('version');
  if (version === undefined) throw missingParam('version');
  return [c.var.requester.userId, version];
}
