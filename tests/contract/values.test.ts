// The values that authors hold: verdicts, errors, events, and the module that defineModule makes.

import {
  ApiError,
  allow,
  Codes,
  ConfigError,
  defineModule,
  deny,
  MatrixError,
  type ModuleApi,
  NOT_SPAM,
  RegistrationBehaviour,
  serverNameOf,
  v,
} from '@bulkhead/sdk';
import { callbackNames, callbacks, closeNames, createMatrixEvent, type Row, snakeCase } from '@bulkhead/sdk/contract';
import t from 'tap';

t.test('verdicts are plain data, the same for everybody, and cannot be changed', async (t) => {
  t.strictSame(JSON.parse(JSON.stringify(allow())), { verdict: 'allow' });
  t.equal(NOT_SPAM, allow());
  t.strictSame(JSON.parse(JSON.stringify(deny())), { verdict: 'deny' });
  t.strictSame(deny({ code: 'M_X', reason: 'r', extra: { a: 1 } }), {
    verdict: 'deny',
    code: 'M_X',
    reason: 'r',
    extra: { a: 1 },
  });
  for (const verdict of [allow(), deny(), ...Object.values(Codes), Codes, RegistrationBehaviour]) {
    t.ok(Object.isFrozen(verdict));
  }
  for (const { code } of Object.values(Codes)) t.match(code, /^[A-Z][A-Z0-9_]*$/);
});

t.test('errors are told apart by name and code', async (t) => {
  t.match(new ConfigError('wrong', ['a', 0]), { name: 'ConfigError', code: 'ConfigError', path: ['a', 0] });
  t.strictSame(new ConfigError('wrong').path, []);
  t.match(new MatrixError(403, 'M_X', 'no', { a: 1 }), {
    name: 'MatrixError',
    status: 403,
    errcode: 'M_X',
    message: 'no',
    extra: { a: 1 },
  });
  t.match(new ApiError('Gone', 'over', 'M_X'), { name: 'ApiError', code: 'Gone', errcode: 'M_X' });
});

t.test('an event has helpers that are no part of its data', async (t) => {
  const data = { type: 'm.x', room_id: '!r', sender: '@a:b', origin_server_ts: 1, content: { deep: { a: 1 } } };
  const event = createMatrixEvent({ ...data });
  t.notOk(event.isState());
  t.equal(event.membership, undefined);
  const dict = event.getDict();
  t.strictSame(dict, data);
  (dict.content.deep as { a: number }).a = 2;
  t.strictSame(event.content, { deep: { a: 1 } }, 'the copy is the module’s own');
  t.strictSame(JSON.parse(JSON.stringify(event)), data);

  t.ok(createMatrixEvent({ ...data, state_key: '' }).isState());
  const member = createMatrixEvent({ ...data, type: 'm.room.member', content: { membership: 'join' } });
  t.equal(member.membership, 'join');
  t.equal(createMatrixEvent({ ...data, content: { membership: 'join' } }).membership, undefined);
  const forged = createMatrixEvent({ ...data, membership: 'join', isState: 'no function', getDict: 1 });
  t.notOk(forged.isState(), 'who sent the event does not answer for it');
  t.equal(forged.membership, undefined);
  t.strictSame(forged.getDict(), data);
});

t.test('the server in an identifier', async (t) => {
  t.equal(serverNameOf('@a:b'), 'b');
  t.equal(serverNameOf('@a:[::1]:8448'), '[::1]:8448');
  t.equal(serverNameOf('!opaque'), undefined);
});

/** What a module registers, by the method that it calls. */
function recordingApi() {
  const registered: Record<string, string[]> = {};
  const api = new Proxy({} as ModuleApi, {
    get: (_, method: string) => (callbacks: object) => {
      registered[method] = Object.keys(callbacks);
    },
  });
  return { api, registered };
}

t.test('defineModule registers what set-up returns, each in its category', async (t) => {
  const Module = defineModule({
    name: 'demo',
    config: v.object({ words: v.optional(v.array(v.string()), ['x']) }),
    permissions: { users: ['read'] },
    setup: async ({ config }) => ({
      checkEventForSpam: () => config.words.length > 0,
      userMayInvite: () => true,
      isUserExpired: () => null,
      onCreateRoom: undefined,
      ...({ notThere: () => true } as object),
    }),
  });
  t.equal(Module.name, 'demo');
  t.strictSame(Module.permissions, { users: ['read'] });
  const config = await Module.parseConfig?.({});
  t.strictSame(config, { words: ['x'] });
  const { api, registered } = recordingApi();
  await (new Module(config as never, api) as { ready: Promise<void> }).ready;
  t.strictSame(registered, {
    // The unknown name goes where it is refused with a suggestion.
    registerSpamCheckerCallbacks: ['checkEventForSpam', 'userMayInvite', 'notThere'],
    registerAccountValidityCallbacks: ['isUserExpired'],
    registerThirdPartyRulesCallbacks: ['onCreateRoom'],
  });
});

t.test('defineModule parses with its schema: what is wrong is thrown with its path', async (t) => {
  const Module = defineModule({
    name: 'demo',
    config: v.objectAsync({ list: v.array(v.object({ n: v.number('a number, please') })) }),
    setup: () => {},
  });
  await t.rejects(Promise.resolve(Module.parseConfig?.({ list: [{ n: 1 }, { n: 'x' }] })), {
    name: 'ValiError',
    issues: [{ message: 'a number, please', path: [{ key: 'list' }, { key: 1 }, { key: 'n' }] }],
  });
});

t.test('set-up that throws is set-up that fails', async (t) => {
  const failing = defineModule({
    name: 'demo',
    config: v.unknown(),
    setup: () => {
      throw new Error('no database');
    },
  });
  const made = async () => (new failing(undefined, recordingApi().api) as { ready: Promise<void> }).ready;
  await t.rejects(made(), { message: 'no database' });
});

t.test('each row is whole', async (t) => {
  t.equal(callbackNames.length, 14);
  for (const name of callbackNames) {
    const row: Row = callbacks[name];
    t.match(snakeCase(name), /^[a-z_]+$/);
    const asks = row.join !== 'notify' && row.join !== 'union';
    t.equal(row.refusal !== undefined, asks, `${name}: whoever may refuse says with what`);
    t.equal(row.onFailure === 'skip', !asks, `${name}: and has a policy`);
    for (const required of row.requires ?? []) t.ok((callbackNames as readonly string[]).includes(required));
  }
  t.same(closeNames('checkEventForSpan', callbackNames)[0], 'checkEventForSpam');
  t.strictSame(closeNames('somethingElse', callbackNames), []);
});
