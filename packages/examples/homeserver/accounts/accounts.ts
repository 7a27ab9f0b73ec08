// Users, their profiles and devices, as the database keeps them.

import { createHash, randomBytes } from 'node:crypto';
import type { Profile, Requester } from '@bulkhead/sdk/contract';
import { and, eq, inArray } from 'drizzle-orm';
import type { HomeserverConfig } from '../config.js';
import type { Database } from '../db/database.js';
import { devices, users } from '../db/schema.js';
import { userInUse } from '../errors.js';

export type Account = typeof users.$inferSelect;

export interface NewDevice {
  readonly deviceId: string;
  readonly accessToken: string;
}

export class Accounts {
  readonly #db: Database;
  readonly #config: HomeserverConfig;
  /** By hash of the access token: every request asks. */
  readonly #requesters = new Map<string, Requester>();
  #generation = 0;

  constructor(db: Database, config: HomeserverConfig) {
    this.#db = db;
    this.#config = config;
  }

  userId(localpart: string): string {
    return `@${localpart}:${this.#config.serverName}`;
  }

  isAdmin(userId: string): boolean {
    return this.#config.admins.has(userId);
  }

  async find(userId: string): Promise<Account | undefined> {
    const [account] = await this.#db.select().from(users).where(eq(users.userId, userId));
    return account;
  }

  /** Those of the ids that are accounts of this server. */
  async existing(userIds: readonly string[]): Promise<ReadonlySet<string>> {
    if (userIds.length === 0) return new Set();
    const found = await this.#db
      .select({ userId: users.userId })
      .from(users)
      .where(inArray(users.userId, [...userIds]));
    return new Set(found.map(({ userId }) => userId));
  }

  async create(userId: string, passwordHash: string, shadowBanned: boolean): Promise<void> {
    const created = await this.#db
      .insert(users)
      .values({ userId, passwordHash, shadowBanned, createdTs: Date.now() })
      .onConflictDoNothing()
      .returning({ userId: users.userId });
    // Two registrations of one name may have come this far.
    if (created.length === 0) throw userInUse();
  }

  async profile(userId: string): Promise<Profile | undefined> {
    const account = await this.find(userId);
    return account && profileOf(account);
  }

  async setProfile(userId: string, change: { displayName?: string | null; avatarUrl?: string | null }): Promise<void> {
    await this.#db.update(users).set(change).where(eq(users.userId, userId));
  }

  /** A new access token; a device that existed keeps its id and loses its old token. */
  async createDevice(userId: string, wanted?: string, displayName?: string): Promise<NewDevice> {
    const deviceId = wanted ?? randomBytes(5).toString('hex').toUpperCase();
    const accessToken = `bulkhead_${randomBytes(32).toString('base64url')}`;
    const tokenHash = hashToken(accessToken);
    await this.#db
      .insert(devices)
      .values({ userId, deviceId, tokenHash, displayName: displayName ?? null, createdTs: Date.now() })
      .onConflictDoUpdate({ target: [devices.userId, devices.deviceId], set: { tokenHash } });
    this.#forgetRequesters(userId, deviceId);
    return { deviceId, accessToken };
  }

  async deleteDevice(userId: string, deviceId: string): Promise<void> {
    await this.#db.delete(devices).where(and(eq(devices.userId, userId), eq(devices.deviceId, deviceId)));
    this.#forgetRequesters(userId, deviceId);
  }

  async deleteDevices(userId: string): Promise<void> {
    await this.#db.delete(devices).where(eq(devices.userId, userId));
    this.#forgetRequesters(userId);
  }

  /** Who an access token belongs to. */
  async requesterByToken(accessToken: string): Promise<Requester | undefined> {
    const tokenHash = hashToken(accessToken);
    const known = this.#requesters.get(tokenHash);
    if (known) return known;
    const generation = this.#generation;
    const [found] = await this.#db
      .select({ userId: devices.userId, deviceId: devices.deviceId, shadowBanned: users.shadowBanned })
      .from(devices)
      .innerJoin(users, eq(users.userId, devices.userId))
      .where(eq(devices.tokenHash, tokenHash));
    if (!found) return undefined;
    const requester = { ...found, isGuest: false, authenticatedEntity: found.userId };
    // A token that was withdrawn while the database was asked must not come back.
    if (generation === this.#generation) {
      const [oldest] = this.#requesters.keys();
      if (this.#requesters.size >= MAX_KNOWN && oldest !== undefined) this.#requesters.delete(oldest);
      this.#requesters.set(tokenHash, requester);
    }
    return requester;
  }

  #forgetRequesters(userId: string, deviceId?: string): void {
    this.#generation++;
    for (const [hash, requester] of this.#requesters) {
      if (requester.userId !== userId) continue;
      if (deviceId === undefined || requester.deviceId === deviceId) this.#requesters.delete(hash);
    }
  }
}

const MAX_KNOWN = 10_000;

export function profileOf({ displayName, avatarUrl }: Account): Profile {
  return {
    ...(displayName === null ? {} : { displayname: displayName }),
    ...(avatarUrl === null ? {} : { avatar_url: avatarUrl }),
  };
}

const hashToken = (token: string) => createHash('sha256').update(token).digest('base64url');
