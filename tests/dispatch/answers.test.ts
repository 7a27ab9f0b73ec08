// Every row of the table against every form of answer, through real cells. What a table below does not name is a wrong type.

import type { Modules } from '@bulkhead/runtime';
import {
  type CallbackName,
  Codes,
  callbackNames,
  callbacks,
  type EventData,
  type Failure,
  type Outcome,
  type UserPresenceState,
} from '@bulkhead/sdk/contract';
import t from 'tap';
import { containments, startCells } from './cells.ts';
import { forms } from './fixtures/answers.ts';

type FormName = keyof typeof forms | `code.${keyof typeof Codes}`;
const formNames = Object.keys(forms) as FormName[];

interface Refusal {
  readonly status: number;
  readonly errcode: string;
  /** Only where callbacks.md says it: the other messages are the row's own. */
  readonly error?: string;
  readonly extra?: object;
}

type Expected = 'allow' | `fail ${Failure['kind']}` | Refusal | { readonly value: unknown };
type Expectations = { readonly [F in FormName]?: Expected };

// Arguments that carry the name of a form

const user = (form: string) => `@form=${form}:example.com`;
const event = (form: string): EventData => ({
  type: 'm.room.message',
  room_id: '!room:example.com',
  sender: '@alice:example.com',
  origin_server_ts: 1_700_000_000_000,
  event_id: '$event',
  content: { body: `form=${form}` },
});
const presence = (form: string): UserPresenceState => ({
  user_id: '@alice:example.com',
  state: 'online',
  last_active_ts: 1,
  last_federation_update_ts: 2,
  last_user_sync_ts: 3,
  status_msg: `form=${form}`,
  currently_active: true,
});
const noState = { get: () => undefined, list: () => [], entries: () => [] };
const bob = '@bob:example.com';
const requester = { userId: bob, isGuest: false, shadowBanned: false, authenticatedEntity: bob };

const argsOf: { readonly [K in CallbackName]: (form: string) => readonly unknown[] } = {
  checkEventForSpam: (form) => [event(form)],
  userMayInvite: (form) => [user(form), bob, '!room:example.com'],
  userMayCreateRoom: (form) => [user(form), {}],
  userMayCreateRoomAlias: (form) => [user(form), '#room:example.com'],
  userMayPublishRoom: (form) => [user(form), '!room:example.com'],
  checkUsernameForSpam: (form) => [{ user_id: user(form), display_name: null, avatar_url: null }, bob],
  checkRegistrationForSpam: (form) => [null, `form=${form}`, [], null],
  checkMediaFileForSpam: (form) => [
    { size: 0, open: () => [] },
    { fileId: `form=${form}`, urlCache: false },
  ],
  isUserExpired: (form) => [user(form)],
  onUserRegistration: (form) => [user(form)],
  checkEventAllowed: (form) => [event(form), noState],
  onCreateRoom: (form) => [requester, { name: `form=${form}` }, false],
  getUsersForStates: (form) => [[presence(form)]],
  getInterestedUsers: (form) => [user(form)],
};

// What the forms are

/** Each form's answer where it depends on no argument. */
const given: Readonly<Record<string, unknown>> = Object.fromEntries(
  await Promise.all(
    formNames.map(async (form): Promise<[string, unknown]> => {
      try {
        return [form, await (forms as Record<string, () => unknown>)[form]?.()];
      } catch {
        return [form, undefined];
      }
    }),
  ),
);

const tagged = (tag: string) =>
  formNames.filter((form) => Object.prototype.toString.call(given[form]) === `[object ${tag}]`);
const lists = tagged('Array').filter((form) => !['cyclic', 'deep'].includes(form));
const plainObjects = tagged('Object').filter((form) => form !== 'deepInside');

const all = (names: readonly FormName[], expected: (form: FormName) => Expected): Expectations =>
  Object.fromEntries(names.map((form) => [form, expected(form)]));

/** As JSON says it, without the one key that never arrives. */
const stripped = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (key, item) => (key === '__proto__' ? undefined : item));

// What callbacks.md says

const FORBIDDEN: Refusal = { status: 403, errcode: 'M_FORBIDDEN' };

const codes = (usual: Refusal): Expectations =>
  Object.fromEntries(
    Object.entries(Codes).map(([name, { code = '' }]) => [`code.${name}`, { ...usual, errcode: code }]),
  );

const verdicts = (usual: Refusal): Expectations => ({
  allow: 'allow',
  notSpam: 'allow',
  promised: 'allow',
  notSpamText: 'allow',
  deny: usual,
  denyReason: { ...usual, error: 'because' },
  denyCode: { ...usual, errcode: 'M_X', error: 'because' },
  denyExtra: { ...usual, errcode: 'M_X', extra: { why: 1 } },
  denyReserved: { ...usual, extra: { why: 1 } },
  denyProto: { ...usual, extra: { why: 1 } },
  ...codes(usual),
  codeExtra: { ...usual, errcode: 'M_BAD_JSON', extra: { why: 1 } },
  codeReserved: { ...usual, errcode: 'M_BAD_JSON', extra: { why: 1 } },
  codeProto: { ...usual, errcode: 'M_BAD_JSON', extra: { why: 1 } },
  denyLargeExtra: 'fail too_large',
});

/** No row lets a module say these. */
const refusedCodes = [
  'denyBadCode',
  'denyLongCode',
  'denyUnknownToken',
  'denyMissingToken',
  'denyDeactivated',
] as const;

const thrown: Expectations = {
  large: 'fail too_large',
  throwsError: 'fail threw',
  throwsTypeError: 'fail threw',
  throwsText: 'fail threw',
  throwsUndefined: 'fail threw',
  rejects: 'fail threw',
};

const refusals: Expectations = {
  ...thrown,
  throwsMatrix: { status: 403, errcode: 'M_X', error: 'thrown' },
  rejectsMatrix: { status: 418, errcode: 'M_TEAPOT', error: 'thrown' },
  throwsMatrixExtra: { status: 429, errcode: 'M_X', error: 'thrown', extra: { why: 1 } },
  throwsMatrixProto: { status: 403, errcode: 'M_X', error: 'thrown', extra: { why: 1 } },
  throwsMatrixLarge: 'fail too_large',
};

/** On rows that nobody can refuse a MatrixError is an error like others. */
const onlyThrown: Expectations = {
  ...thrown,
  ...all(
    formNames.filter((form) => /Matrix|throws/.test(form)),
    () => 'fail threw',
  ),
};

const check = (usual: Refusal): Expectations => ({
  ...verdicts(usual),
  ...refusals,
  true: 'allow',
  false: usual,
});

const anyValue = all(formNames, () => 'allow');
const unspeakable = all(['bigint', 'symbol', 'function', 'cyclic', 'deep', 'deepInside'], () => 'fail wrong_type');

const replaced = (form: FormName, content: object = { changed: true }): Expected => {
  const { event_id, ...original } = event(form);
  return { value: { ...original, content } };
};
const someUsers: Expected = { value: ['@a:example.com', '@b:example.com'] };
const someStates = (form: string): Expected => ({ value: { '@a:example.com': [presence(form)] } });

const ROOM: Refusal = {
  status: 403,
  errcode: 'M_UNKNOWN',
  error: 'Room creation forbidden with these parameters',
};

const expected: { readonly [K in CallbackName]: Expectations } = {
  checkEventForSpam: {
    ...verdicts(FORBIDDEN),
    ...refusals,
    true: FORBIDDEN,
    false: 'allow',
    text: { ...FORBIDDEN, error: 'yes' },
    emptyText: { ...FORBIDDEN, error: '' },
    codeText: { ...FORBIDDEN, error: 'M_FORBIDDEN' },
    all: { ...FORBIDDEN, error: 'ALL' },
    'behaviour.ALLOW': { ...FORBIDDEN, error: 'allow' },
    'behaviour.SHADOW_BAN': { ...FORBIDDEN, error: 'shadow_ban' },
    'behaviour.DENY': { ...FORBIDDEN, error: 'deny' },
    // In JSON a Date is a text.
    date: { ...FORBIDDEN, error: '1970-01-01T00:00:00.000Z' },
  },
  userMayInvite: check(FORBIDDEN),
  userMayCreateRoom: check(FORBIDDEN),
  userMayCreateRoomAlias: check(FORBIDDEN),
  userMayPublishRoom: check(FORBIDDEN),
  checkUsernameForSpam: check(FORBIDDEN),
  checkMediaFileForSpam: check({ status: 400, errcode: 'M_UNKNOWN', error: 'Bad content' }),
  checkRegistrationForSpam: {
    ...verdicts({ status: 429, errcode: 'M_UNKNOWN', error: 'Rate limited' }),
    ...refusals,
    'behaviour.ALLOW': 'allow',
    'behaviour.SHADOW_BAN': { value: 'shadow_ban' },
    'behaviour.DENY': { status: 429, errcode: 'M_UNKNOWN', error: 'Rate limited' },
  },
  isUserExpired: {
    ...onlyThrown,
    true: { status: 403, errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT' },
    false: { value: false },
    null: 'allow',
    undefined: 'allow',
    denyLargeExtra: 'fail too_large',
  },
  onUserRegistration: { ...anyValue, ...unspeakable, ...onlyThrown, denyLargeExtra: 'fail too_large' },
  checkEventAllowed: {
    ...check(FORBIDDEN),
    trueNull: 'allow',
    falseNull: FORBIDDEN,
    falseEvent: FORBIDDEN,
    trueEvent: replaced('trueEvent'),
    trueSelf: replaced('trueSelf', event('trueSelf').content),
    trueFresh: replaced('trueFresh'),
    trueIgnored: replaced('trueIgnored'),
    trueProto: replaced('trueProto', { why: 1 }),
  },
  onCreateRoom: {
    ...refusals,
    ...all(plainObjects, (form) => ({ value: stripped(given[form]) })),
    // A verdict is no content, and a room that was to be refused is not created.
    ...all([...(Object.keys(verdicts(ROOM)) as FormName[]), ...refusedCodes], () => 'fail wrong_type'),
    undefined: { value: { name: 'form=undefined' } },
    throwsMatrixLarge: { status: 403, errcode: 'M_X', error: 'thrown', extra: { why: 'x'.repeat(130 * 1024) } },
  },
  getUsersForStates: {
    ...onlyThrown,
    // Their keys are no user ids: what such a module says is dropped.
    ...all(plainObjects, () => ({ value: {} })),
    states: someStates('states'),
    statesMap: someStates('statesMap'),
    statesSet: someStates('statesSet'),
    statesInvented: someStates('statesInvented'),
    statesMixed: someStates('statesMixed'),
    statesWrongKey: someStates('statesWrongKey'),
    emptyMap: { value: {} },
  },
  getInterestedUsers: {
    ...onlyThrown,
    ...all(lists, () => ({ value: [] })),
    all: { value: 'ALL' },
    users: someUsers,
    usersSet: someUsers,
    usersMixed: { value: ['@a:example.com'] },
    emptySet: { value: [] },
  },
};

// What came

type AnyOutcome = Record<string, unknown> & Pick<Outcome<CallbackName>, 'failures'>;

function read(callback: CallbackName, outcome: AnyOutcome): Expected {
  const [failure] = outcome.failures;
  if (failure !== undefined) return `fail ${failure.kind}`;
  const { status, errcode, error, extra } = outcome;
  if (outcome.cause === 'refused') return { status, errcode, error, extra } as Refusal;
  switch (callbacks[callback].answer.kind) {
    case 'registration':
      return outcome.behaviour === 'allow' ? 'allow' : { value: outcome.behaviour };
    case 'expiry':
      return outcome.expired === null ? 'allow' : { value: outcome.expired };
    case 'replacement':
      return outcome.replacement === undefined ? 'allow' : { value: (outcome.replacement as { event: unknown }).event };
    case 'content':
      return { value: outcome.content };
    case 'usersForStates':
      return { value: Object.fromEntries(outcome.users as Map<string, unknown>) };
    case 'interestedUsers':
      return { value: outcome.users === 'ALL' ? 'ALL' : [...(outcome.users as Set<string>)] };
    default:
      return 'allow';
  }
}

/** A failure with `on_failure: reject`, in the shape that the row gives it. */
const failed = (callback: CallbackName) => {
  const { status, errcode } = callback === 'onCreateRoom' ? ROOM : { status: 500, errcode: 'M_UNKNOWN' };
  return callbacks[callback].onFailure === 'skip' ? {} : { cause: 'failed', module: 'answers', status, errcode };
};

const yaml = `
modules:
  - module: ./answers.ts#AnswersModule
    id: answers
    on_failure: reject
    breaker: { failures: 1000000 }
`;

for (const containment of containments) {
  t.test(`with containment: ${containment}`, async (t) => {
    const modules = await startCells(t, yaml, { containment });
    for (const callback of callbackNames) {
      await t.test(callback, async (t) => {
        const methods = modules[callbacks[callback].category] as unknown as Record<
          string,
          (...args: readonly unknown[]) => Promise<AnyOutcome>
        >;
        for (const form of formNames) {
          const outcome = (await methods[callback]?.(...argsOf[callback](form))) as AnyOutcome;
          const wanted = expected[callback][form] ?? 'fail wrong_type';
          const said = read(callback, outcome);
          if (typeof wanted === 'string' || 'value' in wanted) t.strictSame(said, wanted, form);
          else t.strictSame(said, { error: (said as Refusal).error, extra: {}, ...wanted }, form);
          if (outcome.failures.length > 0) t.match(outcome, failed(callback), `${form}: what a failure means`);
        }
      });
    }
  });
}

t.test('from federation a replacement is dropped, and the plain verdict stands', async (t) => {
  const modules: Modules = await startCells(t, yaml);
  const ask = (form: FormName) =>
    modules.thirdPartyRules.checkEventAllowed(event(form), noState, { origin: 'federation' });
  t.strictSame(await ask('trueEvent'), { allowed: true, failures: [], observed: [] });
  t.strictSame(await ask('trueObject'), { allowed: true, failures: [], observed: [] });
  t.match(await ask('falseEvent'), { allowed: false, errcode: 'M_FORBIDDEN' });
});
