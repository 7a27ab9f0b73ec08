// Verdicts: the one tagged value with which a check answers. Plain data, so that it crosses to the host as it is.

/** Fields that a refusal adds to the error body that the client gets. */
export type ExtraFields = Readonly<Record<string, unknown>>;

export interface Allow {
  readonly verdict: 'allow';
}

export interface Deny {
  readonly verdict: 'deny';
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
  readonly extra?: ExtraFields | undefined;
}

export type Verdict = Allow | Deny;

const allowed: Allow = Object.freeze({ verdict: 'allow' });

/** The verdict that lets pass. */
export function allow(): Allow {
  return allowed;
}

/**
 * The verdict that refuses.
 * @param refusal `code`: a Matrix error code (default: the callback's own); `reason`: the message for the client;
 *   `extra`: further fields of the error body, which never override `errcode` and `error`.
 */
export function deny(refusal: Omit<Deny, 'verdict'> = {}): Deny {
  return Object.freeze({ verdict: 'deny', ...refusal });
}

/** `allow()` under Synapse's name. */
export const NOT_SPAM = allowed;

const denyWith = (code: string): Deny => Object.freeze({ verdict: 'deny', code });

/** Synapse's `Codes`, each a ready-made refusal. `[Codes.X, extra]` adds fields to the error body. */
export const Codes = Object.freeze({
  FORBIDDEN: denyWith('M_FORBIDDEN'),
  UNKNOWN: denyWith('M_UNKNOWN'),
  BAD_JSON: denyWith('M_BAD_JSON'),
  NOT_FOUND: denyWith('M_NOT_FOUND'),
  LIMIT_EXCEEDED: denyWith('M_LIMIT_EXCEEDED'),
  TOO_LARGE: denyWith('M_TOO_LARGE'),
  INVALID_PARAM: denyWith('M_INVALID_PARAM'),
  MISSING_PARAM: denyWith('M_MISSING_PARAM'),
  EXCLUSIVE: denyWith('M_EXCLUSIVE'),
  GUEST_ACCESS_FORBIDDEN: denyWith('M_GUEST_ACCESS_FORBIDDEN'),
  CONSENT_NOT_GIVEN: denyWith('M_CONSENT_NOT_GIVEN'),
  RESOURCE_LIMIT_EXCEEDED: denyWith('M_RESOURCE_LIMIT_EXCEEDED'),
  USER_IN_USE: denyWith('M_USER_IN_USE'),
  ROOM_IN_USE: denyWith('M_ROOM_IN_USE'),
  BAD_ALIAS: denyWith('M_BAD_ALIAS'),
  BAD_STATE: denyWith('M_BAD_STATE'),
  INVALID_USERNAME: denyWith('M_INVALID_USERNAME'),
  WEAK_PASSWORD: denyWith('M_WEAK_PASSWORD'),
  UNSUPPORTED_ROOM_VERSION: denyWith('M_UNSUPPORTED_ROOM_VERSION'),
  INCOMPATIBLE_ROOM_VERSION: denyWith('M_INCOMPATIBLE_ROOM_VERSION'),
  CANNOT_LEAVE_SERVER_NOTICE_ROOM: denyWith('M_CANNOT_LEAVE_SERVER_NOTICE_ROOM'),
  EXPIRED_ACCOUNT: denyWith('ORG_MATRIX_EXPIRED_ACCOUNT'),
} satisfies Record<string, Deny>);

/** What checkRegistrationForSpam answers. */
export const RegistrationBehaviour = Object.freeze({ ALLOW: 'allow', SHADOW_BAN: 'shadow_ban', DENY: 'deny' });
export type RegistrationBehaviour = (typeof RegistrationBehaviour)[keyof typeof RegistrationBehaviour];
