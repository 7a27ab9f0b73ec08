// Accounts that expire a while after registration, unless their owners renew them.

import { type ApiError, type ModuleApi, type RequestedPermissions, v } from '@bulkhead/sdk';
import { Duration } from './duration.js';

const RENEW = '/_synapse/client/account_expiry/renew';

/** Users whose expiry is held in memory; about 2 MB. */
const CACHED_USERS = 10_000;

const Config = v.strictObject({ period: Duration });
type Config = v.InferOutput<typeof Config>;

export class AccountExpiry {
  /** Ten megabytes are about 80,000 accounts. */
  static readonly permissions: RequestedPermissions = { users: ['read'], storage: '10MiB', web_paths: [RENEW] };

  static parseConfig(config: unknown): Config {
    return v.parse(Config, config);
  }

  private readonly config: Config;
  private readonly api: ModuleApi;
  /** When accounts expire, in milliseconds since the epoch; `null`: never. This module alone writes them, so copies do not go stale. */
  private readonly cache = new Map<string, number | null>();

  constructor(config: Config, api: ModuleApi) {
    this.config = config;
    this.api = api;
    api.registerAccountValidityCallbacks({
      isUserExpired: this.isUserExpired,
      onUserRegistration: this.onUserRegistration,
    });
    api.registerWebResource(RENEW, this.answerRenew);
  }

  /** Asked on every request of every user: only the first time costs a question to the storage. */
  async isUserExpired(userId: string): Promise<boolean | null> {
    const expiry = await this.expiryOf(userId);
    return expiry === null ? null : expiry <= this.api.now();
  }

  async onUserRegistration(userId: string): Promise<void> {
    await this.renew(userId);
  }

  async answerRenew(request: Request): Promise<Response> {
    const userId = await this.callerOf(request);
    if (userId instanceof Response) return userId;

    const expiry = await this.expiryOf(userId);
    switch (request.method) {
      case 'GET':
        return Response.json({ user_id: userId, expires_at: expiry });
      case 'POST':
        // Accounts older than this module never expire; renewing must not make them.
        return Response.json({ user_id: userId, expires_at: expiry === null ? null : await this.renew(userId) });
      default:
        return Response.json(
          { errcode: 'M_UNRECOGNIZED', error: 'Use GET to read the expiry and POST to renew' },
          { status: 405, headers: { allow: 'GET, POST' } },
        );
    }
  }

  /** The host knows the caller by the access token, which a module never sees. Expired users have to get in, of course. */
  private async callerOf(request: Request): Promise<string | Response> {
    try {
      return (await this.api.getUserByRequest(request, { allowExpired: true })).userId;
    } catch (error) {
      const { errcode, message } = error as ApiError;
      if (errcode === undefined) throw error;
      return Response.json({ errcode, error: message }, { status: errcode === 'M_FORBIDDEN' ? 403 : 401 });
    }
  }

  private async renew(userId: string): Promise<number> {
    const expiry = this.api.now() + this.config.period;
    await this.api.storage.set(keyOf(userId), expiry);
    this.remember(userId, expiry);
    return expiry;
  }

  private async expiryOf(userId: string): Promise<number | null> {
    const known = this.cache.get(userId);
    if (known !== undefined) return known;

    const stored = await this.api.storage.get(keyOf(userId));
    // A renewal may have come in between: what it remembered is newer than what was read.
    const renewed = this.cache.get(userId);
    if (renewed !== undefined) return renewed;
    const expiry = typeof stored === 'number' ? stored : null;
    this.remember(userId, expiry);
    return expiry;
  }

  private remember(userId: string, expiry: number | null): void {
    this.cache.delete(userId);
    this.cache.set(userId, expiry);
    if (this.cache.size <= CACHED_USERS) return;
    // A Map keeps the order of insertion: the first key is the oldest.
    for (const oldest of this.cache.keys()) {
      this.cache.delete(oldest);
      break;
    }
  }
}

const keyOf = (userId: string): string => `expiry:${userId}`;
