// Keys of other servers, and who answers for them: what is expired, unsigned, somebody else's or without end is no key.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { SigningKey, signJson } from '../../packages/examples/homeserver/crypto/signing.ts';
import { KeyRing } from '../../packages/examples/homeserver/federation/keys.ts';
import { fetchJson } from '../../packages/examples/homeserver/federation/transport.ts';
import { parseAuthorization } from '../../packages/examples/homeserver/federation/x-matrix.ts';

const HOUR_MS = 3_600_000;
const own = { serverName: 'a.example', key: new SigningKey('own', Buffer.alloc(32, 1)) };
const theirs = { serverName: 'b.example', key: new SigningKey('theirs', Buffer.alloc(32, 2)) };
const old = new SigningKey('old', Buffer.alloc(32, 3));

/** A server that answers every request in the same way. */
async function answering(t: { teardown(f: () => unknown): void }, answer: (response: ServerResponse) => void) {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked };
}

const keyDocument = (more: object = {}, signer = theirs) =>
  signJson(
    {
      server_name: theirs.serverName,
      valid_until_ts: Date.now() + HOUR_MS,
      verify_keys: { [theirs.key.id]: { key: theirs.key.publicKey } },
      old_verify_keys: { [old.id]: { key: old.publicKey, expired_ts: 1000 } },
      ...more,
    },
    signer,
  );

async function ringFor(t: { teardown(f: () => unknown): void }, document: object) {
  const { url, asked } = await answering(t, (response) => response.end(JSON.stringify(document)));
  return { ring: new KeyRing(own, new Map([[theirs.serverName, url]])), asked };
}

t.test('keys are fetched once, and are valid as long as their server says', async (t) => {
  const { ring, asked } = await ringFor(t, keyDocument());
  const find = (id: string, at: number) => ring.find(theirs.serverName, id, at);
  const both = await Promise.all([find(theirs.key.id, Date.now()), find(theirs.key.id, 5)]);
  t.same(both, [theirs.key.publicKey, theirs.key.publicKey]);
  t.equal(asked(), 1);
  t.equal(await find(theirs.key.id, Date.now() + 2 * HOUR_MS), undefined, 'not after that');
  t.equal(await find(old.id, 900), old.publicKey, 'an old key for old events');
  t.equal(await find(old.id, Date.now()), undefined, 'and for no others');
  for (let i = 0; i < 20; i++) t.equal(await find(`ed25519:${i}`, 0), undefined);
  t.equal(asked(), 1, 'who names unknown keys does not have them asked for again and again');
  t.equal(await ring.find('c.example', 'ed25519:x', 0), undefined, 'a server that is not in the configuration');
  t.equal(await ring.find(own.serverName, own.key.id, Date.now()), own.key.publicKey);

  const signed = signJson({ one: 1 }, theirs);
  t.ok(await ring.isSigned(signed, theirs.serverName, Date.now()));
  t.notOk(await ring.isSigned({ ...signed, one: 2 }, theirs.serverName, Date.now()));
  t.notOk(await ring.isSigned(signed, own.serverName, Date.now()));
  t.notOk(await ring.isSigned({ one: 1, signatures: { [theirs.serverName]: 'x' } }, theirs.serverName, Date.now()));
});

t.test('what is no key document gives no keys', async (t) => {
  for (const [why, document] of [
    ['another server', keyDocument({ server_name: 'c.example' })],
    ['signed by another key', keyDocument({}, { ...theirs, key: old })],
    ['a key that has not signed', keyDocument({ verify_keys: { [old.id]: { key: old.publicKey } } })],
    ['changed after it was signed', { ...keyDocument(), valid_until_ts: Date.now() + 2 * HOUR_MS }],
    ['expired', keyDocument({ valid_until_ts: Date.now() - 1 })],
    ['no document', {}],
    ['too large', keyDocument({ padding: 'x'.repeat(100_000) })],
  ] as const) {
    const { ring } = await ringFor(t, document);
    t.equal(await ring.find(theirs.serverName, theirs.key.id, Date.now()), undefined, why);
  }
  const { ring } = await ringFor(t, keyDocument({ valid_until_ts: Date.now() + 1000 * 24 * HOUR_MS }));
  const inAMonth = Date.now() + 30 * 24 * HOUR_MS;
  t.equal(await ring.find(theirs.serverName, theirs.key.id, inAMonth), undefined, 'nobody is believed for so long');
});

t.test('answers have limits', async (t) => {
  const ask = async (answer: (response: ServerResponse) => void) => {
    const { url } = await answering(t, answer);
    return fetchJson(url, { method: 'GET', timeoutMs: 300, maxBytes: 100 });
  };
  t.same(await ask((response) => response.end('{"a":1}')), { status: 200, body: { a: 1 } });
  for (const [why, answer] of [
    ['an answer that does not come', () => {}],
    ['an answer that does not end', (response: ServerResponse) => response.write('{')],
    ['an answer that is too long', (response: ServerResponse) => response.end(`{"a":"${'x'.repeat(100)}"}`)],
    ['a redirect', (response: ServerResponse) => response.writeHead(302, { location: '/' }).end('{}')],
    ['no JSON', (response: ServerResponse) => response.end('<html>')],
    ['a list', (response: ServerResponse) => response.end('[]')],
  ] as const) {
    await t.rejects(ask(answer), { name: 'Unreachable' }, why);
  }
  await t.rejects(fetchJson('http://127.0.0.1:1', { method: 'GET', timeoutMs: 300, maxBytes: 100 }), {
    name: 'Unreachable',
  });
});

t.test('the header', async (t) => {
  const expected = { origin: 'a:1', destination: 'b', key: 'ed25519:x', signature: 'abc/+' };
  t.same(parseAuthorization('X-Matrix origin="a:1",destination="b",key="ed25519:x",sig="abc/+"'), expected);
  t.same(parseAuthorization('x-matrix  Origin=a:1 , destination=b, key=ed25519:x , sig="abc/+", more=1'), expected);
  for (const header of [
    '',
    'X-Matrix',
    'Bearer origin=a',
    'X-Matrix origin=a,destination=b,key=c',
    'X-Matrix origin=a,origin=a,destination=b,key=c,sig=d',
    'X-Matrix origin=a/b,destination=b,key=c,sig=d',
    `X-Matrix origin=a,destination=b,key=c,sig=${'d'.repeat(2000)}`,
  ]) {
    t.equal(parseAuthorization(header), undefined, header.slice(0, 60));
  }
});
