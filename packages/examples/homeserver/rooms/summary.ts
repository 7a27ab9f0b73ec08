// What a room looks like to those who think of entering: in the public directory, and on its own ("Room summaries").

import { notFound } from '../errors.js';
import type { Content } from './event.js';
import type { EventStore } from './events.js';
import { allowedRooms, isInOneOf } from './restricted-join.js';
import { NOBODY } from './rows.js';
import { membershipIn } from './state.js';

/** A room as the directory shows it. */
export interface PublicRoom {
  readonly room_id: string;
  readonly num_joined_members: number;
  readonly world_readable: boolean;
  readonly guest_can_join: boolean;
  readonly name?: string;
  readonly topic?: string;
  readonly canonical_alias?: string;
  readonly avatar_url?: string;
  readonly join_rule?: string;
  readonly room_type?: string;
}

export interface RoomSummary extends PublicRoom {
  readonly room_version?: string;
  readonly encryption?: string;
  readonly allowed_room_ids?: readonly string[];
  /** The viewer's; absent for who did not say who he is. */
  readonly membership?: string;
}

/** @throws MatrixError 404 for a room that does not exist, or that is not for the viewer to see */
export async function summarise(events: EventStore, roomId: string, viewer: string): Promise<RoomSummary> {
  const state = events.state(roomId, viewer);
  const types = [...Object.keys(SHOWN), 'm.room.encryption'];
  const found = await state.getAll(types.map((type) => [type, ''] as const));
  const contentOf = (type: string): Content => found.find((event) => event.type === type)?.content ?? {};
  if (!found.some(({ type }) => type === 'm.room.create')) throw notFound('Room not found');

  const isKnown = viewer !== NOBODY;
  const membership = (isKnown ? await membershipIn(state, viewer) : undefined) ?? 'leave';
  const rules = contentOf('m.room.join_rules');
  const allowed = allowedRooms(rules);
  const entry: PublicRoom = Object.assign(
    { ...blankEntry(roomId), num_joined_members: await events.countMembers(roomId, viewer) },
    ...found.map(({ type, content }) => SHOWN[type]?.(content)),
  );
  const isOpen = entry.world_readable || OPEN.has(rules.join_rule) || INSIDE.has(membership);
  if (!isOpen && !(isKnown && (await isInOneOf(events, viewer, allowed)))) throw notFound('Room not found');
  return {
    ...entry,
    ...text('room_version', contentOf('m.room.create').room_version),
    ...text('encryption', contentOf('m.room.encryption').algorithm),
    ...(allowed.length > 0 ? { allowed_room_ids: allowed } : {}),
    ...(isKnown ? { membership } : {}),
  };
}

const OPEN: ReadonlySet<unknown> = new Set(['public', 'knock', 'knock_restricted']);
const INSIDE: ReadonlySet<string> = new Set(['join', 'invite', 'knock']);

export const blankEntry = (roomId: string): PublicRoom => ({
  room_id: roomId,
  num_joined_members: 0,
  world_readable: false,
  guest_can_join: false,
});

const text = (key: keyof RoomSummary, value: unknown) =>
  typeof value === 'string' && value !== '' ? { [key]: value } : {};

/** What each state event adds to a room's entry. */
export const SHOWN: Readonly<Record<string, (content: Content) => Partial<PublicRoom>>> = {
  'm.room.create': ({ type }) => text('room_type', type),
  'm.room.name': ({ name }) => text('name', name),
  'm.room.topic': ({ topic }) => text('topic', topic),
  'm.room.canonical_alias': ({ alias }) => text('canonical_alias', alias),
  'm.room.avatar': ({ url }) => text('avatar_url', url),
  'm.room.join_rules': ({ join_rule }) => text('join_rule', join_rule),
  'm.room.history_visibility': ({ history_visibility }) => ({
    world_readable: history_visibility === 'world_readable',
  }),
  'm.room.guest_access': ({ guest_access }) => ({ guest_can_join: guest_access === 'can_join' }),
};
