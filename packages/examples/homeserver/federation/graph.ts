// The events of a room as a graph: each comes after some and is allowed by some. Events never change, so what was read is kept
// as long as one piece of work lasts.

import { inArray } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { events } from '../db/schema.js';
import { tooLarge } from '../errors.js';
import type { SignedEvent } from '../rooms/pdu.js';
import type { Before } from '../rooms/resolution.js';
import { eventOf, isHidden } from '../rooms/rows.js';

/** An event of the graph. */
export interface Node extends SignedEvent {
  readonly position: number;
  readonly onlyFor: string | null;
  readonly before: Before | null;
}

const MAX_CHAIN = 50_000;
const BATCH = 1000;

export class Graph {
  readonly #db: Database;
  readonly #known = new Map<string, Node>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** An event that is not stored yet. */
  add(node: Node): void {
    this.#known.set(node.event.event_id, node);
  }

  async get(eventId: string): Promise<Node | undefined> {
    return (await this.getAll([eventId])).get(eventId);
  }

  /** Those of them that there are. What shadow-banned users made is not part of what servers share. */
  async getAll(eventIds: readonly string[]): Promise<ReadonlyMap<string, Node>> {
    const missing = [...new Set(eventIds)].filter((eventId) => !this.#known.has(eventId));
    for (let from = 0; from < missing.length; from += BATCH) {
      const batch = missing.slice(from, from + BATCH);
      const rows = await this.#db.select().from(events).where(inArray(events.eventId, batch));
      for (const row of rows) {
        const { envelope, onlyFor, position, stateBefore: before } = row;
        if (envelope === null || (onlyFor !== null && !isHidden(onlyFor))) continue;
        this.add({ event: eventOf(row), envelope, position, onlyFor, before });
      }
    }
    const found = eventIds.map((eventId) => this.#known.get(eventId)).filter((node) => node !== undefined);
    return new Map(found.map((node) => [node.event.event_id, node]));
  }

  /** All that allows the events, directly or not; they themselves only if they allow one another. */
  async authChain(eventIds: readonly string[]): Promise<ReadonlyMap<string, Node>> {
    const chain = new Map<string, Node>();
    let layer = await this.getAll(eventIds);
    while (layer.size > 0) {
      const next = [...layer.values()].flatMap(({ envelope }) => envelope.auth_events);
      layer = await this.getAll(next.filter((eventId) => !chain.has(eventId)));
      for (const [eventId, node] of layer) chain.set(eventId, node);
      if (chain.size > MAX_CHAIN) throw tooLarge('The events that allow these are too many');
    }
    return chain;
  }
}
