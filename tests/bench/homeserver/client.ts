// A client that costs little itself: what it takes is taken from the homeserver, which is on the same machine.

import { Pool } from 'undici';
import type { Json, SyncBody } from '../../homeserver/client.ts';

const CONNECTIONS = 64;
export const e = encodeURIComponent;

/** The connections to one homeserver. */
export class Connections {
  readonly #pool: Pool;

  constructor(url: string) {
    this.#pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 });
  }

  get pool(): Pool {
    return this.#pool;
  }

  async register(username: string): Promise<BenchClient> {
    const account = { username, password: 'a long secret', auth: { type: 'm.login.dummy' } };
    const made = await new BenchClient(this.#pool, {}).ask<Json>('POST', '/register', account);
    return new BenchClient(this.#pool, made);
  }

  close = (): Promise<void> => this.#pool.destroy();
}

export class BenchClient {
  readonly userId: string;
  readonly #pool: Pool;
  readonly #login: Json;
  readonly #headers: Record<string, string>;
  readonly #session = Math.random().toString(36).slice(2);
  /** The last sync's `next_batch`. */
  since: string | undefined;
  #transactions = 0;

  constructor(pool: Pool, login: Json) {
    const { user_id, access_token } = login;
    this.#login = login;
    this.userId = String(user_id);
    this.#pool = pool;
    this.#headers = { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' };
  }

  /** The same user, when the homeserver has moved. */
  at = ({ pool }: Connections): BenchClient => new BenchClient(pool, this.#login);

  /** @throws for any answer but a 200 */
  async ask<T>(method: 'GET' | 'PUT' | 'POST', path: string, body?: Json): Promise<T> {
    const answer = await this.#pool.request({
      method,
      path: `/_matrix/client/v3${path}`,
      headers: this.#headers,
      body: body === undefined ? null : JSON.stringify(body),
    });
    if (answer.statusCode === 200) return (await answer.body.json()) as T;
    throw new Error(`${method} ${path}: ${answer.statusCode} ${await answer.body.text()}`);
  }

  /** @returns the event's id */
  async say(roomId: string, body: string): Promise<string> {
    const path = `/rooms/${e(roomId)}/send/m.room.message/${this.#session}.${++this.#transactions}`;
    return (await this.ask<{ event_id: string }>('PUT', path, { msgtype: 'm.text', body })).event_id;
  }

  /** From the last one on. */
  async sync(query: Readonly<Record<string, string>> = {}): Promise<SyncBody> {
    const since = this.since === undefined ? {} : { since: this.since };
    const body = await this.ask<SyncBody>('GET', `/sync?${new URLSearchParams({ ...since, ...query })}`);
    this.since = body.next_batch;
    return body;
  }

  async createRoom(): Promise<string> {
    return (await this.ask<{ room_id: string }>('POST', '/createRoom', { preset: 'public_chat' })).room_id;
  }
}
