// Rule 4: who may join, invite, leave, ban and knock, and whom.

import { serverNameOf } from '@bulkhead/sdk/contract';
import { forbidden } from '../../errors.js';
import { isUserId } from '../../ids.js';
import { membershipOf, type RoomEvent } from '../event.js';
import type { Envelope } from '../pdu.js';
import type { AuthState } from './auth-events.js';
import { authoriseThirdPartyInvite } from './third-party-invite.js';

/** A m.room.member event, and what the rules say of the two whom it concerns. */
interface Change {
  readonly event: RoomEvent;
  readonly envelope: Envelope;
  readonly state: AuthState;
  readonly sender: string;
  readonly target: string;
  readonly isOwn: boolean;
  /** The sender's current membership, and the target's. */
  readonly senderIs: string | undefined;
  readonly targetIs: string | undefined;
}

export function authoriseMember(event: RoomEvent, envelope: Envelope, state: AuthState): void {
  const { sender, state_key: target } = event;
  const membership = membershipOf(event);

  // 4.1
  if (target === undefined || !isUserId(target)) throw forbidden('The state key of a membership is a user id');
  if (membership === undefined) throw forbidden('A m.room.member event has a membership');

  // 4.2
  const { join_authorised_via_users_server: authoriser } = event.content;
  if (authoriser !== undefined && !isSignedByServerOf(authoriser, envelope)) {
    throw forbidden('The server of the user who is to allow this join has not signed it');
  }

  const rule = RULES.get(membership);
  // 4.8
  if (!rule) throw forbidden('Unknown membership');
  const [senderIs, targetIs] = [state.membership(sender), state.membership(target)];
  rule({ event, envelope, state, sender, target, isOwn: sender === target, senderIs, targetIs });
}

/** 4.3 to 4.7 */
const RULES: ReadonlyMap<string, (change: Change) => void> = new Map([
  ['join', authoriseJoin],
  ['invite', authoriseInvite],
  ['leave', authoriseLeave],
  ['ban', authoriseBan],
  ['knock', authoriseKnock],
]);

const isSignedByServerOf = (userId: unknown, { signatures }: Envelope): boolean =>
  typeof userId === 'string' && isUserId(userId) && Object.hasOwn(signatures, serverNameOf(userId) ?? '');

// 4.3
function authoriseJoin({ event, envelope, state, isOwn, target, targetIs }: Change): void {
  // 4.3.1: the creator joins before there are any rules.
  const [previous, ...others] = envelope.prev_events;
  if (others.length === 0 && previous === state.create.event_id && target === state.create.sender) return;
  // 4.3.2
  if (!isOwn) throw forbidden('Nobody can make another user join');
  // 4.3.3
  if (targetIs === 'ban') throw forbidden('You are banned from the room');
  const isExpected = targetIs === 'invite' || targetIs === 'join';
  switch (state.joinRule) {
    // 4.3.4
    case 'invite':
    case 'knock':
      if (!isExpected) throw forbidden('You are not invited to this room');
      return;
    // 4.3.5
    case 'restricted':
    case 'knock_restricted':
      if (!isExpected && !mayInvite(event.content.join_authorised_via_users_server, state)) {
        throw forbidden('You are neither invited nor in a room whose members may join');
      }
      return;
    // 4.3.6
    case 'public':
      return;
    // 4.3.7
    default:
      throw forbidden('The room admits nobody');
  }
}

// 4.4
function authoriseInvite({ event, state, sender, target, senderIs, targetIs }: Change): void {
  // 4.4.1
  if (event.content.third_party_invite !== undefined) {
    authoriseThirdPartyInvite(event, target, targetIs, state);
    return;
  }
  // 4.4.2
  if (senderIs !== 'join') throw forbidden('You are not in the room');
  // 4.4.3
  if (targetIs === 'join') throw forbidden('The user is in the room already');
  if (targetIs === 'ban') throw forbidden('The user is banned from the room');
  // 4.4.4, 4.4.5
  if (state.levels.user(sender) < state.levels.action('invite')) {
    throw forbidden('Your power level does not suffice to invite');
  }
}

// 4.5
function authoriseLeave({ state, sender, target, isOwn, senderIs, targetIs }: Change): void {
  const { levels } = state;
  const own = levels.user(sender);
  // 4.5.1
  if (isOwn) {
    if (targetIs === 'invite' || targetIs === 'join' || targetIs === 'knock') return;
    throw forbidden(targetIs === 'ban' ? 'You are banned from the room' : 'You are not in the room');
  }
  // 4.5.2
  if (senderIs !== 'join') throw forbidden('You are not in the room');
  // 4.5.3
  if (targetIs === 'ban' && own < levels.action('ban')) throw forbidden('Your power level does not suffice to unban');
  // 4.5.4, 4.5.5
  if (own < levels.action('kick')) throw forbidden('Your power level does not suffice to kick');
  if (own <= levels.user(target)) throw forbidden('You cannot kick a user whose power level is not below yours');
}

// 4.6
function authoriseBan({ state, sender, target, senderIs }: Change): void {
  const { levels } = state;
  const own = levels.user(sender);
  // 4.6.1
  if (senderIs !== 'join') throw forbidden('You are not in the room');
  // 4.6.2, 4.6.3
  if (own < levels.action('ban')) throw forbidden('Your power level does not suffice to ban');
  if (own <= levels.user(target)) throw forbidden('You cannot ban a user whose power level is not below yours');
}

// 4.7
function authoriseKnock({ state, isOwn, senderIs }: Change): void {
  // 4.7.1
  if (state.joinRule !== 'knock' && state.joinRule !== 'knock_restricted') {
    throw forbidden('Nobody can knock on this room');
  }
  // 4.7.2
  if (!isOwn) throw forbidden('Nobody can knock for another user');
  // 4.7.3, 4.7.4
  if (senderIs === 'ban') throw forbidden('You are banned from the room');
  if (senderIs === 'invite' || senderIs === 'join') throw forbidden('You need not knock: you are invited or in');
}

/** 4.3.5.2: to let others in he must be in himself. */
const mayInvite = (userId: unknown, state: AuthState): boolean =>
  typeof userId === 'string' &&
  state.membership(userId) === 'join' &&
  state.levels.user(userId) >= state.levels.action('invite');
