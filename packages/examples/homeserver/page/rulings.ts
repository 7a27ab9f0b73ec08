// Looks over the shoulder of the homeserver when it asks its modules: what was the question about, and who decided it how?
// The runtime's events tell of single calls; the reason of a refusal is in the outcome.

import type { Modules, Outcome } from '@bulkhead/runtime';
import { type CallbackArgs, type CallbackName, callbackNames, callbacks } from '@bulkhead/sdk/contract';
import type { Ruling } from './report.js';

export interface RulingListener {
  /** While nobody watches, questions go straight to the modules. */
  readonly isWatched: boolean;
  ruled(ruling: Ruling): void;
}

/** The same modules; whatever they do not simply allow is told. */
export function withRulings(modules: Modules, listener: RulingListener): Modules {
  const categories: Record<string, Record<string, unknown>> = {};
  for (const callback of callbackNames) {
    const { category } = callbacks[callback];
    const ask = methodOf(modules, callback);
    categories[category] = {
      ...categories[category],
      [callback]: (...args: unknown[]) => (listener.isWatched ? watched(callback, ask, args) : ask(...args)),
    };
  }
  const watched = async (callback: CallbackName, ask: Method, args: readonly unknown[]) => {
    const startedAt = performance.now();
    const outcome = await ask(...args);
    const ruling = rulingOf(outcome);
    if (ruling) {
      const about = (subjects[callback] as (...args: readonly unknown[]) => string)(...args);
      listener.ruled({ callback, about, durationMs: performance.now() - startedAt, ...ruling });
    }
    return outcome;
  };
  return { ...modules, ...categories } as Modules;
}

type AnyOutcome = Outcome<CallbackName>;
type Method = (...args: readonly unknown[]) => Promise<AnyOutcome>;

function methodOf(modules: Modules, callback: CallbackName): Method {
  const category: Readonly<Record<string, unknown>> = modules[callbacks[callback].category];
  return category[callback] as Method;
}

function rulingOf(outcome: AnyOutcome): Omit<Ruling, 'callback' | 'about' | 'durationMs'> | undefined {
  const [failed] = outcome.failures;
  if ('errcode' in outcome) {
    const { module, cause, status, errcode, error } = outcome;
    const failure = outcome.failures.find((each) => each.module === module);
    return {
      verdict: cause,
      module,
      told: `${status} ${errcode}: ${error}`,
      ...(failure && cause === 'failed' && { failure: { kind: failure.kind, message: failure.message } }),
    };
  }
  if ('replacement' in outcome && outcome.replacement) {
    return { verdict: 'replaced', module: outcome.replacement.module, told: 'goes on as the module made it' };
  }
  if ('behaviour' in outcome && outcome.behaviour === 'shadow_ban') {
    return { verdict: 'shadow_banned', module: outcome.module, told: 'success, so that nobody notices' };
  }
  if (!failed) return undefined;
  const { module, kind, message } = failed;
  return { verdict: 'overlooked', module, told: 'goes on without this module', failure: { kind, message } };
}

/** Who does what; never what they say. */
const subjects: { readonly [K in CallbackName]: (...args: CallbackArgs<K>) => string } = {
  checkEventForSpam: ({ type, sender }) => `${type} from ${sender}`,
  checkEventAllowed: ({ type, sender }) => `${type} from ${sender}`,
  userMayInvite: (inviter, invitee) => `${inviter} invites ${invitee}`,
  userMayCreateRoom: (userId) => `${userId} creates a room`,
  onCreateRoom: ({ userId }) => `${userId} creates a room`,
  userMayCreateRoomAlias: (userId, alias) => `${userId} makes ${alias}`,
  userMayPublishRoom: (userId, roomId) => `${userId} publishes ${roomId}`,
  checkUsernameForSpam: ({ user_id }, requesterId) => `${requesterId} finds ${user_id}`,
  checkRegistrationForSpam: (_email, username) => `${username ?? 'somebody'} registers`,
  onUserRegistration: (userId) => `${userId} has registered`,
  checkMediaFileForSpam: (file) => `an upload of ${file.size} bytes`,
  isUserExpired: (userId) => userId,
  getUsersForStates: (states) => `${states.length} changes of presence`,
  getInterestedUsers: (userId) => `${userId} syncs`,
};
