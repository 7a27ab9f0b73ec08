// The errors that modules throw and catch. They are told apart by `name` and `code`, never by class identity, because
// a module's bundle carries its own copy of this file.

import type { ExtraFields } from './verdict.js';

/** A module's configuration is wrong. `path` leads from the entry's `config:` to the value; the host points at it in the YAML. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'ConfigError';
  readonly path: readonly (string | number)[];

  constructor(message: string, path: readonly (string | number)[] = []) {
    super(message);
    this.path = path;
  }
}

/**
 * Thrown by a check, it is the answer that the client gets.
 * @param status 400-499 except 401
 * @param errcode `^[A-Z][A-Z0-9_.]{0,254}$`, but none on which clients sign their user out (`M_UNKNOWN_TOKEN`, ...)
 */
export class MatrixError extends Error {
  override readonly name = 'MatrixError';
  readonly code = 'MatrixError';
  readonly status: number;
  readonly errcode: string;
  readonly extra: ExtraFields;

  constructor(status: number, errcode: string, message: string, extra: ExtraFields = {}) {
    super(message);
    this.status = status;
    this.errcode = errcode;
    this.extra = extra;
  }
}

/** Why a ModuleApi call was not carried out. */
export type ApiErrorCode =
  /** The homeserver does not implement the method. */
  | 'NotSupported'
  /** The admin did not grant the permission that the method needs. */
  | 'PermissionDenied'
  | 'InvalidArgument'
  /** The module's storage quota, or the number of its calls under way, is used up. */
  | 'QuotaExceeded'
  /** The chain of calls that modules caused is too deep. */
  | 'ReentrancyLimit'
  /** Registrations are possible only during set-up. */
  | 'RegistrationClosed'
  /** No callback or resource of that name may be registered. */
  | 'InvalidRegistration'
  /** The call that the object belonged to is over. */
  | 'Gone'
  /** A request to the network did not succeed. */
  | 'FetchFailed'
  /** The homeserver refused, or failed; `errcode` says more where it has one. */
  | 'HomeserverError';

/** A ModuleApi call failed. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ApiErrorCode;
  readonly errcode: string | undefined;

  constructor(code: ApiErrorCode, message: string, errcode?: string) {
    super(message);
    this.code = code;
    this.errcode = errcode;
  }
}
