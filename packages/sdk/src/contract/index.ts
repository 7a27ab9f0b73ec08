// The contract as the runtime reads it: the tables, the schemas and the types derived from them.

export {
  type Callback,
  type CallbackArgs,
  type CallbackName,
  type CallbackNameOf,
  type Callbacks,
  type CallbackTable,
  callbackNames,
  callbacks,
} from './callbacks.js';
export { ApiError, type ApiErrorCode, ConfigError, MatrixError } from './errors.js';
export {
  EventData,
  type EventDict,
  isEventData,
  type MatrixEvent,
  StateLookup,
  type StateMap,
} from './event.js';
export { EventId, RoomAlias, RoomId, ServerName, serverNameOf, UserId } from './ids.js';
export { JsonObject } from './json.js';
export { createMatrixEvent } from './matrix-event.js';
export {
  type Homeserver,
  type HomeserverMethods,
  type LogLevel,
  type MembershipChange,
  type ModuleApi,
  type ModuleApiMethod,
  type ModuleApiTable,
  type ModuleLogger,
  type ModuleStorage,
  moduleApiMethods,
  type NewEvent,
  type Profile,
  RequesterOptions,
  type RoomState,
  type StateFilter,
  type UserInfo,
  type WebResource,
} from './module-api.js';
export { camelCase, closeNames, snakeCase } from './names.js';
export type {
  Allowed,
  CheckOutcome,
  ContentOutcome,
  ExpiryOutcome,
  Failure,
  FailureKind,
  InterestedUsersOutcome,
  NotifyOutcome,
  Observation,
  Outcome,
  Refused,
  RegistrationOutcome,
  ReplacementOutcome,
  UsersForStatesOutcome,
} from './outcome.js';
export {
  type ByteSize,
  type GrantGroup,
  type PermissionGroup,
  type PermissionRow,
  permissionGroups,
  type RequestedPermissions,
  type Scope,
} from './permissions.js';
export type {
  Answer,
  AnswerSpec,
  Arg,
  ArgForm,
  Awaitable,
  CallContext,
  Category,
  Check,
  FailurePolicy,
  HostArgs,
  JoinName,
  ModuleArgs,
  Refusal,
  Row,
} from './row.js';
export {
  EmailThreepid,
  FileInfo,
  type MediaFile,
  MediaSource,
  PRESENCE_ALL_USERS,
  Requester,
  RequestInfo,
  UserPresenceState,
  UserProfile,
} from './shapes.js';
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
} from './verdict.js';
