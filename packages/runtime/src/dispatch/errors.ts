// The errors that embedders can meet: wrong use, or a runtime that is not there any more.

export type RuntimeErrorCode =
  /** An argument of a callback is not what the table says. */
  | 'InvalidArgument'
  /** There is no module of that id. */
  | 'UnknownModule'
  /** The module is there, so what it stored stays. */
  | 'StillConfigured'
  /** The runtime was closed. */
  | 'Closed'
  /** Hulls cannot be had here. */
  | 'HullUnavailable';

export class BulkheadError extends Error {
  override readonly name = 'BulkheadError';
  readonly code: RuntimeErrorCode;

  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
