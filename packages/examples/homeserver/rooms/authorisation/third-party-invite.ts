// Rule 4.4.1: an invite for whoever proves, by the signature of an identity server, that he is the one whom a
// m.room.third_party_invite event is meant for.

import { verifyJson } from '../../crypto/signing.js';
import { forbidden } from '../../errors.js';
import type { RoomEvent } from '../event.js';
import { record } from '../power-levels.js';
import { type AuthState, inviteToken } from './auth-events.js';

export function authoriseThirdPartyInvite(
  event: RoomEvent,
  target: string,
  targetIs: string | undefined,
  state: AuthState,
): void {
  // 4.4.1.1
  if (targetIs === 'ban') throw forbidden('The user is banned from the room');
  // 4.4.1.2, 4.4.1.3
  const signed = record(record(event.content.third_party_invite).signed);
  const token = inviteToken(event.content);
  // 4.4.1.4
  if (token === undefined || signed.mxid !== target) throw forbidden('The third-party invite is not for this user');
  // 4.4.1.5, 4.4.1.6
  const invite = state.find('m.room.third_party_invite', token);
  if (!invite || invite.sender !== event.sender) throw forbidden('You have made no such third-party invite');
  // 4.4.1.7, 4.4.1.8
  const keys = publicKeys(invite);
  const isProven = signaturesIn(signed).some((signature) => keys.some((key) => verifyJson(signed, signature, key)));
  if (!isProven) throw forbidden('No key of the third-party invite has signed it');
}

function publicKeys({ content: { public_key, public_keys } }: RoomEvent): readonly string[] {
  const listed = Array.isArray(public_keys) ? public_keys.map((item) => record(item).public_key) : [];
  return [public_key, ...listed].filter((key) => typeof key === 'string');
}

const signaturesIn = ({ signatures }: Readonly<Record<string, unknown>>): readonly string[] =>
  Object.values(record(signatures))
    .flatMap((byKey) => Object.values(record(byKey)))
    .filter((signature) => typeof signature === 'string');
