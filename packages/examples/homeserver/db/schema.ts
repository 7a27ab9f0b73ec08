// The tables as queries name them; `migrations.ts` makes them.

import { sql } from 'drizzle-orm';
import { bigint, bigserial, boolean, index, json, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import type { StrippedEvent } from '../rooms/client-event.js';
import type { Envelope } from '../rooms/pdu.js';
import type { Before } from '../rooms/resolution.js';

const timestamp = (name: string) => bigint(name, { mode: 'number' }).notNull();

export const users = pgTable('users', {
  userId: text('user_id').primaryKey(),
  passwordHash: text('password_hash').notNull(),
  displayName: text('display_name'),
  avatarUrl: text('avatar_url'),
  shadowBanned: boolean('shadow_banned').notNull(),
  createdTs: timestamp('created_ts'),
});

export const devices = pgTable(
  'devices',
  {
    userId: text('user_id').notNull(),
    deviceId: text('device_id').notNull(),
    /** SHA-256 of the access token: who reads the database cannot use what stands in it. */
    tokenHash: text('token_hash').notNull().unique(),
    displayName: text('display_name'),
    createdTs: timestamp('created_ts'),
  },
  (table) => [primaryKey({ columns: [table.userId, table.deviceId] })],
);

export const rooms = pgTable('rooms', {
  roomId: text('room_id').primaryKey(),
  creator: text('creator').notNull(),
  version: text('version').notNull(),
  /** Whether the directory shows it. */
  published: boolean('published').notNull(),
  /** Whether its join rule is `public`, copied out of that event. */
  isPublic: boolean('is_public').notNull().default(false),
  createdTs: timestamp('created_ts'),
});

/**
 * Every event, in the order in which they were stored. `position` is that order for the whole server, hence what sync
 * tokens count. A state event holds from its position until `superseded_at`, so the state of a room at any moment is
 * one range query, and nothing is ever copied.
 */
export const events = pgTable(
  'events',
  {
    position: bigserial('position', { mode: 'number' }).primaryKey(),
    eventId: text('event_id').notNull().unique(),
    roomId: text('room_id').notNull(),
    type: text('type').notNull(),
    stateKey: text('state_key'),
    sender: text('sender').notNull(),
    originServerTs: timestamp('origin_server_ts'),
    /** `json`, not `jsonb`: clients may send \u0000, which jsonb refuses, and get back what they sent. */
    content: json('content').$type<Readonly<Record<string, unknown>>>().notNull(),
    /** Of m.room.member events, copied out of the content for the indexes. */
    membership: text('membership'),
    /** What servers exchange besides; none of events from before rooms were signed. */
    envelope: json('envelope').$type<Envelope>(),
    /** The state before it; null where that is what held at the position before. */
    stateBefore: json('state_before').$type<Before>(),
    /** What another server tells of its room to whom it invites. */
    inviteState: json('invite_state').$type<readonly StrippedEvent[]>(),
    redacts: text('redacts'),
    redactedBy: text('redacted_by'),
    /** The state event that this one takes the place of. */
    replaces: text('replaces'),
    /** The event that the content relates to, and how. */
    relatesTo: text('relates_to'),
    relType: text('rel_type'),
    supersededAt: bigint('superseded_at', { mode: 'number' }),
    /** The shadow-banned user who made the event, and alone sees it. */
    onlyFor: text('only_for'),
    deviceId: text('device_id'),
    transactionId: text('transaction_id'),
  },
  (table) => [
    index('events_by_room').on(table.roomId, table.position),
    index('state_by_key')
      .on(table.roomId, table.type, table.stateKey, table.position)
      .where(sql`state_key is not null`),
    index('members_by_room')
      .on(table.roomId, table.membership)
      .where(sql`membership is not null and superseded_at is null`),
    index('rooms_by_member')
      .on(table.stateKey, table.roomId)
      .where(sql`membership is not null and superseded_at is null`),
    index('relations').on(table.relatesTo, table.position).where(sql`relates_to is not null`),
    index('transactions').on(table.sender, table.deviceId, table.transactionId).where(sql`transaction_id is not null`),
  ],
);

/** The events of a room that no other comes after yet. */
export const forwardExtremities = pgTable(
  'forward_extremities',
  {
    roomId: text('room_id').notNull(),
    eventId: text('event_id').notNull(),
    depth: bigint('depth', { mode: 'number' }).notNull(),
    onlyFor: text('only_for'),
  },
  (table) => [index('extremities_by_room').on(table.roomId)],
);

/** Keys of a room's state that got another event, or none, although no event for them was stored at that position. */
export const resolvedKeys = pgTable(
  'resolved_keys',
  {
    roomId: text('room_id').notNull(),
    position: bigint('position', { mode: 'number' }).notNull(),
    type: text('type').notNull(),
    stateKey: text('state_key').notNull(),
  },
  (table) => [index('resolved_by_room').on(table.roomId, table.position)],
);

/** What stored events come after and this server does not have. */
export const missingEvents = pgTable(
  'missing_events',
  { roomId: text('room_id').notNull(), eventId: text('event_id').notNull() },
  (table) => [primaryKey({ columns: [table.roomId, table.eventId] })],
);

/** Events on their way to other servers, in their order. */
export const outbox = pgTable(
  'outbox',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    server: text('server').notNull(),
    eventId: text('event_id').notNull(),
  },
  (table) => [index('outbox_by_server').on(table.server, table.id)],
);

export const aliases = pgTable(
  'aliases',
  {
    alias: text('alias').primaryKey(),
    roomId: text('room_id').notNull(),
    creator: text('creator').notNull(),
    createdTs: timestamp('created_ts'),
  },
  (table) => [index('aliases_by_room').on(table.roomId)],
);

/** Rooms that a user has left and does not want to see any more. */
export const forgotten = pgTable(
  'forgotten',
  { userId: text('user_id').notNull(), roomId: text('room_id').notNull() },
  (table) => [primaryKey({ columns: [table.userId, table.roomId] })],
);

export const media = pgTable('media', {
  mediaId: text('media_id').primaryKey(),
  userId: text('user_id').notNull(),
  contentType: text('content_type').notNull(),
  fileName: text('file_name'),
  size: bigint('size', { mode: 'number' }).notNull(),
  createdTs: timestamp('created_ts'),
});
