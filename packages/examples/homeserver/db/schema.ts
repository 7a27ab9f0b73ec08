// The tables as queries name them; `migrations.ts` makes them.

import { sql } from 'drizzle-orm';
import {
  bigint,
  bigserial,
  boolean,
  customType,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  text,
} from 'drizzle-orm/pg-core';
import type { StrippedEvent } from '../rooms/client-event.js';
import type { Envelope } from '../rooms/pdu.js';
import type { Before } from '../rooms/resolution.js';

const timestamp = (name: string) => bigint(name, { mode: 'number' }).notNull();

/** Of everything that reaches clients beside events: its place in the one order that sync tokens count. */
const position = () => bigint('position', { mode: 'number' }).notNull().default(nextPosition);
export const nextPosition = sql<number>`nextval('changes')`;

export const users = pgTable('users', {
  userId: text('user_id').primaryKey(),
  passwordHash: text('password_hash').notNull(),
  displayName: text('display_name'),
  avatarUrl: text('avatar_url'),
  shadowBanned: boolean('shadow_banned').notNull(),
  createdTs: timestamp('created_ts'),
  deactivated: boolean('deactivated').notNull().default(false),
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
    /** `null`: the token does not expire. */
    tokenExpiresTs: bigint('token_expires_ts', { mode: 'number' }),
    refreshHash: text('refresh_hash').unique(),
    /** Does as well, until the client has shown that it got the new one. */
    previousRefreshHash: text('previous_refresh_hash').unique(),
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
      .on(table.roomId, table.membership, table.position)
      .where(sql`membership is not null and superseded_at is null`),
    index('settings_by_room')
      .on(table.roomId, table.position)
      .where(sql`state_key is not null and type <> 'm.room.member'`),
    index('rooms_by_member')
      .on(table.stateKey, table.roomId)
      .where(sql`membership is not null and superseded_at is null`),
    index('relations').on(table.relatesTo, table.position).where(sql`relates_to is not null`),
    index('transactions').on(table.sender, table.deviceId, table.transactionId).where(sql`transaction_id is not null`),
  ],
);

const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' });

/** The texts that can be searched for; beside the events, so that nothing else reads them. */
export const searchable = pgTable(
  'searchable',
  {
    /** Of the event. */
    position: bigint('position', { mode: 'number' }).primaryKey(),
    /** Where in the content the text stands. */
    key: text('key').notNull(),
    /** The text's words, and the id of the room among them: of a word in many rooms the index finds those in some. */
    words: tsvector('words').notNull(),
  },
  (table) => [index('searchable_words').using('gin', table.words)],
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

/** `room_id` is empty for what belongs to no room. */
export const accountData = pgTable(
  'account_data',
  {
    userId: text('user_id').notNull(),
    roomId: text('room_id').notNull(),
    type: text('type').notNull(),
    content: json('content').$type<Readonly<Record<string, unknown>>>().notNull(),
    position: position(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.roomId, table.type] }),
    index('account_data_by_position').on(table.userId, table.position),
  ],
);

/** What a user changed in the predefined rules, and added to them. */
export const pushRules = pgTable('push_rules', {
  userId: text('user_id').primaryKey(),
  changes: json('changes').$type<Readonly<Record<string, unknown>>>().notNull(),
  position: position(),
});

export const filters = pgTable(
  'filters',
  {
    userId: text('user_id').notNull(),
    filterId: text('filter_id').notNull(),
    content: json('content').$type<Readonly<Record<string, unknown>>>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.filterId] })],
);

/** `thread_id` is empty for receipts that stand for the whole room. */
export const receipts = pgTable(
  'receipts',
  {
    roomId: text('room_id').notNull(),
    userId: text('user_id').notNull(),
    type: text('type').notNull(),
    threadId: text('thread_id').notNull(),
    eventId: text('event_id').notNull(),
    eventPosition: bigint('event_position', { mode: 'number' }).notNull(),
    ts: timestamp('ts'),
    /** As of events. */
    onlyFor: text('only_for'),
    position: position(),
  },
  (table) => [
    primaryKey({ columns: [table.roomId, table.userId, table.type, table.threadId] }),
    index('receipts_by_position').on(table.roomId, table.position),
  ],
);

/** To-device messages that no sync has acknowledged yet. */
export const deviceMessages = pgTable(
  'device_messages',
  {
    userId: text('user_id').notNull(),
    deviceId: text('device_id').notNull(),
    position: position(),
    message: json('message').$type<Readonly<Record<string, unknown>>>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.deviceId, table.position] })],
);

/** Requests that were carried out and that a client may repeat. */
export const clientTransactions = pgTable(
  'client_transactions',
  {
    userId: text('user_id').notNull(),
    deviceId: text('device_id').notNull(),
    request: text('request').notNull(),
    createdTs: timestamp('created_ts'),
  },
  (table) => [primaryKey({ columns: [table.userId, table.deviceId, table.request] })],
);

/** Where a user's devices or keys changed last. */
export const deviceListChanges = pgTable(
  'device_list_changes',
  { userId: text('user_id').primaryKey(), position: position() },
  (table) => [index('device_list_changes_by_position').on(table.position)],
);

export const deviceKeys = pgTable(
  'device_keys',
  {
    userId: text('user_id').notNull(),
    deviceId: text('device_id').notNull(),
    keys: json('keys').$type<Readonly<Record<string, unknown>>>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.deviceId] })],
);

export const oneTimeKeys = pgTable(
  'one_time_keys',
  {
    userId: text('user_id').notNull(),
    deviceId: text('device_id').notNull(),
    algorithm: text('algorithm').notNull(),
    keyId: text('key_id').notNull(),
    key: json('key').notNull(),
    /** The order in which they were uploaded, and are given away. */
    position: bigserial('position', { mode: 'number' }).notNull().unique(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.deviceId, table.algorithm, table.keyId] })],
);

export const fallbackKeys = pgTable(
  'fallback_keys',
  {
    userId: text('user_id').notNull(),
    deviceId: text('device_id').notNull(),
    algorithm: text('algorithm').notNull(),
    keyId: text('key_id').notNull(),
    key: json('key').notNull(),
    used: boolean('used').notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.deviceId, table.algorithm] })],
);

export const crossSigningKeys = pgTable(
  'cross_signing_keys',
  {
    userId: text('user_id').notNull(),
    /** `master`, `self_signing` or `user_signing`. */
    usage: text('usage').notNull(),
    key: json('key').$type<Readonly<Record<string, unknown>>>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.usage] })],
);

/** Signatures that were made after a key was uploaded. `key_id` is a device id, or a cross-signing key itself. */
export const keySignatures = pgTable(
  'key_signatures',
  {
    userId: text('user_id').notNull(),
    keyId: text('key_id').notNull(),
    signer: text('signer').notNull(),
    signerKeyId: text('signer_key_id').notNull(),
    signature: text('signature').notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.keyId, table.signer, table.signerKeyId] })],
);

export const keyBackups = pgTable(
  'key_backups',
  {
    userId: text('user_id').notNull(),
    version: integer('version').notNull(),
    algorithm: text('algorithm').notNull(),
    authData: json('auth_data').$type<Readonly<Record<string, unknown>>>().notNull(),
    /** Counts the changes. */
    etag: bigint('etag', { mode: 'number' }).notNull().default(0),
    deleted: boolean('deleted').notNull().default(false),
  },
  (table) => [primaryKey({ columns: [table.userId, table.version] })],
);

export const backedUpKeys = pgTable(
  'backed_up_keys',
  {
    userId: text('user_id').notNull(),
    version: integer('version').notNull(),
    roomId: text('room_id').notNull(),
    sessionId: text('session_id').notNull(),
    firstMessageIndex: bigint('first_message_index', { mode: 'number' }).notNull(),
    forwardedCount: bigint('forwarded_count', { mode: 'number' }).notNull(),
    isVerified: boolean('is_verified').notNull(),
    sessionData: json('session_data').$type<Readonly<Record<string, unknown>>>().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.version, table.roomId, table.sessionId] })],
);
