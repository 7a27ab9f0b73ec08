// Matrix events: the data as it crosses, and the object with helpers that a module is given.

import * as v from 'valibot';
import { atMostBytes, EventId, isEventId, isRoomId, isShort, isUserId, RoomId, UserId } from './ids.js';
import { isJsonObject, JsonObject } from './json.js';

/** An event's data under its wire names (Matrix specification, "Events"). */
export const EventData = v.looseObject({
  type: v.pipe(v.string(), atMostBytes(255)),
  room_id: RoomId,
  sender: UserId,
  content: JsonObject,
  state_key: v.optional(v.pipe(v.string(), atMostBytes(255))),
  event_id: v.optional(EventId),
  origin_server_ts: v.pipe(v.number(), v.safeInteger()),
  unsigned: v.optional(JsonObject),
  redacts: v.optional(EventId),
});

/** Fields that a schema leaves out of its copy. */
const NOT_COPIED = ['__proto__', 'prototype', 'constructor'];

/**
 * Whether the schema would take it as it is: a plain object whose fields fit. A schema makes a copy of each event that it
 * looks at, and this is asked for every call.
 */
export function isEventData(value: unknown): value is EventData {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
  const { type, room_id, sender, content, state_key, event_id, origin_server_ts, unsigned, redacts, toJSON } =
    value as Record<string, unknown>;
  return (
    toJSON === undefined &&
    !NOT_COPIED.some((name) => Object.hasOwn(value, name)) &&
    isShort(type) &&
    isRoomId(room_id) &&
    isUserId(sender) &&
    isJsonObject(content) &&
    (state_key === undefined || isShort(state_key)) &&
    (event_id === undefined || isEventId(event_id)) &&
    Number.isSafeInteger(origin_server_ts) &&
    (unsigned === undefined || isJsonObject(unsigned)) &&
    (redacts === undefined || isEventId(redacts))
  );
}

export interface EventData {
  readonly type: string;
  readonly room_id: string;
  readonly sender: string;
  readonly content: Readonly<Record<string, unknown>>;
  readonly state_key?: string | undefined;
  readonly event_id?: string | undefined;
  readonly origin_server_ts: number;
  readonly unsigned?: Readonly<Record<string, unknown>> | undefined;
  readonly redacts?: string | undefined;
  readonly [field: string]: unknown;
}

/** A copy of an event that is the module's own to change and to return as a replacement. */
export interface EventDict {
  type: string;
  room_id: string;
  sender: string;
  content: Record<string, unknown>;
  state_key?: string | undefined;
  origin_server_ts: number;
  [field: string]: unknown;
}

/** What a module sees of an event: its data, and three helpers. */
export interface MatrixEvent extends EventData {
  /** Whether the event carries a `state_key`. */
  isState(): boolean;
  /** `content.membership` of an `m.room.member` event, else `undefined`. */
  readonly membership: string | undefined;
  /** A deep copy of the data, to change and return from checkEventAllowed. */
  getDict(): EventDict;
}

/** The state of a room before an event. Nothing is copied into the cell until it is asked for. */
export interface StateMap {
  /** The state event of that type and state key (default: the empty one), or `undefined`. */
  get(type: string, stateKey?: string): Promise<MatrixEvent | undefined>;
  /** All state events of a type. */
  list(type: string): Promise<readonly MatrixEvent[]>;
  /** Every state event, fetched page by page. */
  entries(): AsyncIterable<MatrixEvent>;
}

/** What an embedder hands over instead of a copy of a room's state, pinned to the state before the event. */
export interface StateLookup {
  get(type: string, stateKey: string): EventData | undefined | Promise<EventData | undefined>;
  /** @param limit no more than so many are needed, where it is given */
  list(type: string, limit?: number): readonly EventData[] | Promise<readonly EventData[]>;
  entries(): Iterable<EventData> | AsyncIterable<EventData>;
}

const method = (name: string) =>
  v.custom<(...args: never[]) => unknown>((value) => typeof value === 'function', `expected a method ${name}`);

export const StateLookup = v.looseObject({ get: method('get'), list: method('list'), entries: method('entries') });
