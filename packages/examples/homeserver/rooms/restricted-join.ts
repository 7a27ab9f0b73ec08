// Restricted rooms let in who is in one of certain other rooms ("Restricted rooms"). The server that knows so vouches for
// it in the name of a member who may invite.

import { serverNameOf } from '@bulkhead/sdk/contract';
import { type Content, type EventDraft, membershipOf } from './event.js';
import type { EventStore } from './events.js';
import { PowerLevels, record } from './power-levels.js';
import { membershipIn, type StateView } from './state.js';

const RESTRICTED: ReadonlySet<unknown> = new Set(['restricted', 'knock_restricted']);

/** The member in whose name a user may join; `undefined` when he needs none, or there is none. */
export async function voucherFor(
  events: EventStore,
  draft: EventDraft,
  server = serverNameOf(draft.sender) ?? '',
): Promise<string | undefined> {
  const { room_id: roomId, sender, state_key: target, content } = draft;
  if (content.membership !== 'join' || target !== sender) return undefined;
  const state = events.state(roomId, sender);
  const rules = await state.get('m.room.join_rules', '');
  if (!rules || !RESTRICTED.has(rules.content.join_rule)) return undefined;
  const membership = await membershipIn(state, sender);
  if (membership === 'join' || membership === 'invite' || membership === 'ban') return undefined;
  return (await isInOneOf(events, sender, allowedRooms(rules.content)))
    ? inviter(events, state, draft, server)
    : undefined;
}

/** The rooms whose members may join by a join rule that admits those of others. */
export function allowedRooms({ join_rule, allow }: Content): readonly string[] {
  if (!RESTRICTED.has(join_rule) || !Array.isArray(allow)) return [];
  const conditions = allow.map(record).filter(({ type }) => type === 'm.room_membership');
  return conditions.map(({ room_id }) => room_id).filter((roomId) => typeof roomId === 'string');
}

export async function isInOneOf(events: EventStore, userId: string, roomIds: readonly string[]): Promise<boolean> {
  if (roomIds.length === 0) return false;
  const joined = new Set(await events.joinedRooms(userId));
  return roomIds.some((roomId) => joined.has(roomId));
}

/** A member of the server who may invite: one who is named in the power levels, or anybody if anybody may. */
async function inviter(
  events: EventStore,
  state: StateView,
  draft: EventDraft,
  server: string,
): Promise<string | undefined> {
  const { room_id: roomId, sender } = draft;
  const create = await state.get('m.room.create', '');
  const levels = new PowerLevels(await state.get('m.room.power_levels', ''), create?.sender);
  const needed = levels.action('invite');
  const named = levels.named().filter((userId) => levels.user(userId) >= needed && serverNameOf(userId) === server);
  const members = await state.getAll(named.slice(0, MAX_ASKED).map((userId) => ['m.room.member', userId] as const));
  const present = members.find((member) => membershipOf(member) === 'join');
  if (present?.state_key !== undefined) return present.state_key;
  return levels.byDefault() >= needed ? events.anyMember(roomId, sender, server, levels.named()) : undefined;
}

const MAX_ASKED = 100;
