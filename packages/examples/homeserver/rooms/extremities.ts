// The events of each room that no other comes after yet ("forward extremities"): what the next one comes after. There is
// one, unless events were made at the same time.

import { and, eq, inArray } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { forwardExtremities } from '../db/schema.js';
import type { NewEvent } from './insert.js';
import type { Extremity } from './pdu.js';
import { isHidden } from './rows.js';

interface Kept extends Extremity {
  /** The shadow-banned user who made the event: nobody else's event comes after it. */
  readonly onlyFor: string | null;
}

const MAX_KNOWN_ROOMS = 10_000;

export class Extremities {
  readonly #db: Database;
  /** By room. */
  readonly #known = new Map<string, readonly Kept[]>();
  #advances = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  async of(roomId: string, viewer: string, db = this.#db): Promise<readonly Extremity[]> {
    return (await this.#all(roomId, db)).filter(({ onlyFor }) => onlyFor === null || onlyFor === viewer);
  }

  /** New events come after those that they name. @returns what to do once the transaction is committed */
  async advance(tx: Database, fresh: readonly NewEvent[]): Promise<() => void> {
    const advanced = new Map<string, readonly Kept[]>();
    for (const roomId of new Set(fresh.map(({ event }) => event.room_id))) {
      const before = await this.#all(roomId, tx);
      const after = fresh.filter(({ event }) => event.room_id === roomId).reduce(follow, before);
      await this.#write(tx, roomId, before, after);
      advanced.set(roomId, after);
    }
    return () => {
      this.#advances++;
      for (const [roomId, extremities] of advanced) this.#remember(roomId, extremities);
    };
  }

  async #all(roomId: string, db: Database): Promise<readonly Kept[]> {
    const known = this.#known.get(roomId);
    if (known) return known;
    const advances = this.#advances;
    const { eventId, depth, onlyFor } = forwardExtremities;
    const found = await db
      .select({ eventId, depth, onlyFor })
      .from(forwardExtremities)
      .where(eq(forwardExtremities.roomId, roomId));
    // What was read before an event was stored would bring back what it came after.
    if (advances === this.#advances && found.length > 0) this.#remember(roomId, found);
    return found;
  }

  #remember(roomId: string, extremities: readonly Kept[]): void {
    this.#known.delete(roomId);
    this.#known.set(roomId, extremities);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN_ROOMS && oldest !== undefined) this.#known.delete(oldest);
  }

  /** Where one event takes the place of one, as nearly always, its row is changed: this is on the way of every event. */
  async #write(tx: Database, roomId: string, before: readonly Kept[], after: readonly Kept[]): Promise<void> {
    const [replaced, ...gone] = before.filter((kept) => !after.includes(kept)).map(({ eventId }) => eventId);
    const added = after.filter((kept) => !before.includes(kept)).map((kept) => ({ ...kept, roomId }));
    const inRoom = eq(forwardExtremities.roomId, roomId);
    const first = replaced === undefined ? undefined : added.shift();
    if (replaced !== undefined && first) {
      await tx
        .update(forwardExtremities)
        .set(first)
        .where(and(inRoom, eq(forwardExtremities.eventId, replaced)));
    }
    if (gone.length > 0)
      await tx.delete(forwardExtremities).where(and(inRoom, inArray(forwardExtremities.eventId, gone)));
    if (added.length > 0) await tx.insert(forwardExtremities).values(added);
  }
}

/** A shadow-banned user's event comes after the others' for himself alone; what is hidden, nobody's comes after. */
function follow(kept: readonly Kept[], { event, envelope, onlyFor, branch }: NewEvent): readonly Kept[] {
  if (isHidden(onlyFor) || branch?.isBehind) return kept;
  const previous = new Set(branch?.follows ?? envelope.prev_events);
  const still = kept.filter((extremity) => !previous.has(extremity.eventId) || extremity.onlyFor !== onlyFor);
  return [...still, { eventId: event.event_id, depth: envelope.depth, onlyFor }];
}
