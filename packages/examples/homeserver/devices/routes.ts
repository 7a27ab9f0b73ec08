// Devices, and messages to them, over HTTP.

import { Hono } from 'hono';
import * as v from 'valibot';
import { Auth } from '../accounts/interactive-auth.js';
import { notFound } from '../errors.js';
import { JsonObject, Name, readBody } from '../http/body.js';
import type { Env } from '../http/context.js';
import { isUserId } from '../ids.js';
import type { Server } from '../server.js';

const Rename = v.object({ display_name: v.optional(Name) });
const Delete = v.object({ auth: Auth });
const DeleteSeveral = v.object({ devices: v.array(Name), auth: Auth });
const Messages = v.object({
  messages: v.pipe(
    JsonObject,
    v.record(v.pipe(v.string(), v.check(isUserId, 'expected user ids')), v.record(v.string(), JsonObject)),
  ),
});

export function deviceRoutes({ authenticator, devices, deviceMessages, interactiveAuth }: Server): Hono<Env> {
  const { user } = authenticator;
  const app = new Hono<Env>();

  app.get('/v3/devices', user, async (c) => c.json({ devices: await devices.of(c.var.requester.userId) }));

  app.get('/v3/devices/:deviceId', user, async (c) => {
    const device = await devices.find(c.var.requester.userId, c.req.param('deviceId'));
    if (!device) throw noSuchDevice();
    return c.json(device);
  });

  app.put('/v3/devices/:deviceId', user, async (c) => {
    const { display_name: name } = await readBody(c, Rename);
    const { userId } = c.var.requester;
    const deviceId = c.req.param('deviceId');
    const exists =
      name === undefined ? await devices.find(userId, deviceId) : await devices.rename(userId, deviceId, name);
    if (!exists) throw noSuchDevice();
    return c.json({});
  });

  app.delete('/v3/devices/:deviceId', user, async (c) => {
    const { auth } = await readBody(c, Delete, {});
    const { requester } = c.var;
    const deviceId = c.req.param('deviceId');
    await interactiveAuth.check(requester, `delete device ${deviceId}`, auth);
    await devices.delete(requester.userId, [deviceId]);
    return c.json({});
  });

  app.post('/v3/delete_devices', user, async (c) => {
    const { devices: deviceIds, auth } = await readBody(c, DeleteSeveral);
    const { requester } = c.var;
    await interactiveAuth.check(requester, `delete devices ${[...deviceIds].sort().join()}`, auth);
    await devices.delete(requester.userId, deviceIds);
    return c.json({});
  });

  app.put('/v3/sendToDevice/:type/:transactionId', user, async (c) => {
    const { type, transactionId } = c.req.param();
    const { messages } = await readBody(c, Messages);
    await deviceMessages.send(c.var.requester, type, transactionId, messages);
    return c.json({});
  });

  return app;
}

const noSuchDevice = () => notFound('There is no such device');
