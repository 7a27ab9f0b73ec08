// What the host does for each method of the ModuleApi: permission, arguments, the homeserver's adapter or the runtime's own
// part, and the result as plain data. A method never throws: Comlink's way of throwing would lose the code.

import {
  ApiError,
  EventData,
  type Homeserver,
  moduleApiMethods,
  Requester,
  RequesterOptions,
  type Scope,
} from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import type { Grants } from '../config/entry.js';
import type { Call } from '../dispatch/call.js';
import type { Channel } from '../dispatch/channel.js';
import { chain } from '../dispatch/dispatcher.js';
import type { ApiResult } from '../wire/record.js';
import type { Fetcher } from './network.js';
import { requirePermission } from './permissions.js';
import type { ModuleStore } from './storage.js';

export interface ApiContext {
  /** API calls of the module that the host works on at the same time. */
  readonly mostUnderWay: number;
  readonly grants: Grants;
  readonly homeserver: Homeserver;
  readonly store: ModuleStore;
  readonly fetcher: Fetcher;
  readonly channel: Channel;
  /** The web requests that the module is answering, as they came, by the id of their record. */
  readonly requests: ReadonlyMap<number, Request>;
  /** The module called what the admin did not grant. */
  readonly denied: (method: string, message: string) => void;
  /** What went wrong on the host's side, of which the module learns nothing. */
  readonly hostFailed: (method: string, error: unknown) => void;
}

export type ApiMethods = Readonly<Record<string, (...args: unknown[]) => Promise<ApiResult>>>;

/** Counts what the host is doing for a module at the moment. */
export interface ApiLoad {
  underWay: number;
  /** Calls that were one too many. */
  refused: number;
}

/** A chain of calls that modules cause each other may be so deep. */
const DEEPEST_CHAIN = 8;
/** State events that go to the cell at a time. */
const STATE_PAGE = 100;

interface Method {
  readonly args: readonly v.GenericSchema[];
  readonly scope: Scope;
  run(context: ApiContext, args: readonly unknown[]): unknown;
}

export function createApiMethods(context: ApiContext, load: ApiLoad): ApiMethods {
  const methods: Record<string, (...args: unknown[]) => Promise<ApiResult>> = Object.create(null);
  for (const [name, method] of Object.entries(table)) {
    methods[name] = async (...given) => {
      if (load.underWay >= context.mostUnderWay) {
        load.refused++;
        return failure(new ApiError('QuotaExceeded', `${context.mostUnderWay} API calls are under way already`));
      }
      load.underWay++;
      try {
        requirePermission(context.grants, method.scope, name);
        return { ok: true, value: await method.run(context, checkArgs(name, method.args, given)) };
      } catch (error) {
        if (error instanceof ApiError) {
          if (error.code === 'PermissionDenied') context.denied(name, error.message);
          // The disk's error, or the private address that a name led to: for the admin, not for the module.
          if (error.cause !== undefined) context.hostFailed(name, error.cause);
          return failure(error);
        }
        context.hostFailed(name, error);
        return failure(new ApiError('HomeserverError', `${name} failed`));
      } finally {
        load.underWay--;
      }
    };
  }
  return methods;
}

const failure = ({ code, message, errcode }: ApiError): ApiResult => ({
  ok: false,
  code,
  message,
  ...(errcode === undefined ? {} : { errcode }),
});

function checkArgs(name: string, schemas: readonly v.GenericSchema[], given: readonly unknown[]): readonly unknown[] {
  if (given.length > schemas.length) throw new ApiError('InvalidArgument', `${name} takes ${schemas.length} arguments`);
  return schemas.map((schema, index) => {
    const parsed = v.safeParse(schema, given[index]);
    if (parsed.success) return parsed.output;
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue);
    throw new ApiError(
      'InvalidArgument',
      `${name}: argument ${index + 1}${path === null ? '' : ` (${path})`}: ${issue.message}`,
    );
  });
}

/** Runs the adapter's method a step deeper in the chain, so that the callbacks which it causes know. */
async function askHomeserver(
  { homeserver, channel }: ApiContext,
  name: keyof Homeserver,
  args: readonly unknown[],
  result: v.GenericSchema,
): Promise<unknown> {
  const method = homeserver[name] as ((...args: readonly unknown[]) => unknown) | undefined;
  if (method === undefined) throw new ApiError('NotSupported', `this homeserver does not support ${name}`);
  // An API call cannot be traced to the callback that made it, so the deepest one that is running counts.
  const depth = channel.deepest + 1;
  if (depth > DEEPEST_CHAIN) {
    throw new ApiError('ReentrancyLimit', `a chain of more than ${DEEPEST_CHAIN} calls that modules caused`);
  }
  let value: unknown;
  try {
    value = await chain.run(depth, () => Reflect.apply(method, homeserver, args));
  } catch (error) {
    const { errcode, message } = error as { errcode?: unknown; message?: unknown };
    // An error of the Matrix kind is meant for clients, hence for modules; of any other they learn nothing.
    if (typeof errcode === 'string') throw new ApiError('HomeserverError', String(message), errcode);
    throw error;
  }
  return v.parse(result, value);
}

const Id = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

function pendingCall({ channel }: ApiContext, id: unknown): Call {
  const call = channel.pending(id as number);
  if (call === undefined) throw new ApiError('Gone', 'the call that this belonged to is over');
  return call;
}

function stateOf(context: ApiContext, id: unknown) {
  for (const arg of pendingCall(context, id).question.live.values()) if ('state' in arg) return arg.state;
  throw new ApiError('InvalidArgument', 'this call has no state');
}

const statePages = new WeakMap<Call, AsyncIterator<unknown> | Iterator<unknown>>();
/** The attempt in which a call's file was opened. */
const openedFiles = new WeakMap<Call, number>();
const fetches = new WeakMap<Channel, Map<number, AbortController>>();

const FetchRequest = v.strictObject({
  method: v.string(),
  url: v.string(),
  headers: v.array(v.tuple([v.string(), v.string()])),
  redirect: v.picklist(['follow', 'manual', 'error']),
  stream: v.nullable(Id),
});

const table: Readonly<Record<string, Method>> = {
  ...fromContract(),

  getUserByRequest: {
    args: [Id, v.optional(RequesterOptions, {})],
    scope: 'users:read',
    run(context, [id, options]) {
      const request = context.requests.get(id as number);
      if (request === undefined) throw new ApiError('Gone', 'that request was answered already');
      return askHomeserver(context, 'getUserByRequest', [request, options], Requester);
    },
  },

  'state.get': {
    args: [Id, v.string(), v.string()],
    scope: 'none',
    async run(context, [id, type, stateKey]) {
      const event = await stateOf(context, id).get(type as string, stateKey as string);
      return event === undefined ? null : v.parse(EventData, event);
    },
  },

  'state.list': {
    args: [Id, v.string()],
    scope: 'none',
    run: async (context, [id, type]) => v.parse(v.array(EventData), await stateOf(context, id).list(type as string)),
  },

  'state.entries': {
    args: [Id, Id],
    scope: 'none',
    async run(context, [id, page]) {
      const call = pendingCall(context, id);
      if (page === 0) {
        const entries = stateOf(context, id).entries();
        statePages.set(
          call,
          Symbol.asyncIterator in entries ? entries[Symbol.asyncIterator]() : entries[Symbol.iterator](),
        );
      }
      const iterator = statePages.get(call);
      if (iterator === undefined) throw new ApiError('InvalidArgument', 'state is read from its first page on');
      const events: EventData[] = [];
      while (events.length < STATE_PAGE) {
        const { done, value } = await iterator.next();
        if (done) return { events, done: true };
        events.push(v.parse(EventData, value));
      }
      return { events, done: false };
    },
  },

  'file.open': {
    args: [Id, Id],
    scope: 'none',
    async run(context, [id, index]) {
      const call = pendingCall(context, id);
      const arg = call.question.live.get(index as number);
      if (arg === undefined || !('file' in arg)) throw new ApiError('InvalidArgument', 'this argument is no file');
      if (openedFiles.get(call) === call.attempt) throw new ApiError('Gone', 'a file can be read once in a call');
      openedFiles.set(call, call.attempt);
      const opened = await arg.file.open();
      return context.channel.streams.send(opened instanceof ReadableStream ? opened : ReadableStream.from(opened));
    },
  },

  fetch: {
    args: [Id, FetchRequest],
    scope: 'none',
    async run({ channel, fetcher }, [id, request]) {
      const { stream, ...head } = request as v.InferOutput<typeof FetchRequest>;
      const running = fetches.get(channel) ?? new Map<number, AbortController>();
      fetches.set(channel, running);
      const abort = new AbortController();
      running.set(id as number, abort);
      try {
        const body = stream === null ? null : channel.streams.receive(stream);
        const { body: answer, ...response } = await fetcher.fetch({ ...head, body, signal: abort.signal });
        return { ...response, stream: answer === null ? null : channel.streams.send(answer) };
      } finally {
        running.delete(id as number);
      }
    },
  },

  'fetch.cancel': {
    args: [Id],
    scope: 'none',
    run: ({ channel }, [id]) =>
      fetches
        .get(channel)
        ?.get(id as number)
        ?.abort(),
  },
};

/** The methods of the contract's table. */
function fromContract(): Record<string, Method> {
  return Object.fromEntries(
    Object.entries(moduleApiMethods).map(([name, { args, scope, of, result }]): [string, Method] => [
      name,
      {
        args,
        scope,
        run:
          of === 'homeserver'
            ? (context, given) => askHomeserver(context, name as keyof Homeserver, given, result)
            : ({ store }, given) => runStorage(store, name.slice('storage.'.length) as keyof ModuleStore, given),
      },
    ]),
  );
}

function runStorage(store: ModuleStore, operation: keyof ModuleStore, args: readonly unknown[]): unknown {
  const run = store[operation] as (...args: readonly unknown[]) => unknown;
  return Reflect.apply(run, store, args);
}
