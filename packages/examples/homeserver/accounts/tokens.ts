// Devices that are logged in, and the tokens that they come with. The database has only the tokens' hashes: who reads it
// cannot use what stands in it.

import { createHash, randomBytes } from 'node:crypto';
import type { Requester } from '@bulkhead/sdk/contract';
import { eq, or } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { devices, users } from '../db/schema.js';

export interface Login {
  readonly deviceId: string;
  readonly accessToken: string;
  /** Of clients that asked for it; without it the access token does not expire. */
  readonly refreshToken?: string;
  readonly expiresInMs?: number;
}

interface Known {
  readonly requester: Requester;
  readonly expiresTs: number | null;
}

const MAX_KNOWN = 10_000;

export class Tokens {
  readonly #db: Database;
  readonly #lifetimeMs: number;
  /** By hash of the access token: every request asks. */
  readonly #known = new Map<string, Known>();
  #generation = 0;

  /** @param lifetimeMs how long an access token lives that can be refreshed */
  constructor(db: Database, lifetimeMs: number) {
    this.#db = db;
    this.#lifetimeMs = lifetimeMs;
  }

  /** A device that existed keeps its id and loses its old tokens. */
  async login(
    userId: string,
    wanted: {
      readonly deviceId?: string | undefined;
      readonly displayName?: string | undefined;
      readonly refreshable: boolean;
    },
  ): Promise<Login> {
    const deviceId = wanted.deviceId ?? randomBytes(5).toString('hex').toUpperCase();
    const { tokens, columns } = this.#make(wanted.refreshable);
    await this.#db
      .insert(devices)
      .values({ userId, deviceId, displayName: wanted.displayName ?? null, createdTs: Date.now(), ...columns })
      .onConflictDoUpdate({
        target: [devices.userId, devices.deviceId],
        set: { ...columns, previousRefreshHash: null },
      });
    this.forget(userId, [deviceId]);
    return { deviceId, ...tokens };
  }

  /**
   * New tokens for an old refresh token, which does again until the new ones are used: the answer may have been lost.
   * @returns `undefined` for a token that is unknown or used up
   */
  async refresh(refreshToken: string): Promise<Login | undefined> {
    const hash = hashOf(refreshToken);
    const { tokens, columns } = this.#make(true);
    const [device] = await this.#db
      .update(devices)
      .set({ ...columns, previousRefreshHash: hash })
      .where(or(eq(devices.refreshHash, hash), eq(devices.previousRefreshHash, hash)))
      .returning();
    if (!device) return undefined;
    this.forget(device.userId, [device.deviceId]);
    return { deviceId: device.deviceId, ...tokens };
  }

  /** Whose an access token is. */
  async requester(accessToken: string): Promise<Requester | 'expired' | undefined> {
    const hash = hashOf(accessToken);
    const known = this.#known.get(hash) ?? (await this.#find(hash));
    if (!known) return undefined;
    return known.expiresTs !== null && known.expiresTs <= Date.now() ? 'expired' : known.requester;
  }

  /** To be called when tokens were changed or deleted. @param deviceIds default: all of the user */
  forget(userId: string, deviceIds?: readonly string[]): void {
    this.#generation++;
    for (const [hash, { requester }] of this.#known) {
      if (requester.userId !== userId) continue;
      if (!deviceIds || deviceIds.includes(requester.deviceId ?? '')) this.#known.delete(hash);
    }
  }

  #make(refreshable: boolean) {
    const accessToken = newToken();
    const refreshToken = newToken();
    const lifetimeMs = this.#lifetimeMs;
    return {
      tokens: { accessToken, ...(refreshable ? { refreshToken, expiresInMs: lifetimeMs } : {}) },
      columns: {
        tokenHash: hashOf(accessToken),
        tokenExpiresTs: refreshable ? Date.now() + lifetimeMs : null,
        refreshHash: refreshable ? hashOf(refreshToken) : null,
      },
    };
  }

  async #find(hash: string): Promise<Known | undefined> {
    const generation = this.#generation;
    const [found] = await this.#db
      .select({ device: devices, shadowBanned: users.shadowBanned })
      .from(devices)
      .innerJoin(users, eq(users.userId, devices.userId))
      .where(eq(devices.tokenHash, hash));
    if (!found) return undefined;
    const { userId, deviceId, tokenExpiresTs, previousRefreshHash } = found.device;
    // The client has its new tokens.
    if (previousRefreshHash !== null) await this.#retirePrevious(hash);
    const { shadowBanned } = found;
    const requester = { userId, deviceId, shadowBanned, isGuest: false, authenticatedEntity: userId };
    const known = { requester, expiresTs: tokenExpiresTs };
    // A token that was withdrawn while the database was asked must not come back.
    if (generation === this.#generation) {
      const [oldest] = this.#known.keys();
      if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
      this.#known.set(hash, known);
    }
    return known;
  }

  async #retirePrevious(tokenHash: string): Promise<void> {
    await this.#db.update(devices).set({ previousRefreshHash: null }).where(eq(devices.tokenHash, tokenHash));
  }
}

const newToken = () => `bulkhead_${randomBytes(32).toString('base64url')}`;
const hashOf = (token: string) => createHash('sha256').update(token).digest('base64url');
