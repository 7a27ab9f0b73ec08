// What remains of an event after a redaction (room version 11, "Redactions"). Hashes and signatures are made over that,
// so they hold whether or not an event was redacted.

import type { Content } from './event.js';
import { record } from './power-levels.js';

export function redactedPdu<T extends { readonly type: string; readonly content: Content }>(pdu: T): T {
  const kept = Object.entries(pdu).filter(([key]) => KEPT_KEYS.has(key));
  return { ...Object.fromEntries(kept), content: redactedContent(pdu.type, pdu.content) } as T;
}

export function redactedContent(type: string, content: Content): Content {
  if (type === 'm.room.create') return content;
  const kept = KEPT_CONTENT[type] ?? [];
  const rest = Object.fromEntries(Object.entries(content).filter(([key]) => kept.includes(key)));
  const { signed } = record(content.third_party_invite);
  return type === 'm.room.member' && signed !== undefined ? { ...rest, third_party_invite: { signed } } : rest;
}

const KEPT_KEYS: ReadonlySet<string> = new Set([
  'event_id',
  'type',
  'room_id',
  'sender',
  'state_key',
  'content',
  'hashes',
  'signatures',
  'depth',
  'prev_events',
  'auth_events',
  'origin_server_ts',
]);

const KEPT_CONTENT: Readonly<Record<string, readonly string[]>> = {
  'm.room.member': ['membership', 'join_authorised_via_users_server'],
  'm.room.join_rules': ['join_rule', 'allow'],
  'm.room.power_levels': [
    'ban',
    'events',
    'events_default',
    'invite',
    'kick',
    'redact',
    'state_default',
    'users',
    'users_default',
  ],
  'm.room.history_visibility': ['history_visibility'],
  'm.room.redaction': ['redacts'],
};
