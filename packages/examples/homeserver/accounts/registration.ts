// Registration: interactive authentication with the one stage `m.login.dummy`, then the modules, then the account.

import type { Modules } from '@bulkhead/runtime';
import * as v from 'valibot';
import { forbidden, invalidUsername, missingParam, RefusedByModule, unknownRequest, userInUse } from '../errors.js';
import { check } from '../http/body.js';
import { randomLetters } from '../ids.js';
import type { Accounts, NewDevice } from './accounts.js';
import { hashPassword } from './passwords.js';

type Seen = readonly [userAgent: string | null, ip: string];

const Register = v.object({
  username: v.optional(v.string()),
  password: v.optional(v.string()),
  device_id: v.optional(v.string()),
  initial_device_display_name: v.optional(v.string()),
  inhibit_login: v.optional(v.boolean(), false),
  auth: v.optional(v.object({ type: v.optional(v.string()), session: v.optional(v.string()) })),
});
type Register = v.InferOutput<typeof Register>;

interface Session {
  readonly id: string;
  /** What the client asked for when it began; it may leave it out when it comes back. */
  readonly asked: Readonly<Record<string, unknown>>;
  readonly seen: Map<string, Seen>;
  readonly until: number;
}

export type Registered =
  | { readonly done: true; readonly userId: string; readonly device?: NewDevice }
  | { readonly done: false; readonly challenge: Readonly<Record<string, unknown>> };

const SESSION_MS = 15 * 60_000;
const MAX_SESSIONS = 10_000;
const MAX_USER_ID_BYTES = 255;
const MAX_PASSWORD_BYTES = 512;

export class Registration {
  readonly #accounts: Accounts;
  readonly #modules: Modules;
  readonly #enabled: boolean;
  readonly #sessions = new Map<string, Session>();

  constructor(accounts: Accounts, modules: Modules, enabled: boolean) {
    this.#accounts = accounts;
    this.#modules = modules;
    this.#enabled = enabled;
  }

  async register(body: Readonly<Record<string, unknown>>, seen: Seen): Promise<Registered> {
    if (!this.#enabled) throw forbidden('Registration is closed');
    const { auth } = check(Register, body);
    const session = auth?.session === undefined ? this.#begin(body) : this.#resume(auth.session);
    const asked = check(Register, { ...session.asked, ...body });
    session.seen.set(seen.join(' '), seen);
    if (asked.username !== undefined) await this.checkUsername(asked.username);
    if (auth?.type === undefined) return { done: false, challenge: challengeOf(session) };
    if (auth.type !== 'm.login.dummy') {
      const error = { errcode: 'M_UNRECOGNIZED', error: `${auth.type} is no stage of this flow` };
      return { done: false, challenge: { ...challengeOf(session), ...error } };
    }
    if (asked.password === undefined) throw missingParam('password');
    if (asked.password === '' || Buffer.byteLength(asked.password) > MAX_PASSWORD_BYTES) {
      throw unknownRequest('The password is empty or too long');
    }
    // From here on the session is used up, so that nobody is asked about twice.
    this.#sessions.delete(session.id);
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
    const device = await this.#accounts.createDevice(userId, asked.device_id, asked.initial_device_display_name);
    return { done: true, userId, device };
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

  #begin(asked: Readonly<Record<string, unknown>>): Session {
    const now = Date.now();
    for (const [id, { until }] of this.#sessions) {
      // The Map is in order of time: the first that is young ends the search.
      if (until > now && this.#sessions.size < MAX_SESSIONS) break;
      this.#sessions.delete(id);
    }
    const { auth: _, ...rest } = asked;
    const session = { id: randomLetters(24), asked: rest, seen: new Map<string, Seen>(), until: now + SESSION_MS };
    this.#sessions.set(session.id, session);
    return session;
  }

  #resume(id: string): Session {
    const session = this.#sessions.get(id);
    if (!session || session.until < Date.now()) throw unknownRequest('Unknown session');
    return session;
  }
}

const challengeOf = ({ id }: Session) => ({ flows: [{ stages: ['m.login.dummy'] }], params: {}, session: id });
