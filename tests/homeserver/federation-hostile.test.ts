// What comes from another server is bytes from a stranger: nothing of what is forged, misdirected, tampered with or forbidden
// leaves a trace in the room.

import t from 'tap';
import type { Signer } from '../../packages/examples/homeserver/crypto/signing.ts';
import { SigningKey, signJson } from '../../packages/examples/homeserver/crypto/signing.ts';
import { openDatabase } from '../../packages/examples/homeserver/db/database.ts';
import { events, outbox } from '../../packages/examples/homeserver/db/schema.ts';
import { authorization } from '../../packages/examples/homeserver/federation/x-matrix.ts';
import {
  contentHash,
  makeEvent,
  type Pdu,
  referenceHash,
  toPdu,
} from '../../packages/examples/homeserver/rooms/pdu.ts';
import { redactedPdu } from '../../packages/examples/homeserver/rooms/redaction.ts';
import { bodies, type Client, type Json } from './client.ts';
import { allowed, refused } from './fake-modules.ts';
import { ask, type FederatedServer, is, says, sendTo, startPair, waitFor } from './federation-harness.ts';
import { placeOf, quiet, refuses } from './harness.ts';

const stranger: Signer = { serverName: 'stranger.example', key: new SigningKey('x', Buffer.alloc(32, 7)) };

interface Scene {
  readonly a: FederatedServer;
  readonly b: FederatedServer;
  readonly alice: Client;
  readonly bob: Client;
  readonly room: string;
  /** The last event of the room, and what allows Bob to speak. */
  readonly place: { readonly last: string; readonly depth: number; readonly authEvents: { event_id: string }[] };
}

/** A room of Alice's with Bob of the other server in it. */
async function scene(t: Parameters<typeof startPair>[0]): Promise<Scene> {
  const [a, b] = await startPair(t);
  const [alice, bob] = [await a.register('alice'), await b.register('bob')];
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'meet' });
  await bob.join(`#meet:${a.name}`);
  await waitFor(alice, room, is(bob.userId, 'join'));
  const last = await bob.say(room, 'before');
  await waitFor(alice, room, says('before'));
  const { body } = await ask(a, `/_matrix/federation/v1/event/${encodeURIComponent(last)}`, { signer: b.signer });
  const [pdu] = body.pdus as [Pdu];
  return {
    a,
    b,
    alice,
    bob,
    room,
    place: { last, depth: pdu.depth, authEvents: pdu.auth_events.map((event_id) => ({ event_id })) },
  };
}

/** An event after the room's last one. */
function forge({ room, bob, b, place }: Scene, change: Json = {}, signer = b.signer): Pdu {
  const draft = { type: 'm.room.message', room_id: room, sender: bob.userId, content: { body: 'forged' }, ...change };
  const after = [{ eventId: place.last, depth: place.depth }];
  return toPdu(makeEvent(draft as never, { authEvents: place.authEvents, after }, signer));
}

/** Signed as it is, whatever makeEvent would say to it. */
function sign(pdu: Omit<Pdu, 'signatures' | 'hashes'> & Partial<Pdu>, signer: Signer): Pdu {
  const { signatures: _, hashes: __, ...rest } = pdu;
  const hashed = { ...rest, hashes: { sha256: contentHash(rest) } } as Pdu;
  return { ...hashed, signatures: signJson(redactedPdu({ ...hashed, signatures: {} }), signer).signatures };
}

t.test('requests that are not what they say', async (t) => {
  const { a, b } = await scene(t);
  const uri = '/_matrix/federation/v1/send/x';
  const body = { origin: b.name, pdus: [] };
  const put = (more: object) => ask(a, uri, { method: 'PUT', body, signer: b.signer, ...more });
  t.equal((await put({})).status, 200, 'as it should be');
  const header = authorization({ method: 'PUT', uri, destination: a.name, content: body }, b.signer);
  const key = b.signer.key.id;
  const imposter = { serverName: b.name, key: new SigningKey(key.slice('ed25519:'.length), Buffer.alloc(32, 1)) };
  const elsewhere = { serverName: b.name, key: new SigningKey('other', Buffer.alloc(32, 1)) };
  for (const [why, request] of [
    ['no header', { header: '' }],
    ['another scheme', { header: 'Bearer x' }],
    ['fields that are missing', { header: 'X-Matrix origin=x' }],
    ['a field twice', { header: `${header},origin="${a.name}"` }],
    ['another server as destination', { destination: b.name }],
    ['no destination', { header: header.replace(/destination="[^"]*",/, '') }],
    ['a server that nobody knows', { signer: stranger }],
    ['the origin of another server', { header: header.replace(`origin="${b.name}"`, `origin="${a.name}"`) }],
    ['a key that the server does not have', { signer: elsewhere }],
    ['a signature with another key of that name', { signer: imposter }],
    ['a body that was not signed', { header, body: { ...body, pdus: [1] } }],
    [
      'another path than was signed',
      { header: authorization({ method: 'PUT', uri: `${uri}y`, destination: a.name, content: body }, b.signer) },
    ],
    [
      'another method than was signed',
      { header: authorization({ method: 'POST', uri, destination: a.name, content: body }, b.signer) },
    ],
  ] as const) {
    const answer = await put(request);
    t.match(answer, { status: 401, body: { errcode: 'M_UNAUTHORIZED' } }, why);
  }
  const many = { origin: b.name, pdus: Array.from({ length: 51 }, () => ({})) };
  t.match(await put({ body: many }), { status: 400, body: { errcode: 'M_BAD_JSON' } }, 'more than fifty events');
  const huge = { origin: b.name, pdus: [], padding: 'x'.repeat(5 << 20) };
  t.match(await put({ body: huge }), { status: 413, body: { errcode: 'M_TOO_LARGE' } }, 'more than it may have');
});

t.test('events that are not what they say', async (t) => {
  const it = await scene(t);
  const { a, b, alice, bob, room } = it;
  const idsOf = async () => (await alice.state(room)).map(({ event_id }) => event_id);
  const stateBefore = await idsOf();
  const imposter = {
    serverName: b.name,
    key: new SigningKey(b.signer.key.id.slice('ed25519:'.length), Buffer.alloc(32, 1)),
  };
  const whole = forge(it);
  let deep: unknown = 1;
  for (let i = 0; i < 200; i++) deep = [deep];
  for (const [why, pdu, error] of [
    ['a forged signature', forge(it, {}, imposter), /no valid signature/],
    ['no signature', { ...whole, signatures: {} }, /no valid signature/],
    [
      'the signature of another event',
      { ...forge(it, { type: 'm.other' }), signatures: whole.signatures },
      /no valid signature/,
    ],
    ['a sender of the receiving server', forge(it, { sender: alice.userId }), /not .* to send/],
    [
      'a sender of a server that nobody knows',
      forge(it, { sender: '@eve:stranger.example' }, stranger),
      /not .* to send/,
    ],
    [
      'a sender who is not in the room',
      forge(it, { sender: `@eve:${b.name}` }),
      /cannot be what allows|not in the room/,
    ],
    [
      'power that the sender does not have',
      forge(it, { type: 'm.room.topic', state_key: '', content: { topic: 'forged' } }),
      /power level/,
    ],
    ['nothing that allows it', sign({ ...whole, auth_events: [] }, b.signer), /./],
    ['what allows it does not exist', sign({ ...whole, auth_events: ['$none'] }, b.signer), /not to be had/],
    ['nothing that it comes after', sign({ ...whole, prev_events: [] }, b.signer), /exists already/],
    ['what it comes after does not exist', sign({ ...whole, prev_events: ['$none'] }, b.signer), /not to be had/],
    [
      'a second beginning',
      sign(
        {
          ...whole,
          type: 'm.room.create',
          state_key: '',
          content: { room_version: '11' },
          prev_events: [],
          auth_events: [],
        },
        b.signer,
      ),
      /exists already/,
    ],
    ['another room', sign({ ...whole, room_id: '!none:x' }, b.signer), /not in the room/],
  ] as const) {
    const results = await sendTo(a, b.signer, [pdu]);
    t.match(Object.values(results), [{ error }], why);
    t.same(Object.keys(results), [referenceHash(pdu as Pdu)]);
  }
  for (const [why, pdu] of [
    ['no object', 1],
    ['a fraction', { ...whole, depth: 1.5 }],
    ['nested too deeply', { ...whole, content: { deep } }],
    ['too many events before it', { ...whole, prev_events: Array.from({ length: 21 }, (_, i) => `$${i}`) }],
    ['too many events that allow it', { ...whole, auth_events: Array.from({ length: 11 }, (_, i) => `$${i}`) }],
    ['too large', { ...whole, content: { body: 'x'.repeat(70_000) } }],
    ['a type that is too long', { ...whole, type: 'x'.repeat(256) }],
    ['no sender', { ...whole, sender: undefined }],
  ] as const) {
    t.same(await sendTo(a, b.signer, [pdu]), {}, why);
  }

  await bob.say(room, 'after');
  const seen = await waitFor(alice, room, says('after'));
  t.same(bodies(seen), ['after']);
  t.same(bodies((await alice.messages(room)).chunk), ['after', 'before']);
  t.same(await idsOf(), stateBefore);
});

t.test('an event whose content was tampered with is taken as redacted', async (t) => {
  const it = await scene(t);
  const { a, b, alice, room } = it;
  const whole = forge(it);
  const results = await sendTo(a, b.signer, [{ ...whole, content: { body: 'tampered with' } }]);
  t.same(results, { [referenceHash(whole)]: {} });
  t.match(await alice.event(room, referenceHash(whole)), { content: {} });
  t.same(bodies((await alice.messages(room)).chunk), [undefined, 'before']);
});

t.test('a transaction and an event are taken once', async (t) => {
  const it = await scene(t);
  const { a, b, alice, room } = it;
  const pdu = forge(it, { content: { body: 'once' } });
  const id = referenceHash(pdu);
  t.same(await sendTo(a, b.signer, [pdu], 'twice'), { [id]: {} });
  const other = forge(it, { content: { body: 'never looked at' } });
  t.same(await sendTo(a, b.signer, [other], 'twice'), { [id]: {} }, 'the same answer');
  t.same(await sendTo(a, b.signer, [pdu], 'again'), { [id]: {} });
  t.same(bodies((await alice.messages(room)).chunk), ['once', 'before']);
});

t.test("joins, leaves and invites that are not the other server's to make", async (t) => {
  const it = await scene(t);
  const { a, b, alice, bob, room } = it;
  const e = encodeURIComponent;
  const get = (path: string) => ask(a, `/_matrix/federation${path}`, { signer: b.signer });
  const put = (path: string, body: object) =>
    ask(a, `/_matrix/federation${path}`, { method: 'PUT', body, signer: b.signer });
  const eve = `@eve:${b.name}`;

  const make = (userId: string, query = '?ver=11') => get(`/v1/make_join/${e(room)}/${e(userId)}${query}`);
  t.match(await make(eve), { status: 200, body: { room_version: '11', event: { sender: eve, state_key: eve } } });
  t.match(await make(alice.userId), { status: 403, body: { errcode: 'M_FORBIDDEN' } }, 'a user of its own');
  t.match(await make(eve, '?ver=1'), {
    status: 400,
    body: { errcode: 'M_INCOMPATIBLE_ROOM_VERSION', room_version: '11' },
  });
  t.match(await get(`/v1/make_join/${e('!none:x')}/${e(eve)}?ver=11`), {
    status: 404,
    body: { errcode: 'M_NOT_FOUND' },
  });
  const closed = await alice.createRoom({ preset: 'private_chat' });
  t.match(await get(`/v1/make_join/${e(closed)}/${e(eve)}?ver=11`), { status: 403, body: { errcode: 'M_FORBIDDEN' } });
  const own = await alice.createRoom({ preset: 'public_chat', creation_content: { 'm.federate': false } });
  t.match(await get(`/v1/make_join/${e(own)}/${e(eve)}?ver=11`), { status: 403 }, 'm.federate is false');

  const member = (change: Json, signer = b.signer) =>
    forge(
      it,
      { type: 'm.room.member', sender: eve, state_key: eve, content: { membership: 'join' }, ...change },
      signer,
    );
  const sendJoin = (pdu: Pdu, id = referenceHash(pdu)) => put(`/v2/send_join/${e(room)}/${e(id)}`, pdu);
  for (const [why, pdu, status] of [
    ['a leave', member({ content: { membership: 'leave' } }), 400],
    ['another user', member({ state_key: bob.userId }), 400],
    ['a user of the receiving server', member({ sender: alice.userId, state_key: alice.userId }), 403],
    ['the signature of a stranger', member({}, stranger), 403],
    ['a content that does not match', { ...member({}), content: { membership: 'join', displayname: 'x' } }, 400],
    ['another room', { ...member({}), room_id: '!none:x' }, 400],
  ] as const) {
    t.match(await sendJoin(pdu), { status }, `send_join of ${why}`);
  }
  t.match(await sendJoin(member({}), '$other'), { status: 400 }, 'send_join under another id');
  await refuses(t, alice.getState(room, 'm.room.member', eve), { status: 404 });

  for (const path of ['state', 'state_ids', 'event_auth']) {
    const tail = path === 'event_auth' ? `/${e(it.place.last)}` : `?event_id=${e(it.place.last)}`;
    t.equal((await get(`/v1/${path}/${e(room)}${tail}`)).status, 200, path);
  }
  const secret = await alice.say(closed, 'secret');
  t.match(await get(`/v1/event/${e(secret)}`), { status: 403 }, 'events of rooms that it is not in');
  t.match(await get(`/v1/state/${e(closed)}?event_id=${e(secret)}`), { status: 403 });

  const invite = (change: Json, signer = b.signer) =>
    forge(
      it,
      {
        type: 'm.room.member',
        room_id: '!new:x',
        state_key: alice.userId,
        content: { membership: 'invite' },
        ...change,
      },
      signer,
    );
  const send = (pdu: Pdu, room_version = '11') =>
    put(`/v2/invite/${e(pdu.room_id)}/${e(referenceHash(pdu))}`, { room_version, event: pdu, invite_room_state: [] });
  t.match(await send(invite({}), '1'), { status: 400, body: { errcode: 'M_INCOMPATIBLE_ROOM_VERSION' } });
  t.match(await send(invite({}, stranger)), { status: 403 }, 'not signed by its sender');
  t.match(await send(invite({ sender: alice.userId })), { status: 403 }, "of another server's user");
  t.match(await send(invite({ state_key: `@none:${a.name}` })), { status: 403 }, 'to nobody');
  t.match(await send(invite({ content: { membership: 'join' } })), { status: 400 }, 'no invite');
  a.fake.answers = { checkEventForSpam: () => refused({ errcode: 'M_SPAM' }) };
  t.match(await send(invite({})), { status: 403, body: { errcode: 'M_SPAM' } });
  a.fake.answers = { userMayInvite: () => refused({ errcode: 'M_NO', extra: { why: 1 } }) };
  t.match(await send(invite({})), { status: 403, body: { errcode: 'M_NO', why: 1 } });
  a.fake.answers = {};
  const much = [{ type: 'x', state_key: '', sender: bob.userId, content: { x: 'x'.repeat(70_000) } }];
  const to = `/v2/invite/${e('!new:x')}/${e(referenceHash(invite({})))}`;
  const flooding = { room_version: '11', event: invite({}), invite_room_state: much };
  t.match(await put(to, flooding), { status: 413, body: { errcode: 'M_TOO_LARGE' } });
  t.same(Object.keys((await alice.sync()).rooms.invite), []);
  a.fake.answers = { userMayInvite: () => refused() };
  // Sent as any other event it is no way around the module.
  const sly = forge(it, { type: 'm.room.member', state_key: alice.userId, content: { membership: 'invite' } });
  t.match(Object.values(await sendTo(a, b.signer, [sly])), [{ error: String }]);
  a.fake.answers = { userMayInvite: () => allowed };
});

t.test('a server that is not in the room is not listened to, and its events are not kept', async (t) => {
  const it = await scene(t);
  const { a, b, alice, bob, room } = it;
  await bob.sync();
  await alice.kick(room, bob.userId);
  await waitFor(bob, room, is(bob.userId, 'leave'));
  t.match(Object.values(await sendTo(a, b.signer, [forge(it)])), [{ error: /is not in the room/ }]);
  const e = encodeURIComponent;
  for (const path of [`event/${e(it.place.last)}`, `state/${e(room)}?event_id=${e(it.place.last)}`]) {
    t.match(await ask(a, `/_matrix/federation/v1/${path}`, { signer: b.signer }), { status: 403 });
  }
  await a.stop();
  const { db, close } = await openDatabase(placeOf(a.dataDir), quiet);
  const kept = (await db.select().from(events)).filter(({ onlyFor }) => onlyFor !== null);
  await close();
  await a.start();
  t.same(kept, []);
});

for (const length of [5, 60]) {
  t.test(`${length} events that never came are asked for`, async (t) => {
    const { a, b, alice, bob, room } = await scene(t);
    await a.stop();
    for (let i = 0; i < length; i++) await bob.say(room, `message ${i}`);
    await alice.sync().catch(() => {});
    await b.stop();
    const { db, close } = await openDatabase(placeOf(b.dataDir), quiet);
    await db.delete(outbox);
    await close();
    await b.start();
    await a.start();
    const [here, there] = [a.again(alice), b.again(bob)];
    await there.say(room, 'last');
    const seen = bodies(await waitFor(here, room, says('last')));
    const wanted = Array.from({ length }, (_, i) => `message ${i}`);
    t.same(seen.slice(-20), [...wanted, 'last'].slice(-20), 'the latest of them');
    await here.say(room, 'and on');
    await waitFor(there, room, says('and on'));
  });
}
