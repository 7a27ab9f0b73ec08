// The schema's history. An entry's number is its place, from 1: add at the end, and never change one that was released.

import { sql } from 'drizzle-orm';
import type { Database } from './database.js';
import { DatabaseError } from './error.js';

/** One step of the schema: its statements. */
export type Migration = readonly string[];

export const migrations: readonly Migration[] = [
  [
    `create table users (
       user_id text primary key,
       password_hash text not null,
       display_name text,
       avatar_url text,
       shadow_banned boolean not null,
       created_ts bigint not null
     )`,
    `create table devices (
       user_id text not null references users,
       device_id text not null,
       token_hash text not null unique,
       display_name text,
       created_ts bigint not null,
       primary key (user_id, device_id)
     )`,
    `create table rooms (
       room_id text primary key,
       creator text not null,
       version text not null,
       published boolean not null,
       is_public boolean not null default false,
       created_ts bigint not null
     )`,
    `create table events (
       position bigserial primary key,
       event_id text not null unique,
       room_id text not null references rooms,
       type text not null,
       state_key text,
       sender text not null,
       origin_server_ts bigint not null,
       content json not null,
       membership text,
       redacts text,
       redacted_by text,
       replaces text,
       superseded_at bigint,
       only_for text,
       device_id text,
       transaction_id text
     )`,
    `create index events_by_room on events (room_id, position)`,
    `create index state_by_key on events (room_id, type, state_key, position) where state_key is not null`,
    `create index members_by_room on events (room_id, membership)
       where membership is not null and superseded_at is null`,
    `create index rooms_by_member on events (state_key, room_id)
       where membership is not null and superseded_at is null`,
    `create index transactions on events (sender, device_id, transaction_id) where transaction_id is not null`,
    `create table aliases (
       alias text primary key,
       room_id text not null references rooms,
       creator text not null,
       created_ts bigint not null
     )`,
    `create index aliases_by_room on aliases (room_id)`,
    `create table forgotten (user_id text not null, room_id text not null, primary key (user_id, room_id))`,
    `create table media (
       media_id text primary key,
       user_id text not null,
       content_type text not null,
       file_name text,
       size bigint not null,
       created_ts bigint not null
     )`,
  ],
  [
    `alter table events add column envelope json`,
    `alter table events add column relates_to text`,
    `alter table events add column rel_type text`,
    `create index relations on events (relates_to, position) where relates_to is not null`,
    `create table forward_extremities (
       room_id text not null references rooms,
       event_id text not null,
       depth bigint not null,
       only_for text
     )`,
    // Of the room alone: a row whose indexed columns stay the same is changed where it is.
    `create index extremities_by_room on forward_extremities (room_id)`,
    // Events from before have random ids and no envelope: their rooms go on, and stay this server's own.
    `insert into forward_extremities (room_id, event_id, depth, only_for)
       select distinct on (room_id, only_for) room_id, event_id, 0, only_for from events
       order by room_id, only_for, position desc`,
  ],
  [
    `alter table events add column state_before json`,
    `alter table events add column invite_state json`,
    `create table resolved_keys (
       room_id text not null references rooms,
       position bigint not null,
       type text not null,
       state_key text not null
     )`,
    `create index resolved_by_room on resolved_keys (room_id, position)`,
    `create table missing_events (
       room_id text not null references rooms,
       event_id text not null,
       primary key (room_id, event_id)
     )`,
    `create table outbox (id bigserial primary key, server text not null, event_id text not null)`,
    `create index outbox_by_server on outbox (server, id)`,
  ],
  // What clients keep on the server, and what they tell each other beside events.
  [
    `create sequence changes`,
    `alter table users add column deactivated boolean not null default false`,
    `alter table devices
       add column token_expires_ts bigint,
       add column refresh_hash text unique,
       add column previous_refresh_hash text unique`,
    `create table account_data (
       user_id text not null references users,
       room_id text not null,
       type text not null,
       content json not null,
       position bigint not null default nextval('changes'),
       primary key (user_id, room_id, type)
     )`,
    `create index account_data_by_position on account_data (user_id, position)`,
    `create table push_rules (
       user_id text primary key references users,
       changes json not null,
       position bigint not null default nextval('changes')
     )`,
    `create table filters (
       user_id text not null references users,
       filter_id text not null,
       content json not null,
       primary key (user_id, filter_id)
     )`,
    `create table receipts (
       room_id text not null references rooms,
       user_id text not null references users,
       type text not null,
       thread_id text not null,
       event_id text not null,
       event_position bigint not null,
       ts bigint not null,
       only_for text,
       position bigint not null default nextval('changes'),
       primary key (room_id, user_id, type, thread_id)
     )`,
    `create index receipts_by_position on receipts (room_id, position)`,
    `create table device_messages (
       user_id text not null,
       device_id text not null,
       position bigint not null default nextval('changes'),
       message json not null,
       primary key (user_id, device_id, position),
       foreign key (user_id, device_id) references devices on delete cascade
     )`,
    `create table client_transactions (
       user_id text not null,
       device_id text not null,
       request text not null,
       created_ts bigint not null,
       primary key (user_id, device_id, request),
       foreign key (user_id, device_id) references devices on delete cascade
     )`,
    `create table device_list_changes (
       user_id text primary key references users,
       position bigint not null default nextval('changes')
     )`,
    `create index device_list_changes_by_position on device_list_changes (position)`,
    `create table device_keys (
       user_id text not null,
       device_id text not null,
       keys json not null,
       primary key (user_id, device_id),
       foreign key (user_id, device_id) references devices on delete cascade
     )`,
    `create table one_time_keys (
       user_id text not null,
       device_id text not null,
       algorithm text not null,
       key_id text not null,
       key json not null,
       position bigserial unique,
       primary key (user_id, device_id, algorithm, key_id),
       foreign key (user_id, device_id) references devices on delete cascade
     )`,
    `create table fallback_keys (
       user_id text not null,
       device_id text not null,
       algorithm text not null,
       key_id text not null,
       key json not null,
       used boolean not null,
       primary key (user_id, device_id, algorithm),
       foreign key (user_id, device_id) references devices on delete cascade
     )`,
    `create table cross_signing_keys (
       user_id text not null references users,
       usage text not null,
       key json not null,
       primary key (user_id, usage)
     )`,
    `create table key_signatures (
       user_id text not null,
       key_id text not null,
       signer text not null,
       signer_key_id text not null,
       signature text not null,
       primary key (user_id, key_id, signer, signer_key_id)
     )`,
    `create table key_backups (
       user_id text not null references users,
       version integer not null,
       algorithm text not null,
       auth_data json not null,
       etag bigint not null default 0,
       deleted boolean not null default false,
       primary key (user_id, version)
     )`,
    `create table backed_up_keys (
       user_id text not null,
       version integer not null,
       room_id text not null,
       session_id text not null,
       first_message_index bigint not null,
       forwarded_count bigint not null,
       is_verified boolean not null,
       session_data json not null,
       primary key (user_id, version, room_id, session_id),
       foreign key (user_id, version) references key_backups on delete cascade
     )`,
  ],
  // So that nothing has to read all members of a room to find a few of them, or what is no member.
  [
    `drop index members_by_room`,
    `create index members_by_room on events (room_id, membership, position)
       where membership is not null and superseded_at is null`,
    `create index settings_by_room on events (room_id, position)
       where state_key is not null and type <> 'm.room.member'`,
  ],
  // Search. PostgreSQL takes no text out of JSON in which there is a NUL, or half of a character, anywhere.
  [
    `create table searchable (position bigint primary key, key text not null, words tsvector not null)`,
    `insert into searchable (position, key, words)
       select position, 'content.' || field, to_tsvector('simple', left(found, 65536)) || array_to_tsvector(array[room_id])
       from (
         select position, room_id, field, case
           when content::text ~ '\\\\u(0000|d[89a-f])' then null
           when json_typeof(content -> field) = 'string' then content ->> field
         end as found
         from events
         join (values ('m.room.message', 'body'), ('m.room.name', 'name'), ('m.room.topic', 'topic')) as searched (type, field)
           using (type)
       ) as texts
       where found is not null`,
    // A list of what is still to be put into the index would have to be read by every search.
    `create index searchable_words on searchable using gin (words) with (fastupdate = off)`,
  ],
];

/**
 * Brings the database to the last version, in one transaction: whatever fails, it is as it was, and the program that wrote
 * it can go on with it. Who comes at the same time waits, and finds it done.
 * @throws DatabaseError
 */
export async function migrate(db: Database, steps: readonly Migration[] = migrations): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`);
    const from = await versionOf(tx);
    if (from > steps.length) {
      throw new DatabaseError(
        'newer',
        `The database has version ${from}, and this program knows versions up to ${steps.length}: a newer one has written it. Start that one, or restore a backup`,
      );
    }
    for (const [index, statements] of steps.entries()) {
      if (index >= from) await apply(tx, index + 1, statements);
    }
  });
}

/** Not the one that a running homeserver holds. */
const LOCK = 0x6d696772;

async function versionOf(tx: Database): Promise<number> {
  await tx.execute(sql`create table if not exists migrations (version integer primary key)`);
  const { rows } = await tx.execute<{ version: number }>(
    sql`select coalesce(max(version), 0) as version from migrations`,
  );
  return rows[0]?.version ?? 0;
}

async function apply(tx: Database, version: number, statements: Migration): Promise<void> {
  try {
    for (const statement of statements) await tx.execute(sql.raw(statement));
    await tx.execute(sql`insert into migrations (version) values (${version})`);
  } catch (error) {
    const { message } = (error as Error).cause instanceof Error ? ((error as Error).cause as Error) : (error as Error);
    throw new DatabaseError(
      'migration-failed',
      `The database could not be brought to version ${version}, and is as it was: ${message}`,
      error,
    );
  }
}
