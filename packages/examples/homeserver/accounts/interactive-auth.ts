// User-interactive authentication for what a stolen access token must not do: the user says the password once more.

import type { Requester } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { AuthenticationRequired, unknownRequest } from '../errors.js';
import type { RateLimit } from '../http/rate-limit.js';
import type { Accounts } from './accounts.js';
import { verifyPassword } from './passwords.js';
import { Sessions } from './sessions.js';

/** Part of the body of a request that needs it. */
export const Auth = v.optional(
  v.object({
    type: v.optional(v.string()),
    session: v.optional(v.string()),
    password: v.optional(v.string()),
    identifier: v.optional(v.looseObject({ type: v.string(), user: v.optional(v.string()) })),
    /** Older than `identifier`, and still sent. */
    user: v.optional(v.string()),
  }),
);
type Auth = v.InferOutput<typeof Auth>;

const PASSWORD = 'm.login.password';

export class InteractiveAuth {
  readonly #accounts: Accounts;
  readonly #attempts: RateLimit;
  /** What each session is good for. */
  readonly #sessions = new Sessions<string>();

  /** @param attempts how often a password may be tried */
  constructor(accounts: Accounts, attempts: RateLimit) {
    this.#accounts = accounts;
    this.#attempts = attempts;
  }

  /**
   * @param operation what is asked for: a session that was begun for something else does not do
   * @throws AuthenticationRequired
   */
  async check({ userId }: Requester, operation: string, auth: Auth): Promise<void> {
    const purpose = `${userId} ${operation}`;
    const session = auth?.session ?? this.#sessions.begin(purpose);
    if (this.#sessions.get(session) !== purpose) throw unknownRequest('The session was begun for another request');
    const challenge = { flows: [{ stages: [PASSWORD] }], params: {}, session };
    if (auth?.type === undefined) throw new AuthenticationRequired(challenge);
    if (auth.type !== PASSWORD) {
      const error = `${auth.type} is no stage of this flow`;
      throw new AuthenticationRequired({ ...challenge, errcode: 'M_UNRECOGNIZED', error });
    }
    this.#attempts.take(userId);
    if (!(await this.#isRight(userId, auth))) {
      throw new AuthenticationRequired({
        ...challenge,
        errcode: 'M_FORBIDDEN',
        error: 'Invalid user name or password',
      });
    }
    this.#sessions.end(session);
  }

  async #isRight(userId: string, { identifier, user, password = '' }: NonNullable<Auth>): Promise<boolean> {
    const name = identifier?.user ?? user ?? '';
    const claimed = name.startsWith('@') ? name : this.#accounts.userId(name);
    const account = await this.#accounts.find(userId);
    return (await verifyPassword(password, account?.passwordHash)) && claimed === userId;
  }
}
