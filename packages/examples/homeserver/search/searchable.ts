// What of an event can be searched for, and where that is kept: as long as the event has it.

import { eq, sql } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { searchable } from '../db/schema.js';
import type { RoomEvent } from '../rooms/event.js';

/** As the specification names them (client-server API, "Server Side Search"). */
export const SEARCH_KEYS = ['content.body', 'content.name', 'content.topic'] as const;
export type SearchKey = (typeof SEARCH_KEYS)[number];

const FIELDS: Readonly<Record<string, 'body' | 'name' | 'topic'>> = {
  'm.room.message': 'body',
  'm.room.name': 'name',
  'm.room.topic': 'topic',
};

export async function makeSearchable(tx: Database, position: number, event: RoomEvent): Promise<void> {
  const field = Object.hasOwn(FIELDS, event.type) ? FIELDS[event.type] : undefined;
  const found = field && event.content[field];
  if (typeof found !== 'string') return;
  // PostgreSQL's text has no NUL. Between words it is as good as a space.
  const text = found.replaceAll('\0', ' ');
  await tx.insert(searchable).values({
    position,
    key: `content.${field}`,
    words: sql`to_tsvector('simple', ${text}) || array_to_tsvector(${sql.param([event.room_id])}::text[])`,
  });
}

export async function makeUnsearchable(tx: Database, position: number): Promise<void> {
  await tx.delete(searchable).where(eq(searchable.position, position));
}
