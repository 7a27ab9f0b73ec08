/**
 * What module authors import.
 *
 * @example
 * ```ts
 * import { allow, defineModule, deny, v } from '@bulkhead/sdk';
 *
 * export default defineModule({
 *   name: 'no-links',
 *   config: v.object({ words: v.optional(v.array(v.string()), []) }),
 *   setup: ({ config }) => ({
 *     checkEventForSpam(event) {
 *       const body = String(event.content.body ?? '');
 *       return config.words.some((word) => body.includes(word)) ? deny({ reason: 'contains a blocked word' }) : allow();
 *     },
 *   }),
 * });
 * ```
 */

export * as v from 'valibot';

// Modules
export type { Callback, CallbackName, Callbacks } from './contract/callbacks.js';
// Errors
export { ApiError, type ApiErrorCode, ConfigError, MatrixError } from './contract/errors.js';
// Data
export type { EventData, EventDict, MatrixEvent, StateMap } from './contract/event.js';
export { serverNameOf } from './contract/ids.js';
// The host
export type {
  MembershipChange,
  ModuleApi,
  ModuleLogger,
  ModuleStorage,
  NewEvent,
  Profile,
  RequesterOptions,
  RoomState,
  StateFilter,
  UserInfo,
  WebResource,
} from './contract/module-api.js';
export type { ByteSize, RequestedPermissions } from './contract/permissions.js';
export type { Awaitable, CallContext, Check } from './contract/row.js';
export type {
  EmailThreepid,
  FileInfo,
  MediaFile,
  Requester,
  RequestInfo,
  UserPresenceState,
  UserProfile,
} from './contract/shapes.js';
export { PRESENCE_ALL_USERS } from './contract/shapes.js';
// Answers
export {
  type Allow,
  allow,
  Codes,
  type Deny,
  deny,
  type ExtraFields,
  NOT_SPAM,
  RegistrationBehaviour,
  type Verdict,
} from './contract/verdict.js';
export {
  type DeclaredPermissions,
  defineModule,
  type ModuleCallbacks,
  type ModuleClass,
  type ModuleDefinition,
} from './define-module.js';
