// Positions as clients hold them. A sync token knows where the client is in each stream; a history token stands between
// two events of a room. Either does where a place in a room's history is meant.

import { invalidParam } from '../errors.js';

export interface SyncToken {
  readonly events: number;
  readonly presence: number;
  readonly typing: number;
  readonly changes: number;
  /** Within `changes`: messages to the device may be told in several goes. */
  readonly messages: number;
}

const FIELDS = ['events', 'presence', 'typing', 'changes', 'messages'] as const;

export const formatSyncToken = (token: SyncToken) => `s${FIELDS.map((field) => token[field]).join('_')}`;

/** A token from when there were events and presence alone has two numbers: of the rest its client knows nothing. */
export function parseSyncToken(text: string): SyncToken {
  const [, numbers] = /^s(\d{1,15}_\d{1,15}(?:(?:_\d{1,15}){3})?)$/.exec(text) ?? [];
  if (numbers === undefined) throw invalidParam('Unknown sync token');
  const [events = 0, presence = 0, typing = 0, changes = 0, messages = 0] = numbers.split('_').map(Number);
  return { events, presence, typing, changes, messages };
}

/** Behind the event at that position. */
export const formatHistoryToken = (position: number) => `t${position}`;

export function parseHistoryToken(text: string): number {
  const position = /^t(\d{1,15})$/.exec(text)?.[1];
  return position === undefined ? parseSyncToken(text).events : Number(position);
}
