// The part of a room's state that decides on an event (server-server API, "Auth events selection"), and what the rules
// read in it.

import { type Content, type EventDraft, membershipOf, type RoomEvent } from '../event.js';
import { PowerLevels, record } from '../power-levels.js';
import type { StateKey, StateView } from '../state.js';

/** Which state an event names as what allows it. */
export function authKeys({ type, sender, state_key: target, content }: EventDraft): readonly StateKey[] {
  if (type === 'm.room.create') return [];
  const keys: StateKey[] = [
    ['m.room.create', ''],
    ['m.room.power_levels', ''],
    ['m.room.member', sender],
  ];
  if (type !== 'm.room.member' || target === undefined) return keys;

  const { membership, join_authorised_via_users_server: authoriser } = content;
  if (target !== sender) keys.push(['m.room.member', target]);
  // Since knocking exists (room version 7) it depends on the join rules as well.
  if (membership === 'join' || membership === 'invite' || membership === 'knock') keys.push(['m.room.join_rules', '']);
  const token = inviteToken(content);
  if (membership === 'invite' && token !== undefined) keys.push(['m.room.third_party_invite', token]);
  if (typeof authoriser === 'string' && authoriser !== sender && authoriser !== target) {
    keys.push(['m.room.member', authoriser]);
  }
  return keys;
}

export const selectAuthEvents = (draft: EventDraft, state: StateView): Promise<readonly RoomEvent[]> =>
  state.getAll(authKeys(draft));

export function inviteToken({ third_party_invite }: Content): string | undefined {
  const { token } = record(record(third_party_invite).signed);
  return typeof token === 'string' ? token : undefined;
}

/** What the rules call the current state: power levels, memberships, the join rule. */
export class AuthState {
  readonly create: RoomEvent;
  readonly powerLevels: RoomEvent | undefined;
  readonly levels: PowerLevels;
  readonly #events: readonly RoomEvent[];

  constructor(create: RoomEvent, events: readonly RoomEvent[]) {
    this.#events = events;
    this.create = create;
    this.powerLevels = this.find('m.room.power_levels', '');
    this.levels = new PowerLevels(this.powerLevels, create.sender);
  }

  find(type: string, stateKey: string): RoomEvent | undefined {
    return this.#events.find((event) => event.type === type && event.state_key === stateKey);
  }

  membership(userId: string): string | undefined {
    const member = this.find('m.room.member', userId);
    return member && membershipOf(member);
  }

  get joinRule(): unknown {
    return this.find('m.room.join_rules', '')?.content.join_rule ?? 'invite';
  }
}
