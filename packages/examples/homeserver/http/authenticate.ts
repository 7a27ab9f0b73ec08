// From a request to the user who makes it.

import type { Modules } from '@bulkhead/runtime';
import type { Requester, RequesterOptions } from '@bulkhead/sdk/contract';
import type { MiddlewareHandler } from 'hono';
import type { Tokens } from '../accounts/tokens.js';
import { missingToken, RefusedByModule, softLogout, unknownToken } from '../errors.js';
import type { Env } from './context.js';

export class Authenticator {
  readonly #tokens: Tokens;
  readonly #modules: Modules;

  constructor(tokens: Tokens, modules: Modules) {
    this.#tokens = tokens;
    this.#modules = modules;
  }

  /** Guests do not exist here, so `allowGuest` changes nothing. */
  async requester(request: Request, { allowExpired = false }: RequesterOptions = {}): Promise<Requester> {
    const token = accessToken(request);
    if (token === undefined) throw missingToken();
    const requester = await this.#tokens.requester(token);
    if (!requester) throw unknownToken();
    if (requester === 'expired') throw softLogout('The access token has expired');
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
