// Modules that answer what a test tells them to, and "allowed" otherwise; they write down every call.

import { EventEmitter } from 'node:events';
import type { CallOptions, ModuleEvents, ModuleStatus, Modules } from '@bulkhead/runtime';
import {
  type CallbackArgs,
  type CallbackName,
  type Category,
  callbackNames,
  callbacks,
  type Outcome,
  type Refused,
} from '@bulkhead/sdk/contract';

export interface Call {
  readonly callback: CallbackName;
  readonly args: readonly unknown[];
}

export type Answers = {
  [K in CallbackName]?: (...args: CallbackArgs<K>) => Outcome<K> | Promise<Outcome<K>>;
};

export interface FakeModules extends Modules {
  readonly calls: Call[];
  /** What the callbacks answer from now on. */
  answers: Answers;
  /** Answers paths outside the homeserver's own. */
  resource: ((request: Request) => Response | undefined) | undefined;
  /** The arguments of every call of a callback since the last `forgetCalls`, and its options. */
  callsOf<K extends CallbackName>(callback: K): [...CallbackArgs<K>, options?: CallOptions][];
  forgetCalls(): void;
  /** What `status()` says. */
  statuses: readonly ModuleStatus[];
  emit<E extends keyof ModuleEvents>(event: E, data: ModuleEvents[E]): void;
  /** How many listen to events. */
  readonly listeners: number;
}

const nothing = { failures: [], observed: [] };
export const allowed = { allowed: true, ...nothing } as const;
export const refused = (more: Partial<Refused> = {}): Refused => ({
  allowed: false,
  cause: 'refused',
  module: 'fake',
  status: 403,
  errcode: 'M_FORBIDDEN',
  error: 'Refused by a module',
  extra: {},
  ...nothing,
  ...more,
});

const DEFAULTS: { [K in CallbackName]: (...args: CallbackArgs<K>) => Outcome<K> } = {
  checkEventForSpam: () => allowed,
  userMayInvite: () => allowed,
  userMayCreateRoom: () => allowed,
  userMayCreateRoomAlias: () => allowed,
  userMayPublishRoom: () => allowed,
  checkUsernameForSpam: () => allowed,
  checkRegistrationForSpam: () => ({ behaviour: 'allow', ...nothing }),
  checkMediaFileForSpam: () => allowed,
  isUserExpired: () => ({ expired: null, ...nothing }),
  onUserRegistration: () => nothing,
  checkEventAllowed: () => allowed,
  onCreateRoom: (_requester, content) => ({ ...allowed, content }),
  getUsersForStates: () => ({ users: new Map(), ...nothing }),
  getInterestedUsers: () => ({ users: new Set<string>(), ...nothing }),
};

export function createFakeModules(): FakeModules {
  const calls: Call[] = [];
  const events = new EventEmitter().setMaxListeners(0);
  const fake = {
    calls,
    answers: {} as Answers,
    resource: undefined as FakeModules['resource'],
    callsOf: (callback: CallbackName) => calls.filter((call) => call.callback === callback).map(({ args }) => args),
    forgetCalls: () => calls.splice(0),
    forget: async () => {},
    has: () => true,
    fetch: async (request: Request) => fake.resource?.(request),
    statuses: [] as readonly ModuleStatus[],
    status: () => fake.statuses,
    restart: async () => {},
    reload: async () => {},
    close: async () => {},
    on: (event: string, listener: (data: unknown) => void) => {
      events.on(event, listener);
      return () => events.off(event, listener);
    },
    emit: (event: string, data: unknown) => void events.emit(event, data),
    get listeners() {
      return events.eventNames().reduce((sum, name) => sum + events.listenerCount(name), 0);
    },
  };
  const categories: Partial<Record<Category, Record<string, unknown>>> = {};
  for (const callback of callbackNames) {
    const { category } = callbacks[callback];
    const methods = categories[category] ?? {};
    categories[category] = methods;
    methods[callback] = async (...args: never[]) => {
      calls.push({ callback, args });
      const answer = (fake.answers[callback] ?? DEFAULTS[callback]) as (...args: never[]) => unknown;
      return answer(...args);
    };
  }
  return Object.assign(fake, categories) as unknown as FakeModules;
}
