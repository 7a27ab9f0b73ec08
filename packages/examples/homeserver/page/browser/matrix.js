// A Matrix client: the few endpoints of the client-server API that a chat needs.

const CLIENT = '/_matrix/client/v3';
const SYNC_MS = 30_000;
const LONGEST_PAUSE_MS = 10_000;

/** The homeserver's refusal, in its own words. */
export class MatrixError extends Error {
  /**
   * @param {number} status
   * @param {{ errcode?: unknown, error?: unknown, session?: unknown }} body
   */
  constructor(status, body) {
    super(typeof body.error === 'string' ? body.error : `The homeserver answered ${status}`);
    this.status = status;
    this.errcode = String(body.errcode ?? '');
    /** Of interactive authentication, which goes on in another request. */
    this.session = body.session;
  }
}

/**
 * @typedef {object} Session
 * @property {string} userId
 * @property {string} accessToken
 *
 * @typedef {object} RoomEvent
 * @property {string} type
 * @property {string} event_id
 * @property {string} sender
 * @property {string} [state_key]
 * @property {number} origin_server_ts
 * @property {Readonly<Record<string, unknown>>} content
 * @property {{ transaction_id?: string, prev_content?: Readonly<Record<string, unknown>> }} [unsigned]
 *
 * @typedef {object} RoomNews
 * @property {{ events: readonly RoomEvent[], limited: boolean }} timeline
 * @property {{ events: readonly RoomEvent[] }} state
 */

/**
 * Interactive authentication with the stage that asks for nothing: the first answer names a session, the second request ends it.
 * @param {string} username
 * @param {string} password
 */
export async function register(username, password) {
  const wanted = { username, password };
  try {
    return sessionOf(await request('POST', '/register', { body: wanted }));
  } catch (error) {
    if (!(error instanceof MatrixError && error.status === 401 && error.session)) throw error;
    const auth = { type: 'm.login.dummy', session: error.session };
    return sessionOf(await request('POST', '/register', { body: { ...wanted, auth } }));
  }
}

/**
 * @param {string} user
 * @param {string} password
 */
export async function login(user, password) {
  const identifier = { type: 'm.id.user', user };
  return sessionOf(await request('POST', '/login', { body: { type: 'm.login.password', identifier, password } }));
}

export class Client {
  /** @param {Session} session */
  constructor({ userId, accessToken }) {
    this.userId = userId;
    this.accessToken = accessToken;
  }

  logout = () => this.#request('POST', '/logout', { body: {} });

  /**
   * Into the first room that lets one in, which whoever comes first makes.
   * @param {readonly string[]} aliases to be tried in this order: one may be taken by a room that others do not see
   * @param {string} name what it is called then
   */
  async enter(aliases, name) {
    for (const alias of aliases) {
      // Somebody else may have made it between the first two.
      const join = () => unless('M_NOT_FOUND', this.#join(alias));
      const roomId = (await join()) ?? (await unless('M_ROOM_IN_USE', this.#create(alias, name))) ?? (await join());
      if (roomId !== undefined) return { roomId, alias };
    }
    throw new Error(`There is no way into ${aliases.join(', ')}`);
  }

  /**
   * @param {string} roomId
   * @param {string} body
   * @param {string} transactionId
   */
  async say(roomId, body, transactionId) {
    const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${encodeURIComponent(transactionId)}`;
    await this.#request('PUT', path, { body: { msgtype: 'm.text', body } });
  }

  /**
   * What happens in a room, from its last messages on.
   * @param {string} roomId
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<RoomNews>}
   * @throws MatrixError when the session is no longer good
   */
  async *news(roomId, signal) {
    /** @type {string | undefined} */
    let since;
    for (let failures = 0; !signal.aborted; ) {
      try {
        const query = new URLSearchParams(since === undefined ? {} : { since, timeout: String(SYNC_MS) });
        const body = await this.#request('GET', `/sync?${query}`, { signal });
        since = String(body.next_batch);
        failures = 0;
        const { join } = /** @type {{ join: Record<string, RoomNews> }} */ (body.rooms);
        const news = join[roomId];
        if (news) yield news;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof MatrixError && error.errcode === 'M_UNKNOWN_TOKEN') throw error;
        await pause(++failures, signal);
      }
    }
  }

  /** @param {string} alias */
  async #join(alias) {
    return String((await this.#request('POST', `/join/${encodeURIComponent(alias)}`, { body: {} })).room_id);
  }

  /**
   * @param {string} alias
   * @param {string} name
   */
  async #create(alias, name) {
    const [localpart] = alias.slice(1).split(':');
    const body = { room_alias_name: localpart, name, preset: 'public_chat' };
    return String((await this.#request('POST', '/createRoom', { body })).room_id);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ body?: object, signal?: AbortSignal }} options
   */
  #request(method, path, options) {
    return request(method, path, { ...options, token: this.accessToken });
  }
}

/**
 * What is promised; `undefined` when it is refused with that code.
 * @template T
 * @param {string} errcode
 * @param {Promise<T>} promise
 */
async function unless(errcode, promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof MatrixError && error.errcode === errcode) return undefined;
    throw error;
  }
}

/**
 * @param {number} failures so far
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function pause(failures, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.min(500 * 2 ** failures, LONGEST_PAUSE_MS));
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: object, token?: string, signal?: AbortSignal }} options
 * @returns {Promise<Record<string, unknown>>}
 */
async function request(method, path, { body, token, signal }) {
  const response = await fetch(CLIENT + path, {
    method,
    headers: {
      ...(body && { 'content-type': 'application/json' }),
      ...(token && { authorization: `Bearer ${token}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new MatrixError(response.status, answer);
}

/** @param {Record<string, unknown>} answer @returns {Session} */
const sessionOf = (answer) => ({ userId: String(answer.user_id), accessToken: String(answer.access_token) });
