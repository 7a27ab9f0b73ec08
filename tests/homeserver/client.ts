// A small typed Matrix client for tests: one method an endpoint, over real HTTP. What the server refuses throws a Refusal.

export type Json = Record<string, unknown>;

export class Refusal extends Error {
  readonly status: number;
  readonly errcode: string;
  readonly body: Json;

  constructor(request: string, status: number, body: Json) {
    super(`${request}: ${status} ${String(body.errcode)} ${String(body.error)}`);
    this.status = status;
    this.errcode = String(body.errcode);
    this.body = body;
  }
}

export interface ClientEvent {
  readonly type: string;
  readonly event_id: string;
  readonly sender: string;
  readonly content: Json;
  readonly state_key?: string;
  readonly redacts?: string;
  readonly origin_server_ts: number;
  readonly unsigned?: {
    readonly transaction_id?: string;
    readonly prev_content?: Json;
    readonly redacted_because?: ClientEvent;
  };
}

export interface RoomSync {
  readonly timeline: {
    readonly events: readonly ClientEvent[];
    readonly limited: boolean;
    readonly prev_batch: string;
  };
  readonly state: { readonly events: readonly ClientEvent[] };
  readonly ephemeral: { readonly events: readonly Stateless[] };
  readonly account_data: { readonly events: readonly Stateless[] };
  readonly summary?: Json;
  readonly unread_notifications?: { readonly notification_count: number; readonly highlight_count: number };
}

/** Account data, receipts, typing, messages to devices. */
export interface Stateless {
  readonly type: string;
  readonly content: Json;
  readonly sender?: string;
}

export interface PresenceEvent {
  readonly type: 'm.presence';
  readonly sender: string;
  readonly content: { readonly presence: string; readonly status_msg?: string };
}

export interface SyncBody {
  readonly next_batch: string;
  readonly rooms: {
    readonly join: Readonly<Record<string, RoomSync>>;
    readonly invite: Readonly<Record<string, { readonly invite_state: { readonly events: readonly ClientEvent[] } }>>;
    readonly knock: Readonly<Record<string, { readonly knock_state: { readonly events: readonly ClientEvent[] } }>>;
    readonly leave: Readonly<Record<string, RoomSync>>;
  };
  readonly presence: { readonly events: readonly PresenceEvent[] };
  readonly account_data: { readonly events: readonly Stateless[] };
  readonly to_device: { readonly events: readonly Stateless[] };
  readonly device_lists: { readonly changed: readonly string[]; readonly left: readonly string[] };
  readonly device_one_time_keys_count: Readonly<Record<string, number>>;
  readonly device_unused_fallback_key_types: readonly string[];
}

export interface MessagesBody {
  readonly chunk: readonly ClientEvent[];
  readonly start: string;
  readonly end?: string;
  readonly state?: readonly ClientEvent[];
}

export interface ContextBody {
  readonly start: string;
  readonly end: string;
  readonly event: ClientEvent;
  readonly events_before: readonly ClientEvent[];
  readonly events_after: readonly ClientEvent[];
  readonly state: readonly ClientEvent[];
}

export interface RelationsBody {
  readonly chunk: readonly ClientEvent[];
  readonly next_batch?: string;
  readonly prev_batch?: string;
  readonly recursion_depth?: number;
}

export interface SearchBody {
  readonly count: number;
  readonly highlights: readonly string[];
  readonly results: readonly {
    readonly rank: number;
    readonly result: ClientEvent;
    readonly context?: {
      readonly start: string;
      readonly end: string;
      readonly events_before: readonly ClientEvent[];
      readonly events_after: readonly ClientEvent[];
      readonly profile_info?: Json;
    };
  }[];
  readonly groups?: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  readonly state?: Readonly<Record<string, readonly ClientEvent[]>>;
  readonly next_batch?: string;
}

type Body = NonNullable<RequestInit['body']>;

export interface Options {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

const CLIENT = '/_matrix/client/v3';
const e = encodeURIComponent;

export class Client {
  readonly url: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly accessToken: string | undefined;
  /** The last sync's `next_batch`. */
  since: string | undefined;
  readonly #session = Math.random().toString(36).slice(2);
  #transactions = 0;

  constructor(url: string, login: { userId?: string; deviceId?: string; accessToken?: string } = {}) {
    this.url = url;
    this.userId = login.userId ?? '';
    this.deviceId = login.deviceId ?? '';
    this.accessToken = login.accessToken;
  }

  /** Registers in one go, with the interactive authentication's second request only. */
  static async register(url: string, username: string, password = `${username}s password`): Promise<Client> {
    const body = { username, password, auth: { type: 'm.login.dummy' } };
    return Client.#loggedIn(url, await new Client(url).post(`${CLIENT}/register`, body));
  }

  static async login(url: string, user: string, password = `${user}s password`, more: Json = {}): Promise<Client> {
    const identifier = { type: 'm.id.user', user };
    const body = { type: 'm.login.password', identifier, password, ...more };
    return Client.#loggedIn(url, await new Client(url).post(`${CLIENT}/login`, body));
  }

  static #loggedIn(url: string, body: Json): Client {
    return new Client(url, {
      userId: String(body.user_id),
      deviceId: String(body.device_id),
      accessToken: String(body.access_token),
    });
  }

  // Any request

  /** The answer as it is, whatever its status. */
  fetch(method: string, path: string, body?: Body, { query = {}, headers, signal }: Options = {}) {
    const url = new URL(path, this.url);
    for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value));
    const authorization = this.accessToken === undefined ? {} : { authorization: `Bearer ${this.accessToken}` };
    return fetch(url, {
      method,
      headers: { ...authorization, ...headers },
      ...(body === undefined ? {} : { body }),
      ...(signal ? { signal } : {}),
    });
  }

  /** The JSON of a 2xx answer. */
  async request<T = Json>(method: string, path: string, body?: unknown, options: Options = {}): Promise<T> {
    const json = body === undefined ? undefined : JSON.stringify(body);
    const response = await this.fetch(method, path, json, {
      ...options,
      headers: { 'content-type': 'application/json', ...options.headers },
    });
    const text = await response.text();
    if (response.ok) return JSON.parse(text) as T;
    throw new Refusal(`${method} ${path}`, response.status, parsed(text));
  }

  get = <T = Json>(path: string, query?: Options['query']) =>
    this.request<T>('GET', path, undefined, query ? { query } : {});
  post = <T = Json>(path: string, body: unknown = {}) => this.request<T>('POST', path, body);
  put = <T = Json>(path: string, body: unknown = {}) => this.request<T>('PUT', path, body);
  delete = <T = Json>(path: string) => this.request<T>('DELETE', path);

  // Account

  whoami = () => this.get(`${CLIENT}/account/whoami`);
  logout = () => this.post(`${CLIENT}/logout`);
  logoutAll = () => this.post(`${CLIENT}/logout/all`);
  profile = (userId = this.userId) => this.get(`${CLIENT}/profile/${e(userId)}`);
  setDisplayName = (displayname: string | null) =>
    this.put(`${CLIENT}/profile/${e(this.userId)}/displayname`, { displayname });
  setAvatarUrl = (avatar_url: string | null) =>
    this.put(`${CLIENT}/profile/${e(this.userId)}/avatar_url`, { avatar_url });
  searchUsers = (search_term: string, limit?: number) =>
    this.post<{ limited: boolean; results: { user_id: string; display_name?: string; avatar_url?: string }[] }>(
      `${CLIENT}/user_directory/search`,
      { search_term, limit },
    );

  // Rooms

  async createRoom(body: Json = {}): Promise<string> {
    return (await this.post<{ room_id: string }>(`${CLIENT}/createRoom`, body)).room_id;
  }
  async join(roomIdOrAlias: string): Promise<string> {
    return (await this.post<{ room_id: string }>(`${CLIENT}/join/${e(roomIdOrAlias)}`)).room_id;
  }
  async knock(roomIdOrAlias: string, reason?: string): Promise<string> {
    return (await this.post<{ room_id: string }>(`${CLIENT}/knock/${e(roomIdOrAlias)}`, { reason })).room_id;
  }
  async upgrade(roomId: string, new_version = '11'): Promise<string> {
    const path = `${CLIENT}/rooms/${e(roomId)}/upgrade`;
    return (await this.post<{ replacement_room: string }>(path, { new_version })).replacement_room;
  }
  summary = (roomIdOrAlias: string) => this.get(`/_matrix/client/v1/room_summary/${e(roomIdOrAlias)}`);
  joinedRooms = () => this.get<{ joined_rooms: string[] }>(`${CLIENT}/joined_rooms`);
  joinedMembers = (roomId: string) => this.get<{ joined: Json }>(`${CLIENT}/rooms/${e(roomId)}/joined_members`);
  leave = (roomId: string) => this.post(`${CLIENT}/rooms/${e(roomId)}/leave`);
  forget = (roomId: string) => this.post(`${CLIENT}/rooms/${e(roomId)}/forget`);
  invite = (roomId: string, user_id: string) => this.post(`${CLIENT}/rooms/${e(roomId)}/invite`, { user_id });
  kick = (roomId: string, user_id: string, reason?: string) =>
    this.post(`${CLIENT}/rooms/${e(roomId)}/kick`, { user_id, reason });
  ban = (roomId: string, user_id: string, reason?: string) =>
    this.post(`${CLIENT}/rooms/${e(roomId)}/ban`, { user_id, reason });
  unban = (roomId: string, user_id: string) => this.post(`${CLIENT}/rooms/${e(roomId)}/unban`, { user_id });

  /** @returns the event's id, as for all that follow */
  async send(roomId: string, type: string, content: Json, transactionId = this.transactionId()): Promise<string> {
    return (await this.put<Sent>(`${CLIENT}/rooms/${e(roomId)}/send/${e(type)}/${e(transactionId)}`, content)).event_id;
  }
  say = (roomId: string, body: string) => this.send(roomId, 'm.room.message', { msgtype: 'm.text', body });
  async setState(roomId: string, type: string, content: Json, stateKey = ''): Promise<string> {
    const path = `${CLIENT}/rooms/${e(roomId)}/state/${e(type)}/${e(stateKey)}`;
    return (await this.put<Sent>(path, content)).event_id;
  }
  async redact(roomId: string, eventId: string, reason?: string): Promise<string> {
    const path = `${CLIENT}/rooms/${e(roomId)}/redact/${e(eventId)}/${this.transactionId()}`;
    return (await this.put<Sent>(path, { reason })).event_id;
  }
  /** @param category `room_events` of the request @returns that of the answer */
  async search(category: Json, next_batch?: string): Promise<SearchBody> {
    const body = { search_categories: { room_events: category } };
    const answer = await this.request<Json>('POST', `${CLIENT}/search`, body, { query: { next_batch } });
    return (answer.search_categories as { room_events: SearchBody }).room_events;
  }
  /** Unique among all clients of a device, as the specification asks. */
  transactionId = () => `${this.#session}.${++this.#transactions}`;

  state = (roomId: string) => this.get<ClientEvent[]>(`${CLIENT}/rooms/${e(roomId)}/state`);
  getState = (roomId: string, type: string, stateKey = '') =>
    this.get(`${CLIENT}/rooms/${e(roomId)}/state/${e(type)}/${e(stateKey)}`);
  messages = (roomId: string, query: Options['query'] = { dir: 'b', limit: 100 }) =>
    this.get<MessagesBody>(`${CLIENT}/rooms/${e(roomId)}/messages`, query);
  members = (roomId: string, query?: Options['query']) =>
    this.get<{ chunk: ClientEvent[] }>(`${CLIENT}/rooms/${e(roomId)}/members`, query);

  event = (roomId: string, eventId: string) =>
    this.get<ClientEvent>(`${CLIENT}/rooms/${e(roomId)}/event/${e(eventId)}`);
  context = (roomId: string, eventId: string, limit?: number) =>
    this.get<ContextBody>(`${CLIENT}/rooms/${e(roomId)}/context/${e(eventId)}`, { limit });
  /** @param kind a relation type, and an event type behind it */
  relations = (roomId: string, eventId: string, kind: readonly string[] = [], query?: Options['query']) =>
    this.get<RelationsBody>(
      ['/_matrix/client/v1/rooms', e(roomId), 'relations', e(eventId), ...kind.map(e)].join('/'),
      query,
    );

  // Directory

  resolve = (alias: string) => this.get<{ room_id: string; servers: string[] }>(`${CLIENT}/directory/room/${e(alias)}`);
  createAlias = (alias: string, room_id: string) => this.put(`${CLIENT}/directory/room/${e(alias)}`, { room_id });
  deleteAlias = (alias: string) => this.delete(`${CLIENT}/directory/room/${e(alias)}`);
  publish = (roomId: string, visibility: 'public' | 'private' = 'public') =>
    this.put(`${CLIENT}/directory/list/room/${e(roomId)}`, { visibility });
  publicRooms = (body: Json = {}) =>
    this.post<{
      chunk: { room_id: string; name?: string; topic?: string; num_joined_members: number }[];
      total_room_count_estimate: number;
      next_batch?: string;
      prev_batch?: string;
    }>(`${CLIENT}/publicRooms`, body);

  // Presence, media

  presence = (userId: string) => this.get(`${CLIENT}/presence/${e(userId)}/status`);
  setPresence = (presence: string, status_msg?: string) =>
    this.put(`${CLIENT}/presence/${e(this.userId)}/status`, { presence, status_msg });

  async upload(body: Body, contentType = 'text/plain', filename?: string): Promise<string> {
    const headers = { 'content-type': contentType };
    const response = await this.fetch('POST', '/_matrix/media/v3/upload', body, { headers, query: { filename } });
    const answer = (await response.json()) as Json;
    if (!response.ok) throw new Refusal('POST upload', response.status, answer);
    return String(answer.content_uri);
  }
  download = (mxc: string) => this.fetch('GET', `/_matrix/client/v1/media/download/${mxc.slice('mxc://'.length)}`);

  // Sync

  /** From the last sync on, or from the beginning for the first. */
  async sync(query: Options['query'] = {}, signal?: AbortSignal): Promise<SyncBody> {
    const options = { query: { since: this.since, ...query }, ...(signal ? { signal } : {}) };
    const body = await this.request<SyncBody>('GET', `${CLIENT}/sync`, undefined, options);
    this.since = body.next_batch;
    return body;
  }
}

interface Sent {
  readonly event_id: string;
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return { error: text };
  }
}

/** What a sync tells of a room that the user is in. */
export function joinedRoom({ rooms }: SyncBody, roomId: string): RoomSync {
  const room = rooms.join[roomId];
  if (!room) throw new Error(`The sync tells nothing of ${roomId}`);
  return room;
}

/** Bodies of the messages among events, in their order. */
export const bodies = (events: readonly ClientEvent[] = []) =>
  events.filter(({ type }) => type === 'm.room.message').map(({ content }) => content.body);
