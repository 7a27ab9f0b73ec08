// The rules that every user begins with (client-server API, "Predefined Rules").

import { localpartOf } from '../ids.js';

export const KINDS = ['override', 'content', 'room', 'sender', 'underride'] as const;
export type Kind = (typeof KINDS)[number];

export type Action = string | Readonly<Record<string, unknown>>;
export type Condition = Readonly<Record<string, unknown>> & { readonly kind: string };

export interface Rule {
  readonly rule_id: string;
  readonly default: boolean;
  readonly enabled: boolean;
  readonly actions: readonly Action[];
  /** Of override and underride rules. */
  readonly conditions?: readonly Condition[];
  /** Of content rules. */
  readonly pattern?: string;
}

export type Ruleset = Readonly<Record<Kind, readonly Rule[]>>;

/** Above everything, what users add included. */
export const MASTER = '.m.rule.master';

export function predefinedRules(userId: string): Ruleset {
  return {
    override: [
      { ...rule(MASTER, [], []), enabled: false },
      rule('.m.rule.suppress_notices', [matches('content.msgtype', 'm.notice')], []),
      rule(
        '.m.rule.invite_for_me',
        [matches('type', 'm.room.member'), matches('content.membership', 'invite'), matches('state_key', userId)],
        ['notify', SOUND],
      ),
      rule('.m.rule.member_event', [matches('type', 'm.room.member')], []),
      rule(
        '.m.rule.is_user_mention',
        [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: userId }],
        ['notify', SOUND, HIGHLIGHT],
      ),
      rule('.m.rule.contains_display_name', [{ kind: 'contains_display_name' }], ['notify', SOUND, HIGHLIGHT]),
      rule(
        '.m.rule.is_room_mention',
        [{ kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true }, MAY_NOTIFY_ROOM],
        ['notify', HIGHLIGHT],
      ),
      rule('.m.rule.roomnotif', [matches('content.body', '@room'), MAY_NOTIFY_ROOM], ['notify', HIGHLIGHT]),
      rule('.m.rule.tombstone', [matches('type', 'm.room.tombstone'), matches('state_key', '')], ['notify', HIGHLIGHT]),
      rule('.m.rule.reaction', [matches('type', 'm.reaction')], []),
      rule('.m.rule.room.server_acl', [matches('type', 'm.room.server_acl'), matches('state_key', '')], []),
      rule(
        '.m.rule.suppress_edits',
        [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
        [],
      ),
    ],
    content: [
      {
        rule_id: '.m.rule.contains_user_name',
        default: true,
        enabled: true,
        pattern: localpartOf(userId),
        actions: ['notify', SOUND, HIGHLIGHT],
      },
    ],
    room: [],
    sender: [],
    underride: [
      rule('.m.rule.call', [matches('type', 'm.call.invite')], ['notify', { set_tweak: 'sound', value: 'ring' }]),
      rule('.m.rule.encrypted_room_one_to_one', [TWO_MEMBERS, matches('type', 'm.room.encrypted')], ['notify', SOUND]),
      rule('.m.rule.room_one_to_one', [TWO_MEMBERS, matches('type', 'm.room.message')], ['notify', SOUND]),
      rule('.m.rule.message', [matches('type', 'm.room.message')], ['notify']),
      rule('.m.rule.encrypted', [matches('type', 'm.room.encrypted')], ['notify']),
    ],
  };
}

const SOUND = { set_tweak: 'sound', value: 'default' };
const HIGHLIGHT = { set_tweak: 'highlight' };
const TWO_MEMBERS = { kind: 'room_member_count', is: '2' };
const MAY_NOTIFY_ROOM = { kind: 'sender_notification_permission', key: 'room' };

const matches = (key: string, pattern: string): Condition => ({ kind: 'event_match', key, pattern });

const rule = (rule_id: string, conditions: readonly Condition[], actions: readonly Action[]): Rule => ({
  rule_id,
  default: true,
  enabled: true,
  conditions,
  actions,
});
