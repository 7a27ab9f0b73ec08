// What host and cell say to each other: records of a fixed header and a body. A frame is the records of one turn, written
// at once; a record explains itself, so the same bytes may cross a socket, a message port, or one day a broker.

import type { EventData } from '@bulkhead/sdk/contract';

/** Types that only the host sends come first, then those that only a cell sends, then those of streams, sent by both. */
export const RecordType = {
  /** Evaluate the script in the body. Answered. */
  load: 1,
  /** Run parseConfig on the configuration in the body. Answered. */
  configure: 2,
  /** Construct the module. Answered with what it registered. */
  setup: 3,
  /** A callback; `flags` is the attempt, `aux` the milliseconds left. Answered. */
  call: 4,
  /** The call or request `id` is over for the host. */
  cancel: 5,
  /** Answered with a pong of the same id, by the bootstrap, whatever the module does with its promises. */
  ping: 6,
  /** A web request. Answered. */
  request: 7,
  /** The bootstrap has a warm cell. */
  ready: 32,
  /** The answer to `id`; `flags` is an AnswerKind. */
  answer: 33,
  pong: 34,
  /** A log line; `flags` is an index into the levels. */
  log: 35,
  /** A Comlink message, to either side. */
  api: 64,
  /** Bytes of stream `id`. */
  chunk: 65,
  /** Stream `id` is complete (`flags` 0) or broken (`flags` 1, the body says why). */
  end: 66,
  /** The receiver of stream `id` takes `aux` bytes more. */
  pull: 67,
  /** The receiver of stream `id` does not want the rest. */
  stop: 68,
} as const;

export type RecordType = (typeof RecordType)[keyof typeof RecordType];

export const AnswerKind = {
  /** JSON text. */
  value: 0,
  /** `undefined`; no body. */
  nothing: 1,
  /** A ThrownError as JSON. */
  threw: 2,
  /** The answer was larger than the limit and stayed in the cell. */
  tooLarge: 3,
  /** The answer is none that JSON can say. */
  unspeakable: 4,
  /** What nearly all answers are, said without a body. */
  allowed: 5,
  /** Of a web request: head and body in one. */
  packed: 6,
} as const;

/** What `allow()` gives, as JSON. */
export const ALLOWED = '{"verdict":"allow"}';

export type AnswerKind = (typeof AnswerKind)[keyof typeof AnswerKind];

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;

/** An error as text; its prototype and whatever else it has stay where they were. */
export interface ThrownError {
  readonly name: string;
  readonly message: string;
  /** Added by the bootstrap: inside a compartment errors show no stack. */
  readonly stack?: string;
  /** Of an error of parseConfig: everything that is wrong. */
  readonly issues?: readonly ConfigIssue[];
  /** A MatrixError's, as the module made them. */
  readonly status?: unknown;
  readonly errcode?: unknown;
  readonly extra?: unknown;
}

/** What is wrong with a configuration; the path leads from the entry's `config` to the value. */
export interface ConfigIssue {
  readonly message: string;
  readonly path: readonly (string | number)[];
}

/** What a cell has to know of the contract; the host's table is the one that counts, whatever the module was built with. */
export interface Manifest {
  readonly moduleId: string;
  readonly serverName: string;
  readonly exportName: string;
  readonly callbacks: Readonly<Record<string, ManifestRow>>;
}

export interface ManifestRow {
  readonly category: string;
  readonly forms: readonly ('json' | 'event' | 'state' | 'file')[];
  readonly answer: string;
  /** Of `replacement` and `content` answers: the argument that may be changed. */
  readonly of?: number;
  /** The largest answer, in bytes. */
  readonly limit: number;
  readonly requires: readonly string[];
}

/** The body of a `call` record; the same bytes for every module asked. */
export interface CallBody {
  readonly callback: string;
  readonly callId: string;
  readonly args: readonly unknown[];
  readonly origin?: 'client' | 'federation';
  readonly roomVersion?: string;
  /** All state events of the types that the module always wants, as far as they are not too many. */
  readonly state?: Readonly<Record<string, readonly EventData[]>>;
}

/** How a configuration, and the manifest with it, comes into the cell. */
export interface ConfigureBody {
  readonly manifest: Manifest;
  readonly config: unknown;
}

export interface RequestBody {
  readonly resource: number;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly stream: number | null;
}

export interface ResponseBody {
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly stream: number | null;
}

/** What an API call comes back as; Comlink's own way of throwing would lose the code. */
export type ApiResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly errcode?: string };

/** Valid until the receiver returns. */
export interface WireRecord {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly aux: number;
  /** In bytes. */
  readonly length: number;
  /** A view. */
  readonly body: Uint8Array;
  /** The body as UTF-8. */
  readonly text: string;
}

/** length of the body, type, flags, two bytes unused, id, aux: all little-endian. */
export const HEADER_BYTES = 16;

/** The largest pieces that streams are cut into, and how much may be under way unread. */
export const CHUNK_BYTES = 64 * 1024;
export const STREAM_WINDOW = 256 * 1024;
