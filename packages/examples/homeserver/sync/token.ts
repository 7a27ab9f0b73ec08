// Positions as clients hold them. A sync token knows where the client is in the events and in the presence of others; a
// history token stands between two events of a room. Either does where a place in a room's history is meant.

import { invalidParam } from '../errors.js';

export interface SyncToken {
  readonly events: number;
  readonly presence: number;
}

export const formatSyncToken = ({ events, presence }: SyncToken) => `s${events}_${presence}`;

export function parseSyncToken(text: string): SyncToken {
  const [, events, presence] = /^s(\d{1,15})_(\d{1,15})$/.exec(text) ?? [];
  if (events === undefined || presence === undefined) throw invalidParam('Unknown sync token');
  return { events: Number(events), presence: Number(presence) };
}

/** Behind the event at that position. */
export const formatHistoryToken = (position: number) => `t${position}`;

export function parseHistoryToken(text: string): number {
  const position = /^t(\d{1,15})$/.exec(text)?.[1];
  return position === undefined ? parseSyncToken(text).events : Number(position);
}
