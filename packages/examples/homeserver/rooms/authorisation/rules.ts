// The authorisation rules of room version 11, under the specification's numbers ("Authorization rules"). What no rule
// here rejects is allowed.

import { serverNameOf } from '@bulkhead/sdk/contract';
import { forbidden } from '../../errors.js';
import { ROOM_VERSION, type RoomEvent } from '../event.js';
import type { SignedEvent } from '../pdu.js';
import { keyOf } from '../state.js';
import { AuthState, authKeys } from './auth-events.js';
import { authoriseMember } from './membership.js';
import { authorisePowerLevels } from './power-levels.js';

/**
 * @param signed what is to be allowed; the signatures that it carries must be known to be valid
 * @param authEvents state events that none of these rules rejected (2.3): those that it names, or the same part of
 *   another state by which it is to be judged
 * @throws MatrixError 403 `M_FORBIDDEN` that says which rule the event breaks
 */
export function authorise(signed: SignedEvent, authEvents: readonly RoomEvent[]): void {
  const { event, envelope } = signed;

  // 1.
  if (event.type === 'm.room.create') {
    authoriseCreate(signed);
    return;
  }

  // 2.
  const state = stateOf(event, authEvents);
  const { levels } = state;

  // 3.
  const isForeign = serverNameOf(event.sender) !== serverNameOf(state.create.sender);
  if (state.create.content['m.federate'] === false && isForeign) {
    throw forbidden('The room is not open to other servers');
  }

  // 4.
  if (event.type === 'm.room.member') {
    authoriseMember(event, envelope, state);
    return;
  }

  // 5.
  if (state.membership(event.sender) !== 'join') throw forbidden('You are not in the room');

  // 6.
  const own = levels.user(event.sender);
  if (event.type === 'm.room.third_party_invite') {
    if (own < levels.action('invite')) throw forbidden('Your power level does not suffice to invite');
    return;
  }

  // 7.
  if (own < levels.event(event.type, event.state_key !== undefined)) {
    throw forbidden(`Your power level does not suffice to send ${event.type}`);
  }

  // 8. A key that is a user id belongs to that user: nobody else speaks under it.
  if (event.state_key?.startsWith('@') && event.state_key !== event.sender) {
    throw forbidden('The state key is the id of another user');
  }

  // 9.
  if (event.type === 'm.room.power_levels') authorisePowerLevels(event, state.powerLevels, own);
}

function authoriseCreate({ event, envelope }: SignedEvent): void {
  // 1.1
  if (envelope.prev_events.length > 0) throw forbidden('The room exists already');
  // 1.2
  if (serverNameOf(event.room_id) !== serverNameOf(event.sender)) throw forbidden('The room belongs to another server');
  // 1.3
  const { room_version: version = '1' } = event.content;
  if (version !== ROOM_VERSION) throw forbidden('The room version is not known here');
}

function stateOf(event: RoomEvent, authEvents: readonly RoomEvent[]): AuthState {
  const wanted = new Set(authKeys(event).map(([type, stateKey]) => keyOf(type, stateKey)));
  for (const { type, state_key: stateKey, room_id: roomId } of authEvents) {
    // 2.1, 2.2: each key may come once.
    if (stateKey === undefined || roomId !== event.room_id || !wanted.delete(keyOf(type, stateKey))) {
      throw forbidden(`${type} cannot be what allows the event`);
    }
  }
  // 2.4
  const create = authEvents.find(({ type }) => type === 'm.room.create');
  if (!create) throw forbidden('The room does not exist');
  return new AuthState(create, authEvents);
}
