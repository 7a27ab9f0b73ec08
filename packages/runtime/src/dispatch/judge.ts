// Answers become judgements here, exhaustively: whatever no line below names is a wrong type, a failure of that module.

import {
  type AnswerSpec,
  type CallbackName,
  EventData,
  type ExtraFields,
  type FailureKind,
  JsonObject,
  PRESENCE_ALL_USERS,
  type Refusal,
  type Row,
  serverNameOf,
  UserId,
  type UserPresenceState,
} from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { ALLOWED, type ThrownError } from '../wire/record.js';
import type { RawAnswer } from './call.js';
import { parseHostile } from './hostile.js';

export type Judgement =
  /** Allowed, or no opinion. */
  | { readonly kind: 'pass' }
  | { readonly kind: 'refuse'; readonly refusal: Refusal & { readonly extra: ExtraFields } }
  /** An answer that is more than yes or no: what it is depends on the row. */
  | { readonly kind: 'answer'; readonly value: unknown }
  | {
      readonly kind: 'fail';
      readonly failure: FailureKind;
      readonly message: string;
      /** Where it was thrown, in positions of the module's script. */
      readonly stack?: string;
    };

/** What was asked. */
export interface JudgeContext {
  readonly callback: CallbackName;
  readonly row: Row;
  /** The arguments as the modules got them. */
  readonly args: readonly unknown[];
  readonly serverName: string;
  /** Whether replacements are dropped, because the event came from another server. */
  readonly remote: boolean;
}

/** Who answers. */
export interface Judged {
  /** The largest answer, in bytes. */
  resultLimitOf(callback: CallbackName): number;
  warn(callback: CallbackName, message: string): void;
}

export function judge(answer: RawAnswer, context: JudgeContext, module: Judged): Judgement {
  try {
    switch (answer.kind) {
      case 'failed':
        return fail(answer.failure, answer.message);
      case 'threw':
        return answer.error.name === 'MatrixError' ? matrixError(answer.error, context, module) : threw(answer.error);
      case 'nothing':
        return interpreters[context.row.answer.kind](undefined, context, module);
      case 'value': {
        if (answer.text === ALLOWED && saysVerdict(context.row)) return pass;
        const limit = module.resultLimitOf(context.callback);
        if (isLongerThan(limit, answer.text)) return tooLarge(limit);
        return interpreters[context.row.answer.kind](parseHostile(answer.text), context, module);
      }
    }
  } catch (error) {
    // A schema that recurses, a value that is too deep: the module's doing in any case.
    return wrongType(error instanceof Error ? error.message : 'an unreadable answer');
  }
}

const saysVerdict = ({ answer: { kind } }: Row): boolean =>
  kind === 'check' || kind === 'replacement' || kind === 'registration';

/** In bytes; most answers need not be counted. */
const isLongerThan = (limit: number, text: string): boolean =>
  text.length * 3 > limit && Buffer.byteLength(text) > limit;

type Interpreter = (value: unknown, context: JudgeContext, module: Judged) => Judgement;

const pass: Judgement = { kind: 'pass' };

const interpreters: Record<AnswerSpec['kind'], Interpreter> = {
  check(value, { row }) {
    const spec = row.answer as Extract<AnswerSpec, { kind: 'check' }>;
    if (typeof value === 'boolean') return value === spec.rejects ? refuse(row) : pass;
    if (typeof value === 'string' && value !== NOT_SPAM && spec.text === 'reason')
      return refuse(row, { reason: value });
    return verdict(value, row);
  },

  registration(value, { row }) {
    if (value === 'allow') return pass;
    if (value === 'deny') return refuse(row);
    if (value === 'shadow_ban') return { kind: 'answer', value };
    return verdict(value, row);
  },

  expiry(value) {
    if (value === undefined || value === null) return pass;
    return typeof value === 'boolean'
      ? { kind: 'answer', value }
      : wrongType(`expected a boolean or null, got ${show(value)}`);
  },

  nothing: () => pass,

  replacement(value, context, module) {
    const { row, remote } = context;
    if (typeof value === 'boolean') return value ? pass : refuse(row);
    if (!Array.isArray(value) || typeof value[0] !== 'boolean') return verdict(value, row);
    const [allowed, replacement] = value as [boolean, unknown];
    if (value.length !== 2) return wrongType('expected [allowed, replacement]');
    if (!allowed) return refuse(row);
    if (replacement === null) return pass;
    if (remote) {
      module.warn(context.callback, 'a replacement of an event from another server was dropped');
      return pass;
    }
    return replace(replacement, context);
  },

  content(value, { row, args }) {
    // What a module leaves alone comes back as it was: `undefined` is said by the cell with the argument itself.
    if (value === undefined) return { kind: 'answer', value: args[(row.answer as { of: number }).of] };
    // A verdict taken for the content would create the room that it was meant to refuse.
    if (v.is(Verdict, value)) return wrongType('a verdict is no content; throw MatrixError to refuse');
    return v.is(JsonObject, value) ? { kind: 'answer', value } : wrongType(`expected an object, got ${show(value)}`);
  },

  usersForStates(value, { args, callback }, module) {
    const entries = v.safeParse(UsersForStates, value);
    if (!entries.success)
      return wrongType(`expected a Map or an object of user ids to lists of states, got ${show(value)}`);
    const given = new Map((args[0] as UserPresenceState[]).map((state) => [canonical(state), state]));
    const users = new Map<string, UserPresenceState[]>();
    let invented = 0;
    for (const [userId, states] of entries.output) {
      // The remaining entries of a module that says nonsense are dropped; what it said before stands.
      if (!v.is(UserId, userId) || !Array.isArray(states)) {
        module.warn(callback, `an entry of the wrong kind for ${show(userId)}; the rest of the answer was dropped`);
        break;
      }
      const known = states.flatMap((state: unknown) => given.get(canonical(state)) ?? []);
      invented += states.length - known.length;
      if (known.length > 0) users.set(userId, [...new Set([...(users.get(userId) ?? []), ...known])]);
    }
    if (invented > 0) module.warn(callback, `${invented} presence states that were not among those given were dropped`);
    return { kind: 'answer', value: users };
  },

  interestedUsers(value, { callback }, module) {
    if (value === PRESENCE_ALL_USERS) return { kind: 'answer', value };
    if (!Array.isArray(value))
      return wrongType(`expected a Set or a list of user ids, or PRESENCE_ALL_USERS, got ${show(value)}`);
    const wrong = value.findIndex((userId) => !v.is(UserId, userId));
    if (wrong >= 0) module.warn(callback, `${show(value[wrong])} is no user id; the rest of the answer was dropped`);
    return { kind: 'answer', value: new Set(wrong < 0 ? value : value.slice(0, wrong)) };
  },
};

const UsersForStates = v.union([
  v.pipe(
    v.strictObject({ '~map': v.array(v.tuple([v.unknown(), v.unknown()])) }),
    v.transform((map) => map['~map']),
  ),
  v.pipe(
    JsonObject,
    v.transform((object) => Object.entries(object)),
  ),
]);

const DenyVerdict = v.strictObject({
  verdict: v.literal('deny'),
  code: v.optional(v.string()),
  reason: v.optional(v.string()),
  extra: v.optional(JsonObject),
});
const AllowVerdict = v.strictObject({ verdict: v.literal('allow') });
const Verdict = v.union([AllowVerdict, DenyVerdict]);
const WithExtra = v.strictTuple([DenyVerdict, JsonObject]);
/** The one text that is a verdict. */
const NOT_SPAM = 'NOT_SPAM';

function verdict(value: unknown, row: Row): Judgement {
  if (value === NOT_SPAM || v.is(AllowVerdict, value)) return pass;
  if (v.is(DenyVerdict, value)) return refuse(row, value);
  if (v.is(WithExtra, value)) return refuse(row, { ...value[0], extra: { ...value[0].extra, ...value[1] } });
  return wrongType(`expected a verdict, got ${show(value)}`);
}

/** On these codes client libraries sign their user out, whatever the status. */
const SIGN_OUT_CODES = ['M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN', 'M_USER_DEACTIVATED'];
const ERRCODE = /^[A-Z][A-Z0-9_.]{0,254}$/;

/** Fields of an error body that mean something to clients, and that a module does not get to say. */
const RESERVED_FIELDS = ['errcode', 'error', 'soft_logout', 'retry_after_ms'];

function refuse(
  row: Row,
  said: {
    code?: string | undefined;
    reason?: string | undefined;
    extra?: ExtraFields | undefined;
    status?: number;
  } = {},
): Judgement {
  const usual = row.refusal;
  if (usual === undefined) return wrongType('this callback cannot refuse');
  const errcode = said.code ?? usual.errcode;
  if (!ERRCODE.test(errcode) || SIGN_OUT_CODES.includes(errcode))
    return wrongType(`the error code ${show(errcode)} may not be used`);
  return {
    kind: 'refuse',
    refusal: {
      status: said.status ?? usual.status,
      errcode,
      error: said.reason ?? usual.error,
      extra: allowedExtra(said.extra),
    },
  };
}

function matrixError(error: ThrownError, { row, callback }: JudgeContext, module: Judged): Judgement {
  const { status, errcode, message, extra = {} } = error;
  if (row.refusal === undefined || row.answer.kind === 'expiry') return threw(error);
  const limit = module.resultLimitOf(callback);
  if (isLongerThan(limit, JSON.stringify([errcode, message, extra]))) return tooLarge(limit);
  if (!v.is(RefusalStatus, status)) return wrongType(`the status ${show(status)} may not be used`);
  if (!v.is(JsonObject, extra)) return wrongType(`expected an object of extra fields, got ${show(extra)}`);
  return refuse(row, { status, code: typeof errcode === 'string' ? errcode : '', reason: message, extra });
}

const RefusalStatus = v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(499), v.notValue(401));

function allowedExtra(extra: ExtraFields = {}): ExtraFields {
  return Object.fromEntries(Object.entries(extra).filter(([name]) => !RESERVED_FIELDS.includes(name)));
}

function replace(replacement: unknown, { row, args, serverName }: JudgeContext): Judgement {
  const original = args[(row.answer as { of: number }).of] as EventData;
  if (!v.is(JsonObject, replacement))
    return wrongType(`expected an event as the replacement, got ${show(replacement)}`);
  const { event_id, hashes, signatures, depth, prev_events, auth_events, ...taken } = replacement;
  const parsed = v.safeParse(EventData, { origin_server_ts: original.origin_server_ts, ...taken });
  if (!parsed.success) return wrongType(`the replacement is no event: ${parsed.issues[0].message}`);
  const event: EventData = parsed.output;
  const kept = (['room_id', 'type', 'state_key'] as const).find((key) => event[key] !== original[key]);
  if (kept !== undefined) return wrongType(`a replacement may not change ${kept}`);
  if (serverNameOf(event.sender) !== serverName) return wrongType('the sender of a replacement must be a local user');
  return { kind: 'answer', value: event };
}

const fail = (failure: FailureKind, message: string): Judgement => ({ kind: 'fail', failure, message });
const threw = (error: ThrownError): Judgement => ({
  kind: 'fail',
  failure: 'threw',
  message: describe(error),
  stack: error.stack ?? '',
});
const tooLarge = (limit: number): Judgement => fail('too_large', `the answer is larger than ${limit} bytes`);
const wrongType = (message: string): Judgement => fail('wrong_type', message);

const describe = ({ name, message }: { readonly name: string; readonly message: string }): string =>
  `${name}: ${message}`.slice(0, 1000);

/** JSON with its keys in order, so that equal values are equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
}
