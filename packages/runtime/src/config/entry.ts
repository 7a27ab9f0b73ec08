// What a configuration file says, once it is known to be right. Durations are milliseconds, sizes are bytes.

import type { CallbackName, FailurePolicy, GrantGroup, PermissionGroup } from '@bulkhead/sdk/contract';

export interface RuntimeConfig {
  readonly containment: 'process' | 'thread' | undefined;
  readonly fanOut: FanOut;
  readonly fanOuts: Readonly<Partial<Record<CallbackName, FanOut>>>;
  /** An absolute path; `module-data` beside the file unless it says otherwise. */
  readonly storage: string;
  /** Whether warm cells wait for modules that are lost. */
  readonly spares: boolean;
  /** What the operating system adds around hulls. */
  readonly sandbox: 'auto' | 'none' | 'required';
  /** How often modules may begin anew because of what they did, all of them together. */
  readonly restartsPerMinute: number;
  readonly modules: readonly ModuleEntry[];
}

export type FanOut = 'parallel' | 'sequential';

export interface ModuleEntry {
  readonly id: string;
  /** As written: `package.Export`, `package#Export`, `./path.ts#Export`. */
  readonly specifier: string;
  /** The folder that the specifier is relative to. */
  readonly baseDir: string;
  /** The module's own: plain data, a fresh copy. */
  readonly config: unknown;
  readonly timeout: number | undefined;
  readonly timeouts: Readonly<Partial<Record<CallbackName, number>>>;
  readonly setupTimeout: number;
  readonly onFailure: FailurePolicy | undefined;
  readonly onFailures: Readonly<Partial<Record<CallbackName, FailurePolicy>>>;
  readonly required: boolean;
  readonly mode: 'enforce' | 'observe';
  readonly isolation: 'compartment' | 'thread';
  readonly hull: 'shared' | 'own';
  /** In how many cells it runs; calls are spread over them. */
  readonly instances: number;
  readonly limits: Limits;
  readonly breaker: { readonly failures: number; readonly window: number };
  readonly permissions: Grants;
  /** The hash that the module's script has to have; `undefined`: any. */
  readonly integrity: string | undefined;
  /** Where the entry stands, as messages name it: `modules[1]`. */
  readonly path: string;
  /** Turns a path from the entry's root, such as `['config', 'words', 0]`, into its place in the file. */
  readonly locate: Locate;
}

export interface Limits {
  readonly memory: number;
  /** `undefined`: the row's own limit, or 128 KiB. */
  readonly result: number | undefined;
  readonly callsInFlight: number;
  /** Calls of the ModuleApi at the same time. */
  readonly apiCalls: number;
  /** The share of a core that the module's thread may take, over some seconds; 1 is no limit. */
  readonly cpu: number;
  /** The share of one core's time that the host may spend on what the module does unasked. */
  readonly hostTime: number;
  readonly storage: number;
}

/** What the admin grants, by permission group. */
export type Grants = { readonly [G in GrantGroup]: readonly string[] };

/** Permissions that are needed or given, in the spelling of the file; a size is a list of one. */
export type Permissions = { readonly [G in PermissionGroup]?: readonly string[] };

export type Path = readonly (string | number)[];
export type Locate = (path: Path) => Place | undefined;

/** A place in a configuration file; line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The offending line with its number, and a line with a caret under it. */
  readonly frame: string;
}

/** One thing that is wrong with a configuration, or with a module that it names. */
export interface Problem {
  readonly code: ProblemCode;
  readonly message: string;
  /** The entry's id, or its specifier where the id is not known. */
  readonly module: string | undefined;
  /** The key that it is about, as `modules[1].config.words`; absent when it is about the whole file. */
  readonly path?: string | undefined;
  /** `undefined` where the configuration was not read from a file. */
  readonly place: Place | undefined;
  readonly hint: string | undefined;
}

/** What is wrong, before anybody said where. */
export type Fault = Pick<Problem, 'code' | 'message' | 'hint'>;

export type ProblemCode =
  | 'FileNotReadable'
  | 'YamlSyntax'
  | 'DuplicateKey'
  | 'DuplicateId'
  | 'UnknownKey'
  | 'InvalidValue'
  | 'ModuleNotFound'
  | 'ExportNotFound'
  | 'BundleFailed'
  | 'NodeImport'
  | 'IntegrityMismatch'
  | 'LockUnreadable'
  | 'NotLocked'
  | 'ModuleChanged'
  | 'ConfigRejected'
  | 'InvalidPermissions'
  | 'NotGranted'
  | 'NotStateless'
  | 'SetupFailed'
  | 'SetupTimedOut';
