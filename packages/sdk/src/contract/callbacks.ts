// THE TABLE. Types, dispatch, validation, metrics and documentation all derive from these rows; nothing else names a callback.

import * as v from 'valibot';
import { EventData, StateLookup } from './event.js';
import { RoomAlias, RoomId, UserId } from './ids.js';
import { JsonObject } from './json.js';
import {
  type Answer,
  type Awaitable,
  arg,
  type CallContext,
  type Category,
  type HostArgs,
  type ModuleArgs,
  type Row,
} from './row.js';
import {
  EmailThreepid,
  FileInfo,
  MediaSource,
  Requester,
  RequestInfo,
  UserPresenceState,
  UserProfile,
} from './shapes.js';

const SECOND = 1_000;
const MEBIBYTE = 1 << 20;

const forbidden = (error: string) => ({ status: 403, errcode: 'M_FORBIDDEN', error });

export const callbacks = {
  checkEventForSpam: {
    category: 'spamChecker',
    args: [arg('event', EventData, 'event')],
    answer: { kind: 'check', rejects: true, text: 'reason' },
    join: 'firstRejection',
    refusal: forbidden('This message has been rejected as probable spam'),
    onFailure: 'reject',
    timeout: 5 * SECOND,
    since: '1.37',
    doc: 'Called for every local event other than a membership before it is sent, and for every event received from another server. `true` means spam; a string is spam with that reason.',
  },
  userMayInvite: {
    category: 'spamChecker',
    args: [arg('inviter', UserId), arg('invitee', UserId), arg('roomId', RoomId)],
    answer: { kind: 'check', rejects: false, text: 'wrong' },
    join: 'firstRejection',
    refusal: forbidden('You are not allowed to invite this user'),
    onFailure: 'reject',
    timeout: 5 * SECOND,
    since: '1.37',
    doc: 'Called for an invite by a local user who is no server admin, and for an invite from another server.',
  },
  userMayCreateRoom: {
    category: 'spamChecker',
    args: [arg('userId', UserId), arg('roomConfig', JsonObject)],
    answer: { kind: 'check', rejects: false, text: 'wrong' },
    join: 'firstRejection',
    refusal: forbidden('You are not permitted to create rooms'),
    onFailure: 'reject',
    timeout: 5 * SECOND,
    since: '1.37',
    doc: 'Called when a user who is no server admin creates a room, after onCreateRoom; on a room upgrade for anybody.',
  },
  userMayCreateRoomAlias: {
    category: 'spamChecker',
    args: [arg('userId', UserId), arg('roomAlias', RoomAlias)],
    answer: { kind: 'check', rejects: false, text: 'wrong' },
    join: 'firstRejection',
    refusal: forbidden('You are not permitted to create this alias'),
    onFailure: 'reject',
    timeout: 5 * SECOND,
    since: '1.37',
    doc: 'Called when a local user who is no application service creates a room alias, with the room or later.',
  },
  userMayPublishRoom: {
    category: 'spamChecker',
    args: [arg('userId', UserId), arg('roomId', RoomId)],
    answer: { kind: 'check', rejects: false, text: 'wrong' },
    join: 'firstRejection',
    refusal: forbidden('You are not permitted to change the entry of this room in the directory'),
    onFailure: 'reject',
    timeout: 5 * SECOND,
    since: '1.37',
    doc: "Called for every change of a room's entry in the public directory, `visibility` of createRoom included.",
  },
  checkUsernameForSpam: {
    category: 'spamChecker',
    args: [arg('profile', UserProfile), arg('requesterId', UserId)],
    answer: { kind: 'check', rejects: false, text: 'wrong' },
    join: 'firstRejection',
    refusal: forbidden('This user is hidden'),
    onFailure: 'allow',
    timeout: 5 * SECOND,
    since: '1.37',
    doc: 'Called for each result of a user-directory search. `true` means that the profile may appear.',
    warning: "Synapse's code has it the other way round: there `true` hides the profile.",
  },
  checkRegistrationForSpam: {
    category: 'spamChecker',
    args: [
      arg('emailThreepid', v.nullable(EmailThreepid)),
      arg('username', v.nullable(v.string())),
      arg('requestInfo', RequestInfo),
      arg('authProviderId', v.nullable(v.string())),
    ],
    answer: { kind: 'registration' },
    join: 'firstAnswer',
    refusal: { status: 429, errcode: 'M_UNKNOWN', error: 'Rate limited' },
    onFailure: 'reject',
    timeout: 5 * SECOND,
    since: '1.37',
    doc: 'Called once, after interactive authentication and before the user exists. A username of `null` means that the homeserver will make one up.',
  },
  checkMediaFileForSpam: {
    category: 'spamChecker',
    args: [arg('file', MediaSource, 'file'), arg('fileInfo', FileInfo)],
    answer: { kind: 'check', rejects: false, text: 'wrong' },
    join: 'firstRejection',
    refusal: { status: 400, errcode: 'M_UNKNOWN', error: 'Bad content' },
    onFailure: 'reject',
    timeout: 30 * SECOND,
    since: '1.37',
    doc: 'Called for uploads, remote files, thumbnails and URL previews, after the bytes are complete and before they are served. `true` means that the file may be stored.',
    warning: "Synapse's code has it the other way round: there `true` is spam.",
  },
  isUserExpired: {
    category: 'accountValidity',
    args: [arg('userId', UserId)],
    answer: { kind: 'expiry' },
    join: 'firstAnswer',
    refusal: { status: 403, errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT', error: 'User account has expired' },
    onFailure: 'allow',
    timeout: 1 * SECOND,
    shared: true,
    since: '1.39',
    doc: 'Called on every authenticated request after the token is resolved, not for application services and not for logout. `null` is no opinion.',
    warning: 'A module that fails has no opinion unless `on_failure: reject` is set; Synapse answers 500.',
  },
  onUserRegistration: {
    category: 'accountValidity',
    args: [arg('userId', UserId)],
    answer: { kind: 'nothing' },
    join: 'notify',
    onFailure: 'skip',
    timeout: 5 * SECOND,
    since: '1.39',
    doc: 'Called after the account exists. The registration is answered when every module is done, within its deadline.',
  },
  checkEventAllowed: {
    category: 'thirdPartyRules',
    args: [arg('event', EventData, 'event'), arg('stateEvents', StateLookup, 'state')],
    answer: { kind: 'replacement', of: 0 },
    join: 'firstReplacement',
    refusal: forbidden('This event is not allowed in this context'),
    onFailure: 'reject',
    timeout: 5 * SECOND,
    resultLimit: 128 * 1024,
    since: '1.39',
    doc: 'Called for every event made on this server, before the authorisation rules. `[true, dict]` allows the event with its data replaced; `context.origin` says where it came from.',
    warning:
      'Experimental. Prefer checkEventForSpam where it is enough: refusing an event that other servers have accepted lets the histories of the room diverge.',
  },
  onCreateRoom: {
    category: 'thirdPartyRules',
    args: [arg('requester', Requester), arg('requestContent', JsonObject), arg('isRequesterAdmin', v.boolean())],
    answer: { kind: 'content', of: 1 },
    join: 'waterfall',
    refusal: { status: 403, errcode: 'M_UNKNOWN', error: 'Room creation forbidden with these parameters' },
    failureRefusal: { status: 403, errcode: 'M_UNKNOWN', error: 'Room creation forbidden with these parameters' },
    onFailure: 'reject',
    timeout: 5 * SECOND,
    resultLimit: MEBIBYTE,
    since: '1.39',
    doc: 'Called before any other check of createRoom. Change `requestContent` in place or return the new content; throw MatrixError to refuse.',
    warning: 'Experimental, like the other third-party rules.',
  },
  getUsersForStates: {
    category: 'presenceRouter',
    args: [arg('stateUpdates', v.array(UserPresenceState))],
    answer: { kind: 'usersForStates' },
    join: 'union',
    onFailure: 'skip',
    timeout: 1 * SECOND,
    resultLimit: MEBIBYTE,
    requires: ['getInterestedUsers'],
    since: '1.42',
    doc: 'Called when presence changes: which users receive which of these states besides those who share a room.',
  },
  getInterestedUsers: {
    category: 'presenceRouter',
    args: [arg('userId', UserId)],
    answer: { kind: 'interestedUsers' },
    join: 'union',
    onFailure: 'skip',
    timeout: 1 * SECOND,
    resultLimit: MEBIBYTE,
    requires: ['getUsersForStates'],
    since: '1.42',
    doc: 'Called to learn whose presence a user receives besides those who share a room; PRESENCE_ALL_USERS for everybody.',
  },
} as const satisfies Record<string, Row>;

export type CallbackTable = typeof callbacks;
export type CallbackName = keyof CallbackTable;

export const callbackNames = Object.freeze(Object.keys(callbacks)) as readonly CallbackName[];

/** The callbacks of one category. */
export type CallbackNameOf<C extends Category> = {
  [K in CallbackName]: CallbackTable[K]['category'] extends C ? K : never;
}[CallbackName];

/** The function that a module registers for a callback. Asynchronous; a synchronous one is accepted. */
export type Callback<K extends CallbackName> = (
  ...args: [...ModuleArgs<CallbackTable[K]['args']>, context: CallContext]
) => Awaitable<Answer<CallbackTable[K]['answer']>>;

/** A module's callbacks of a category. Presence rows require each other, all others are optional. */
export type Callbacks<C extends Category> = C extends 'presenceRouter'
  ? { readonly [K in CallbackNameOf<C>]: Callback<K> }
  : { readonly [K in CallbackNameOf<C>]?: Callback<K> | undefined };

/** What an embedder passes to a callback. */
export type CallbackArgs<K extends CallbackName> = HostArgs<CallbackTable[K]['args']>;
