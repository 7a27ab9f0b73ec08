// Users and their profiles, as the database keeps them.

import type { Profile } from '@bulkhead/sdk/contract';
import { eq } from 'drizzle-orm';
import type { HomeserverConfig } from '../config.js';
import { anyOf } from '../db/any-of.js';
import type { Database } from '../db/database.js';
import { users } from '../db/schema.js';
import { userInUse } from '../errors.js';

export type Account = typeof users.$inferSelect;

export class Accounts {
  readonly #db: Database;
  readonly #config: HomeserverConfig;

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
    const found = await this.#db.select({ userId: users.userId }).from(users).where(anyOf(users.userId, userIds));
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

  async setPassword(userId: string, passwordHash: string): Promise<void> {
    await this.#db.update(users).set({ passwordHash }).where(eq(users.userId, userId));
  }

  /** For good. The name stays taken, so that nobody else can pass for the user. */
  async deactivate(userId: string): Promise<void> {
    await this.#db
      .update(users)
      .set({ deactivated: true, passwordHash: '', displayName: null, avatarUrl: null })
      .where(eq(users.userId, userId));
  }
}

export function profileOf({ displayName, avatarUrl }: Account): Profile {
  return {
    ...(displayName === null ? {} : { displayname: displayName }),
    ...(avatarUrl === null ? {} : { avatar_url: avatarUrl }),
  };
}
