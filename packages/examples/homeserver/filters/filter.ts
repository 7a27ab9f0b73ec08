// What a client wants to see (client-server API, "Filtering"): a filter as clients write it, and as the server asks it.

import { and, not, type SQL } from 'drizzle-orm';
import * as v from 'valibot';
import { objectOf } from '../http/body.js';
import type { Columns } from '../rooms/events.js';
import { isAny, matchesAny, matchesGlob } from './glob.js';

const Strings = v.optional(v.pipe(v.array(v.string()), v.maxLength(1000)));

const eventKeys = {
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  types: Strings,
  not_types: Strings,
  senders: Strings,
  not_senders: Strings,
};

const roomEventKeys = {
  ...eventKeys,
  rooms: Strings,
  not_rooms: Strings,
  lazy_load_members: v.optional(v.boolean()),
  include_redundant_members: v.optional(v.boolean()),
  contains_url: v.optional(v.boolean()),
  unread_thread_notifications: v.optional(v.boolean()),
};

const object = <const S extends v.GenericSchema>(schema: S) => v.optional(objectOf(schema));

export const RoomEventFilterBody = v.object(roomEventKeys);
type RoomEventFilterBody = v.InferOutput<typeof RoomEventFilterBody>;

export const FilterBody = v.object({
  event_fields: Strings,
  event_format: v.optional(v.picklist(['client', 'federation'])),
  presence: object(v.object(eventKeys)),
  account_data: object(v.object(eventKeys)),
  room: object(
    v.object({
      rooms: Strings,
      not_rooms: Strings,
      include_leave: v.optional(v.boolean()),
      ephemeral: object(RoomEventFilterBody),
      state: object(RoomEventFilterBody),
      timeline: object(RoomEventFilterBody),
      account_data: object(RoomEventFilterBody),
    }),
  ),
});
export type FilterBody = v.InferOutput<typeof FilterBody>;

/** Lets some events pass. */
export class EventFilter {
  readonly limit: number | undefined;
  readonly lazyLoadMembers: boolean;
  readonly #body: RoomEventFilterBody;

  constructor(body: RoomEventFilterBody = {}) {
    this.#body = body;
    this.limit = body.limit;
    this.lazyLoadMembers = body.lazy_load_members ?? false;
  }

  /** Whether there is any event that it does not let pass. */
  get restricts(): boolean {
    const { types, not_types, senders, not_senders, rooms, not_rooms, contains_url } = this.#body;
    return [types, not_types, senders, not_senders, rooms, not_rooms, contains_url].some((key) => key !== undefined);
  }

  includesRoom(roomId: string): boolean {
    return listed(this.#body, roomId);
  }

  /** What can be said of an event of such a room before it is read: nothing passes that does not meet it. */
  condition({ type, sender }: Columns): SQL | undefined {
    const { types, not_types, senders, not_senders } = this.#body;
    return and(
      types && matchesAny(type, types),
      not_types && not(matchesAny(type, not_types)),
      senders && isAny(sender, senders),
      not_senders && not(isAny(sender, not_senders)),
    );
  }

  /** @param event events without a sender, such as account data, are nobody's */
  passes(
    event: { readonly type?: unknown; readonly sender?: unknown; readonly content?: unknown },
    roomId?: string,
  ): boolean {
    const { types, not_types, senders, not_senders, contains_url } = this.#body;
    const type = String(event.type);
    if (types && !types.some((pattern) => matchesGlob(pattern, type))) return false;
    if (not_types?.some((pattern) => matchesGlob(pattern, type))) return false;
    if (typeof event.sender === 'string') {
      if (senders && !senders.includes(event.sender)) return false;
      if (not_senders?.includes(event.sender)) return false;
    }
    if (roomId !== undefined && !this.includesRoom(roomId)) return false;
    if (contains_url === undefined) return true;
    const { content } = event;
    return (typeof content === 'object' && content !== null && 'url' in content) === contains_url;
  }
}

export class Filter {
  readonly presence: EventFilter;
  readonly accountData: EventFilter;
  readonly timeline: EventFilter;
  readonly state: EventFilter;
  readonly ephemeral: EventFilter;
  readonly roomAccountData: EventFilter;
  readonly includeLeave: boolean;
  readonly #body: FilterBody;
  readonly #fields: readonly (readonly string[])[] | undefined;

  constructor(body: FilterBody = {}) {
    const { room = {} } = body;
    this.#body = body;
    this.#fields = body.event_fields?.map(propertyPath);
    this.presence = new EventFilter(body.presence);
    this.accountData = new EventFilter(body.account_data);
    this.timeline = new EventFilter(room.timeline);
    this.state = new EventFilter(room.state);
    this.ephemeral = new EventFilter(room.ephemeral);
    this.roomAccountData = new EventFilter(room.account_data);
    this.includeLeave = room.include_leave ?? false;
  }

  /** Either of the two places where clients ask for it. */
  get lazyLoadMembers(): boolean {
    return this.state.lazyLoadMembers || this.timeline.lazyLoadMembers;
  }

  includesRoom(roomId: string): boolean {
    return listed(this.#body.room ?? {}, roomId);
  }

  /** The fields of an event that the client asked for. */
  fieldsOf(event: Readonly<Record<string, unknown>>): Record<string, unknown> {
    if (!this.#fields) return event;
    const picked: Record<string, unknown> = {};
    for (const path of this.#fields) pick(event, path, picked);
    return picked;
  }
}

interface RoomLists {
  readonly rooms?: readonly string[] | undefined;
  readonly not_rooms?: readonly string[] | undefined;
}

const listed = ({ rooms, not_rooms }: RoomLists, roomId: string) =>
  (rooms === undefined || rooms.includes(roomId)) && !not_rooms?.includes(roomId);

/** Dots separate; `\.` is a dot and `\\` a backslash (appendices, "Dot-separated property paths"). */
export const propertyPath = (path: string): readonly string[] =>
  (path.match(/(?:\\[\\.]|[^.])+/g) ?? []).map((part) => part.replace(/\\([\\.])/g, '$1'));

function pick(from: Readonly<Record<string, unknown>>, path: readonly string[], to: Record<string, unknown>): void {
  const [key, ...rest] = path;
  if (key === undefined || !Object.hasOwn(from, key)) return;
  const value = from[key];
  if (rest.length === 0) define(to, key, value);
  else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    if (!Object.hasOwn(to, key)) define(to, key, {});
    // A whole object that another path picked is not to be written into.
    const inner = to[key];
    if (inner !== value) pick(value as Record<string, unknown>, rest, inner as Record<string, unknown>);
  }
}

/** `__proto__` among the keys is a key like any other. */
const define = (object: Record<string, unknown>, key: string, value: unknown) =>
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
