// What the compiler tells embedders: outcomes that have to be looked at, and methods that are those of the table.

import {
  type BulkheadError,
  type CallOptions,
  createModuleRuntime,
  type Homeserver,
  type ModuleStatus,
  type Modules,
  type RuntimeErrorCode,
  refusalResponse,
} from '@bulkhead/runtime';
import type {
  CallbackName,
  Category,
  EventData,
  ExtraFields,
  Failure,
  StateLookup,
  UserPresenceState,
} from '@bulkhead/sdk/contract';
import { same } from './expect.ts';

declare const modules: Modules;
declare const event: EventData;
declare const state: StateLookup;

export async function checks(): Promise<Response | undefined> {
  const outcome = await modules.spamChecker.checkEventForSpam(event);
  same<typeof outcome.failures, readonly Failure[]>();
  // @ts-expect-error nobody takes an outcome for a boolean's worth of it before having looked
  outcome.status;
  if (outcome.allowed) {
    // @ts-expect-error what is allowed has no status
    outcome.status;
    return undefined;
  }
  same<typeof outcome.cause, 'refused' | 'failed'>();
  same<typeof outcome.status, number>();
  same<typeof outcome.extra, ExtraFields>();
  return refusalResponse(outcome);
}

export async function replacements(): Promise<EventData> {
  const outcome = await modules.thirdPartyRules.checkEventAllowed(event, state, { origin: 'client' });
  if (!outcome.allowed) {
    // @ts-expect-error what is refused is not replaced
    outcome.replacement;
    return event;
  }
  same<typeof outcome.replacement, { readonly module: string; readonly event: EventData } | undefined>();
  return outcome.replacement?.event ?? event;
}

export async function others(): Promise<void> {
  const registration = await modules.spamChecker.checkRegistrationForSpam(null, 'bob', [['agent', '::1']], null);
  same<typeof registration.behaviour, 'allow' | 'shadow_ban' | 'deny'>();
  if (registration.behaviour === 'deny') refusalResponse(registration);
  if (registration.behaviour === 'shadow_ban') same<typeof registration.module, string>();
  // @ts-expect-error whoever is allowed was banned by nobody
  if (registration.behaviour === 'allow') registration.module;

  const validity = await modules.accountValidity.isUserExpired('@a:b');
  same<typeof validity.expired, boolean | null>();
  if (validity.expired) refusalResponse(validity);
  // @ts-expect-error no opinion is no refusal
  if (validity.expired === null) refusalResponse(validity);

  const requester = { userId: '@a:b', isGuest: false, shadowBanned: false, authenticatedEntity: '@a:b' };
  const room = await modules.thirdPartyRules.onCreateRoom(requester, {}, false);
  if (room.allowed) same<typeof room.content, Readonly<Record<string, unknown>>>();

  const routed = await modules.presenceRouter.getUsersForStates([]);
  same<typeof routed.users, ReadonlyMap<string, readonly UserPresenceState[]>>();
  const interested = await modules.presenceRouter.getInterestedUsers('@a:b');
  same<typeof interested.users, ReadonlySet<string> | 'ALL'>();
  const told = await modules.accountValidity.onUserRegistration('@a:b');
  // @ts-expect-error nobody refuses what has happened
  told.allowed;
}

export function calls(): void {
  // @ts-expect-error there is no such callback
  void modules.spamChecker.checkEventForSpan(event);
  // @ts-expect-error it belongs to another category
  void modules.spamChecker.isUserExpired('@a:b');
  // @ts-expect-error an argument is missing
  void modules.spamChecker.userMayInvite('@a:b', '@c:d');
  // @ts-expect-error an argument is of the wrong type
  void modules.spamChecker.userMayCreateRoom(5, {});
  // @ts-expect-error an event has a sender
  void modules.spamChecker.checkEventForSpam({ type: 'm', room_id: '!r', content: {}, origin_server_ts: 1 });
  // @ts-expect-error an event comes from a client or from federation
  void modules.thirdPartyRules.checkEventAllowed(event, state, { origin: 'elsewhere' });
  // @ts-expect-error a requester carries no token
  void modules.thirdPartyRules.onCreateRoom({ ...({} as Requester), token: 'x' }, {}, false);
  // @ts-expect-error `has` takes names of the table
  modules.has('checkEventForSpan');
  const options: CallOptions = { signal: AbortSignal.timeout(1), roomVersion: '11' };
  void modules.spamChecker.checkEventForSpam(event, options);
}

type Requester = Parameters<Modules['thirdPartyRules']['onCreateRoom']>[0];

export function facade(): void {
  type Methods = { [C in Category]: keyof Modules[C] }[Category];
  same<Methods, CallbackName>();
  same<ReturnType<Modules['fetch']>, Promise<Response | undefined>>();
  same<ReturnType<Modules['status']>, readonly ModuleStatus[]>();
  modules.on('cell', ({ state }) => same<typeof state, ModuleStatus['state']>());
  // @ts-expect-error there is no such event
  modules.on('cells', () => {});
  // @ts-expect-error outcomes are for reading
  void modules.spamChecker.checkEventForSpam(event).then((outcome) => (outcome.failures = []));
}

export async function runtime(): Promise<void> {
  await createModuleRuntime({ configFile: 'homeserver.yaml', homeserver: { serverName: 'example.org' } });
  await createModuleRuntime({ config: { modules: [] }, homeserver: { serverName: 'example.org' } });
  // @ts-expect-error a homeserver has a name
  await createModuleRuntime({ configFile: 'homeserver.yaml', homeserver: {} });
  // @ts-expect-error there are two containments
  await createModuleRuntime({ homeserver: { serverName: 'x' }, containment: 'none' });
  const homeserver: Homeserver = {
    serverName: 'example.org',
    createAndSendEvent: async (event) => {
      same<typeof event.sender, string>();
      return { event_id: '$x' };
    },
    checkUserExists: (userId) => userId,
    // @ts-expect-error a profile is an object or null
    getProfile: () => 'Alice',
  };
  void homeserver;
  same<BulkheadError['code'], RuntimeErrorCode>();
}
