// Rooms over HTTP: making them, membership, sending, state and history.

import type { Requester } from '@bulkhead/sdk/contract';
import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { badAlias, forbidden, invalidParam, notFound } from '../errors.js';
import { readBody, readObject } from '../http/body.js';
import { type Env, numberFrom } from '../http/context.js';
import { isRoomAlias, isRoomId, isUserId } from '../ids.js';
import type { Server } from '../server.js';
import { formatHistoryToken, parseHistoryToken } from '../sync/token.js';
import { clientEvent } from './client-event.js';
import { type Content, type EventDraft, membershipOf } from './event.js';
import type { Membership } from './events.js';
import { readableRanges, within } from './history.js';

const Reason = v.object({ reason: v.optional(v.string()) });
const Target = v.object({ user_id: v.string(), reason: v.optional(v.string()) });

const MEMBERSHIPS: ReadonlySet<unknown> = new Set<Membership>(['join', 'invite', 'leave', 'ban', 'knock']);
const MAX_MESSAGES = 1000;
const DEFAULT_MESSAGES = 10;

export function roomRoutes(server: Server): Hono<Env> {
  const { authenticator, creator, directory, events, memberships, sender } = server;
  const { user } = authenticator;
  const app = new Hono<Env>();

  app.post('/v3/createRoom', user, async (c) =>
    c.json({ room_id: await creator.create(c.var.requester, await readObject(c)) }),
  );

  // Membership

  const join = async (c: Context<Env>, roomId: string) => {
    const content = await readBody(c, Reason, {});
    const { requester } = c.var;
    const { userId } = requester;
    if (!(await events.state(roomId, userId).get('m.room.create', ''))) throw notFound('Room not found');
    await memberships.change(requester, { roomId, target: userId, membership: 'join', content });
    return c.json({ room_id: roomId });
  };

  app.post('/v3/join/:roomIdOrAlias', user, async (c) => {
    const room = c.req.param('roomIdOrAlias');
    if (isRoomId(room)) return join(c, room);
    if (!isRoomAlias(room)) throw invalidParam(`${room} is neither a room id nor an alias`);
    return join(c, await directory.resolve(room, c.var.requester.userId));
  });

  app.post('/v3/rooms/:roomId/join', user, (c) => join(c, c.req.param('roomId')));

  app.post('/v3/rooms/:roomId/leave', user, async (c) => {
    const content = await readBody(c, Reason, {});
    const { requester } = c.var;
    await memberships.change(requester, {
      roomId: c.req.param('roomId'),
      target: requester.userId,
      membership: 'leave',
      content,
    });
    return c.json({});
  });

  app.post('/v3/rooms/:roomId/invite', user, async (c) => {
    const { target, content } = await targetOf(c);
    await memberships.change(c.var.requester, {
      roomId: c.req.param('roomId'),
      target,
      membership: 'invite',
      content,
    });
    return c.json({});
  });

  app.post('/v3/rooms/:roomId/kick', user, async (c) => {
    const { target, content } = await targetOf(c);
    await memberships.kick(c.var.requester, c.req.param('roomId'), target, content);
    return c.json({});
  });

  app.post('/v3/rooms/:roomId/ban', user, async (c) => {
    const { target, content } = await targetOf(c);
    await memberships.change(c.var.requester, { roomId: c.req.param('roomId'), target, membership: 'ban', content });
    return c.json({});
  });

  app.post('/v3/rooms/:roomId/unban', user, async (c) => {
    const { target, content } = await targetOf(c);
    await memberships.unban(c.var.requester, c.req.param('roomId'), target, content);
    return c.json({});
  });

  app.post('/v3/rooms/:roomId/forget', user, async (c) => {
    await memberships.forget(c.var.requester.userId, c.req.param('roomId'));
    return c.json({});
  });

  // Sending

  app.put('/v3/rooms/:roomId/send/:type/:transactionId', user, async (c) => {
    const { roomId, type, transactionId } = c.req.param();
    const content = await readObject(c);
    return c.json({ event_id: await once(c, transactionId, { type, room_id: roomId, content }) });
  });

  app.put('/v3/rooms/:roomId/redact/:eventId/:transactionId', user, async (c) => {
    const { roomId, eventId, transactionId } = c.req.param();
    const { reason } = await readBody(c, Reason, {});
    const content = { redacts: eventId, ...(reason === undefined ? {} : { reason }) };
    const draft = { type: 'm.room.redaction', room_id: roomId, content };
    return c.json({ event_id: await once(c, transactionId, draft) });
  });

  /** A request that a client repeats, because it did not get the answer, sends nothing a second time. */
  const once = async (c: Context<Env>, transactionId: string, unsigned: Omit<EventDraft, 'sender'>) => {
    const { requester } = c.var;
    const { userId, deviceId = '' } = requester;
    const key = [userId, deviceId, c.req.path].join('\0');
    const running = inFlight.get(key);
    if (running) return running;
    const draft = { ...unsigned, sender: userId };
    const sending = (async () =>
      (await events.byTransaction(draft, deviceId, transactionId)) ?? sender.send(requester, draft, transactionId))();
    inFlight.set(key, sending);
    return sending.finally(() => inFlight.delete(key));
  };
  const inFlight = new Map<string, Promise<string>>();

  // State

  /** Members read the present state, others what it was when they were members, or what everybody may read. */
  const readableState = async (c: Context<Env>, at = events.head) => {
    const roomId = c.req.param('roomId') ?? '';
    const { userId } = c.var.requester;
    const [, end] = (await readableRanges(events, roomId, userId)).at(-1) ?? [0, 0];
    return events.stateAt(roomId, userId, Math.min(end, at));
  };

  app.get('/v3/rooms/:roomId/state', user, async (c) => {
    const { userId, deviceId } = c.var.requester;
    const [, end] = (await readableRanges(events, c.req.param('roomId'), userId)).at(-1) ?? [0, 0];
    const state = await events.stateSince(c.req.param('roomId'), userId, 0, end);
    return c.json(state.map((stored) => clientEvent(stored, userId, deviceId)));
  });

  const getState = async (c: Context<Env>, type: string, stateKey: string) => {
    const event = await (await readableState(c)).get(type, stateKey);
    if (!event) throw notFound('There is no such state event');
    return c.json(c.req.query('format') === 'event' ? event : event.content);
  };

  const putState = async (c: Context<Env>, type: string, stateKey: string) => {
    const { requester } = c.var;
    const roomId = c.req.param('roomId') ?? '';
    const content = await readObject(c);
    if (type === 'm.room.member') {
      const { membership } = content;
      if (!isMembership(membership)) throw invalidParam('Unknown membership');
      if (!isUserId(stateKey)) throw invalidParam('The state key of a membership is a user id');
      const request = { roomId, target: stateKey, membership, content };
      return c.json({ event_id: await memberships.change(requester, request) });
    }
    if (type === 'm.room.canonical_alias') await checkAliases(requester, roomId, content);
    const draft = { type, room_id: roomId, sender: requester.userId, state_key: stateKey, content };
    return c.json({ event_id: await sender.send(requester, draft) });
  };

  for (const path of ['/v3/rooms/:roomId/state/:type', '/v3/rooms/:roomId/state/:type/'] as const) {
    app.get(path, user, (c) => getState(c, c.req.param('type'), ''));
    app.put(path, user, (c) => putState(c, c.req.param('type'), ''));
  }
  app.get('/v3/rooms/:roomId/state/:type/:stateKey', user, (c) =>
    getState(c, c.req.param('type'), c.req.param('stateKey')),
  );
  app.put('/v3/rooms/:roomId/state/:type/:stateKey', user, (c) =>
    putState(c, c.req.param('type'), c.req.param('stateKey')),
  );

  /** A room is not called by a name that leads elsewhere. Those that it has already may stay. */
  async function checkAliases({ userId }: Requester, roomId: string, content: Content): Promise<void> {
    const before = (await events.state(roomId, userId).get('m.room.canonical_alias', ''))?.content ?? {};
    const kept = new Set(aliasesIn(before));
    for (const alias of aliasesIn(content)) {
      if (kept.has(alias)) continue;
      if (typeof alias !== 'string' || !isRoomAlias(alias)) throw invalidParam(`${String(alias)} is no room alias`);
      const target = await directory.resolve(alias, userId).catch(() => undefined);
      if (target !== roomId) throw badAlias(`${alias} does not lead to this room`);
    }
  }

  // History

  app.get('/v3/rooms/:roomId/messages', user, async (c) => {
    const roomId = c.req.param('roomId');
    const { userId, deviceId } = c.var.requester;
    const direction = c.req.query('dir');
    if (direction !== 'b' && direction !== 'f') throw invalidParam('dir is either b or f');
    const backwards = direction === 'b';
    const [from, to] = [c.req.query('from'), c.req.query('to')];
    const limit = numberFrom(c.req.query('limit'), { min: 1, max: MAX_MESSAGES, fallback: DEFAULT_MESSAGES });
    if ((await memberships.forgottenBy(userId)).has(roomId)) throw forbidden('You have forgotten this room');
    const ranges = await readableRanges(events, roomId, userId);

    const start = from === undefined ? (backwards ? events.head : 0) : parseHistoryToken(from);
    const stop = to === undefined ? (backwards ? 0 : events.head) : parseHistoryToken(to);
    // Tokens stand behind an event, so the lower one excludes its own.
    const part = backwards ? within(ranges, stop + 1, start) : within(ranges, start + 1, stop);
    const found = await events.page(roomId, userId, part, backwards ? 'backwards' : 'forwards', limit + 1);
    const page = found.slice(0, limit);
    const last = page.at(-1);
    const end = found.length > limit && last ? last.position - (backwards ? 1 : 0) : undefined;
    return c.json({
      start: from ?? formatHistoryToken(start),
      ...(end === undefined ? {} : { end: formatHistoryToken(end) }),
      chunk: page.map((stored) => clientEvent(stored, userId, deviceId)),
    });
  });

  app.get('/v3/rooms/:roomId/members', user, async (c) => {
    const { at, membership, not_membership } = c.req.query();
    const state = await readableState(c, at === undefined ? undefined : parseHistoryToken(at));
    const chunk = (await state.list('m.room.member')).filter((event) => {
      const is = membershipOf(event);
      return (membership === undefined || is === membership) && (not_membership === undefined || is !== not_membership);
    });
    return c.json({ chunk });
  });

  app.get('/v3/rooms/:roomId/aliases', user, async (c) => {
    await readableState(c);
    return c.json({ aliases: await directory.aliasesOf(c.req.param('roomId')) });
  });

  return app;
}

async function targetOf(c: Context<Env>): Promise<{ target: string; content: Content }> {
  const { user_id: target, reason } = await readBody(c, Target);
  if (!isUserId(target)) throw invalidParam(`${target} is no user id`);
  return { target, content: reason === undefined ? {} : { reason } };
}

const isMembership = (value: unknown): value is Membership => MEMBERSHIPS.has(value);

function aliasesIn({ alias, alt_aliases }: Content): readonly unknown[] {
  const found = Array.isArray(alt_aliases) ? [...alt_aliases] : [];
  return alias === undefined || alias === null || alias === '' ? found : [alias, ...found];
}
