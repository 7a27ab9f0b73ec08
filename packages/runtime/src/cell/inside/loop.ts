// What the inside does with each record: configure, set up, call, answer.

import { type CallContext, createMatrixEvent, type EventData } from '@bulkhead/sdk/contract';
import { pack } from '../../wire/packed.js';
import {
  AnswerKind,
  type CallBody,
  type ConfigureBody,
  type Manifest,
  type ManifestRow,
  RecordType,
  type RequestBody,
  type ThrownError,
} from '../../wire/record.js';
import { Streams } from '../../wire/streams.js';
import { createModuleApi, type ModuleInstance } from './api.js';
import { asConfigError } from './config-error.js';
import type { Helpers, Namespace } from './connect.js';
import { fileHandle, stateHandle } from './handles.js';
import { outbox } from './outbox.js';
import { Registry } from './registry.js';
import { Remote } from './remote.js';
import { answerRequest } from './web.js';

interface ModuleClass {
  new (config: unknown, api: unknown): ModuleInstance;
  parseConfig?(config: unknown): unknown;
  readonly permissions?: unknown;
  readonly stateless?: unknown;
}

/** Something that the host can call off. */
export interface Cancellable {
  cancel(reason: 'deadline' | 'unneeded'): void;
}

export class Loop {
  readonly #module: Namespace;
  readonly #helpers: Helpers;
  readonly #streams = new Streams((...record) => outbox.send(...record), 1);
  readonly #remote = new Remote();
  readonly #running = new Map<number, Cancellable>();
  #manifest: Manifest | undefined;
  #class: ModuleClass | undefined;
  #config: unknown;
  #registry = new Registry({});
  #instance: ModuleInstance | undefined;

  constructor(module: Namespace, helpers: Helpers) {
    this.#module = module;
    this.#helpers = helpers;
  }

  deliver(type: number, flags: number, id: number, aux: number, body: string | Uint8Array): void {
    switch (type) {
      case RecordType.call:
        this.#call(id, flags, aux, JSON.parse(body as string) as CallBody);
        return;
      case RecordType.api:
        this.#remote.receive(JSON.parse(body as string) as Parameters<Remote['receive']>[0]);
        return;
      case RecordType.cancel:
        this.#running.get(id)?.cancel(flags === 0 ? 'deadline' : 'unneeded');
        return;
      case RecordType.request:
        void this.#request(id, JSON.parse(body as string) as RequestBody);
        return;
      case RecordType.load:
        answer(id, { exports: Object.keys(this.#module) });
        return;
      case RecordType.configure:
        void this.#configure(id, JSON.parse(body as string) as ConfigureBody);
        return;
      case RecordType.setup:
        void this.#setUp(id);
        return;
      default:
        this.#streams.accept(type, flags, id, aux, body as Uint8Array);
    }
  }

  async #configure(id: number, { manifest, config }: ConfigureBody): Promise<void> {
    try {
      this.#manifest = manifest;
      const exported = this.#module[manifest.exportName];
      if (typeof exported !== 'function') {
        throw new TypeError(`the export "${manifest.exportName}" is no module class, but ${kindOf(exported)}`);
      }
      this.#class = exported as unknown as ModuleClass;
      this.#config = this.#class.parseConfig === undefined ? config : await this.#class.parseConfig(config);
      const permissions = await declaredBy(this.#class, this.#config);
      answer(id, { permissions, stateless: this.#class.stateless === true });
    } catch (error) {
      answerError(id, asConfigError(error));
    }
  }

  async #setUp(id: number): Promise<void> {
    try {
      const manifest = this.#manifest as Manifest;
      const registry = new Registry(manifest.callbacks);
      this.#registry = registry;
      const api = createModuleApi({ manifest, registry, remote: this.#remote, streams: this.#streams });
      this.#instance = new (this.#class as ModuleClass)(this.#config, api);
      await this.#instance.ready;
      registry.close();
      answer(id, {
        callbacks: [...registry.callbacks.keys()],
        resources: registry.resources.map(({ path }) => path),
        stateTypes: [...registry.stateTypes],
      });
    } catch (error) {
      answerError(id, error);
    }
  }

  #call(id: number, attempt: number, msLeft: number, body: CallBody): void {
    const row = this.#manifest?.callbacks[body.callback];
    const callback = this.#registry.callbacks.get(body.callback);
    if (row === undefined || callback === undefined) {
      answerError(id, new Error(`${body.callback} is not registered`));
      return;
    }
    const context = new Context(body, attempt, Date.now() + msLeft);
    const args = this.#argumentsOf(id, row, body);
    args.push(context);
    let returned: unknown;
    try {
      returned = Reflect.apply(callback, this.#instance, args);
      if (typeof returned !== 'object' || returned === null || !('then' in returned)) {
        this.#settle(id, row, args, returned);
        return;
      }
    } catch (error) {
      // Thrown by the callback, or by a Proxy that it returned.
      answerError(id, error);
      return;
    }
    // Only what goes on can be called off.
    this.#running.set(id, context);
    // Never throws, whatever the promise's own getters do.
    new Promise((resolve) => resolve(returned)).then(
      (value) => {
        this.#running.delete(id);
        this.#settle(id, row, args, value);
      },
      (error: unknown) => {
        this.#running.delete(id);
        answerError(id, error);
      },
    );
  }

  #argumentsOf(id: number, { forms }: ManifestRow, { args, state = {} }: CallBody): unknown[] {
    const given: unknown[] = [];
    for (let index = 0; index < args.length; index++) {
      const value = args[index];
      switch (forms[index]) {
        case 'event':
          given.push(createMatrixEvent(value as EventData));
          break;
        case 'state':
          given.push(stateHandle(this.#remote, id, state));
          break;
        case 'file':
          given.push(fileHandle(this.#remote, this.#streams, id, index, value as { size: number }));
          break;
        default:
          given.push(value);
      }
    }
    return given;
  }

  #settle(id: number, row: ManifestRow, args: readonly unknown[], value: unknown): void {
    try {
      sendAnswer(id, row, value === undefined && row.answer === 'content' ? args[row.of ?? 0] : value);
    } catch (error) {
      // A Proxy may throw wherever it is looked at.
      answerError(id, error);
    }
  }

  async #request(id: number, request: RequestBody): Promise<void> {
    const abort = new AbortController();
    this.#running.set(id, {
      cancel: (reason) =>
        abort.abort(
          new DOMException(reason === 'deadline' ? 'the request timed out' : 'the client is gone', 'AbortError'),
        ),
    });
    try {
      const resource = this.#registry.resources[request.resource];
      if (resource === undefined) throw new Error('no such resource');
      const { head, bytes } = await answerRequest(resource, request, {
        id,
        streams: this.#streams,
        helpers: this.#helpers,
        signal: abort.signal,
        instance: this.#instance,
        over: () => this.#running.delete(id),
      });
      if (bytes === undefined) answer(id, head);
      else outbox.send(RecordType.answer, AnswerKind.packed, id, 0, pack({ head: JSON.stringify(head), bytes }));
    } catch (error) {
      this.#running.delete(id);
      answerError(id, error);
    }
  }
}

/** The last argument of a callback. The signal is made when it is first looked at: most callbacks never do. */
class Context implements CallContext, Cancellable {
  declare readonly origin?: 'client' | 'federation';
  declare readonly roomVersion?: string;
  readonly deadline: number;
  readonly callId: string;
  readonly attempt: number;
  #controller: AbortController | undefined;
  #reason: DOMException | undefined;

  constructor(body: CallBody, attempt: number, deadline: number) {
    this.deadline = deadline;
    this.callId = body.callId;
    this.attempt = attempt;
    if (body.origin !== undefined) this.origin = body.origin;
    if (body.roomVersion !== undefined) this.roomVersion = body.roomVersion;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  cancel(reason: 'deadline' | 'unneeded'): void {
    this.#reason =
      reason === 'deadline'
        ? new DOMException('the deadline of the call passed', 'TimeoutError')
        : new DOMException('the answer is not needed any more', 'AbortError');
    this.#controller?.abort(this.#reason);
  }
}

/** What the module needs, as data; the host judges it. */
async function declaredBy(module: ModuleClass, config: unknown): Promise<unknown> {
  const { permissions } = module;
  const declared: unknown =
    typeof permissions === 'function' ? await Reflect.apply(permissions, module, [config]) : permissions;
  try {
    return declared === undefined ? {} : JSON.parse(JSON.stringify(declared, collections));
  } catch {
    return 'what JSON cannot say';
  }
}

function answer(id: number, value: unknown): void {
  outbox.send(RecordType.answer, AnswerKind.value, id, 0, JSON.stringify(value));
}

function sendAnswer(id: number, row: ManifestRow, value: unknown): void {
  if (value === undefined) {
    outbox.send(RecordType.answer, AnswerKind.nothing, id, 0);
    return;
  }
  if (isAllowed(value)) {
    outbox.send(RecordType.answer, AnswerKind.allowed, id, 0);
    return;
  }
  const takesCollections = row.answer === 'usersForStates' || row.answer === 'interestedUsers';
  if (!takesCollections && row.answer !== 'nothing' && wouldBecomeAnother(value)) {
    outbox.send(RecordType.answer, AnswerKind.unspeakable, id, 0, String(value));
    return;
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(value, takesCollections ? collections : undefined);
  } catch (error) {
    outbox.send(RecordType.answer, AnswerKind.unspeakable, id, 0, error instanceof Error ? error.message : '');
    return;
  }
  if (text === undefined) outbox.send(RecordType.answer, AnswerKind.unspeakable, id, 0, `a ${typeof value}`);
  else if (text.length > row.limit) outbox.send(RecordType.answer, AnswerKind.tooLarge, id, 0);
  else outbox.send(RecordType.answer, AnswerKind.value, id, 0, text);
}

const isAllowed = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (value as { verdict?: unknown }).verdict === 'allow' &&
  Object.getPrototypeOf(value) === Object.prototype &&
  Object.keys(value).length === 1;

/** JSON would make `null` of it, which is an answer in some rows, or `{}`, which is one in others. */
function wouldBecomeAnother(value: unknown): boolean {
  return (typeof value === 'number' && !Number.isFinite(value)) || value instanceof Map || value instanceof Set;
}

/** Maps as lists of pairs and Sets as lists, marked: JSON would make `{}` of both. */
function collections(_: string, value: unknown): unknown {
  if (value instanceof Map) return { '~map': [...value] };
  return value instanceof Set ? [...value] : value;
}

/** A longer message is of no use to anybody, and large ones have cost a thread its heap. */
const LONGEST_MESSAGE = 256 * 1024;

/** Whatever was thrown, the host is told: an error whose getters throw must not leave a call without an answer. */
function answerError(id: number, error: unknown): void {
  const read = (key: keyof ThrownError): unknown => {
    try {
      return (error as ThrownError)[key];
    } catch {
      return undefined;
    }
  };
  const textOf = (value: unknown): string => (typeof value === 'string' ? value.slice(0, LONGEST_MESSAGE) : '');
  const isObject = typeof error === 'object' && error !== null;
  const plain = isObject
    ? { name: textOf(read('name')) || 'Error', message: textOf(read('message')) }
    : { name: 'Error', message: `${kindOf(error)} was thrown` };
  let body: string;
  try {
    const [status, errcode, extra, issues] = isObject
      ? [read('status'), read('errcode'), read('extra'), read('issues')]
      : [];
    body = JSON.stringify({ ...plain, status, errcode, extra, issues });
  } catch {
    body = JSON.stringify(plain);
  }
  outbox.send(RecordType.answer, AnswerKind.threw, id, 0, body, error);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return `a ${typeof value}`;
}
