import { Hono } from 'hono';

export const app = new Hono().get('/_synapse/client/page/:name', (c) =>
  c.json({ hello: c.req.param('name'), at: c.req.query('at') ?? 'home' }),
);
