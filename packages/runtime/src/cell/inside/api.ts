// The ModuleApi as the module holds it: a frozen plain object. What needs no question to the host is computed here.

import {
  ApiError,
  createMatrixEvent,
  type EventData,
  type LogLevel,
  type MatrixEvent,
  type ModuleApi,
  type RoomState,
  serverNameOf,
} from '@bulkhead/sdk/contract';
import { logLevels, type Manifest } from '../../wire/record.js';
import type { Streams } from '../../wire/streams.js';
import { createFetch } from './fetch.js';
import { outbox } from './outbox.js';
import type { Registry } from './registry.js';
import type { Remote } from './remote.js';
import { requestIdOf } from './web.js';

/** A module's instance; `ready` is what `defineModule` awaits set-up by. */
export interface ModuleInstance {
  readonly ready?: unknown;
}

interface Parts {
  readonly manifest: Manifest;
  readonly registry: Registry;
  readonly remote: Remote;
  readonly streams: Streams;
}

export function createModuleApi({ manifest, registry, remote, streams }: Parts): ModuleApi {
  const { moduleId, serverName } = manifest;
  globalThis.fetch = createFetch(remote, streams);

  const log = (level: LogLevel) => {
    const index = logLevels.indexOf(level);
    return (message: string, fields?: unknown): void => outbox.log(index, String(message), fields);
  };
  const ask =
    <T>(method: string) =>
    (...args: readonly unknown[]): Promise<T> =>
      remote.call<T>(method, ...args);

  return Object.freeze<ModuleApi>({
    moduleId,
    serverName,
    logger: Object.freeze({ debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }),
    storage: Object.freeze({
      get: ask<unknown>('storage.get'),
      set: (key: string, value: unknown, options = {}) => remote.call<void>('storage.set', key, value, options),
      delete: ask<boolean>('storage.delete'),
      increment: (key: string, by = 1, options = {}) => remote.call<number>('storage.increment', key, by, options),
      list: (page = {}) => remote.call<Awaited<ReturnType<ModuleApi['storage']['list']>>>('storage.list', page),
    }),

    isMine: (id) => serverNameOf(String(id)) === serverName,
    getQualifiedUserId: (username) => (username.startsWith('@') ? username : `@${username}:${serverName}`),
    now: () => Date.now(),
    sleep,

    registerSpamCheckerCallbacks: (callbacks) => registry.register('spamChecker', callbacks),
    registerAccountValidityCallbacks: (callbacks) => registry.register('accountValidity', callbacks),
    registerThirdPartyRulesCallbacks: (callbacks, { stateTypes = [] } = {}) => {
      registry.register('thirdPartyRules', callbacks);
      registry.wantState(stateTypes);
    },
    registerPresenceRouterCallbacks: (callbacks) => registry.register('presenceRouter', callbacks),
    registerWebResource: (path, resource) => registry.registerResource(path, resource),

    getProfile: ask('getProfile'),
    getUserInfo: ask('getUserInfo'),
    checkUserExists: ask('checkUserExists'),
    createAndSendEvent: ask('createAndSendEvent'),
    updateRoomMembership: ask('updateRoomMembership'),
    getRoomState: async (roomId, filter) =>
      roomState(await remote.call<EventData[]>('getRoomState', roomId, filter ?? null)),
    getUserByRequest: async (request, options = {}) => {
      const id = requestIdOf(request);
      if (id === undefined) {
        throw new ApiError('InvalidArgument', 'getUserByRequest takes the Request that a web resource was given');
      }
      return remote.call('getUserByRequest', id, options);
    },
  });
}

function sleep(ms: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

function roomState(data: readonly EventData[]): RoomState {
  const events = data.map(createMatrixEvent);
  const keyOf = (type: string, stateKey: string): string => JSON.stringify([type, stateKey]);
  const byKey = new Map(events.map((event) => [keyOf(event.type, event.state_key ?? ''), event]));
  return Object.freeze({
    get: (type: string, stateKey = ''): MatrixEvent | undefined => byKey.get(keyOf(type, stateKey)),
    list: (type: string) => events.filter((event) => event.type === type),
    size: events.length,
    [Symbol.iterator]: () => events[Symbol.iterator](),
  });
}
