// Where modules' storage ends up. The default is a LevelDB folder (level.ts); an embedder may bring a table of his own.

/**
 * An ordered map from bytes to bytes: in SQL, a table with a binary primary key. Keys compare byte by byte, without sign.
 * Quotas, expiry and the separation of modules are built on top of it, so an implementation need know nothing of them.
 * Nobody else may write to it meanwhile.
 */
export interface StorageBackend {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Carries out all changes, in order, or none of them. */
  write(changes: readonly StorageChange[]): Promise<void>;
  /** The entries with `from <= key < to` in the order of their keys. It is not read to its end when enough was seen. */
  scan(from: Uint8Array, to: Uint8Array): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]>;
  close(): Promise<void>;
}

export interface StorageChange {
  readonly key: Uint8Array;
  /** `undefined` removes the key. */
  readonly value: Uint8Array | undefined;
}

export type StorageErrorCode =
  /** Another process, or another runtime in this one, has the folder open. */
  | 'StorageLocked'
  /** The folder cannot be read or written, or what is in it is damaged. */
  | 'StorageUnusable';

/** The storage cannot be opened; the message says what to do. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly code: StorageErrorCode;

  constructor(code: StorageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
