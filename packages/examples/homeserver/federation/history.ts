// Events for servers that lack some: one, what allows it, and what lies between those that they have and those that they got.

import type { Database } from '../db/database.js';
import { notFound } from '../errors.js';
import type { Pdu } from '../rooms/pdu.js';
import { toPdu } from '../rooms/pdu.js';
import { Graph, type Node } from './graph.js';
import type { Resident } from './resident.js';

const MAX_EVENTS = 20;
const MAX_VISITED = 200;

export class History {
  readonly #db: Database;
  readonly #resident: Resident;

  constructor(db: Database, resident: Resident) {
    this.#db = db;
    this.#resident = resident;
  }

  /** @throws MatrixError unless there is one, of a room that the asking server is in */
  async event(origin: string, eventId: string): Promise<Pdu> {
    return toPdu(await this.#find(origin, eventId));
  }

  async authChain(origin: string, roomId: string, eventId: string): Promise<readonly Pdu[]> {
    const node = await this.#find(origin, eventId, roomId);
    return [...(await new Graph(this.#db).authChain([node.event.event_id])).values()].map(toPdu);
  }

  /** From the latest backwards, until the earliest; those nearest to the latest if they are too many. */
  async between(
    origin: string,
    roomId: string,
    { earliest, latest, limit, minDepth }: { earliest: string[]; latest: string[]; limit: number; minDepth: number },
  ): Promise<readonly Pdu[]> {
    await this.#resident.checkPresence(origin, roomId);
    const graph = new Graph(this.#db);
    const seen = new Set([...earliest, ...latest]);
    const found: Node[] = [];
    const wanted = Math.min(limit, MAX_EVENTS);
    let layer = [...(await graph.getAll(latest)).values()].filter(({ event }) => event.room_id === roomId);
    while (layer.length > 0 && found.length < wanted && seen.size < MAX_VISITED) {
      const before = layer.flatMap(({ envelope }) => envelope.prev_events).filter((eventId) => !seen.has(eventId));
      for (const eventId of before) seen.add(eventId);
      const nodes = [...(await graph.getAll(before)).values()];
      layer = nodes.filter(({ event, envelope }) => event.room_id === roomId && envelope.depth >= minDepth);
      // What this server itself did not let in is not passed on; what comes before it may be.
      found.push(...layer.filter(({ onlyFor }) => onlyFor === null));
    }
    const nearest = found.sort((a, b) => b.envelope.depth - a.envelope.depth).slice(0, wanted);
    return nearest.reverse().map(toPdu);
  }

  async #find(origin: string, eventId: string, roomId?: string): Promise<Node> {
    const node = await new Graph(this.#db).get(eventId);
    if (!node || (roomId !== undefined && node.event.room_id !== roomId)) throw notFound('Event not found');
    await this.#resident.checkPresence(origin, node.event.room_id);
    if (node.onlyFor !== null && node.onlyFor !== 'outlier') throw notFound('Event not found');
    return node;
  }
}
