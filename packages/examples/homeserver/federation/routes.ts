// The server-server API over HTTP.

import { EventId } from '@bulkhead/sdk/contract';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import * as v from 'valibot';
import { verifyJson } from '../crypto/signing.js';
import { incompatibleRoomVersion, missingParam, unauthorized } from '../errors.js';
import { check, JsonObject, parseJson, readText } from '../http/body.js';
import { ROOM_VERSION } from '../rooms/event.js';
import { toPdu } from '../rooms/pdu.js';
import type { Federation } from './federation.js';
import { ownKeys } from './keys.js';
import { MAX_PDUS } from './outbox.js';
import { parseAuthorization } from './x-matrix.js';

interface FederationEnv {
  Variables: {
    /** The server that asks. */
    origin: string;
    body: Readonly<Record<string, unknown>>;
  };
}

/** Fifty of the largest events, and what they are wrapped in. */
const MAX_BODY_BYTES = 4 << 20;
const MAX_EDUS = 100;
const MAX_STRIPPED = 100;
const MAX_IDS = 50;

const Transaction = v.object({
  pdus: v.pipe(v.array(v.unknown()), v.maxLength(MAX_PDUS)),
  edus: v.optional(v.pipe(v.array(v.unknown()), v.maxLength(MAX_EDUS)), []),
});
const Stripped = v.object({ type: v.string(), state_key: v.string(), sender: v.string(), content: JsonObject });
const Invite = v.object({
  room_version: v.string(),
  event: v.unknown(),
  invite_room_state: v.optional(v.pipe(v.array(Stripped), v.maxLength(MAX_STRIPPED)), []),
});
const Ids = v.pipe(v.array(EventId), v.maxLength(MAX_IDS));
const Gap = v.object({
  earliest_events: Ids,
  latest_events: Ids,
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 10),
  min_depth: v.optional(v.number(), 0),
});

export function federationRoutes(federation: Federation): Hono<FederationEnv> {
  const { signer, queries, resident, history, transactions } = federation;
  const { serverName } = signer;
  const app = new Hono<FederationEnv>();

  app.get('/key/v2/server', (c) => c.json(ownKeys(signer)));
  app.get('/federation/v1/version', (c) => c.json({ server: { name: 'Bulkhead example', version: '0.1.0' } }));

  const server = authenticated(federation);

  app.put('/federation/v1/send/:txnId', server, async (c) => {
    const { pdus } = check(Transaction, c.var.body);
    return c.json({ pdus: await transactions.take(c.var.origin, c.req.param('txnId'), pdus) });
  });

  // Joining and leaving

  app.get('/federation/v1/make_join/:roomId/:userId', server, async (c) => {
    const versions = c.req.queries('ver') ?? ['1'];
    const { roomId, userId } = c.req.param();
    await resident.checkResidence(roomId);
    if (!versions.includes(ROOM_VERSION)) throw incompatibleRoomVersion(ROOM_VERSION);
    const event = await resident.template(c.var.origin, roomId, userId, 'join');
    return c.json({ room_version: ROOM_VERSION, event });
  });

  app.put('/federation/v2/send_join/:roomId/:eventId', server, async (c) => {
    const { roomId, eventId } = c.req.param();
    const { origin, body } = c.var;
    const event = await resident.accept(origin, roomId, eventId, body, 'join');
    const { state, authChain } = await resident.stateBefore(roomId, eventId);
    return c.json({
      origin: serverName,
      event,
      state: state.map(toPdu),
      auth_chain: authChain.map(toPdu),
      members_omitted: false,
    });
  });

  app.get('/federation/v1/make_leave/:roomId/:userId', server, async (c) => {
    const { roomId, userId } = c.req.param();
    const event = await resident.template(c.var.origin, roomId, userId, 'leave');
    return c.json({ room_version: ROOM_VERSION, event });
  });

  app.put('/federation/v2/send_leave/:roomId/:eventId', server, async (c) => {
    const { roomId, eventId } = c.req.param();
    await resident.accept(c.var.origin, roomId, eventId, c.var.body, 'leave');
    return c.json({});
  });

  app.put('/federation/v2/invite/:roomId/:eventId', server, async (c) => {
    const { roomId, eventId } = c.req.param();
    const { room_version: version, event: raw, invite_room_state: inviteState } = check(Invite, c.var.body);
    return c.json({ event: await resident.invite(c.var.origin, roomId, eventId, { version, raw, inviteState }) });
  });

  // What others lack

  app.get('/federation/v1/event/:eventId', server, async (c) => {
    const pdu = await history.event(c.var.origin, c.req.param('eventId'));
    return c.json({ origin: serverName, origin_server_ts: Date.now(), pdus: [pdu] });
  });

  app.get('/federation/v1/event_auth/:roomId/:eventId', server, async (c) => {
    const { roomId, eventId } = c.req.param();
    return c.json({ auth_chain: await history.authChain(c.var.origin, roomId, eventId) });
  });

  app.post('/federation/v1/get_missing_events/:roomId', server, async (c) => {
    const body = check(Gap, c.var.body);
    const { earliest_events: earliest, latest_events: latest, limit, min_depth: minDepth } = body;
    const wish = { earliest, latest, limit, minDepth };
    return c.json({ events: await history.between(c.var.origin, c.req.param('roomId'), wish) });
  });

  const stateAt = async (c: Context<FederationEnv>) => {
    const eventId = c.req.query('event_id');
    if (eventId === undefined) throw missingParam('event_id');
    const roomId = c.req.param('roomId') ?? '';
    await resident.checkPresence(c.var.origin, roomId);
    return resident.stateBefore(roomId, eventId);
  };
  app.get('/federation/v1/state/:roomId', server, async (c) => {
    const { state, authChain } = await stateAt(c);
    return c.json({ pdus: state.map(toPdu), auth_chain: authChain.map(toPdu) });
  });
  app.get('/federation/v1/state_ids/:roomId', server, async (c) => {
    const { state, authChain } = await stateAt(c);
    const ids = (nodes: typeof state) => nodes.map(({ event }) => event.event_id);
    return c.json({ pdu_ids: ids(state), auth_chain_ids: ids(authChain) });
  });

  // Queries

  app.get('/federation/v1/query/profile', server, async (c) => {
    const { user_id: userId, field } = c.req.query();
    if (userId === undefined) throw missingParam('user_id');
    return c.json(await queries.ownProfile(userId, field));
  });
  app.get('/federation/v1/query/directory', server, async (c) => {
    const alias = c.req.query('room_alias');
    if (alias === undefined) throw missingParam('room_alias');
    return c.json(await queries.ownDirectory(alias));
  });

  return app;
}

/** Who asks must have signed the request, to this server and no other. */
const authenticated =
  ({ signer, keys }: Federation): MiddlewareHandler<FederationEnv> =>
  async (c, next) => {
    const credentials = parseAuthorization(c.req.header('authorization') ?? '');
    if (!credentials) throw unauthorized('The request is not signed');
    const { origin, destination, key, signature } = credentials;
    if (destination !== signer.serverName) throw unauthorized(`This is ${signer.serverName}, not ${destination}`);
    // Before the body is read: nobody unknown has this server read so much.
    const publicKey = await keys.find(origin, key, Date.now());
    if (publicKey === undefined) throw unauthorized(`The key ${key} of ${origin} is not known`);

    const text = await readText(c.req.raw, MAX_BODY_BYTES);
    const body = text === '' ? undefined : check(JsonObject, parseJson(text));
    const { pathname, search } = new URL(c.req.url);
    const request = { method: c.req.method, uri: pathname + search, origin, destination };
    const signed = body === undefined ? request : { ...request, content: body };
    if (!verifyJson(signed, signature, publicKey)) throw unauthorized(`${origin} has not signed the request`);
    c.set('origin', origin);
    c.set('body', body ?? {});
    await next();
  };
