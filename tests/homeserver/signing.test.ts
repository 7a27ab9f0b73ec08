// Canonical JSON, signatures, hashes, and the server's key, against the specification's vectors (appendices,
// "Canonical JSON" and "Cryptographic Test Vectors") and against what the homeserver stores.

import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { canonicalJson } from '../../packages/examples/homeserver/crypto/canonical-json.ts';
import { openSigningKey } from '../../packages/examples/homeserver/crypto/key-file.ts';
import { SigningKey, signJson, verifyJson } from '../../packages/examples/homeserver/crypto/signing.ts';
import { openDatabase } from '../../packages/examples/homeserver/db/database.ts';
import { events } from '../../packages/examples/homeserver/db/schema.ts';
import { contentHash, type Pdu, referenceHash } from '../../packages/examples/homeserver/rooms/pdu.ts';
import { redactedPdu } from '../../packages/examples/homeserver/rooms/redaction.ts';
import { allowed } from './fake-modules.ts';
import { placeOf, quiet, SERVER_NAME, startServer } from './harness.ts';

const SEED = 'YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1';
const signer = { serverName: 'domain', key: new SigningKey('1', Buffer.from(SEED, 'base64')) };

t.test('canonical JSON', async (t) => {
  for (const [value, text] of [
    [{}, '{}'],
    [{ one: 1, two: 'Two' }, '{"one":1,"two":"Two"}'],
    [{ b: '2', a: '1' }, '{"a":"1","b":"2"}'],
    [
      { auth: { success: true, list: [{ z: null, y: false }] } },
      '{"auth":{"list":[{"y":false,"z":null}],"success":true}}',
    ],
    [{ a: '日本語' }, '{"a":"日本語"}'],
    [{ 本: 2, 日: 1 }, '{"日":1,"本":2}'],
    [{ a: '\u65e5' }, '{"a":"日"}'],
    [{ a: '"\\/\b\f\n\r\t\u0001\u007f' }, '{"a":"\\"\\\\/\\b\\f\\n\\r\\t\\u0001\u007f"}'],
    [{ a: -0, b: -10, c: undefined }, '{"a":0,"b":-10}'],
    [{ '\u{1f600}': 1, '\uff5e': 2, '\ud7ff': 3 }, '{"\ud7ff":3,"\uff5e":2,"\u{1f600}":1}'],
    [JSON.parse('{"__proto__":{"b":1,"a":2}}'), '{"__proto__":{"a":2,"b":1}}'],
  ] as const) {
    t.equal(canonicalJson(value), text);
  }
});

t.test('signatures', async (t) => {
  const nothing = 'K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ';
  const two = 'KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw';
  t.same(signJson({}, signer), { signatures: { domain: { 'ed25519:1': nothing } } });
  const signed = signJson({ one: 1, two: 'Two', unsigned: { age: 1 } }, signer);
  t.equal(signed.signatures.domain?.['ed25519:1'], two);
  t.ok(verifyJson(signed, two, signer.key.publicKey));
  t.ok(verifyJson({ ...signed, unsigned: {} }, two, signer.key.publicKey), 'what is unsigned may change');
  t.notOk(verifyJson({ ...signed, one: 2 }, two, signer.key.publicKey));
  t.notOk(verifyJson(signed, two, 'nonsense'));
  t.notOk(verifyJson(signed, 'nonsense', signer.key.publicKey));
  const twice = signJson(signed, { serverName: 'other', key: signer.key });
  t.same(Object.keys(twice.signatures), ['domain', 'other'], 'others keep theirs');
});

t.test('the content hash', async (t) => {
  const event = {
    room_id: '!x:domain',
    sender: '@a:domain',
    origin: 'domain',
    origin_server_ts: 1_000_000,
    signatures: {},
    hashes: {},
    type: 'X',
    content: {},
    prev_events: [],
    auth_events: [],
    depth: 3,
    unsigned: { age_ts: 1_000_000 },
  };
  t.equal(contentHash(event), '5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos');
});

t.test('the key is made once, for the owner alone', async (t) => {
  const file = join(t.testdir(), 'deep', 'signing.key');
  const made = await openSigningKey(file);
  t.match(made.id, /^ed25519:a_\w{4}$/);
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.match(await readFile(file, 'utf8'), /^ed25519 a_\w{4} [\w+/]{43}\n$/);
  const again = await openSigningKey(file);
  t.same([again.id, again.publicKey], [made.id, made.publicKey]);
  const other = await openSigningKey(undefined);
  t.not(other.publicKey, made.publicKey);
  await writeFile(file, 'ed25519 a_AbCd');
  await t.rejects(openSigningKey(file), { name: 'InvalidSigningKey', message: /signing\.key: expected/ });
  await t.rejects(openSigningKey(t.testdirName), { code: 'EISDIR' }, 'no second key where one cannot be read');
});

t.test('what the homeserver stores', async (t) => {
  const dataDir = t.testdir();
  const server = await startServer(t, { dataDir });
  const alice = await server.register('alice');
  const bob = await server.register('bob');
  const room = await alice.createRoom({ preset: 'public_chat', topic: 'Signed' });
  await bob.join(room);
  server.fake.answers = { checkEventForSpam: waitForEachOther(30) };
  await Promise.all(Array.from({ length: 30 }, (_, index) => alice.say(room, `at once ${index}`)));
  server.fake.answers = {};
  await alice.say(room, 'alone');
  await alice.say(room, 'alone again');
  server.fake.answers = {
    async checkEventForSpam(event) {
      if (event.type === 'm.room.name') await alice.say(room, 'while she names the room');
      return allowed;
    },
  };
  await alice.setState(room, 'm.room.name', { name: 'Name' });
  server.fake.answers = {};
  await bob.redact(room, await bob.say(room, 'oops'), 'typo');
  // Each of these changes the state while the others are on their way.
  await Promise.all(['a', 'b', 'c', 'd'].map((topic) => alice.setState(room, 'm.room.topic', { topic })));
  await alice.ban(room, bob.userId);
  server.fake.answers = {
    checkEventAllowed: (event) => ({
      ...allowed,
      replacement: { module: 'fake', event: { ...event, content: { body: 'replaced' } } },
    }),
  };
  const replaced = await alice.say(room, 'said');
  server.fake.answers = {
    checkRegistrationForSpam: () => ({ behaviour: 'shadow_ban', module: 'fake', failures: [], observed: [] }),
  };
  const ghost = await server.register('ghost');
  await ghost.join(room);
  const unseen = [await ghost.say(room, 'unseen'), await ghost.say(room, 'unseen, too')];
  await alice.say(room, 'after them');
  await server.close();

  const key = await openSigningKey(join(dataDir, 'signing.key'));
  const pdus = await storedPdus(dataDir);
  const known = new Map<string, Pdu>();
  let extremities: string[] = [];
  let widest = 0;
  let lastState = 0;
  for (const { eventId, pdu, redacted, ofOne } of pdus) {
    t.equal(referenceHash(pdu), eventId, `${pdu.type} is called by its hash`);
    t.equal(contentHash(pdu) === pdu.hashes.sha256, !redacted, 'the content is what was hashed, or redacted');
    const signature = pdu.signatures[SERVER_NAME]?.[key.id] ?? '';
    t.ok(verifyJson(redactedPdu(pdu), signature, key.publicKey), 'the signature holds');
    t.ok(pdu.prev_events.length <= 20);
    t.same(
      pdu.prev_events.filter((id) => !known.has(id)),
      [],
      'it comes after what is known',
    );
    t.equal(pdu.depth, 1 + Math.max(0, ...pdu.prev_events.map((id) => known.get(id)?.depth ?? Number.NaN)));
    known.set(eventId, pdu);
    if (ofOne) continue;
    extremities = [...extremities.filter((id) => !pdu.prev_events.includes(id)), eventId];
    t.ok(extremities.length <= 20, 'the next event can name all that it comes after');
    widest = Math.max(widest, extremities.length);
    t.ok(pdu.depth > lastState, 'nothing stands beside a state event');
    if (!('state_key' in pdu)) continue;
    t.same(extremities, [eventId], 'nor a state event beside anything');
    lastState = pdu.depth;
  }
  t.equal(widest, 20, 'messages may stand beside each other');
  const byType = (type: string) => pdus.filter(({ pdu }) => pdu.type === type).map(({ pdu }) => pdu);
  t.equal(byType('m.room.message').length, 38);
  t.same(known.get(replaced)?.content, { body: 'replaced' });
  t.ok(known.get(unseen[1] ?? '')?.prev_events.includes(unseen[0] ?? ''));
  t.same(
    byType('m.room.message').at(-1)?.prev_events,
    [replaced],
    'what only one sees comes before nothing of the others',
  );
  t.equal(byType('m.room.redaction')[0]?.content.redacts, pdus.find(({ redacted }) => redacted)?.eventId);
  t.same(byType('m.room.create')[0]?.auth_events, []);

  const typesOf = (ids: readonly string[]) => ids.map((id) => `${known.get(id)?.type}|${known.get(id)?.state_key}`);
  const ban = byType('m.room.member').find(({ content }) => content.membership === 'ban');
  t.same(typesOf(ban?.auth_events ?? []).sort(), [
    'm.room.create|',
    `m.room.member|${alice.userId}`,
    `m.room.member|${bob.userId}`,
    'm.room.power_levels|',
  ]);
  const join_ = byType('m.room.member').find(
    ({ content, sender }) => content.membership === 'join' && sender === bob.userId,
  );
  t.ok(typesOf(join_?.auth_events ?? []).includes('m.room.join_rules|'));

  const topics = byType('m.room.topic').slice(1);
  t.equal(topics.length, 4);
  for (const [index, topic] of topics.slice(1).entries()) {
    t.same(
      topic.prev_events.map((id) => known.get(id)?.content),
      [topics[index]?.content],
      'state does not fork',
    );
  }
});

/** An answer that comes when so many are waiting for it. */
function waitForEachOther(count: number) {
  let asked = 0;
  let open = () => undefined as void;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  return async () => {
    if (++asked === count) open();
    await gate;
    return allowed;
  };
}

/** In the order in which they were stored. */
async function storedPdus(dataDir: string) {
  const { db, close } = await openDatabase(placeOf(dataDir), quiet);
  const rows = await db.select().from(events).orderBy(events.position);
  await close();
  return rows.map((row) => {
    const { eventId, type, roomId, sender, content, stateKey, originServerTs, envelope } = row;
    const event = { type, room_id: roomId, sender, content, origin_server_ts: originServerTs };
    const pdu = { ...event, ...(stateKey === null ? {} : { state_key: stateKey }), ...envelope } as Pdu;
    return { eventId, pdu, redacted: row.redactedBy !== null, ofOne: row.onlyFor !== null };
  });
}
