/**
 * What embedders import: a homeserver's modules behind one object.
 *
 * @example
 * ```ts
 * import { createModuleRuntime, refusalResponse } from '@bulkhead/runtime';
 *
 * const modules = await createModuleRuntime({
 *   configFile: './homeserver.yaml',
 *   homeserver: { serverName: 'example.org' },
 * });
 * const outcome = await modules.spamChecker.checkEventForSpam(event);
 * if (!outcome.allowed) return refusalResponse(outcome);
 * ```
 */

// What it passes to callbacks, and gets back
export type {
  CallbackName,
  EventData,
  Failure,
  FailureKind,
  Homeserver,
  HomeserverMethods,
  MediaSource,
  Observation,
  Outcome,
  Refused,
  Requester,
  StateLookup,
  UserPresenceState,
} from '@bulkhead/sdk/contract';
export type { StorageBackend, StorageChange } from './api/backend.js';
export { StorageError, type StorageErrorCode } from './api/backend.js';
export type { Permissions, Place, Problem, ProblemCode } from './config/entry.js';
export { ConfigurationError, formatProblems } from './config/problem.js';
// Errors
export { BulkheadError, type RuntimeErrorCode } from './dispatch/errors.js';
export type {
  CallOptions,
  CategoryMethods,
  ModuleEvents,
  ModuleState,
  ModuleStatus,
  Modules,
} from './modules.js';
// What an embedder implements
export type { Logger } from './observe/log.js';
export { createModuleRuntime, type RuntimeOptions } from './runtime.js';
export { type Refusable, refusalResponse } from './web/refusal.js';
