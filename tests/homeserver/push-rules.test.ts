import t from 'tap';
import type { Client, Json, SyncBody } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const RULES = '/_matrix/client/v3/pushrules';
const OVERRIDE = `${RULES}/global/override`;

interface Rule {
  readonly rule_id: string;
  readonly enabled: boolean;
  readonly default: boolean;
  readonly actions: readonly unknown[];
}
type Ruleset = Record<string, readonly Rule[]>;

const rules = async (client: Client) => (await client.get<{ global: Ruleset }>(`${RULES}/`)).global;
const ids = async (client: Client, kind: string) => (await rules(client))[kind]?.map(({ rule_id }) => rule_id) ?? [];
const own = async (client: Client, kind: string) => (await ids(client, kind)).filter((id) => !id.startsWith('.'));
const told = ({ account_data }: SyncBody) => account_data.events.find(({ type }) => type === 'm.push_rules')?.content;

t.test('the predefined rules, for the user who asks', async (t) => {
  const global = await rules(alice);
  t.same(Object.keys(global).sort(), ['content', 'override', 'room', 'sender', 'underride']);
  t.equal(global.override?.[0]?.rule_id, '.m.rule.master');
  t.equal(global.override?.[0]?.enabled, false, 'off');
  t.match(
    global.override?.find(({ rule_id }) => rule_id === '.m.rule.is_user_mention'),
    { conditions: [{ kind: 'event_property_contains', value: alice.userId }] } as never,
  );
  t.match(global.content, [{ rule_id: '.m.rule.contains_user_name', pattern: 'alice' }] as never);
  t.same(await alice.get(`${RULES}/global/`), global);
  t.same(told(await alice.sync()), { global });
  t.same(await alice.get(`/_matrix/client/v3/user/${encodeURIComponent(alice.userId)}/account_data/m.push_rules`), {
    global,
  });
});

t.test('a rule is added, found, changed and deleted', async (t) => {
  await alice.sync();
  const put = { actions: ['notify', 'dont_notify', { set_tweak: 'sound', value: 'ring' }], pattern: 'cake' };
  await alice.put(`${RULES}/global/content/cake`, put);
  const rule = { rule_id: 'cake', default: false, enabled: true, pattern: 'cake' };
  const actions = ['notify', { set_tweak: 'sound', value: 'ring' }];
  t.same(await alice.get(`${RULES}/global/content/cake`), { ...rule, actions });
  t.match(told(await alice.sync()), { global: { content: [{ rule_id: 'cake' }, { default: true }] } });
  await alice.put(`${RULES}/global/content/cake/enabled`, { enabled: false });
  t.same(await alice.get(`${RULES}/global/content/cake/enabled`), { enabled: false });
  await alice.put(`${RULES}/global/content/cake`, { actions: [], pattern: 'pie' });
  t.match(await alice.get(`${RULES}/global/content/cake`), { pattern: 'pie', enabled: false, actions: [] });
  await alice.delete(`${RULES}/global/content/cake`);
  await refuses(t, alice.get(`${RULES}/global/content/cake`), { status: 404, errcode: 'M_NOT_FOUND' });
  await refuses(t, alice.delete(`${RULES}/global/content/cake`), { status: 404, errcode: 'M_NOT_FOUND' });
});

t.test('predefined rules can be adjusted, and not deleted', async (t) => {
  await alice.put(`${OVERRIDE}/.m.rule.master/enabled`, { enabled: true });
  await alice.put(`${RULES}/global/underride/.m.rule.message/actions`, { actions: [] });
  t.same(await alice.get(`${OVERRIDE}/.m.rule.master/enabled`), { enabled: true });
  t.same(await alice.get(`${RULES}/global/underride/.m.rule.message/actions`), { actions: [] });
  t.equal((await rules(await server.register('other'))).override?.[0]?.enabled, false, 'for this user alone');
  await refuses(t, alice.delete(`${OVERRIDE}/.m.rule.master`), { status: 404, errcode: 'M_NOT_FOUND' });
  await refuses(t, alice.put(`${OVERRIDE}/.m.rule.nothing/enabled`, { enabled: true }), {
    status: 404,
    errcode: 'M_NOT_FOUND',
  });
});

t.test('the order among the user’s own', async (t) => {
  const bob = await server.register('bob');
  const put = (id: string, query = '') => bob.put(`${OVERRIDE}/${id}${query}`, { actions: [], conditions: [] });
  for (const id of ['c', 'b', 'a']) await put(id);
  t.same(await own(bob, 'override'), ['a', 'b', 'c'], 'the newest first');
  t.equal((await ids(bob, 'override'))[0], '.m.rule.master', 'which stays above them');
  await put('x', '?after=b');
  await put('y', '?before=b');
  t.same(await own(bob, 'override'), ['a', 'y', 'b', 'x', 'c']);
  await put('c', '?before=a');
  t.same(await own(bob, 'override'), ['c', 'a', 'y', 'b', 'x']);
  await put('b');
  t.same(await own(bob, 'override'), ['c', 'a', 'y', 'b', 'x'], 'a rule that is changed stays where it is');
  await refuses(t, put('z', '?after=.m.rule.master'), { status: 400, errcode: 'M_UNKNOWN' });
  await refuses(t, put('z', '?before=nothing'), { status: 400, errcode: 'M_UNKNOWN' });
});

t.test('what is refused', async (t) => {
  const put = (path: string, body: Json) => alice.put(`${RULES}/${path}`, body);
  const cases: readonly (readonly [string, () => Promise<unknown>, number, string])[] = [
    ['another scope', () => put('device/override/x', { actions: [] }), 400, 'M_INVALID_PARAM'],
    ['another kind', () => put('global/whenever/x', { actions: [] }), 400, 'M_INVALID_PARAM'],
    ['a dot in front', () => put('global/override/.x', { actions: [] }), 400, 'M_INVALID_PARAM'],
    ['a slash', () => put('global/override/a%2Fb', { actions: [] }), 400, 'M_INVALID_PARAM'],
    ['no room', () => put('global/room/kitchen', { actions: [] }), 400, 'M_INVALID_PARAM'],
    ['no user', () => put('global/sender/bob', { actions: [] }), 400, 'M_INVALID_PARAM'],
    ['no actions', () => put('global/override/x', {}), 400, 'M_MISSING_PARAM'],
    ['strange actions', () => put('global/override/x', { actions: [{ sing: true }] }), 400, 'M_BAD_JSON'],
    ['no pattern', () => put('global/content/x', { actions: [] }), 400, 'M_MISSING_PARAM'],
    ['strange conditions', () => put('global/override/x', { actions: [], conditions: [1] }), 400, 'M_BAD_JSON'],
    ['enabled, how?', () => put('global/override/.m.rule.master/enabled', { enabled: 'yes' }), 400, 'M_BAD_JSON'],
  ];
  for (const [why, request, status, errcode] of cases) await refuses(t, request, { status, errcode }, why);
});
