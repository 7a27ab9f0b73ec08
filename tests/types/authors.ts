// What the compiler tells module authors: names, arguments and answers of callbacks, and the type of their configuration.

import {
  type Awaitable,
  allow,
  type Callback,
  type Callbacks,
  type CallContext,
  Codes,
  type Deny,
  defineModule,
  deny,
  type MatrixEvent,
  type MediaFile,
  type ModuleApi,
  type ModuleClass,
  NOT_SPAM,
  PRESENCE_ALL_USERS,
  RegistrationBehaviour,
  type RequestedPermissions,
  type Requester,
  type RoomState,
  type StateMap,
  type UserPresenceState,
  v,
} from '@bulkhead/sdk';
import { same } from './expect.ts';

declare const api: ModuleApi;

// defineModule infers the configuration's type from its schema

export const inferred = defineModule({
  name: 'inferred',
  config: v.object({ words: v.optional(v.array(v.string()), []), limit: v.pipe(v.string(), v.transform(Number)) }),
  setup({ config, api }) {
    same<typeof config, { words: string[]; limit: number }>();
    same<typeof api, ModuleApi>();
    // @ts-expect-error the schema knows no such key
    config.word;
    return {
      checkEventForSpam(event, { signal, deadline, attempt }) {
        same<typeof event, MatrixEvent>();
        same<typeof signal, AbortSignal>();
        same<typeof deadline, number>();
        same<typeof attempt, number>();
        return config.words.includes(event.type) ? 'a bad word' : allow();
      },
      userMayInvite: (inviter, invitee, roomId, context) => {
        same<[typeof inviter, typeof invitee, typeof roomId, typeof context], [string, string, string, CallContext]>();
        return inviter !== invitee;
      },
    };
  },
});
same<typeof inferred, ModuleClass<{ words: string[]; limit: number }>>();

export const asynchronous = defineModule({
  name: 'asynchronous',
  config: v.objectAsync({
    id: v.pipeAsync(
      v.string(),
      v.checkAsync(async () => true),
    ),
  }),
  permissions: { network: ['api.example.org'], rooms: ['read', 'write'], storage: '10MiB', web_paths: ['/hello'] },
  setup: async ({ config }) => {
    same<typeof config, { id: string }>();
  },
});

defineModule({
  name: 'dependent',
  config: v.object({ host: v.string() }),
  permissions: (config) => {
    same<typeof config, { host: string }>();
    return { network: [config.host] };
  },
  setup: () => {},
});

export const declared: RequestedPermissions[] = [
  {},
  { users: ['read'], web: ['credentials', 'cookies', 'service_worker'], storage: 1024 },
  // @ts-expect-error there is no such group
  { user: ['read'] },
  // @ts-expect-error users can only be read
  { users: ['read', 'write'] },
  // @ts-expect-error a path begins with a slash
  { web_paths: ['hello'] },
  // @ts-expect-error a size has a unit, or is a number
  { storage: '10 megabytes' },
];
defineModule({
  name: 'asks-for-what-there-is-not',
  config: v.unknown(),
  // @ts-expect-error there is no such group
  permissions: { files: ['read'] },
  setup: () => {},
});

defineModule({
  name: 'wrong',
  config: v.unknown(),
  // @ts-expect-error a wrong answer
  setup: () => ({ userMayCreateRoom: () => 'because' }),
});

// Registrations

api.registerSpamCheckerCallbacks({ userMayCreateRoom: async (userId) => userId !== '@evil:example.org' });
// @ts-expect-error there is no such callback
api.registerSpamCheckerCallbacks({ userMayCreateRooms: () => true });
// @ts-expect-error it belongs to another category
api.registerSpamCheckerCallbacks({ isUserExpired: () => null });
// @ts-expect-error each presence callback requires the other
api.registerPresenceRouterCallbacks({ getInterestedUsers: () => [] });
api.registerPresenceRouterCallbacks({ getInterestedUsers: () => PRESENCE_ALL_USERS, getUsersForStates: () => ({}) });
same<keyof Callbacks<'accountValidity'>, 'isUserExpired' | 'onUserRegistration'>();
api.registerWebResource('/_synapse/client/x', (request) => Response.json(request.url));
api.registerWebResource('/_synapse/client/x', { fetch: () => new Response() });
// @ts-expect-error a resource answers with a Response
api.registerWebResource('/_synapse/client/x', () => 'text');

/** A class in the shape of Synapse's: its methods are callbacks as they stand. */
export class Blocker {
  static readonly permissions: RequestedPermissions = { users: ['read'] };

  static parseConfig(raw: unknown): { blocked: readonly string[] } {
    return { blocked: [String(raw)] };
  }

  readonly config: { blocked: readonly string[] };

  constructor(config: { blocked: readonly string[] }, api: ModuleApi) {
    this.config = config;
    api.registerSpamCheckerCallbacks({ userMayCreateRoom: this.userMayCreateRoom });
  }

  async userMayCreateRoom(userId: string): Promise<boolean> {
    return !this.config.blocked.includes(userId);
  }
}
export const fits: ModuleClass<{ blocked: readonly string[] }> = Blocker;

// Answers

type Returned<K extends Parameters<typeof answers>[0]> = Awaited<ReturnType<Callback<K>>>;
declare function answers(name: keyof Callbacks<'spamChecker'> | keyof Callbacks<'thirdPartyRules'>): void;

export const checks: Returned<'userMayInvite'>[] = [
  true,
  allow(),
  NOT_SPAM,
  'NOT_SPAM',
  deny({ code: 'M_X', extra: { why: 1 } }),
  Codes.FORBIDDEN,
  [Codes.FORBIDDEN, { why: 1 }],
];
export const reasons: Returned<'checkEventForSpam'>[] = ['no links', true, Codes.BAD_JSON];
export const replacements: Returned<'checkEventAllowed'>[] = [true, [true, null], [false, null], deny()];
export const contents: Returned<'onCreateRoom'>[] = [undefined, { name: 'a' }];

// @ts-expect-error a text is a reason in checkEventForSpam alone
export const text: Returned<'userMayInvite'> = 'because';
// @ts-expect-error no opinion is not to be had here
export const nothing: Returned<'userMayInvite'> = undefined;
// @ts-expect-error what is allowed has no error body
export const allowedWithExtra: Returned<'userMayInvite'> = [allow(), {}];
// @ts-expect-error a replacement is an event, or null
export const half: Returned<'checkEventAllowed'> = [true, {}];
// @ts-expect-error verdicts are made by deny()
export const behaviour: Returned<'checkRegistrationForSpam'> = 'ban';
export const banned: Returned<'checkRegistrationForSpam'> = RegistrationBehaviour.SHADOW_BAN;
same<ReturnType<typeof deny>, Deny>();
same<typeof Codes.FORBIDDEN, Deny>();
// @ts-expect-error verdicts cannot be changed
Codes.FORBIDDEN.code = 'M_X';

// Arguments

type Args<K extends Parameters<typeof named>[0]> = Parameters<Callback<K>>;
declare function named(name: Parameters<typeof answers>[0] | keyof Callbacks<'presenceRouter'>): void;
same<Args<'checkEventAllowed'>[0], MatrixEvent>();
same<Args<'checkEventAllowed'>[1], StateMap>();
same<Args<'checkEventAllowed'>[2], CallContext>();
same<Args<'checkMediaFileForSpam'>[0], MediaFile>();
same<Args<'checkRegistrationForSpam'>[1], string | null>();
same<Args<'getUsersForStates'>[0][number]['user_id'], UserPresenceState['user_id']>();

export async function surroundings(event: MatrixEvent, state: StateMap): Promise<void> {
  same<ReturnType<StateMap['get']>, Promise<MatrixEvent | undefined>>();
  same<typeof event.membership, string | undefined>();
  // @ts-expect-error an event is not changed in place
  event.content = {};
  const dict = event.getDict();
  dict.content = { body: 'changed' };
  for await (const each of state.entries()) same<typeof each, MatrixEvent>();
  same<Awaited<ReturnType<ModuleApi['getUserByRequest']>>, Requester>();
  same<Awaited<ReturnType<ModuleApi['getRoomState']>>, RoomState>();
  // @ts-expect-error nobody is told a token
  (await api.getUserByRequest(new Request('http://x'))).token;
  // @ts-expect-error a membership is one of five
  await api.updateRoomMembership({ sender: '@a:b', target: '@a:b', roomId: '!r', membership: 'gone' });
}
export type Either = Awaitable<boolean>;

defineModule({
  name: 'misspelt',
  config: v.unknown(),
  // @ts-expect-error there is no such callback, whatever stands beside it
  setup: () => ({ userMayCreateRoom: () => true, checkEventForSpan: () => true }),
});
defineModule({
  name: 'misspelt-later',
  config: v.unknown(),
  // @ts-expect-error there is no such callback, whatever stands beside it
  setup: async () => ({ userMayCreateRoom: () => true, checkEventForSpan: () => true }),
});
defineModule({
  name: 'conditional',
  config: v.object({ strict: v.boolean() }),
  setup({ config }) {
    if (!config.strict) return;
    return { checkEventForSpam: (event) => event.content.body === 'x', userMayInvite: undefined };
  },
});
