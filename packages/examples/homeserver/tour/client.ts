// A Matrix client, as small as the tour needs it: real HTTP against the homeserver's own address.

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly ms: number;
}

export class Client {
  readonly userId: string;
  readonly #url: string;
  readonly #token: string;
  static #transaction = 0;

  private constructor(url: string, userId: string, token: string) {
    this.#url = url;
    this.userId = userId;
    this.#token = token;
  }

  /** Registers a user and logs in. Throws with the answer when the homeserver refuses. */
  static async register(url: string, username: string): Promise<Client> {
    const answer = await Client.tryRegister(url, username);
    if (answer.status !== 200) throw new Error(`${username}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return new Client(url, String(answer.body.user_id), String(answer.body.access_token));
  }

  /** With interactive authentication: the first request is answered with a session, the second completes it. */
  static async tryRegister(url: string, username: string): Promise<Answer> {
    const path = '/_matrix/client/v3/register';
    const wanted = { username, password: `the password of ${username}` };
    const challenge = await exchange(url, 'POST', path, wanted);
    if (challenge.status !== 401) return challenge;
    return exchange(url, 'POST', path, {
      ...wanted,
      auth: { type: 'm.login.dummy', session: challenge.body.session },
    });
  }

  get(path: string): Promise<Answer> {
    return exchange(this.#url, 'GET', path, undefined, this.#token);
  }

  post(path: string, body: object = {}): Promise<Answer> {
    return exchange(this.#url, 'POST', path, body, this.#token);
  }

  put(path: string, body: object): Promise<Answer> {
    return exchange(this.#url, 'PUT', path, body, this.#token);
  }

  createRoom(options: object = {}): Promise<Answer> {
    return this.post('/_matrix/client/v3/createRoom', options);
  }

  say(roomId: string, body: string): Promise<Answer> {
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/t${++Client.#transaction}`;
    return this.put(path, { msgtype: 'm.text', body });
  }

  invite(roomId: string, userId: string): Promise<Answer> {
    return this.post(`/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: userId });
  }

  join(roomId: string): Promise<Answer> {
    return this.post(`/_matrix/client/v3/join/${encodeURIComponent(roomId)}`);
  }

  setState(roomId: string, type: string, content: object): Promise<Answer> {
    return this.put(`/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/${type}/`, content);
  }

  /** The bodies of a room's messages, oldest first. */
  async messages(roomId: string): Promise<readonly string[]> {
    const { body } = await this.get(`/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=50`);
    const events = body.chunk as { type: string; content: { body?: string } }[];
    return events
      .filter(({ type }) => type === 'm.room.message')
      .map(({ content }) => content.body ?? '')
      .reverse();
  }
}

export async function exchange(
  url: string,
  method: string,
  path: string,
  body?: object,
  token?: string,
): Promise<Answer> {
  const startedAt = performance.now();
  const response = await fetch(new URL(path, url), {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const json = (await response.json()) as Record<string, unknown>;
  return { status: response.status, body: json, ms: performance.now() - startedAt };
}
