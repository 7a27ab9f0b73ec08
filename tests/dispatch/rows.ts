// For each kind of join a row, what its modules may say, and how its outcome reads in the model's words.

import type { CallbackName, EventData, FailureKind, JoinName, UserPresenceState } from '@bulkhead/sdk/contract';
import type { Call, RawAnswer } from '../../packages/runtime/src/dispatch/call.ts';
import { RESULT_LIMIT, saying } from './fakes.ts';
import { ALL, type Say } from './model.ts';

export const event: EventData = {
  type: 'm.room.message',
  room_id: '!room:example.org',
  sender: '@alice:example.org',
  origin_server_ts: 1_700_000_000_000,
  content: { body: 'hello' },
};

export const state = (userId: string, statusMsg = ''): UserPresenceState => ({
  user_id: userId,
  state: 'online',
  last_active_ts: 1,
  last_federation_update_ts: 2,
  last_user_sync_ts: 3,
  status_msg: statusMsg,
  currently_active: true,
});

export const noState = { get: () => undefined, list: () => [], entries: () => [] };

export interface RowScript {
  readonly callback: CallbackName;
  readonly join: JoinName;
  readonly args: readonly unknown[];
  /** The values that it knows besides passing, refusing and failing. */
  readonly values: readonly string[];
  readonly refuses: boolean;
  pass(): RawAnswer;
  /** The module's answer for a value of the model. */
  answer(value: string, id: string, call: Call): RawAnswer;
  read(outcome: Record<string, unknown>): string;
}

const given = state('@given:example.org');

const denied = (outcome: Record<string, unknown>): string =>
  outcome.cause === 'refused' ? `refused by ${outcome.module}` : `failed, ${outcome.module}`;

const check = (outcome: Record<string, unknown>): string => (outcome.allowed ? 'allowed' : denied(outcome));

export const rowScripts: readonly RowScript[] = [
  {
    callback: 'checkEventForSpam',
    join: 'firstRejection',
    args: [event],
    values: [],
    refuses: true,
    pass: () => saying(false),
    answer: () => saying(false),
    read: check,
  },
  {
    callback: 'checkUsernameForSpam',
    join: 'firstRejection',
    args: [{ user_id: '@bob:example.org', display_name: null, avatar_url: null }, '@alice:example.org'],
    values: [],
    refuses: true,
    pass: () => saying(true),
    answer: () => saying(true),
    read: check,
  },
  {
    callback: 'checkRegistrationForSpam',
    join: 'firstAnswer',
    args: [null, 'bob', [], null],
    values: ['shadow_ban'],
    refuses: true,
    pass: () => saying('allow'),
    answer: (value) => saying(value),
    read(outcome) {
      if (outcome.behaviour === 'allow') return 'allowed';
      return outcome.behaviour === 'deny' ? denied(outcome) : `${outcome.behaviour} by ${outcome.module}`;
    },
  },
  {
    callback: 'isUserExpired',
    join: 'firstAnswer',
    args: ['@bob:example.org'],
    values: ['true', 'false'],
    refuses: false,
    pass: () => saying(null),
    answer: (value) => saying(value === 'true'),
    read(outcome) {
      if (outcome.expired === null) return 'allowed';
      return outcome.cause === 'failed' ? denied(outcome) : `${outcome.expired} by ${outcome.module}`;
    },
  },
  {
    callback: 'checkEventAllowed',
    join: 'firstReplacement',
    args: [event, noState],
    values: ['replaced'],
    refuses: true,
    pass: () => saying(true),
    answer: (value, id) => saying([true, { ...event, content: { [value]: id } }]),
    read(outcome) {
      const replacement = outcome.replacement as { module: string; event: EventData } | undefined;
      if (replacement === undefined) return check(outcome);
      const [[value, by] = []] = Object.entries(replacement.event.content);
      return by === replacement.module ? `${value} by ${by}` : 'a replacement of somebody else';
    },
  },
  {
    callback: 'onCreateRoom',
    join: 'waterfall',
    args: [
      { userId: '@bob:example.org', isGuest: false, shadowBanned: false, authenticatedEntity: '@bob:example.org' },
      { by: [] },
      false,
    ],
    values: ['content'],
    refuses: true,
    pass: () => ({ kind: 'nothing' }),
    answer(_, id, call) {
      const { args } = JSON.parse(Buffer.from(call.body as Uint8Array).toString()) as {
        args: [unknown, { by: string[] }];
      };
      return saying({ by: [...args[1].by, id] });
    },
    read: (outcome) =>
      outcome.allowed ? `made by ${(outcome.content as { by: string[] }).by.join(', then ')}` : denied(outcome),
  },
  {
    callback: 'getInterestedUsers',
    join: 'union',
    args: ['@bob:example.org'],
    values: ['@a:example.org', '@b:example.org', ALL],
    refuses: false,
    pass: () => saying([]),
    answer: (value) => saying(value === ALL ? ALL : [value]),
    read: ({ users }) => (users === ALL ? ALL : [...(users as Set<string>)].sort().join()),
  },
  {
    callback: 'getUsersForStates',
    join: 'union',
    args: [[given]],
    values: ['@a:example.org', '@b:example.org'],
    refuses: false,
    pass: () => saying({}),
    answer: (value) => saying({ [value]: [given] }),
    read: ({ users }) => [...(users as Map<string, unknown>).keys()].sort().join(),
  },
  {
    callback: 'onUserRegistration',
    join: 'notify',
    args: ['@bob:example.org'],
    values: [],
    refuses: false,
    pass: () => ({ kind: 'nothing' }),
    answer: () => ({ kind: 'nothing' }),
    read: () => 'told',
  },
];

/** What the model's module says, in the form in which a cell would say it. */
export function rawAnswer(row: RowScript, id: string, says: Say, call: Call): RawAnswer {
  switch (says.say) {
    case 'pass':
      return row.pass();
    case 'value':
      return row.answer(says.value, id, call);
    case 'refuse':
      return {
        kind: 'threw',
        error: { name: 'MatrixError', message: 'no', status: 403, errcode: 'M_FORBIDDEN' },
      };
    case 'fail':
      return failing(says.kind);
  }
}

export const failureKinds = [
  'queue_timeout',
  'module_timeout',
  'api_timeout',
  'threw',
  'crashed',
  'wrong_type',
  'too_large',
  'parked',
  'stopped',
] as const satisfies readonly FailureKind[];

function failing(kind: FailureKind): RawAnswer {
  if (kind === 'threw') return { kind, error: { name: 'TypeError', message: 'thrown' } };
  if (kind === 'too_large') return saying('x'.repeat(RESULT_LIMIT));
  return { kind: 'failed', failure: kind, message: kind };
}
