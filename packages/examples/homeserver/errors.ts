// Every way in which this server says no, side by side, and how each becomes an HTTP answer.

import { refusalResponse } from '@bulkhead/runtime';
import { type ExpiryOutcome, MatrixError, type Refused, type RegistrationOutcome } from '@bulkhead/sdk/contract';

export { MatrixError };

type Refusal =
  | Refused
  | Extract<RegistrationOutcome, { behaviour: 'deny' }>
  | Extract<ExpiryOutcome, { expired: true }>;

/** A module refused, or could not be asked. The outcome says what the client is to be told. */
export class RefusedByModule extends Error {
  override readonly name = 'RefusedByModule';
  readonly outcome: Refusal;
  /** For a module whose own API call was refused by a module. */
  readonly errcode: string;

  constructor(outcome: Refusal) {
    super(outcome.error);
    this.outcome = outcome;
    this.errcode = outcome.errcode;
  }
}

/** A request needs interactive authentication, or the attempt at it failed. */
export class AuthenticationRequired extends Error {
  override readonly name = 'AuthenticationRequired';
  readonly code = 'AuthenticationRequired';
  /** What the client is told: the flows, the session, and what was wrong. */
  readonly challenge: Readonly<Record<string, unknown>>;

  constructor(challenge: Readonly<Record<string, unknown>>) {
    super('The request needs interactive authentication');
    this.challenge = challenge;
  }
}

export const forbidden = (message: string) => new MatrixError(403, 'M_FORBIDDEN', message);
export const notFound = (message: string) => new MatrixError(404, 'M_NOT_FOUND', message);
export const unrecognized = (status: 404 | 405 = 404) =>
  new MatrixError(status, 'M_UNRECOGNIZED', status === 404 ? 'Unrecognized request' : 'Unrecognized method');
export const missingToken = () => new MatrixError(401, 'M_MISSING_TOKEN', 'Missing access token');
export const unknownToken = () => new MatrixError(401, 'M_UNKNOWN_TOKEN', 'Unknown access token');
export const unauthorized = (message: string) => new MatrixError(401, 'M_UNAUTHORIZED', message);
export const incompatibleRoomVersion = (version: string) =>
  new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', `The room has version ${version}`, { room_version: version });
export const badGateway = (message: string) => new MatrixError(502, 'M_UNKNOWN', message);
/** The device is as it was: the client may refresh its token, or log in again, and keep what it has. */
export const softLogout = (message: string) => new MatrixError(401, 'M_UNKNOWN_TOKEN', message, { soft_logout: true });
export const userDeactivated = () => new MatrixError(403, 'M_USER_DEACTIVATED', 'The account is deactivated');
export const limitExceeded = (retryAfterMs: number) =>
  new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many requests', { retry_after_ms: retryAfterMs });
export const notJson = () => new MatrixError(400, 'M_NOT_JSON', 'Content is not JSON');
export const badJson = (message: string) => new MatrixError(400, 'M_BAD_JSON', message);
export const missingParam = (name: string) => new MatrixError(400, 'M_MISSING_PARAM', `Missing parameter ${name}`);
export const invalidParam = (message: string) => new MatrixError(400, 'M_INVALID_PARAM', message);
export const unknownRequest = (message: string) => new MatrixError(400, 'M_UNKNOWN', message);
export const tooLarge = (message: string) => new MatrixError(413, 'M_TOO_LARGE', message);
export const invalidSignature = () => new MatrixError(400, 'M_INVALID_SIGNATURE', 'Invalid signature');
export const wrongBackupVersion = (current: string) =>
  new MatrixError(403, 'M_WRONG_ROOM_KEYS_VERSION', 'Keys go into the latest backup', { current_version: current });
export const userInUse = () => new MatrixError(400, 'M_USER_IN_USE', 'User ID already taken');
export const invalidUsername = (message: string) => new MatrixError(400, 'M_INVALID_USERNAME', message);
export const roomInUse = () => new MatrixError(400, 'M_ROOM_IN_USE', 'Room alias already taken');
export const badAlias = (message: string) => new MatrixError(400, 'M_BAD_ALIAS', message);
export const unsupportedRoomVersion = (version: unknown) =>
  new MatrixError(400, 'M_UNSUPPORTED_ROOM_VERSION', `Room version ${JSON.stringify(version)} is not supported`);
export const guestAccessForbidden = () =>
  new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guest access is not allowed');
export const setByServer = (type: string) =>
  new MatrixError(405, 'M_BAD_JSON', `${type} is set by the server, through endpoints of its own`);
export const aliasExists = () => new MatrixError(409, 'M_UNKNOWN', 'Room alias already exists');
export const starting = () => new MatrixError(503, 'M_UNKNOWN', 'The homeserver is still starting');

/** The answer to a request that ended in `error`; `undefined` for an error that is nobody's intention. */
export function errorResponse(error: unknown): Response | undefined {
  if (error instanceof RefusedByModule) return refusalResponse(error.outcome);
  if (error instanceof MatrixError) {
    const { status, errcode, message, extra } = error;
    const { retry_after_ms: wait } = extra;
    const headers = typeof wait === 'number' ? { 'retry-after': String(Math.ceil(wait / 1000)) } : {};
    return Response.json({ ...extra, errcode, error: message }, { status, headers });
  }
  if (error instanceof AuthenticationRequired) return Response.json(error.challenge, { status: 401 });
  return undefined;
}

export const internalError = (): Response =>
  Response.json({ errcode: 'M_UNKNOWN', error: 'Internal server error' }, { status: 500 });
