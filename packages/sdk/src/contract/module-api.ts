// The second table: what a module may ask of the host. From it derive the interface that authors see, the adapter that a
// homeserver implements, the guard that checks every call, and the reference page.

import * as v from 'valibot';
import type { Callbacks } from './callbacks.js';
import { EventData, type MatrixEvent } from './event.js';
import { atMostBytes, EventId, RoomId, UserId } from './ids.js';
import { JsonObject } from './json.js';
import type { Scope } from './permissions.js';
import type { Awaitable } from './row.js';
import type { Requester } from './shapes.js';

const method = <
  const A extends readonly v.GenericSchema[],
  const R extends v.GenericSchema,
  const O extends 'homeserver' | 'runtime',
>(row: {
  readonly args: A;
  readonly result: R;
  readonly scope: Scope;
  readonly of: O;
  readonly doc: string;
}) => row;

export const Profile = v.strictObject({
  displayname: v.optional(v.nullable(v.string())),
  avatar_url: v.optional(v.nullable(v.string())),
});
export type Profile = Readonly<v.InferOutput<typeof Profile>>;

export const UserInfo = v.strictObject({
  userId: UserId,
  isAdmin: v.boolean(),
  isGuest: v.boolean(),
  isDeactivated: v.boolean(),
  isShadowBanned: v.boolean(),
  /** Milliseconds since the epoch. */
  creationTs: v.pipe(v.number(), v.safeInteger()),
  appserviceId: v.optional(v.string()),
});
export type UserInfo = Readonly<v.InferOutput<typeof UserInfo>>;

export const NewEvent = v.strictObject({
  type: v.pipe(v.string(), atMostBytes(255)),
  room_id: RoomId,
  sender: UserId,
  content: JsonObject,
  state_key: v.optional(v.pipe(v.string(), atMostBytes(255))),
});
/** An event to be sent; its sender must be a local user. */
export type NewEvent = Readonly<v.InferOutput<typeof NewEvent>>;

export const MembershipChange = v.strictObject({
  sender: UserId,
  target: UserId,
  roomId: RoomId,
  membership: v.picklist(['join', 'leave', 'invite', 'ban', 'knock']),
  content: v.optional(JsonObject),
  remoteHosts: v.optional(v.array(v.string())),
});
/** `sender` makes `target`'s membership so; the sender must be a local user. */
export type MembershipChange = Readonly<v.InferOutput<typeof MembershipChange>>;

/** Pairs of event type and state key; a key of `null` means all of that type. */
export const StateFilter = v.array(v.tuple([v.string(), v.nullable(v.string())]));
export type StateFilter = readonly (readonly [type: string, stateKey: string | null])[];

export const RequesterOptions = v.strictObject({
  allowGuest: v.optional(v.boolean()),
  allowExpired: v.optional(v.boolean()),
});
export type RequesterOptions = Readonly<v.InferOutput<typeof RequesterOptions>>;

const StorageKey = v.pipe(v.string(), v.minLength(1), atMostBytes(512));
const safeInteger = v.pipe(v.number(), v.safeInteger());
const StorageTtl = v.strictObject({ ttl: v.optional(v.pipe(safeInteger, v.minValue(1))) });
const StoragePage = v.strictObject({
  prefix: v.optional(v.string()),
  after: v.optional(v.string()),
  limit: v.optional(v.pipe(safeInteger, v.minValue(1), v.maxValue(1000))),
});

export const moduleApiMethods = {
  getProfile: method({
    args: [UserId],
    result: v.nullable(Profile),
    scope: 'users:read',
    of: 'homeserver',
    doc: "A local user's profile, or `null` when there is no such user.",
  }),
  getUserInfo: method({
    args: [UserId],
    result: v.nullable(UserInfo),
    scope: 'users:read',
    of: 'homeserver',
    doc: 'What the server knows of a local user, or `null` when there is none.',
  }),
  checkUserExists: method({
    args: [UserId],
    result: v.nullable(UserId),
    scope: 'users:read',
    of: 'homeserver',
    doc: 'The canonical user id of a local user, or `null` when there is none.',
  }),
  createAndSendEvent: method({
    args: [NewEvent],
    result: v.strictObject({ event_id: EventId }),
    scope: 'rooms:write',
    of: 'homeserver',
    doc: 'Sends an event into a room as a local user. It goes through every callback, those of the sending module included.',
  }),
  getRoomState: method({
    args: [RoomId, v.optional(v.nullable(StateFilter), null)],
    result: v.array(EventData),
    scope: 'rooms:read',
    of: 'homeserver',
    doc: 'The current state of a room, or the part of it that the filter names, as a RoomState.',
  }),
  updateRoomMembership: method({
    args: [MembershipChange],
    result: v.strictObject({ event_id: EventId }),
    scope: 'rooms:write',
    of: 'homeserver',
    doc: 'Changes a membership: join, invite, leave, kick or ban.',
  }),
  'storage.get': method({
    args: [StorageKey],
    result: v.unknown(),
    scope: 'none',
    of: 'runtime',
    doc: 'The value under a key, or `undefined`.',
  }),
  'storage.set': method({
    args: [StorageKey, v.unknown(), v.optional(StorageTtl, {})],
    result: v.null(),
    scope: 'none',
    of: 'runtime',
    doc: 'Stores a JSON value; `ttl` in milliseconds.',
  }),
  'storage.delete': method({
    args: [StorageKey],
    result: v.boolean(),
    scope: 'none',
    of: 'runtime',
    doc: 'Removes a key; whether there was one.',
  }),
  'storage.increment': method({
    args: [StorageKey, v.optional(safeInteger, 1), v.optional(StorageTtl, {})],
    result: v.number(),
    scope: 'none',
    of: 'runtime',
    doc: 'Adds to a number (absent: 0), atomically; returns the sum. A `ttl` counts from the first increment.',
  }),
  'storage.list': method({
    args: [v.optional(StoragePage, {})],
    result: v.strictObject({
      entries: v.array(v.tuple([v.string(), v.unknown()])),
      next: v.nullable(v.string()),
    }),
    scope: 'none',
    of: 'runtime',
    doc: 'Entries in order of their keys; pass `next` as `after` for the page behind (100 entries unless `limit` says more).',
  }),
};

export type ModuleApiTable = typeof moduleApiMethods;
export type ModuleApiMethod = keyof ModuleApiTable;

type Inputs<A extends readonly v.GenericSchema[]> = { [I in keyof A]: v.InferInput<A[I]> };
type Outputs<A extends readonly v.GenericSchema[]> = { [I in keyof A]: v.InferOutput<A[I]> };
type MethodArgs<K extends ModuleApiMethod> = Inputs<ModuleApiTable[K]['args']>;

/** The methods that a homeserver carries out. Each is optional; what it leaves out gives the module `NotSupported`. */
export type HomeserverMethods = {
  [K in ModuleApiMethod as ModuleApiTable[K]['of'] extends 'homeserver' ? K : never]?: (
    ...args: Outputs<ModuleApiTable[K]['args']>
  ) => Awaitable<v.InferOutput<ModuleApiTable[K]['result']>>;
};

/** Key-value storage of this module's own. It outlives restarts of the module and of the server. */
export interface ModuleStorage {
  get(...args: MethodArgs<'storage.get'>): Promise<unknown>;
  set(key: string, value: unknown, options?: { readonly ttl?: number }): Promise<void>;
  delete(...args: MethodArgs<'storage.delete'>): Promise<boolean>;
  increment(key: string, by?: number, options?: { readonly ttl?: number }): Promise<number>;
  list(page?: {
    readonly prefix?: string;
    readonly after?: string;
    readonly limit?: number;
  }): Promise<{ readonly entries: readonly (readonly [string, unknown])[]; readonly next: string | null }>;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Log lines of a module reach the host's logger with the module's id on them; their number is limited. */
export type ModuleLogger = {
  readonly [L in LogLevel]: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
};

/** Answers the requests of a path and everything below it: a function, or anything with a `fetch` such as a Hono app. */
export type WebResource =
  | ((request: Request) => Awaitable<Response>)
  | { fetch(request: Request): Awaitable<Response> };

/** A room's state as a module holds it after getRoomState: looked up without asking the host again. */
export interface RoomState {
  get(type: string, stateKey?: string): MatrixEvent | undefined;
  list(type: string): readonly MatrixEvent[];
  readonly size: number;
  [Symbol.iterator](): IterableIterator<MatrixEvent>;
}

/** What shall come with each call that has `stateEvents`, so that reading it asks nobody. */
export interface StateOptions {
  /** Types of state events, at most 20. A type of which a room has over 100 events or 64 KiB is left to be asked for. */
  readonly stateTypes?: readonly string[];
}

/** Everything that a module may ask of the homeserver. */
export interface ModuleApi {
  /** The entry's `id` in the configuration. */
  readonly moduleId: string;
  readonly serverName: string;
  readonly logger: ModuleLogger;
  readonly storage: ModuleStorage;

  /** Whether an id (`@…`, `#…`, `!…`) belongs to this server. */
  isMine(id: string): boolean;
  /** `alice` or `@alice:example.org` to `@alice:example.org`. */
  getQualifiedUserId(username: string): string;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Waits; rejects with the signal's reason if that fires first. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal }): Promise<void>;

  registerSpamCheckerCallbacks(callbacks: Callbacks<'spamChecker'>): void;
  registerAccountValidityCallbacks(callbacks: Callbacks<'accountValidity'>): void;
  registerThirdPartyRulesCallbacks(callbacks: Callbacks<'thirdPartyRules'>, options?: StateOptions): void;
  registerPresenceRouterCallbacks(callbacks: Callbacks<'presenceRouter'>): void;
  /** Answers everything at and below `path`, which is below `/_synapse/client` unless another is granted. */
  registerWebResource(path: string, resource: WebResource): void;

  getProfile(userId: string): Promise<Profile | null>;
  getUserInfo(userId: string): Promise<UserInfo | null>;
  checkUserExists(userId: string): Promise<string | null>;
  /** Who makes the web request that a resource is answering. Throws `ApiError` with the errcode for the client. */
  getUserByRequest(request: Request, options?: RequesterOptions): Promise<Requester>;
  createAndSendEvent(event: NewEvent): Promise<{ readonly event_id: string }>;
  getRoomState(roomId: string, filter?: StateFilter): Promise<RoomState>;
  updateRoomMembership(change: MembershipChange): Promise<{ readonly event_id: string }>;
}

/** What a homeserver puts behind the ModuleApi. Everything but the name is optional. */
export interface Homeserver extends HomeserverMethods {
  readonly serverName: string;
  /** Who makes this request, by its access token. Throw an error with `errcode` for "nobody". */
  getUserByRequest?(request: Request, options: RequesterOptions): Awaitable<Requester>;
}
