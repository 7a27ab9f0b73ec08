// The authorisation rules that no client of this server can break, or that are easier to see without one: each is kept by
// the smallest event that breaks it.

import t from 'tap';
import { SigningKey, signJson } from '../../packages/examples/homeserver/crypto/signing.ts';
import { authKeys } from '../../packages/examples/homeserver/rooms/authorisation/auth-events.ts';
import { authorise } from '../../packages/examples/homeserver/rooms/authorisation/rules.ts';
import type { RoomEvent } from '../../packages/examples/homeserver/rooms/event.ts';
import type { Envelope } from '../../packages/examples/homeserver/rooms/pdu.ts';

const ROOM = '!room:a.example';
const ALICE = '@alice:a.example';
const BOB = '@bob:a.example';
const EVE = '@eve:b.example';

const event = (type: string, sender: string, content: object, stateKey?: string): RoomEvent => ({
  event_id: `$${type}|${stateKey}`,
  room_id: ROOM,
  type,
  sender,
  content: content as RoomEvent['content'],
  origin_server_ts: 0,
  ...(stateKey === undefined ? {} : { state_key: stateKey }),
});
const create = (content = {}) => event('m.room.create', ALICE, { room_version: '11', ...content }, '');
const member = (userId: string, membership: string, more = {}, sender = userId) =>
  event('m.room.member', sender, { membership, ...more }, userId);
const levels = (content: object) => event('m.room.power_levels', ALICE, content, '');
const rules = (join_rule: string) => event('m.room.join_rules', ALICE, { join_rule }, '');

const envelope = (more: Partial<Envelope> = {}): Envelope => ({
  auth_events: [],
  prev_events: ['$before'],
  depth: 2,
  hashes: { sha256: '' },
  signatures: { 'a.example': {} },
  ...more,
});
/** Those of the state that the event would name. */
const judge = (candidate: RoomEvent, state: readonly RoomEvent[], more: Partial<Envelope> = {}) => {
  const keys = authKeys(candidate);
  const named = state.filter(({ type, state_key }) => keys.some(([a, b]) => a === type && b === state_key));
  authorise({ event: candidate, envelope: envelope(more) }, named);
};
const refuses = (t: Pick<typeof import('tap').t, 'throws'>, judgement: () => void, message: RegExp, why = '') =>
  t.throws(judgement, { status: 403, errcode: 'M_FORBIDDEN', message }, why || String(message));

t.test('1: m.room.create', async (t) => {
  judge(create(), [], { prev_events: [] });
  refuses(t, () => judge(create(), []), /exists already/);
  const foreign = { ...create(), sender: EVE };
  refuses(t, () => judge(foreign, [], { prev_events: [] }), /another server/);
  refuses(t, () => judge(create({ room_version: '99' }), [], { prev_events: [] }), /version/);
  refuses(t, () => judge(create({ room_version: undefined }), [], { prev_events: [] }), /version/);
});

t.test('2: the auth events', async (t) => {
  const said = event('m.room.message', ALICE, {});
  const state = [create(), member(ALICE, 'join')];
  const by = (...events: RoomEvent[]) => authorise({ event: said, envelope: envelope() }, events);
  by(...state);
  refuses(t, () => by(...state, member(ALICE, 'join')), /m\.room\.member cannot/);
  refuses(t, () => by(...state, member(BOB, 'join')), /m\.room\.member cannot/);
  refuses(t, () => by(...state, rules('public')), /m\.room\.join_rules cannot/);
  refuses(t, () => by(...state, event('m.room.power_levels', ALICE, {})), /m\.room\.power_levels cannot/);
  refuses(t, () => by(create(), { ...member(ALICE, 'join'), room_id: '!other:a.example' }), /m\.room\.member cannot/);
  refuses(t, () => by(member(ALICE, 'join')), /does not exist/);
});

t.test('2: which they are', async (t) => {
  const named = (candidate: RoomEvent) => authKeys(candidate).map(([type, key]) => `${type.slice(7)}|${key}`);
  t.same(named(create()), []);
  const always = ['create|', 'power_levels|', `member|${ALICE}`];
  t.same(named(event('m.room.message', ALICE, {})), always);
  t.same(named(member(BOB, 'ban', {}, ALICE)), [...always, `member|${BOB}`]);
  for (const membership of ['join', 'knock']) {
    t.same(named(member(ALICE, membership)), [...always, 'join_rules|'], membership);
  }
  t.same(named(member(ALICE, 'leave')), always);
  t.same(named(member(BOB, 'invite', {}, ALICE)), [...always, `member|${BOB}`, 'join_rules|']);
  const vouched = { join_authorised_via_users_server: BOB };
  t.same(named(member(ALICE, 'join', vouched)), [...always, 'join_rules|', `member|${BOB}`]);
  const invite = member(BOB, 'invite', { third_party_invite: { signed: { token: 'abc' } } }, ALICE);
  t.same(named(invite), [...always, `member|${BOB}`, 'join_rules|', 'third_party_invite|abc']);
});

t.test('3: m.federate', async (t) => {
  const room = (federate: unknown) => [create({ 'm.federate': federate }), member(EVE, 'join'), member(ALICE, 'join')];
  judge(event('m.room.message', EVE, {}), room(true));
  judge(event('m.room.message', ALICE, {}), room(false));
  refuses(t, () => judge(event('m.room.message', EVE, {}), room(false)), /other servers/);
});

t.test('4: memberships', async (t) => {
  const room = [create(), member(ALICE, 'join')];
  refuses(t, () => judge(event('m.room.member', ALICE, { membership: 'join' }), room), /state key/);
  refuses(t, () => judge(event('m.room.member', ALICE, {}, ALICE), room), /has a membership/);
  refuses(t, () => judge(member(ALICE, 'constructor'), room), /Unknown membership/);
});

t.test('4.2, 4.3.5: who is vouched for', async (t) => {
  const room = [create(), rules('restricted'), member(ALICE, 'join')];
  const signed = { signatures: { 'a.example': {}, 'b.example': {} } };
  const join = (voucher: unknown) => member(EVE, 'join', { join_authorised_via_users_server: voucher });
  judge(join(ALICE), room, signed);
  refuses(t, () => judge(join(ALICE), room, { signatures: { 'b.example': {} } }), /has not signed/);
  refuses(t, () => judge(join(7), room, signed), /has not signed/);
  refuses(t, () => judge(join(BOB), room, signed), /neither invited nor/, 'bob is not in the room');
  const weak = levels({ invite: 50, users: { [ALICE]: 49 } });
  refuses(t, () => judge(join(ALICE), [...room, weak], signed), /neither invited nor/);
  refuses(t, () => judge(member(EVE, 'join'), room), /neither invited nor/);
});

t.test('4.3.1: the first join', async (t) => {
  const after = { prev_events: [create().event_id] };
  judge(member(ALICE, 'join'), [create()], after);
  refuses(t, () => judge(member(BOB, 'join'), [create()], after), /not invited/);
  refuses(t, () => judge(member(ALICE, 'join'), [create()]), /not invited/, 'later it is a join as any other');
});

t.test('4.3.7: other join rules', async (t) => {
  refuses(t, () => judge(member(BOB, 'join'), [create(), rules('private'), member(BOB, 'invite')]), /admits nobody/);
});

t.test('4.4.1: third-party invites', async (t) => {
  const identityServer = { serverName: 'id.example', key: new SigningKey('0', Buffer.alloc(32, 1)) };
  const other = { serverName: 'id.example', key: new SigningKey('0', Buffer.alloc(32, 2)) };
  const made = (content: object, sender = ALICE) => event('m.room.third_party_invite', sender, content, 'abc');
  const room = [create(), member(ALICE, 'join'), made({ public_key: identityServer.key.publicKey })];
  const invite = (signed: unknown, sender = ALICE) =>
    member(EVE, 'invite', { third_party_invite: { display_name: 'e…', signed } }, sender);
  const proof = signJson({ mxid: EVE, token: 'abc' }, identityServer);

  judge(invite(proof), room);
  const listed = [{ public_key: other.key.publicKey }, { public_key: identityServer.key.publicKey }];
  judge(invite(proof), [create(), made({ public_keys: listed })]);
  refuses(t, () => judge(invite(proof), [...room, member(EVE, 'ban')]), /banned/);
  refuses(t, () => judge(invite(undefined), room), /not for this user/);
  refuses(t, () => judge(invite({ mxid: EVE }), room), /not for this user/);
  refuses(t, () => judge(invite(signJson({ mxid: BOB, token: 'abc' }, identityServer)), room), /not for this user/);
  refuses(t, () => judge(invite(proof), room.slice(0, 2)), /no such third-party invite/);
  refuses(t, () => judge(invite(proof, BOB), room), /no such third-party invite/);
  refuses(t, () => judge(invite({ ...proof, more: 1 }), room), /No key/);
  refuses(t, () => judge(invite(signJson({ mxid: EVE, token: 'abc' }, other)), room), /No key/);
  refuses(t, () => judge(invite({ mxid: EVE, token: 'abc' }), room), /No key/);
});

t.test('6: who may make them', async (t) => {
  const invite = (sender: string) => event('m.room.third_party_invite', sender, {}, 'abc');
  const room = [create(), levels({ invite: 10, state_default: 100, users: { [ALICE]: 10 } }), member(BOB, 'join')];
  judge(invite(ALICE), [...room, member(ALICE, 'join')]);
  refuses(t, () => judge(invite(BOB), room), /does not suffice to invite/);
});

t.test('7: without power levels the creator may do everything, the others send', async (t) => {
  const room = [create(), member(ALICE, 'join'), member(BOB, 'join')];
  judge(event('m.room.topic', ALICE, {}, ''), room);
  judge(event('m.room.message', BOB, {}), room);
  refuses(t, () => judge(member(ALICE, 'ban', {}, BOB), room), /does not suffice to ban/);
});

t.test('9: power levels', async (t) => {
  const before = { users: { [ALICE]: 50, [BOB]: 50 }, events: { a: 40, b: 60 }, ban: 60, kick: 40 };
  const change = (content: object) => {
    const room = [create(), levels(before), member(ALICE, 'join')];
    judge({ ...levels({ ...before, ...content }), sender: ALICE }, room);
  };
  for (const [content, message] of [
    [{ ban: 50 }, /change ban/],
    [{ ban: undefined }, /change ban/],
    [{ kick: 51 }, /change kick/],
    [{ redact: 51 }, /change redact/],
    [{ events: { a: 51, b: 60 } }, /change events\.a/],
    [{ events: { a: 40 } }, /change events\.b/],
    [{ events: { a: 40, b: 50 } }, /change events\.b/],
    [{ notifications: { room: 51 } }, /change notifications\.room/],
    [{ users: { [ALICE]: 50 } }, /as much as you/],
    [{ users: { [ALICE]: 50, [BOB]: 0 } }, /as much as you/],
    [{ users: { [ALICE]: 51, [BOB]: 50 } }, /change users\.@alice/],
    [{ users: { [ALICE]: 50, [BOB]: 50, [EVE]: 51 } }, /change users\.@eve/],
    [{ invite: 1.5 }, /invite is no integer/],
    [{ invite: '5' }, /invite is no integer/],
    [{ notifications: { room: '5' } }, /notifications is no map/],
    [{ events: [] }, /events is no map/],
    [{ users: { [BOB]: 50, nobody: 1 } }, /no map of user ids/],
  ] as const) {
    refuses(t, () => change(content), message);
  }
  change({ kick: 50, redact: 50, events: { b: 60, c: 50 } });
  change({ users: { [ALICE]: 0, [BOB]: 50, [EVE]: 50 } });
  change({ users: { [BOB]: 50 } });
});
