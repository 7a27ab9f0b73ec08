// Registration: interactive authentication with the one stage `m.login.dummy`, then the modules, then the account.

import type { Modules } from '@bulkhead/runtime';
import * as v from 'valibot';
import { forbidden, invalidUsername, missingParam, RefusedByModule, userInUse } from '../errors.js';
import { check, Name } from '../http/body.js';
import { randomLetters } from '../ids.js';
import type { Accounts } from './accounts.js';
import { checkPassword, hashPassword } from './passwords.js';
import { Sessions } from './sessions.js';
import type { Login, Tokens } from './tokens.js';

type Seen = readonly [userAgent: string | null, ip: string];

const Register = v.object({
  username: v.optional(v.string()),
  password: v.optional(v.string()),
  device_id: v.optional(Name),
  initial_device_display_name: v.optional(Name),
  inhibit_login: v.optional(v.boolean(), false),
  refresh_token: v.optional(v.boolean(), false),
  auth: v.optional(v.object({ type: v.optional(v.string()), session: v.optional(v.string()) })),
});
type Register = v.InferOutput<typeof Register>;

interface Session {
  /** What the client asked for when it began; it may leave it out when it comes back. */
  readonly asked: Readonly<Record<string, unknown>>;
  readonly seen: Map<string, Seen>;
}

export type Registered =
  | { readonly done: true; readonly userId: string; readonly login?: Login }
  | { readonly done: false; readonly challenge: Readonly<Record<string, unknown>> };

const MAX_USER_ID_BYTES = 255;

export class Registration {
  readonly #accounts: Accounts;
  readonly #tokens: Tokens;
  readonly #modules: Modules;
  readonly #enabled: boolean;
  readonly #sessions = new Sessions<Session>();

  constructor(accounts: Accounts, tokens: Tokens, modules: Modules, enabled: boolean) {
    this.#accounts = accounts;
    this.#tokens = tokens;
    this.#modules = modules;
    this.#enabled = enabled;
  }

  async register(body: Readonly<Record<string, unknown>>, seen: Seen): Promise<Registered> {
    if (!this.#enabled) throw forbidden('Registration is closed');
    const { auth } = check(Register, body);
    const id = auth?.session ?? this.#begin(body);
    const session = this.#sessions.get(id);
    const asked = check(Register, { ...session.asked, ...body });
    session.seen.set(seen.join(' '), seen);
    if (asked.username !== undefined) await this.checkUsername(asked.username);
    if (auth?.type === undefined) return { done: false, challenge: challengeOf(id) };
    if (auth.type !== 'm.login.dummy') {
      const error = { errcode: 'M_UNRECOGNIZED', error: `${auth.type} is no stage of this flow` };
      return { done: false, challenge: { ...challengeOf(id), ...error } };
    }
    if (asked.password === undefined) throw missingParam('password');
    checkPassword(asked.password);
    // From here on the session is used up, so that nobody is asked about twice.
    this.#sessions.end(id);
    return this.#create(asked, asked.password, [...session.seen.values()]);
  }

  async #create(asked: Register, password: string, seen: readonly Seen[]): Promise<Registered> {
    const outcome = await this.#modules.spamChecker.checkRegistrationForSpam(null, asked.username ?? null, seen, null);
    if (outcome.behaviour === 'deny') throw new RefusedByModule(outcome);

    const userId = this.#accounts.userId(asked.username ?? randomLetters(12).toLowerCase());
    await this.#accounts.create(userId, await hashPassword(password), outcome.behaviour === 'shadow_ban');
    // Awaited, so that the account's first request finds the modules knowing it.
    await this.#modules.accountValidity.onUserRegistration(userId);

    if (asked.inhibit_login) return { done: true, userId };
    const login = await this.#tokens.login(userId, {
      deviceId: asked.device_id,
      displayName: asked.initial_device_display_name,
      refreshable: asked.refresh_token,
    });
    return { done: true, userId, login };
  }

  /** @throws MatrixError unless somebody could register under this name */
  async checkUsername(username: string): Promise<void> {
    if (!/^[a-z0-9._=/+-]+$/.test(username)) {
      throw invalidUsername('User names consist of the characters a-z, 0-9, and ._=/+-');
    }
    if (username.startsWith('_')) throw invalidUsername('User names do not begin with _');
    if (/^\d+$/.test(username)) throw invalidUsername('User names of digits alone are kept for guests');
    const userId = this.#accounts.userId(username);
    if (Buffer.byteLength(userId) > MAX_USER_ID_BYTES) throw invalidUsername('The user name is too long');
    if (await this.#accounts.find(userId)) throw userInUse();
  }

  #begin(asked: Readonly<Record<string, unknown>>): string {
    const { auth: _, ...rest } = asked;
    return this.#sessions.begin({ asked: rest, seen: new Map<string, Seen>() });
  }
}

const challengeOf = (session: string) => ({ flows: [{ stages: ['m.login.dummy'] }], params: {}, session });
