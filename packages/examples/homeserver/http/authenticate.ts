// From a request to the user who makes it.

import type { Modules } from '@bulkhead/runtime';
import type { Requester, RequesterOptions } from '@bulkhead/sdk/contract';
import type { MiddlewareHandler } from 'hono';
import type { Accounts } from '../accounts/accounts.js';
import { missingToken, RefusedByModule, unknownToken } from '../errors.js';
import type { Env } from './context.js';

export class Authenticator {
  readonly #accounts: Accounts;
  readonly #modules: Modules;

  constructor(accounts: Accounts, modules: Modules) {
    this.#accounts = accounts;
    this.#modules = modules;
  }

  /** Guests do not exist here, so `allowGuest` changes nothing. */
  async requester(request: Request, { allowExpired = false }: RequesterOptions = {}): Promise<Requester> {
    const token = accessToken(request);
    if (token === undefined) throw missingToken();
    const requester = await this.#accounts.requesterByToken(token);
    if (!requester) throw unknownToken();
    if (!allowExpired) {
      const validity = await this.#modules.accountValidity.isUserExpired(requester.userId);
      // The token stays valid: once the account is renewed, the client goes on where it was.
      if (validity.expired) throw new RefusedByModule(validity);
    }
    return requester;
  }

  /** For routes that only a logged-in user may call. */
  readonly user: MiddlewareHandler<Env> = async (c, next) => {
    c.set('requester', await this.requester(c.req.raw));
    await next();
  };

  /** For `/logout`: the way out is open to everybody. */
  readonly expiredUser: MiddlewareHandler<Env> = async (c, next) => {
    c.set('requester', await this.requester(c.req.raw, { allowExpired: true }));
    await next();
  };
}

function accessToken(request: Request): string | undefined {
  const header = request.headers.get('authorization');
  if (header !== null) return /^Bearer +(.+)$/i.exec(header)?.[1];
  return new URL(request.url).searchParams.get('access_token') || undefined;
}
