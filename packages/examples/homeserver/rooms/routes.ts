// Rooms over HTTP: making them, membership, sending, state and history.

import type { Requester } from '@bulkhead/sdk/contract';
import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { badAlias, forbidden, invalidParam, notFound } from '../errors.js';
import { eventFilter } from '../filters/filters.js';
import { filteredPage } from '../filters/page.js';
import { readBody, readObject } from '../http/body.js';
import type { Env } from '../http/context.js';
import { isRoomAlias, isRoomId, isUserId } from '../ids.js';
import type { Server } from '../server.js';
import { parseHistoryToken } from '../sync/token.js';
import { clientEvent } from './client-event.js';
import { type Content, type EventDraft, membershipOf } from './event.js';
import type { Membership } from './events.js';
import { readable } from './history.js';
import { nextToken, readPage } from './paging.js';
import { membershipIn } from './state.js';
import { type Whereabouts, whereabouts } from './whereabouts.js';

const Reason = v.object({ reason: v.optional(v.string()) });
const Target = v.object({ user_id: v.string(), reason: v.optional(v.string()) });

const Upgrade = v.object({ new_version: v.string() });

const MEMBERSHIPS: ReadonlySet<unknown> = new Set<Membership>(['join', 'invite', 'leave', 'ban', 'knock']);

export function roomRoutes(server: Server): Hono<Env> {
  const { authenticator, creator, directory, events, federation, limits, memberships, sender, upgrader } = server;
  const { user } = authenticator;
  const app = new Hono<Env>();

  app.post('/v3/createRoom', user, async (c) =>
    c.json({ room_id: await creator.create(c.var.requester, await readObject(c)) }),
  );

  // Membership

  const enter = async (c: Context<Env>, { roomId, via = [] }: Whereabouts, membership: 'join' | 'knock') => {
    const content = await readBody(c, Reason, {});
    const { requester } = c.var;
    const { userId } = requester;
    const isKnown = (await events.state(roomId, userId).get('m.room.create', '')) !== undefined;
    if (!isKnown && (!federation || membership !== 'join')) throw notFound('Room not found');
    await memberships.change(requester, { roomId, target: userId, membership, content, via });
    return c.json({ room_id: roomId });
  };

  const roomOf = async (c: Context<Env>): Promise<Whereabouts> => {
    const room = c.req.param('roomIdOrAlias') ?? '';
    // The latter is what it was called before version 1.12 of the specification.
    if (isRoomId(room)) return { roomId: room, via: [...(c.req.queries('via') ?? c.req.queries('server_name') ?? [])] };
    if (!isRoomAlias(room)) throw invalidParam(`${room} is neither a room id nor an alias`);
    return whereabouts(server, room, c.var.requester.userId);
  };

  app.post('/v3/join/:roomIdOrAlias', user, async (c) => enter(c, await roomOf(c), 'join'));
  app.post('/v3/rooms/:roomId/join', user, (c) => enter(c, { roomId: c.req.param('roomId') }, 'join'));
  app.post('/v3/knock/:roomIdOrAlias', user, async (c) => enter(c, await roomOf(c), 'knock'));

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

  app.get('/v3/joined_rooms', user, async (c) =>
    c.json({ joined_rooms: await events.joinedRooms(c.var.requester.userId) }),
  );

  app.get('/v3/rooms/:roomId/joined_members', user, async (c) => {
    const roomId = c.req.param('roomId');
    const { userId } = c.var.requester;
    if ((await membershipIn(events.state(roomId, userId), userId)) !== 'join')
      throw forbidden('You are not in the room');
    const members = await events.joinedMembers(roomId, userId);
    const joined = Object.fromEntries(members.map(({ userId, content }) => [userId, profileIn(content)]));
    return c.json({ joined });
  });

  app.post('/v3/rooms/:roomId/upgrade', user, async (c) => {
    const { new_version } = await readBody(c, Upgrade);
    return c.json({ replacement_room: await upgrader.upgrade(c.var.requester, c.req.param('roomId'), new_version) });
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
    limits.message.take(userId);
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
    const { until } = await readable(events, roomId, userId);
    return events.stateAt(roomId, userId, Math.min(until, at));
  };

  app.get('/v3/rooms/:roomId/state', user, async (c) => {
    const { userId, deviceId } = c.var.requester;
    const { until } = await readable(events, c.req.param('roomId'), userId);
    const state = await events.stateSince(c.req.param('roomId'), userId, 0, until);
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
    limits.message.take(requester.userId);
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
      const target = await whereabouts(server, alias, userId).catch(() => undefined);
      if (target?.roomId !== roomId) throw badAlias(`${alias} does not lead to this room`);
    }
  }

  // History

  app.get('/v3/rooms/:roomId/messages', user, async (c) => {
    const roomId = c.req.param('roomId');
    const { userId, deviceId } = c.var.requester;
    const filter = eventFilter(c.req.query('filter'));
    if ((await memberships.forgottenBy(userId)).has(roomId)) throw forbidden('You have forgotten this room');
    const { ranges } = await readable(events, roomId, userId);
    const page = readPage(c.req.query(), ranges, events.head);
    const { events: shown, more } = await filteredPage(events, { ...page, roomId, viewer: userId, filter });
    const oldest = Math.min(page.from, ...shown.map(({ position }) => position));
    const senders = [...new Set(shown.map(({ event }) => event.sender))];
    const members = filter.lazyLoadMembers ? await events.membersAt(roomId, userId, senders, oldest) : [];
    return c.json({
      start: page.start,
      ...(more === undefined ? {} : { end: nextToken(page, more) }),
      chunk: shown.map((stored) => clientEvent(stored, userId, deviceId)),
      ...(members.length > 0 ? { state: members.map((stored) => clientEvent(stored, userId, deviceId)) } : {}),
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

/** Under the names that this one endpoint has for them. */
const profileIn = ({ displayname, avatar_url }: Content) => ({
  ...(typeof displayname === 'string' ? { display_name: displayname } : {}),
  ...(typeof avatar_url === 'string' ? { avatar_url } : {}),
});

const isMembership = (value: unknown): value is Membership => MEMBERSHIPS.has(value);

function aliasesIn({ alias, alt_aliases }: Content): readonly unknown[] {
  const found = Array.isArray(alt_aliases) ? [...alt_aliases] : [];
  return alias === undefined || alias === null || alias === '' ? found : [alias, ...found];
}
