// Backups of room keys, encrypted by the clients. Only the latest version takes keys; of two backups of one key the better
// one stays.

import { and, count, desc, eq, or, sql } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { backedUpKeys, keyBackups } from '../db/schema.js';
import { invalidParam, notFound, wrongBackupVersion } from '../errors.js';
import type { Content } from '../rooms/event.js';
import type { Changes } from '../sync/changes.js';

export interface BackedUpKey {
  readonly first_message_index: number;
  readonly forwarded_count: number;
  readonly is_verified: boolean;
  readonly session_data: Content;
}

/** Which keys: one, those of a room, or all. */
export interface Selection {
  readonly roomId?: string | undefined;
  readonly sessionId?: string | undefined;
}

/** By room, then by session. */
export type KeysOfRooms = Readonly<Record<string, Readonly<Record<string, BackedUpKey>>>>;

export interface BackupState {
  readonly etag: string;
  readonly count: number;
}

type Backup = typeof keyBackups.$inferSelect;

export class KeyBackups {
  readonly #db: Database;
  readonly #changes: Changes;

  constructor(db: Database, changes: Changes) {
    this.#db = db;
    this.#changes = changes;
  }

  /** @returns the new version */
  create(userId: string, algorithm: string, authData: Content): Promise<string> {
    return this.#changes.write(async (tx) => {
      // Deleted ones count: a version never comes back.
      const [last] = await tx
        .select({ version: keyBackups.version })
        .from(keyBackups)
        .where(eq(keyBackups.userId, userId))
        .orderBy(desc(keyBackups.version))
        .limit(1);
      const version = (last?.version ?? 0) + 1;
      await tx.insert(keyBackups).values({ userId, version, algorithm, authData });
      return String(version);
    });
  }

  /** @param version default: the latest. @throws MatrixError 404 `M_NOT_FOUND` */
  async describe(userId: string, version?: string) {
    const backup = await find(this.#db, userId, version);
    return {
      version: String(backup.version),
      algorithm: backup.algorithm,
      auth_data: backup.authData,
      ...(await stateOf(this.#db, backup)),
    };
  }

  async update(userId: string, version: string, algorithm: string, authData: Content): Promise<void> {
    const backup = await find(this.#db, userId, version);
    if (backup.algorithm !== algorithm) throw invalidParam('The algorithm is not that of the backup');
    await this.#db.update(keyBackups).set({ authData }).where(isBackup(backup));
  }

  /** One that is deleted already may be deleted again. */
  async delete(userId: string, version: string): Promise<void> {
    await this.#changes.write(async (tx) => {
      const backup = await find(tx, userId, version, true);
      await tx.update(keyBackups).set({ deleted: true, authData: {} }).where(isBackup(backup));
      await tx.delete(backedUpKeys).where(ofBackup(backup));
    });
  }

  add(userId: string, version: string, keys: KeysOfRooms): Promise<BackupState> {
    return this.#changes.write(async (tx) => {
      const latest = await find(tx, userId);
      if (String(latest.version) !== version) throw wrongBackupVersion(String(latest.version));
      for (const [roomId, sessions] of Object.entries(keys)) {
        for (const [sessionId, key] of Object.entries(sessions)) await addKey(tx, latest, roomId, sessionId, key);
      }
      return stateOf(tx, await touch(tx, latest));
    });
  }

  async get(userId: string, version: string, selection: Selection): Promise<KeysOfRooms> {
    const backup = await find(this.#db, userId, version);
    const found = await this.#db
      .select()
      .from(backedUpKeys)
      .where(and(ofBackup(backup), selected(selection)));
    const keys: Record<string, Record<string, BackedUpKey>> = {};
    for (const row of found) {
      keys[row.roomId] ??= {};
      Object.assign(keys[row.roomId] ?? {}, { [row.sessionId]: keyOf(row) });
    }
    return keys;
  }

  remove(userId: string, version: string, selection: Selection): Promise<BackupState> {
    return this.#changes.write(async (tx) => {
      const backup = await find(tx, userId, version);
      await tx.delete(backedUpKeys).where(and(ofBackup(backup), selected(selection)));
      return stateOf(tx, await touch(tx, backup));
    });
  }
}

async function find(db: Database, userId: string, version?: string, withDeleted = false): Promise<Backup> {
  const number = version === undefined ? undefined : Number(version);
  if (number !== undefined && !(Number.isInteger(number) && number > 0 && number < 2 ** 31)) throw noSuchBackup();
  const [found] = await db
    .select()
    .from(keyBackups)
    .where(
      and(
        eq(keyBackups.userId, userId),
        number === undefined ? undefined : eq(keyBackups.version, number),
        withDeleted ? undefined : eq(keyBackups.deleted, false),
      ),
    )
    .orderBy(desc(keyBackups.version))
    .limit(1);
  if (!found) throw noSuchBackup();
  return found;
}

/** Verified is better than not, then an earlier index, then fewer hands ("Server-side key backups"). */
async function addKey(
  tx: Database,
  { userId, version }: Backup,
  roomId: string,
  sessionId: string,
  key: BackedUpKey,
): Promise<void> {
  const columns = {
    firstMessageIndex: key.first_message_index,
    forwardedCount: key.forwarded_count,
    isVerified: key.is_verified,
    sessionData: key.session_data,
  };
  const { isVerified, firstMessageIndex, forwardedCount } = backedUpKeys;
  const verified = key.is_verified;
  const isAsVerified = eq(isVerified, verified);
  const isBetter = or(
    and(sql`${verified}::boolean`, eq(isVerified, false)),
    and(isAsVerified, sql`${firstMessageIndex} > ${key.first_message_index}`),
    and(isAsVerified, eq(firstMessageIndex, key.first_message_index), sql`${forwardedCount} > ${key.forwarded_count}`),
  );
  await tx
    .insert(backedUpKeys)
    .values({ userId, version, roomId, sessionId, ...columns })
    .onConflictDoUpdate({
      target: [backedUpKeys.userId, backedUpKeys.version, backedUpKeys.roomId, backedUpKeys.sessionId],
      set: columns,
      setWhere: sql`${isBetter}`,
    });
}

async function touch(tx: Database, backup: Backup): Promise<Backup> {
  await tx
    .update(keyBackups)
    .set({ etag: backup.etag + 1 })
    .where(isBackup(backup));
  return { ...backup, etag: backup.etag + 1 };
}

async function stateOf(db: Database, backup: Backup): Promise<BackupState> {
  const [counted] = await db.select({ keys: count() }).from(backedUpKeys).where(ofBackup(backup));
  return { etag: String(backup.etag), count: counted?.keys ?? 0 };
}

const isBackup = ({ userId, version }: Backup) => and(eq(keyBackups.userId, userId), eq(keyBackups.version, version));
const ofBackup = ({ userId, version }: Backup) =>
  and(eq(backedUpKeys.userId, userId), eq(backedUpKeys.version, version));

const selected = ({ roomId, sessionId }: Selection) =>
  and(
    roomId === undefined ? undefined : eq(backedUpKeys.roomId, roomId),
    sessionId === undefined ? undefined : eq(backedUpKeys.sessionId, sessionId),
  );

const keyOf = (row: typeof backedUpKeys.$inferSelect): BackedUpKey => ({
  first_message_index: row.firstMessageIndex,
  forwarded_count: row.forwardedCount,
  is_verified: row.isVerified,
  session_data: row.sessionData,
});

const noSuchBackup = () => notFound('There is no such backup');
