// Modules that lie: in their answers, in what they register, in raw bytes, and by changing what others build upon.

import {
  type Awaitable,
  deny,
  MatrixError,
  type MatrixEvent,
  type ModuleApi,
  type UserPresenceState,
} from '@bulkhead/sdk';
import { inCallback } from './attacker.ts';

// biome-ignore lint/suspicious/noExplicitAny: lies have no type
type Any = any;

// Answers to checks

const accessors = {
  get verdict() {
    return 'deny';
  },
  get code() {
    return 'M_UNKNOWN_TOKEN';
  },
};
/** None of them is an answer, and none may pass for one that allows. */
const nonsense: readonly (() => unknown)[] = [
  () => Number.NaN,
  () => -0,
  () => 0,
  () => 1,
  () => Symbol('NOT_SPAM'),
  () => () => false,
  () => 10n,
  () => /x/,
  () => new Map([['verdict', 'allow']]),
  () => new Set(['NOT_SPAM']),
  () => JSON.parse('{"__proto__":{"verdict":"allow"}}'),
  () => ({ verdict: 'allow', more: true }),
  () => ({ verdict: ['allow'] }),
  () => ({ toJSON: () => ({ kind: 'value', text: 'false' }) }),
  () => [false],
  () => [deny(), { errcode: 'M_OK' }, 'more'],
  () => ({ verdict: 'deny', code: 'M_UNKNOWN_TOKEN' }),
  () => ({ verdict: 'deny', code: 'M_MISSING_TOKEN' }),
  () => ({ verdict: 'deny', code: 'M_USER_DEACTIVATED' }),
  () => ({ verdict: 'deny', code: 'm_forbidden' }),
  () => ({ verdict: 'deny', code: 'M_FORBIDDEN\r\nset-cookie: a=b' }),
  () => ({ verdict: 'deny', code: { toString: () => 'M_FORBIDDEN' } }),
  () => ({ verdict: 'deny', reason: 5 }),
  () => ({ verdict: 'deny', extra: [] }),
  () => accessors,
  () => {
    throw new MatrixError(200, 'M_OK', 'all is well');
  },
  () => {
    throw new MatrixError(401, 'M_FORBIDDEN', 'who are you?');
  },
  () => {
    throw new MatrixError(500, 'M_FORBIDDEN', 'it is broken');
  },
  () => {
    throw new MatrixError(403, 'M_UNKNOWN_TOKEN', 'sign out', { soft_logout: true });
  },
  () => {
    throw Object.assign(new Error('no MatrixError'), { name: 'MatrixError', status: 302, errcode: 'M_FORBIDDEN' });
  },
];
export const Nonsense = inCallback(async (_api, { nth }) => {
  const answer = nonsense[nth as number];
  return answer === undefined ? 'all told' : answer();
});

/** A refusal it may give, with more in it than it may say. */
export const Extra = inCallback(() =>
  deny({
    code: 'ORG_EXAMPLE_NO',
    reason: 'no',
    extra: { errcode: 'M_UNKNOWN_TOKEN', error: 'signed out', soft_logout: true, retry_after_ms: 1e9, why: 'because' },
  } as Any),
);
export const Thenable = inCallback(() => ({
  // biome-ignore lint/suspicious/noThenProperty: that is the attack
  then(resolve: (value: unknown) => void) {
    resolve(false);
    resolve(true);
    throw new Error('after it was settled');
  },
}));

// Replacements, contents, presence

type Ruled = (event: MatrixEvent) => Any;
const rules = (checkEventAllowed: Ruled) =>
  class {
    constructor(_config: unknown, api: ModuleApi) {
      api.registerThirdPartyRulesCallbacks({
        checkEventAllowed: (event: MatrixEvent): Awaitable<Any> =>
          event.content.attack === api.moduleId ? checkEventAllowed(event) : true,
      });
    }
  };
const replaced = (more: object) => rules((event) => [true, { ...event.getDict(), ...more }]);
export const OtherRoom = replaced({ room_id: '!other:example.com' });
export const OtherType = replaced({ type: 'm.room.member', state_key: '@alice:example.com' });
export const OtherSender = replaced({ sender: '@root:elsewhere.org' });
export const NoSender = replaced({ sender: { toString: () => '@alice:example.com' } });
export const OwnSignatures = rules((event) => [
  true,
  { ...event.getDict(), event_id: '$mine', signatures: { 'example.com': {} }, hashes: {}, auth_events: [], depth: 1 },
]);
export const Presence = class {
  constructor(_config: unknown, api: ModuleApi) {
    api.registerPresenceRouterCallbacks({
      getUsersForStates: (states: readonly UserPresenceState[]) =>
        ({
          '@eve:example.com': [{ ...states[0], user_id: '@boss:example.com', state: 'online', status_msg: 'invented' }],
          '@bob:example.com': [{ ...states[0], state: 'offline' }, states[0]],
        }) as Any,
      getInterestedUsers: () => new Set<string>(),
    });
  }
};

// Registrations

export const Late = inCallback((api) => {
  const attempts: readonly (() => void)[] = [
    () => api.registerSpamCheckerCallbacks({ userMayCreateRoom: () => false }),
    () => api.registerWebResource('/_synapse/client/late', () => new Response('late')),
    () => api.registerAccountValidityCallbacks({ isUserExpired: () => true }),
  ];
  const reasons = attempts.map((attempt) => {
    try {
      attempt();
      return 'registered';
    } catch (error) {
      return String((error as Error).message);
    }
  });
  return reasons.some((reason) => reason === 'registered') ? 'registered' : `nothing: ${reasons[0]}`;
});

/** A line that looks like one of the host's, and one that takes over the terminal. */
export const Lines = inCallback((api) => {
  api.logger.error('harmless\n2026-01-01 ERROR words is ended\r\u001b[2J\u001b]0;owned\u0007\u202eesrever');
  throw new Error('thrown\n2026-01-01 ERROR words is ended\u001b[2J');
});

// What others build upon

const tampering: readonly ((note: (what: string) => void) => void)[] = [
  (note) => {
    const { push } = Array.prototype;
    Array.prototype.push = function (...items: unknown[]) {
      note('push');
      return push.apply(this, items);
    };
  },
  (note) => {
    const { then } = Promise.prototype;
    // biome-ignore lint/suspicious/noThenProperty: that is the attack
    Promise.prototype.then = function (...args: Any[]) {
      note('then');
      return then.apply(this, args as Any) as Any;
    };
  },
  (note) => {
    const { stringify, parse } = JSON;
    JSON.stringify = ((...args: Any[]) => {
      note('stringify');
      return (stringify as Any)(...args);
    }) as Any;
    JSON.parse = ((...args: Any[]) => {
      note('parse');
      return (parse as Any)(...args);
    }) as Any;
  },
  (note) => {
    const { get } = Map.prototype;
    Map.prototype.get = function (key: unknown) {
      note('get');
      return get.call(this, key);
    };
  },
  (note) => {
    Object.defineProperty(Object.prototype, 'kind', {
      configurable: true,
      set: () => note('setter of kind'),
      get: () => 'value',
    });
  },
  (note) => {
    const { apply } = Reflect;
    Reflect.apply = ((...args: Any[]) => {
      note('apply');
      return (apply as Any)(...args);
    }) as Any;
  },
  (note) => {
    const original = Array.prototype[Symbol.iterator];
    Array.prototype[Symbol.iterator] = function () {
      note('iterator');
      return original.call(this);
    };
  },
];
let noted: Set<string> | undefined;
/** The second time that it is asked, it says what it has seen of the bootstrap in between. */
export const Tampers = inCallback(() => {
  if (noted !== undefined) return noted.size > 0 ? [...noted].join(' ') : 'nothing';
  const seen = new Set<string>();
  const add = Set.prototype.add.bind(seen);
  for (const tamper of tampering) {
    try {
      tamper((what) => void add(what));
    } catch {
      // Frozen.
    }
  }
  noted = seen;
  return false;
});

/** With Node, nothing of its thread is safe from it. It breaks all that its own bootstrap builds upon. */
export const TampersWithNode = inCallback(() => {
  const global = globalThis as Any;
  const socket = nodes('node:net').Socket.prototype;
  for (const name of ['write', '_write', 'emit', 'on']) socket[name] = () => true;
  for (const name of ['utf8Slice', 'utf8Write', 'copy', 'readUInt32LE'])
    global.Buffer.prototype[name] = () => '{"ok":true}';
  global.MessagePort.prototype.postMessage = () => {};
  global.process.nextTick = () => {};
  Array.prototype.push = () => 0;
  // biome-ignore lint/suspicious/noThenProperty: that is the attack
  Promise.prototype.then = (() => {}) as Any;
  JSON.parse = (() => ({ callback: 'userMayCreateRoom' })) as Any;
  return false;
});

// Raw bytes, written past its own bootstrap

/** Not by its name, which the bundler would look for. */
const nodes = (name: string): Any => (globalThis as Any).require(name);

function record(type: number, flags: number, id: number, body: string | Uint8Array = '', aux = 0, length?: number) {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const whole = new Uint8Array(16 + bytes.length);
  const view = new DataView(whole.buffer);
  view.setUint32(0, length ?? bytes.length, true);
  whole[4] = type;
  whole[5] = flags;
  view.setUint32(8, id, true);
  view.setUint32(12, aux, true);
  whole.set(bytes, 16);
  return whole;
}
const [READY, ANSWER, PONG, LOG, API, CHUNK, PULL] = [32, 33, 34, 35, 64, 65, 67];

/** To all sockets that its hull has: none but its own has a cell at the other end. */
function sendRaw(...records: readonly Uint8Array[]): void {
  const { fstatSync, writeSync } = nodes('node:fs');
  for (let fd = 4; fd < 64; fd++) {
    try {
      if (!fstatSync(fd).isSocket()) continue;
      for (const bytes of records) writeSync(fd, bytes);
    } catch {
      // Not open, or full.
    }
  }
}
const raw = (make: () => readonly Uint8Array[]) =>
  inCallback((_api, { later }) => {
    if (later) return false;
    // Behind the answer to this call.
    setTimeout(() => sendRaw(...make()), 20);
    return false;
  });
const ids = (count: number, make: (id: number) => Uint8Array) => Array.from({ length: count }, (_, id) => make(id));

export const StrayAnswers = raw(() => [
  ...ids(200, (id) => record(ANSWER, 0, id, 'true')),
  ...ids(200, (id) => record(ANSWER, 0, id, 'true')),
]);
export const StrayPongs = raw(() => ids(200, (id) => record(PONG, 0, id, '{"heap":0,"external":0}')));
export const ReadyAgain = raw(() => ids(50, () => record(READY, 0, 0, '{"threadId":1}')));
export const ResponseToACall = inCallback((_api, { later }) => {
  // Before the answer to this call.
  if (!later) sendRaw(...ids(50, (id) => record(ANSWER, 6, id, '\0\0\0\0')));
  return false;
});
export const UnknownRecord = raw(() => [record(200, 0, 1, 'x')]);
export const HostsRecord = raw(() => [record(4, 0, 1, '{}')]);
export const Oversized = raw(() => [record(ANSWER, 0, 1, 'x', 0, 0x7fff_ffff)]);
export const OversizedLog = raw(() => [record(LOG, 1, 0, `{"message":"${'x'.repeat(500_000)}"}`)]);
export const Garbage = raw(() => [new Uint8Array(50_000).fill(0xa5)]);
export const DeepRecord = raw(() => [record(API, 0, 0, '['.repeat(100_000))]);
export const StrayChunk = raw(() => [record(CHUNK, 0, 77, 'x')]);
export const HugePull = raw(() => ids(50, (id) => record(PULL, 0, id, '', 0xffff_ffff)));
const comlink = (message: object) => raw(() => [record(API, 0, 0, JSON.stringify(message))]);
const RAW = (value: unknown) => ({ type: 'RAW', value });
export const ComlinkGet = comlink({ id: 'a', type: 'GET', path: ['getProfile', 'constructor'] });
export const ComlinkSet = comlink({ id: 'a', type: 'SET', path: ['getProfile'], value: RAW(1) });
export const ComlinkConstruct = comlink({ id: 'a', type: 'CONSTRUCT', path: ['getProfile'], argumentList: [] });
export const ComlinkRelease = comlink({ id: 'a', type: 'RELEASE', path: [] });
export const ComlinkEndpoint = comlink({ id: 'a', type: 'ENDPOINT', path: [] });
export const ComlinkProto = comlink({ id: 'a', type: 'APPLY', path: ['__proto__', 'toString'], argumentList: [] });
export const ComlinkConstructor = comlink({ id: 'a', type: 'APPLY', path: ['constructor'], argumentList: [] });
export const ComlinkDeep = comlink({
  id: 'a',
  type: 'APPLY',
  path: ['getProfile', 'constructor'],
  argumentList: [RAW('return process')],
});
export const ComlinkHandler = comlink({
  id: 'a',
  type: 'APPLY',
  path: ['getProfile'],
  argumentList: [{ type: 'HANDLER', name: 'nobody', value: 1 }],
});
export const ComlinkThrow = comlink({
  id: 'a',
  type: 'APPLY',
  path: ['getProfile'],
  argumentList: [{ type: 'HANDLER', name: 'throw', value: { isError: false, value: 1 } }],
});
export const ComlinkProxy = comlink({
  id: 'a',
  type: 'APPLY',
  path: ['getProfile'],
  argumentList: [{ type: 'HANDLER', name: 'proxy', value: {} }],
});
