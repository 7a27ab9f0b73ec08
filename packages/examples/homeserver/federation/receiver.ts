// The way of an event that another server has made ("Checks performed on receipt of a PDU"):
//
//   format, signatures, hash -> what it comes after and what allows it is fetched -> authorisation by its auth events, by the
//   state before it -> checkEventAllowed -> (rejected) -> authorisation by the current state, checkEventForSpam, userMayInvite
//   -> (soft-failed) -> stored, the room's state resolved
//
// Rejected and soft-failed events are kept where nobody sees them: others come after them. One event of a room at a time.

import type { Logger, Modules } from '@bulkhead/runtime';
import { serverNameOf } from '@bulkhead/sdk/contract';
import type { Database } from '../db/database.js';
import { forbidden, MatrixError, notFound, RefusedByModule } from '../errors.js';
import { isLocal } from '../ids.js';
import { authKeys, selectAuthEvents } from '../rooms/authorisation/auth-events.js';
import { authorise } from '../rooms/authorisation/rules.js';
import { membershipOf, ROOM_VERSION, type RoomEvent } from '../rooms/event.js';
import type { EventStore } from '../rooms/events.js';
import type { NewEvent } from '../rooms/insert.js';
import { MAX_PREV_EVENTS, type SignedEvent } from '../rooms/pdu.js';
import { type Branch, type BranchedState, isMissing, type ResolvedKey } from '../rooms/resolution.js';
import { type Hidden, isHidden, NOBODY } from '../rooms/rows.js';
import { checkRedaction, type Sender } from '../rooms/sender.js';
import type { StateView } from '../rooms/state.js';
import { BranchView, changesAgainst, stateAfter } from './branch-state.js';
import type { FederationClient } from './client.js';
import { MAX_STATE_BYTES, readAuthChain, readForeignState } from './foreign-state.js';
import { Graph, type Node } from './graph.js';
import { readPdu, type UnverifiedPdu, verifyPdu } from './incoming-pdu.js';
import type { KeyRing } from './keys.js';
import { differences, mergeStates } from './merge.js';
import type { RoomLocks } from './room-locks.js';
import type { RoomServers } from './room-servers.js';

/** What became of an event. */
export type Receipt =
  | { readonly outcome: 'accepted' | 'known' }
  | { readonly outcome: 'rejected' | 'soft-failed'; readonly reason: Error };

export interface ReceiveOptions {
  /** Whether what it comes after is fetched if it is not here. */
  readonly fetch: boolean;
  /** Whether an event that is not accepted is kept all the same, for those that come after it. */
  readonly keep: boolean;
  /** Whether it goes on to the other servers of the room. */
  readonly relay?: boolean;
}

const MAX_GAP = 20;
const MAX_HIDDEN_BETWEEN = 100;

export class Receiver {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #modules: Modules;
  readonly #sender: Sender;
  readonly #client: FederationClient;
  readonly #keys: KeyRing;
  readonly #servers: RoomServers;
  readonly #locks: RoomLocks;
  readonly #logger: Logger;

  constructor(parts: {
    readonly db: Database;
    readonly events: EventStore;
    readonly modules: Modules;
    readonly sender: Sender;
    readonly client: FederationClient;
    readonly keys: KeyRing;
    readonly servers: RoomServers;
    readonly locks: RoomLocks;
    readonly logger: Logger;
  }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#modules = parts.modules;
    this.#sender = parts.sender;
    this.#client = parts.client;
    this.#keys = parts.keys;
    this.#servers = parts.servers;
    this.#locks = parts.locks;
    this.#logger = parts.logger;
  }

  /**
   * @param origin the server that sends it
   * @throws MatrixError for what is no event, is not signed, or is not for this server
   */
  async receive(origin: string, raw: unknown, options: ReceiveOptions = { fetch: true, keep: true }): Promise<Receipt> {
    const unverified = readPdu(raw);
    const { pdu } = unverified;
    const isEntry = ENTRIES.has(membershipOf(pdu));
    // Who lets somebody in may pass that on for another server; nobody else speaks for it.
    if (serverNameOf(pdu.sender) !== origin && !isEntry) throw forbidden(`The event is not ${origin}'s to send`);
    return this.#locks.run(pdu.room_id, () => this.#take(origin, unverified, options));
  }

  async #take(origin: string, unverified: UnverifiedPdu, options: ReceiveOptions): Promise<Receipt> {
    const { pdu, eventId } = unverified;
    const { room_id: roomId } = pdu;
    const servers = await this.#servers.of(roomId);
    if (!servers.has(this.#client.serverName)) throw notFound('This server is not in the room');
    // What strangers send would be rejected, and what is rejected is kept.
    if (options.keep && !servers.has(origin)) throw forbidden(`${origin} is not in the room`);
    if (await new Graph(this.#db).get(eventId)) return { outcome: 'known' };
    const signed = await verifyPdu(unverified, this.#keys);
    if (pdu.prev_events.length === 0) throw forbidden('The room exists already');
    if (options.fetch) await this.#fillGap(origin, signed);

    const graph = new Graph(this.#db);
    const before = await this.#stateBefore(origin, signed, graph, options);
    const view = new BranchView(this.#db, roomId, before.state, graph);
    const refusal = await this.#refusalBefore(signed, view, graph);
    if (refusal) {
      this.#logger.info({ eventId, origin, reason: refusal.message }, 'An event from another server is rejected');
      if (options.keep) await this.#hide(signed, 'rejected', before.state);
      return { outcome: 'rejected', reason: refusal };
    }
    const doubt = await this.#doubts(signed);
    if (doubt && !options.keep) return { outcome: 'soft-failed', reason: doubt };
    return this.#store(origin, signed, before, view, doubt, options);
  }

  /** Rules and modules that decide whether the event is part of the room at all. */
  async #refusalBefore({ event, envelope }: SignedEvent, view: StateView, graph: Graph): Promise<Error | undefined> {
    const named = await graph.getAll(envelope.auth_events);
    const judges = [...named.values()];
    if (judges.length < envelope.auth_events.length) return forbidden('What allows the event is not to be had');
    if (judges.some(({ onlyFor }) => onlyFor === 'rejected')) return forbidden('What allows the event was rejected');
    const signed = { event, envelope };
    const byRules =
      refusalOf(
        signed,
        judges.map((judge) => judge.event),
      ) ?? refusalOf(signed, await view.getAll(authKeys(event)));
    if (byRules) return byRules;
    const options = { origin: 'federation', roomVersion: ROOM_VERSION } as const;
    // A replacement cannot be: the event is signed by another server. The runtime drops it and says so.
    const verdict = await this.#modules.thirdPartyRules.checkEventAllowed(event, view, options);
    return verdict.allowed ? undefined : new RefusedByModule(verdict);
  }

  /** Modules that decide whether it is to be seen here. */
  async #doubts({ event, envelope }: SignedEvent): Promise<Error | undefined> {
    const options = { origin: 'federation', roomVersion: ROOM_VERSION } as const;
    const { room_id: roomId, sender, state_key: target = '' } = event;
    const { serverName } = this.#client;
    const isInvite = membershipOf(event) === 'invite' && isLocal(target, serverName) && !isLocal(sender, serverName);
    // One that this server has signed it was asked about.
    if (isInvite && !Object.hasOwn(envelope.signatures, serverName)) {
      const verdict = await this.#modules.spamChecker.userMayInvite(sender, target, roomId, options);
      if (!verdict.allowed) return new RefusedByModule(verdict);
    }
    const verdict = await this.#modules.spamChecker.checkEventForSpam(event, options);
    return verdict.allowed ? undefined : new RefusedByModule(verdict);
  }

  async #store(
    origin: string,
    signed: SignedEvent,
    before: StateBefore,
    view: StateView,
    doubt: Error | undefined,
    { relay = false, keep }: ReceiveOptions,
  ): Promise<Receipt> {
    const { event } = signed;
    const powerless = event.redacts !== undefined && !(await this.#mayRedact(event, view));
    let reason = doubt;
    const stored = await this.#events.append(async (tx) => {
      const place = await this.#place(tx, signed, before, doubt);
      reason = place.reason;
      if (reason && !keep) return [];
      const onlyFor: Hidden | null = reason ? 'soft-failed' : null;
      const relayedFrom = relay && !reason ? origin : undefined;
      return [{ ...signed, onlyFor, branch: { ...place.branch, missing: before.missing, powerless, relayedFrom } }];
    });
    if (!reason) {
      this.#sender.announce(stored, null);
      return { outcome: 'accepted' };
    }
    const { event_id: eventId } = event;
    this.#logger.info({ eventId, origin, reason: reason.message }, 'An event from another server is soft-failed');
    return { outcome: 'soft-failed', reason };
  }

  /** Where the event comes in, as the room stands when it is stored. */
  async #place(
    tx: Database,
    signed: SignedEvent,
    { state, missing }: StateBefore,
    doubt: Error | undefined,
  ): Promise<{ readonly branch: Branch; readonly reason?: Error | undefined }> {
    const { event, envelope } = signed;
    const { room_id: roomId, event_id: eventId } = event;
    if (doubt) return { branch: { before: state }, reason: doubt };
    const extremities = (await this.#events.extremities(roomId, NOBODY, tx)).map((each) => each.eventId);
    const isLatest =
      extremities.length === envelope.prev_events.length &&
      extremities.every((id) => envelope.prev_events.includes(id));
    if (isLatest && missing.length === 0) return { branch: {} };
    if (await isMissing(tx, roomId, eventId)) return { branch: { before: state, isBehind: true, resolved: [] } };

    const { head } = this.#events;
    const now = this.#events.stateAt(roomId, NOBODY, head, tx);
    const refusal = refusalOf(signed, await selectAuthEvents(event, now));
    if (refusal) return { branch: { before: state }, reason: refusal };

    const graph = new Graph(tx);
    const follows = await previousShown(graph, envelope.prev_events);
    const beside = extremities.filter((each) => !follows.includes(each));
    // Who lets a room fall apart into ever more branches makes all others resolve their states.
    if (beside.length >= MAX_PREV_EVENTS) {
      return { branch: { before: state }, reason: forbidden('The event stands beside too many others') };
    }
    const node: Node = { ...signed, position: head + 1, onlyFor: null, before: state };
    graph.add(node);
    const nodes = [node, ...(await graph.getAll(beside)).values()];
    const states = nodes.map(stateAfter).filter((each) => each !== undefined);
    const merged = await mergeStates(tx, graph, roomId, states);
    const resolved = await withoutHidden(graph, await differences(tx, roomId, merged, head));
    return { branch: { before: state, follows, resolved } };
  }

  async #hide(signed: SignedEvent, onlyFor: Hidden, before: BranchedState): Promise<void> {
    await this.#events.append(async () => [{ ...signed, onlyFor, branch: { before } }]);
  }

  /** The specification lets a server's users redact one another's events, besides what is allowed here. */
  async #mayRedact(event: RoomEvent, view: StateView): Promise<boolean> {
    const target = (await this.#events.get(event.redacts ?? '', NOBODY))?.event;
    try {
      await checkRedaction(event, target, view);
      return true;
    } catch {
      const isOwn = target !== undefined && serverNameOf(target.sender) === serverNameOf(event.sender);
      return isOwn && target.room_id === event.room_id && !UNREDACTABLE.has(target.type);
    }
  }

  // What is not here

  /** The events between those that are here and the one that has come, as far as they are few. */
  async #fillGap(origin: string, { event, envelope }: SignedEvent): Promise<void> {
    const { room_id: roomId, event_id: eventId } = event;
    const known = await new Graph(this.#db).getAll(envelope.prev_events);
    if (known.size === envelope.prev_events.length) return;
    const extremities = await this.#events.extremities(roomId, NOBODY);
    const body = {
      earliest_events: extremities.map((each) => each.eventId),
      latest_events: [eventId],
      limit: MAX_GAP,
      min_depth: 0,
    };
    const path = ['v1', 'get_missing_events', roomId];
    const answer = await this.#client
      .request(origin, { method: 'POST', path, body, maxBytes: MAX_STATE_BYTES })
      .catch((error: unknown) => this.#logger.info({ err: error, origin, roomId }, 'A gap cannot be filled'));
    const raws: readonly unknown[] = Array.isArray(answer?.events) ? answer.events.slice(0, MAX_GAP) : [];
    const found = raws.map(readOrNothing).filter((each) => each !== undefined);
    for (const unverified of found.sort((a, b) => a.pdu.depth - b.pdu.depth)) {
      if (unverified.pdu.room_id !== roomId) continue;
      await this.#take(origin, unverified, { fetch: false, keep: true }).catch((error: unknown) =>
        this.#logger.info({ err: error, origin, eventId: unverified.eventId }, 'An event is not taken'),
      );
    }
  }

  /** By what it comes after; the other server is asked for what that does not say. */
  async #stateBefore(
    origin: string,
    { event, envelope }: SignedEvent,
    graph: Graph,
    { keep }: ReceiveOptions,
  ): Promise<StateBefore> {
    const { room_id: roomId, event_id: eventId } = event;
    const previous = await graph.getAll(envelope.prev_events);
    const missing = envelope.prev_events.filter((each) => previous.get(each)?.event.room_id !== roomId);
    const states = [...previous.values()].map(stateAfter);
    const known = states.filter((state) => state !== undefined);
    if (missing.length === 0 && known.length === states.length) {
      await this.#fetchAuthEvents(origin, roomId, eventId, envelope.auth_events, graph);
      return { state: await mergeStates(this.#db, graph, roomId, known), missing };
    }
    if (!keep) throw forbidden('What the event comes after is not known here');
    const path = ['v1', 'state', roomId];
    const query = { event_id: eventId };
    const answer = await this.#client.request(origin, { path, query, maxBytes: MAX_STATE_BYTES }).catch(() => {
      throw forbidden('What the event comes after is not to be had');
    });
    const told = { state: answer.pdus, auth_chain: answer.auth_chain };
    const { state, fresh } = await readForeignState(told, roomId, graph, this.#keys);
    await this.#keepAside(fresh);
    const { head } = this.#events;
    return {
      state: await changesAgainst(
        this.#db,
        roomId,
        head,
        state.map((signed) => signed.event),
      ),
      missing,
    };
  }

  async #fetchAuthEvents(
    origin: string,
    roomId: string,
    eventId: string,
    named: readonly string[],
    graph: Graph,
  ): Promise<void> {
    if ((await graph.getAll(named)).size === new Set(named).size) return;
    const path = ['v1', 'event_auth', roomId, eventId];
    const answer = await this.#client.request(origin, { path, maxBytes: MAX_STATE_BYTES }).catch(() => undefined);
    if (!answer) return;
    await this.#keepAside(await readAuthChain(answer, roomId, graph, this.#keys));
  }

  async #keepAside(fresh: readonly SignedEvent[]): Promise<void> {
    if (fresh.length > 0) await this.#events.append(async () => fresh.map(asOutlier));
  }
}

/** The state before an event, and what it comes after that is not here. */
interface StateBefore {
  readonly state: BranchedState;
  readonly missing: readonly string[];
}

/** With them somebody comes in, and another server than his own may be the one that knows. */
const ENTRIES: ReadonlySet<string | undefined> = new Set(['join', 'invite', 'knock']);
const UNREDACTABLE: ReadonlySet<string> = new Set(['m.room.create', 'm.room.server_acl']);

/** An event that others refer to, and that is no part of the room's history here. */
export const asOutlier = (signed: SignedEvent): NewEvent => ({
  ...signed,
  onlyFor: 'outlier' satisfies Hidden,
  branch: { before: 'unknown', isBehind: true },
});

function refusalOf(signed: SignedEvent, judges: readonly RoomEvent[]): MatrixError | undefined {
  try {
    authorise(signed, judges);
    return undefined;
  } catch (error) {
    if (error instanceof MatrixError) return error;
    throw error;
  }
}

function readOrNothing(raw: unknown): UnverifiedPdu | undefined {
  try {
    return readPdu(raw);
  } catch {
    return undefined;
  }
}

/** What is hidden is no extremity: an event after it comes after those before it. */
async function previousShown(graph: Graph, previous: readonly string[]): Promise<readonly string[]> {
  const found = new Set(previous);
  let hidden = [...(await graph.getAll(previous)).values()].filter(({ onlyFor }) => isHidden(onlyFor));
  while (hidden.length > 0 && found.size < MAX_HIDDEN_BETWEEN) {
    const earlier = hidden.flatMap(({ envelope }) => envelope.prev_events).filter((eventId) => !found.has(eventId));
    for (const eventId of earlier) found.add(eventId);
    hidden = [...(await graph.getAll(earlier)).values()].filter(({ onlyFor }) => isHidden(onlyFor));
  }
  return [...found];
}

/** What was not let into the room as it stands here does not come in behind another event. */
async function withoutHidden(graph: Graph, resolved: readonly ResolvedKey[]): Promise<readonly ResolvedKey[]> {
  const nodes = await graph.getAll(resolved.map(({ eventId }) => eventId).filter((eventId) => eventId !== undefined));
  const isOut = ({ eventId }: ResolvedKey) => {
    const onlyFor = eventId === undefined ? null : (nodes.get(eventId)?.onlyFor ?? null);
    return onlyFor === 'soft-failed' || onlyFor === 'rejected';
  };
  return resolved.filter((key) => !isOut(key));
}
