// The other shapes that callbacks carry. Data that Matrix defines keeps its wire names; what is ours is camelCase.

import * as v from 'valibot';
import { ServerName, UserId } from './ids.js';

const timestamp = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const Requester = v.strictObject({
  userId: UserId,
  deviceId: v.optional(v.string()),
  isGuest: v.boolean(),
  appserviceId: v.optional(v.string()),
  shadowBanned: v.boolean(),
  authenticatedEntity: v.string(),
});
/** Who asks, without any token. */
export type Requester = Readonly<v.InferOutput<typeof Requester>>;

export const FileInfo = v.strictObject({
  serverName: v.optional(ServerName),
  fileId: v.string(),
  urlCache: v.boolean(),
  thumbnail: v.optional(
    v.strictObject({
      width: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
      height: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
      method: v.picklist(['crop', 'scale']),
      type: v.string(),
    }),
  ),
});
/** Where a file came from. `serverName` is absent for local files; sizes are in pixels. */
export type FileInfo = Readonly<v.InferOutput<typeof FileInfo>>;

export const UserPresenceState = v.strictObject({
  user_id: UserId,
  state: v.picklist(['online', 'offline', 'unavailable', 'busy', 'org.matrix.msc3026.busy']),
  last_active_ts: timestamp,
  last_federation_update_ts: timestamp,
  last_user_sync_ts: timestamp,
  status_msg: v.optional(v.nullable(v.string())),
  currently_active: v.boolean(),
});
/** One user's presence; times are milliseconds since the epoch. */
export type UserPresenceState = Readonly<v.InferOutput<typeof UserPresenceState>>;

export const EmailThreepid = v.strictObject({
  medium: v.literal('email'),
  address: v.string(),
  validated_at: v.optional(timestamp),
});
export type EmailThreepid = Readonly<v.InferOutput<typeof EmailThreepid>>;

export const UserProfile = v.strictObject({
  user_id: UserId,
  display_name: v.nullable(v.string()),
  avatar_url: v.nullable(v.string()),
});
/** A user as the user directory shows it. */
export type UserProfile = Readonly<v.InferOutput<typeof UserProfile>>;

export const RequestInfo = v.array(v.tuple([v.nullable(v.string()), v.string()]));
/** Pairs of user agent and IP address seen while registering. */
export type RequestInfo = readonly (readonly [userAgent: string | null, ip: string])[];

/** A file as a module sees it. Nothing crosses until it is read, and it can be read once in a call. */
export interface MediaFile {
  /** In bytes. */
  readonly size: number;
  read(): Promise<Uint8Array>;
  stream(): ReadableStream<Uint8Array>;
}

export const MediaSource = v.looseObject({
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  open: v.custom<() => unknown>((value) => typeof value === 'function', 'expected a method open'),
});
/** A file as the embedder hands it over; `open` is called once for each module that reads, never if nobody does. */
export interface MediaSource {
  /** In bytes. */
  readonly size: number;
  open():
    | ReadableStream<Uint8Array>
    | AsyncIterable<Uint8Array>
    | Promise<ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>>;
}

/** What getInterestedUsers answers for "everybody on this server". */
export const PRESENCE_ALL_USERS = 'ALL';
