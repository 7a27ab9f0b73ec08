// What a user's push rules make of an event (client-server API, "Push Rules").

import { propertyPath } from '../filters/filter.js';
import type { RoomEvent } from '../rooms/event.js';
import { matchesWhole, matchesWords } from './pattern.js';
import { type Condition, KINDS, type Kind, type Rule, type Ruleset } from './predefined.js';

/** What conditions look at besides the event. */
export interface RoomContext {
  readonly members: number;
  /** The user's, in this room. */
  readonly displayName: string | undefined;
  /** Whether a user may notify the room in some way, such as `room`. */
  mayNotify(userId: string, key: string): boolean;
}

export interface Notification {
  readonly notify: boolean;
  readonly highlight: boolean;
}

const NOTHING: Notification = { notify: false, highlight: false };

/** The first rule that fits decides. */
export function evaluate(rules: Ruleset, event: RoomEvent, room: RoomContext): Notification {
  for (const kind of KINDS) {
    const rule = rules[kind].find((each) => each.enabled && fits(kind, each, event, room));
    if (rule) return outcomeOf(rule);
  }
  return NOTHING;
}

/** Superseded by mentions: not to be asked about events that say whom they mention. */
const OLDER_THAN_MENTIONS: ReadonlySet<string> = new Set([
  '.m.rule.contains_display_name',
  '.m.rule.contains_user_name',
  '.m.rule.roomnotif',
]);

function fits(kind: Kind, rule: Rule, event: RoomEvent, room: RoomContext): boolean {
  if (OLDER_THAN_MENTIONS.has(rule.rule_id) && event.content['m.mentions'] !== undefined) return false;
  switch (kind) {
    case 'room':
      return rule.rule_id === event.room_id;
    case 'sender':
      return rule.rule_id === event.sender;
    case 'content':
      return typeof event.content.body === 'string' && matchesWords(rule.pattern ?? '', event.content.body);
    default:
      return (rule.conditions ?? []).every((condition) => holds(condition, event, room));
  }
}

/** Conditions that are not known never hold. */
function holds(condition: Condition, event: RoomEvent, room: RoomContext): boolean {
  const { kind, key, pattern, value, is } = condition;
  const property = typeof key === 'string' ? propertyIn(event, key) : undefined;
  switch (kind) {
    case 'event_match':
      if (typeof property !== 'string' || typeof pattern !== 'string') return false;
      return key === 'content.body' ? matchesWords(pattern, property) : matchesWhole(pattern, property);
    case 'event_property_is':
      return isSimple(value) && property === value;
    case 'event_property_contains':
      return isSimple(value) && Array.isArray(property) && property.includes(value);
    case 'contains_display_name':
      return room.displayName !== undefined && wordsOf(event, room.displayName);
    case 'room_member_count':
      return typeof is === 'string' && compares(room.members, is);
    case 'sender_notification_permission':
      return typeof key === 'string' && room.mayNotify(event.sender, key);
    default:
      return false;
  }
}

function propertyIn(event: RoomEvent, key: string): unknown {
  let value: unknown = event;
  for (const part of propertyPath(key)) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

const isSimple = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value);

/** A name is no pattern. */
function wordsOf({ content: { body } }: RoomEvent, name: string): boolean {
  if (typeof body !== 'string' || name === '') return false;
  const [text, wanted] = [body.toLowerCase(), name.toLowerCase()];
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    const around = `${text[at - 1] ?? ''}${text[at + wanted.length] ?? ''}`;
    if (!/[a-z0-9_]/.test(around)) return true;
  }
  return false;
}

function compares(members: number, is: string): boolean {
  const [, operator = '==', number] = /^(==|<=|>=|<|>)?(\d{1,9})$/.exec(is) ?? [];
  if (number === undefined) return false;
  const wanted = Number(number);
  const results: Readonly<Record<string, boolean>> = {
    '==': members === wanted,
    '<': members < wanted,
    '>': members > wanted,
    '<=': members <= wanted,
    '>=': members >= wanted,
  };
  return results[operator] ?? false;
}

function outcomeOf({ actions }: Rule): Notification {
  const highlight = actions.find((action) => typeof action === 'object' && action.set_tweak === 'highlight');
  const value = typeof highlight === 'object' ? (highlight.value ?? true) : false;
  const notify = actions.includes('notify');
  return { notify, highlight: notify && value === true };
}
