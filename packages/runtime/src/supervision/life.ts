// One life of a module: a cell that was given its script, its configuration and a set-up. When the cell ends, so does it.

import { type CallbackName, callbackNames, callbacks, type Homeserver, type Row } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { exposeGuarded } from '../api/guard.js';
import type { Fetcher } from '../api/network.js';
import { plainPath, reservedPath } from '../api/paths.js';
import { groupsOf, hintToGrant, inWords, missingOf } from '../api/permissions.js';
import { type ApiLoad, createApiMethods } from '../api/server.js';
import type { ModuleStore } from '../api/storage.js';
import type { ModuleEntry, Permissions } from '../config/entry.js';
import { readNeeds } from '../config/permissions.js';
import type { AskedAnswer, Call } from '../dispatch/call.js';
import type { Channel, ChannelEvents } from '../dispatch/channel.js';
import { parseHostile } from '../dispatch/hostile.js';
import type { Bundle } from '../loading/bundle.js';
import { mapStack } from '../loading/stack.js';
import type { ModuleLog } from '../observe/log.js';
import {
  type ConfigIssue,
  type ConfigureBody,
  type Manifest,
  type ManifestRow,
  RecordType,
  type ThrownError,
} from '../wire/record.js';
import { Effort } from './effort.js';
import type { Cell } from './hull.js';

/** What a life needs besides its cell; the same for all lives of a module. */
export interface LifeParts {
  readonly entry: ModuleEntry;
  readonly exportName: string;
  readonly bundle: Bundle;
  readonly homeserver: Homeserver;
  readonly store: ModuleStore;
  readonly fetcher: Fetcher;
  readonly log: ModuleLog;
  /** Paths that are the homeserver's, besides those of the specification. */
  readonly reservedPaths: readonly string[];
  /** The module called what the admin did not grant. */
  readonly denied: (method: string, message: string) => void;
  /** Something on the host's side failed while it served the module. */
  readonly hostFailed: (method: string, error: unknown) => void;
  readonly violated: (life: Life, message: string) => void;
  /** It has used up its share of the host's time. */
  readonly throttled: (life: Life) => void;
  /** A cell has taken what it was sent. */
  readonly drained: () => void;
}

export interface Registered {
  readonly callbacks: readonly CallbackName[];
  readonly resources: readonly string[];
  /** Types of state events that shall come with its calls. */
  readonly stateTypes: readonly string[];
}

export const nothingRegistered: Registered = { callbacks: [], resources: [], stateTypes: [] };

/** Why a life did not begin. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';
  /** `CellLost`: the cell ended meanwhile, by the module's doing or with its hull. */
  readonly code:
    | 'ExportNotFound'
    | 'ConfigRejected'
    | 'InvalidPermissions'
    | 'NotGranted'
    | 'NotStateless'
    | 'SetupFailed'
    | 'SetupTimedOut'
    | 'CellLost';
  /** What parseConfig found wrong. */
  readonly issues: readonly ConfigIssue[];
  readonly exports: readonly string[];
  /** What the admin can do about it. */
  readonly hint: string | undefined;
  /** Whether the hull ended, too. */
  readonly withHull: boolean;

  constructor(
    code: StartFailure['code'],
    message: string,
    details: {
      readonly issues?: readonly ConfigIssue[];
      readonly exports?: readonly string[];
      readonly hint?: string;
      readonly stack?: string;
      readonly withHull?: boolean;
    } = {},
  ) {
    super(message);
    this.code = code;
    this.issues = details.issues ?? [];
    this.exports = details.exports ?? [];
    this.hint = details.hint;
    this.withHull = details.withHull ?? false;
    if (details.stack !== undefined) this.stack = details.stack;
  }
}

/** Whether the cell ended because its hull did, which may have been somebody else's doing. */
export const isLostWithHull = (error: unknown): boolean =>
  error instanceof StartFailure && error.code === 'CellLost' && error.withHull;

const KIBIBYTE = 1024;
const USUAL_RESULT_LIMIT = 128 * KIBIBYTE;
const MOST_RESOURCES = 100;
/** Calls that a life remembers although their deadlines passed. */
const MOST_OVERDUE = 16;
const MOST_STATE_TYPES = 20;

const Loaded = v.object({ exports: v.array(v.string()) });
const Configured = v.object({ permissions: v.unknown(), stateless: v.boolean() });
const SetUp = v.object({
  callbacks: v.array(v.picklist(callbackNames)),
  resources: v.pipe(v.array(v.pipe(v.string(), v.maxLength(1000))), v.maxLength(MOST_RESOURCES)),
  stateTypes: v.pipe(v.array(v.pipe(v.string(), v.maxLength(255))), v.maxLength(MOST_STATE_TYPES)),
});

export class Life {
  readonly cell: Cell;
  readonly channel: Channel;
  readonly apiLoad: ApiLoad = { underWay: 0, refused: 0 };
  readonly effort = new Effort();
  /** When it was told last that it is not read, on the clock of `performance.now()`. */
  throttledAt = Number.NEGATIVE_INFINITY;
  /** Web requests that the module is answering, by the id of their record. */
  readonly requests = new Map<number, Request>();
  /** What the module asks for; what it has is in the entry. */
  asked: Permissions = {};
  registered = nothingRegistered;
  /** What loading, parseConfig and set-up took, without the waiting for other modules in between. */
  startMs = 0;
  readonly #overdue: Call[] = [];
  readonly #parts: LifeParts;

  constructor(cell: Cell, parts: LifeParts) {
    this.cell = cell;
    this.channel = cell.channel;
    this.#parts = parts;
    const methods = createApiMethods(
      {
        mostUnderWay: parts.entry.limits.apiCalls,
        grants: parts.entry.permissions,
        homeserver: parts.homeserver,
        store: parts.store,
        fetcher: parts.fetcher,
        channel: cell.channel,
        requests: this.requests,
        denied: parts.denied,
        hostFailed: parts.hostFailed,
      },
      this.apiLoad,
    );
    const api = exposeGuarded(methods, (message) => cell.channel.sendApi(message));
    const events: ChannelEvents = {
      api: (message) => {
        const { refused } = this.apiLoad;
        api.receive(message);
        return this.apiLoad.refused === refused;
      },
      log: parts.log,
      throttled: () => parts.throttled(this),
      violation: (message) => parts.violated(this, message),
      drained: () => parts.drained(),
    };
    cell.channel.attach(events, parts.entry.limits.hostTime);
  }

  /** Evaluates the module's script and finds its export. @throws StartFailure */
  async load(): Promise<void> {
    await withTimeout(Promise.race([this.channel.ready, this.channel.ended]), this.#parts.entry.setupTimeout);
    const { exports } = await this.#ask('SetupFailed', RecordType.load, this.#parts.bundle.script, Loaded);
    const { exportName } = this.#parts;
    if (!exports.includes(exportName)) {
      throw new StartFailure('ExportNotFound', `there is no export "${exportName}"`, { exports });
    }
  }

  /** Runs parseConfig, and sees that what the module needs is granted. @throws StartFailure */
  async configure(): Promise<void> {
    const { entry, exportName, homeserver } = this.#parts;
    const manifest: Manifest = {
      moduleId: entry.id,
      serverName: homeserver.serverName,
      exportName,
      callbacks: manifestRows(entry),
    };
    const body: ConfigureBody = { manifest, config: entry.config };
    const { permissions, stateless } = await this.#ask(
      'ConfigRejected',
      RecordType.configure,
      JSON.stringify(body),
      Configured,
    );
    if (entry.instances > 1 && !stateless) {
      const hint = 'without this key it runs in one cell; its author may declare it with `stateless: true`';
      throw new StartFailure('NotStateless', 'the module does not declare that it is stateless', { hint });
    }
    const read = readNeeds(permissions);
    if ('faults' in read) {
      const hint = 'the module declares this itself, so its author has to correct it';
      throw new StartFailure('InvalidPermissions', read.faults.join('\n'), { hint });
    }
    this.asked = read.needs;
    this.#requireGranted(read.needs);
  }

  /** Constructs the module. @throws StartFailure */
  async setUp(): Promise<void> {
    const registered = await this.#ask('SetupFailed', RecordType.setup, '', SetUp);
    for (const path of registered.resources) {
      const plain = plainPath(path);
      if (plain === undefined) {
        const hint =
          'a path is like "/_synapse/client/mine": names alone, nothing in them that divides or ends a path, encoded or not';
        throw new StartFailure('SetupFailed', `the web resource ${JSON.stringify(path)} has a path that is not plain`, {
          hint,
        });
      }
      const reserved = reservedPath(plain, this.#parts.reservedPaths);
      if (reserved === undefined) continue;
      const hint = 'register it below /_synapse/client';
      throw new StartFailure('SetupFailed', `the web resource ${path} is in the reserved ${reserved}`, { hint });
    }
    this.#requireGranted({ web_paths: registered.resources });
    this.registered = registered;
  }

  /** All of it, for a module that was set up before. @throws StartFailure */
  async begin(): Promise<void> {
    await this.load();
    await this.configure();
    await this.setUp();
  }

  /** The call's deadline passed; the cell may be busy with it all the same. */
  isOverdue(call: Call): void {
    this.#overdue.push(call);
    if (this.#overdue.length > MOST_OVERDUE) this.#overdue.shift();
  }

  /** The call of that id, even if nobody waits for its answer any more. */
  callOf(recordId: number): Call | undefined {
    return this.channel.pending(recordId) ?? this.#overdue.find((call) => call.recordId === recordId);
  }

  /** What a module lacks it would find out in the middle of its work, and the admin by its failures. */
  #requireGranted(needs: Permissions): void {
    const { entry } = this.#parts;
    const missing = missingOf(needs, entry);
    if (groupsOf(missing).length === 0) return;
    throw new StartFailure('NotGranted', `it needs what is not granted: ${inWords(missing)}`, {
      hint: hintToGrant(missing, entry),
    });
  }

  async #ask<S extends v.GenericSchema>(
    failure: 'ConfigRejected' | 'SetupFailed',
    type: number,
    body: string,
    schema: S,
  ): Promise<v.InferOutput<S>> {
    const startedAt = performance.now();
    const { setupTimeout } = this.#parts.entry;
    // Loading, parseConfig and set-up have one deadline together; the time between them is not the module's.
    const answer = await withTimeout(this.channel.ask(type, body).answer, setupTimeout - this.startMs);
    this.startMs += performance.now() - startedAt;
    if (answer === undefined) throw new StartFailure('SetupTimedOut', `was not set up within ${setupTimeout} ms`);
    if (answer.kind === 'failed' && answer.failure === 'crashed') {
      const { cause } = await this.cell.ended;
      throw new StartFailure('CellLost', `the cell was lost: ${cause}`, { withHull: this.cell.hull.gone });
    }
    return v.parse(schema, read(answer, failure, this.#parts.bundle));
  }
}

/** The largest answer of a callback, in bytes. */
export function resultLimitOf(entry: ModuleEntry, callback: CallbackName): number {
  const row: Row = callbacks[callback];
  return entry.limits.result ?? row.resultLimit ?? USUAL_RESULT_LIMIT;
}

function manifestRows(entry: ModuleEntry): Readonly<Record<string, ManifestRow>> {
  return Object.fromEntries(
    Object.entries(callbacks as Record<CallbackName, Row>).map(([name, row]): [string, ManifestRow] => [
      name,
      {
        category: row.category,
        forms: row.args.map(({ form }) => form),
        answer: row.answer.kind,
        ...('of' in row.answer ? { of: row.answer.of } : {}),
        limit: resultLimitOf(entry, name as CallbackName),
        requires: row.requires ?? [],
      },
    ]),
  );
}

function read(answer: AskedAnswer, failure: 'ConfigRejected' | 'SetupFailed', bundle: Bundle): unknown {
  switch (answer.kind) {
    case 'value':
      return parseHostile(answer.text);
    case 'threw':
      throw startFailure(answer.error, failure, bundle);
    case 'nothing':
    case 'packed':
      throw new StartFailure(failure, 'the cell gave no answer');
    case 'failed':
      throw new StartFailure(failure, answer.message);
  }
}

/** What a module throws on purpose speaks for itself; anything else is told with the place in the author's file. */
function startFailure(
  { name, message, issues, stack }: ThrownError,
  failure: 'ConfigRejected' | 'SetupFailed',
  bundle: Bundle,
): StartFailure {
  if (name === 'ConfigError') return new StartFailure(failure, message, { issues: issues ?? [] });
  if (name === 'ApiError') return new StartFailure(failure, message);
  const mapped = mapStack(stack ?? '', bundle);
  // The place next to the throw that is the module's.
  const [place] = new RegExp(`(?:${bundle.sources.map(escapeRegExp).join('|')}):\\d+:\\d+`).exec(mapped) ?? [];
  return new StartFailure(failure, `${name}: ${message}${place === undefined ? '' : ` (${place})`}`, { stack: mapped });
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** What the promise gives; `undefined` when that takes longer. */
export function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, ms), undefined);
    void promise.then((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}
