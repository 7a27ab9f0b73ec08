// The public keys of devices: those that identify them, and those that begin a session with them. The server keeps them
// and gives them out; it encrypts nothing.

import { isDeepStrictEqual } from 'node:util';
import type { Requester } from '@bulkhead/sdk/contract';
import { and, count, eq, inArray } from 'drizzle-orm';
import { anyOf, anyRowOf } from '../db/any-of.js';
import type { Database } from '../db/database.js';
import { Memo } from '../db/memo.js';
import { deviceKeys, devices, fallbackKeys, oneTimeKeys } from '../db/schema.js';
import { unknownRequest } from '../errors.js';
import type { Content } from '../rooms/event.js';
import type { Changes } from '../sync/changes.js';
import type { Part, Piece, View } from '../sync/part.js';
import type { DeviceLists } from './device-lists.js';

export interface KeyUpload {
  readonly deviceKeys: Content | undefined;
  readonly oneTimeKeys: readonly NamedKey[];
  /** One for each algorithm. */
  readonly fallbackKeys: readonly NamedKey[];
}

/** `algorithm:keyId` in the specification's maps. */
export interface NamedKey {
  readonly algorithm: string;
  readonly keyId: string;
  readonly key: unknown;
}

export interface Claim {
  readonly userId: string;
  readonly deviceId: string;
  readonly algorithm: string;
}

export interface ClaimedKey extends Claim, NamedKey {}

export interface KeyedDevice {
  readonly userId: string;
  readonly deviceId: string;
  readonly displayName: string | null;
  readonly keys: Content;
}

const MAX_ONE_TIME_KEYS = 1000;
/** Every sync says for which algorithms there is one. */
const MAX_FALLBACK_KEYS = 10;

export class DeviceKeys implements Part {
  readonly #db: Database;
  readonly #changes: Changes;
  readonly #lists: DeviceLists;
  /** What every sync of a device says. */
  readonly #said = new Memo<NonNullable<Piece['always']>>();

  constructor(db: Database, changes: Changes, lists: DeviceLists) {
    this.#db = db;
    this.#changes = changes;
    this.#lists = lists;
  }

  /** @returns how many one-time keys the device has of each algorithm */
  async upload({ userId, deviceId = '' }: Requester, upload: KeyUpload): Promise<Readonly<Record<string, number>>> {
    const changed = await this.#changes.write(async (tx) => {
      await addOneTimeKeys(tx, userId, deviceId, upload.oneTimeKeys);
      await setFallbackKeys(tx, userId, deviceId, upload.fallbackKeys);
      return upload.deviceKeys !== undefined && this.#replace(tx, userId, deviceId, upload.deviceKeys);
    });
    this.forget(userId, deviceId);
    if (changed) await this.#lists.announce(userId);
    return this.#counts(userId, deviceId);
  }

  /** To be called when a device was deleted, and its keys with it. */
  forget(userId: string, deviceId: string): void {
    this.#said.forget(nameOf({ userId, deviceId }));
  }

  async find(userId: string, deviceId: string): Promise<Content | undefined> {
    const [found] = await this.#db
      .select()
      .from(deviceKeys)
      .where(and(eq(deviceKeys.userId, userId), eq(deviceKeys.deviceId, deviceId)));
    return found?.keys;
  }

  async of(userIds: readonly string[]): Promise<readonly KeyedDevice[]> {
    return this.#db
      .select({
        userId: deviceKeys.userId,
        deviceId: deviceKeys.deviceId,
        keys: deviceKeys.keys,
        displayName: devices.displayName,
      })
      .from(deviceKeys)
      .innerJoin(devices, and(eq(devices.userId, deviceKeys.userId), eq(devices.deviceId, deviceKeys.deviceId)))
      .where(anyOf(deviceKeys.userId, userIds));
  }

  /** A one-time key goes to one who asks and to nobody else; when there is none left, the fallback key goes to everybody. */
  async claim(claims: readonly Claim[]): Promise<readonly ClaimedKey[]> {
    const claimed = await this.#changes.write(async (tx) => {
      const given = await takeOneTimeKeys(tx, claims);
      const served = new Set(given.map(claimOf));
      const unserved = claims.filter((claim) => !served.has(claimOf(claim)));
      return [...given, ...(await useFallbackKeys(tx, unserved))];
    });
    for (const key of claimed) this.forget(key.userId, key.deviceId);
    return claimed;
  }

  async collect({ userId, deviceId }: View): Promise<Piece> {
    if (deviceId === undefined) return {};
    const device = { userId, deviceId };
    return { always: await this.#said.get(nameOf(device), () => this.#say(userId, deviceId)) };
  }

  async #say(userId: string, deviceId: string): Promise<NonNullable<Piece['always']>> {
    const unused = await this.#db
      .select({ algorithm: fallbackKeys.algorithm })
      .from(fallbackKeys)
      .where(and(eq(fallbackKeys.userId, userId), eq(fallbackKeys.deviceId, deviceId), eq(fallbackKeys.used, false)));
    return {
      device_one_time_keys_count: await this.#counts(userId, deviceId),
      device_unused_fallback_key_types: unused.map(({ algorithm }) => algorithm),
    };
  }

  async #replace(tx: Database, userId: string, deviceId: string, keys: Content): Promise<boolean> {
    const [before] = await tx
      .select()
      .from(deviceKeys)
      .where(and(eq(deviceKeys.userId, userId), eq(deviceKeys.deviceId, deviceId)));
    if (isDeepStrictEqual(before?.keys, keys)) return false;
    await tx
      .insert(deviceKeys)
      .values({ userId, deviceId, keys })
      .onConflictDoUpdate({ target: [deviceKeys.userId, deviceKeys.deviceId], set: { keys } });
    await this.#lists.mark(tx, userId);
    return true;
  }

  async #counts(userId: string, deviceId: string): Promise<Readonly<Record<string, number>>> {
    const found = await this.#db
      .select({ algorithm: oneTimeKeys.algorithm, keys: count() })
      .from(oneTimeKeys)
      .where(and(eq(oneTimeKeys.userId, userId), eq(oneTimeKeys.deviceId, deviceId)))
      .groupBy(oneTimeKeys.algorithm);
    const counts = Object.fromEntries(found.map(({ algorithm, keys }) => [algorithm, keys]));
    // Clients take a count that is not named for one that they do not know.
    return { signed_curve25519: 0, ...counts };
  }
}

async function addOneTimeKeys(
  tx: Database,
  userId: string,
  deviceId: string,
  keys: readonly NamedKey[],
): Promise<void> {
  if (keys.length === 0) return;
  const before = await tx
    .select()
    .from(oneTimeKeys)
    .where(and(eq(oneTimeKeys.userId, userId), eq(oneTimeKeys.deviceId, deviceId)));
  const known = new Map(before.map((row) => [idOf(row), row.key]));
  const fresh = keys.filter((named) => !known.has(idOf(named)));
  for (const named of keys) {
    const id = idOf(named);
    if (known.has(id) && !isDeepStrictEqual(known.get(id), named.key)) {
      throw unknownRequest(`The one-time key ${id} exists, and is another`);
    }
  }
  if (before.length + fresh.length > MAX_ONE_TIME_KEYS) throw unknownRequest('There are too many one-time keys');
  if (fresh.length > 0) await tx.insert(oneTimeKeys).values(fresh.map((named) => ({ userId, deviceId, ...named })));
}

async function setFallbackKeys(
  tx: Database,
  userId: string,
  deviceId: string,
  keys: readonly NamedKey[],
): Promise<void> {
  if (keys.length === 0) return;
  const ofDevice = and(eq(fallbackKeys.userId, userId), eq(fallbackKeys.deviceId, deviceId));
  const before = await tx.select({ algorithm: fallbackKeys.algorithm }).from(fallbackKeys).where(ofDevice);
  const algorithms = new Set([...before, ...keys].map(({ algorithm }) => algorithm));
  if (algorithms.size > MAX_FALLBACK_KEYS) throw unknownRequest('There are too many fallback keys');
  for (const named of keys) {
    await tx
      .insert(fallbackKeys)
      .values({ userId, deviceId, ...named, used: false })
      .onConflictDoUpdate({
        target: [fallbackKeys.userId, fallbackKeys.deviceId, fallbackKeys.algorithm],
        set: { keyId: named.keyId, key: named.key, used: false },
      });
  }
}

/** The oldest of each that is asked for. */
async function takeOneTimeKeys(tx: Database, claims: readonly Claim[]): Promise<readonly ClaimedKey[]> {
  const { userId, deviceId, algorithm, position } = oneTimeKeys;
  const oldest = tx
    .selectDistinctOn([userId, deviceId, algorithm], { position })
    .from(oneTimeKeys)
    .where(anyRowOf([userId, deviceId, algorithm], rowsOf(claims)))
    .orderBy(userId, deviceId, algorithm, position);
  return tx.delete(oneTimeKeys).where(inArray(position, oldest)).returning();
}

async function useFallbackKeys(tx: Database, claims: readonly Claim[]): Promise<readonly ClaimedKey[]> {
  const { userId, deviceId, algorithm } = fallbackKeys;
  return tx
    .update(fallbackKeys)
    .set({ used: true })
    .where(anyRowOf([userId, deviceId, algorithm], rowsOf(claims)))
    .returning();
}

const rowsOf = (claims: readonly Claim[]) =>
  claims.map(({ userId, deviceId, algorithm }) => [userId, deviceId, algorithm] as const);

const idOf = ({ algorithm, keyId }: NamedKey) => `${algorithm}:${keyId}`;
const nameOf = ({ userId, deviceId }: Pick<Claim, 'userId' | 'deviceId'>) => `${userId}\0${deviceId}`;
const claimOf = (claim: Claim) => `${nameOf(claim)}\0${claim.algorithm}`;
