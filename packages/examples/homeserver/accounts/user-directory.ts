// Search for users: those who share a room with the searcher, and those in public rooms, as far as the modules show them.

import type { Modules } from '@bulkhead/runtime';
import type { UserProfile } from '@bulkhead/sdk/contract';
import { and, asc, eq, ilike, inArray, isNull, ne, or, type SQL } from 'drizzle-orm';
import { Hono } from 'hono';
import * as v from 'valibot';
import type { Database } from '../db/database.js';
import { events, rooms, users } from '../db/schema.js';
import { Name, readBody } from '../http/body.js';
import type { Env } from '../http/context.js';
import type { EventStore } from '../rooms/events.js';
import { NOBODY, visibleTo } from '../rooms/rows.js';
import type { Server } from '../server.js';

const MAX_PAGES = 3;
const MAX_LIMIT = 50;
const DEFAULT_LIMIT = 10;

export class UserDirectory {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #modules: Modules;

  constructor(db: Database, events: EventStore, modules: Modules) {
    this.#db = db;
    this.#events = events;
    this.#modules = modules;
  }

  /**
   * A search that loses results to the modules asks for more, but not for ever: whoever matches and is hidden from
   * everybody would otherwise cost a walk through all accounts.
   */
  async search(requesterId: string, term: string, limit: number) {
    const results: UserProfile[] = [];
    let more = true;
    for (let page = 0; page < MAX_PAGES && more && results.length < limit; page++) {
      // One beyond the page tells whether there is another.
      const found = await this.#page(requesterId, term, limit + 1, page * limit);
      const candidates = found.slice(0, limit);
      const outcomes = await Promise.all(
        candidates.map((profile) => this.#modules.spamChecker.checkUsernameForSpam(profile, requesterId)),
      );
      const shown = candidates.filter((_, index) => outcomes[index]?.allowed);
      const room = limit - results.length;
      results.push(...shown.slice(0, room));
      more = found.length > limit || shown.length > room;
    }
    return { results, limited: more };
  }

  async #page(requesterId: string, term: string, limit: number, offset: number): Promise<readonly UserProfile[]> {
    const pattern = `%${term.replace(/[\\%_]/g, '\\$&')}%`;
    const members = (where: SQL | undefined) =>
      this.#db
        .select({ userId: events.stateKey })
        .from(events)
        .innerJoin(rooms, eq(rooms.roomId, events.roomId))
        .where(and(eq(events.membership, 'join'), isNull(events.supersededAt), where));
    const joined = await this.#events.joinedRooms(requesterId);
    const sharing = members(and(inArray(events.roomId, [...joined]), visibleTo(requesterId)));
    const inPublicRooms = members(and(eq(rooms.isPublic, true), visibleTo(NOBODY)));
    const matches = or(ilike(users.userId, pattern), ilike(users.displayName, pattern));
    const visible = or(inArray(users.userId, sharing), inArray(users.userId, inPublicRooms));
    return this.#db
      .select({ user_id: users.userId, display_name: users.displayName, avatar_url: users.avatarUrl })
      .from(users)
      .where(and(matches, visible, ne(users.userId, requesterId), eq(users.shadowBanned, false)))
      .orderBy(asc(users.userId))
      .limit(limit)
      .offset(offset);
  }
}

const Search = v.object({
  search_term: Name,
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), DEFAULT_LIMIT),
});

export function userDirectoryRoutes({ authenticator, userDirectory }: Server): Hono<Env> {
  const app = new Hono<Env>();
  app.post('/v3/user_directory/search', authenticator.user, async (c) => {
    const { search_term, limit } = await readBody(c, Search);
    const found = await userDirectory.search(c.var.requester.userId, search_term, Math.min(limit, MAX_LIMIT));
    return c.json({
      limited: found.limited,
      results: found.results.map(({ user_id, display_name, avatar_url }) => ({
        user_id,
        ...(display_name === null ? {} : { display_name }),
        ...(avatar_url === null ? {} : { avatar_url }),
      })),
    });
  });
  return app;
}
