import { deepEqual, equal, ok, rejects, throws } from './assert.js';

export const objects = {
  async 'Blob: text, slice, type, size'() {
    const blob = new Blob(['ab', new Uint8Array([99]), new Blob(['d'])], { type: 'Text/Plain' });
    deepEqual([blob.size, blob.type, await blob.text()], [4, 'text/plain', 'abcd']);
    equal(await blob.slice(1, -1).text(), 'bc');
    equal(blob.slice(0, 1, 'image/png').type, 'image/png');
  },
  async 'Blob: stream and bytes'() {
    const blob = new Blob(['x'.repeat(200_000)]);
    let size = 0;
    for await (const chunk of blob.stream() as unknown as AsyncIterable<Uint8Array>) size += chunk.byteLength;
    deepEqual([size, (await blob.arrayBuffer()).byteLength], [200_000, 200_000]);
    const reader = (new Blob(['ab']).stream() as ReadableStream).getReader({ mode: 'byob' });
    equal((await reader.read(new Uint8Array(8))).value?.byteLength, 2);
    equal((await reader.read(new Uint8Array(8))).done, true);
  },
  async 'Blob: what was given can change'() {
    const bytes = new Uint8Array([1]);
    const blob = new Blob([bytes]);
    bytes[0] = 2;
    deepEqual([...new Uint8Array(await blob.arrayBuffer())], [1]);
  },
  'File: name and date'() {
    const file = new File(['a'], 'name', { lastModified: 5 });
    deepEqual([file.name, file.lastModified, file instanceof Blob, file.size], ['name', 5, true, 1]);
  },
  'URL: parts, and what is none'() {
    const url = new URL('../c?d=e#f', 'https://example.com/a/b');
    deepEqual([url.href, url.pathname, url.hash], ['https://example.com/c?d=e#f', '/c', '#f']);
    url.searchParams.append('g', 'h');
    equal(url.search, '?d=e&g=h');
    throws(() => new URL('no'), 'TypeError');
    deepEqual([URL.canParse('no'), URL.canParse('a:b')], [false, true]);
  },
  'URL: makes no object URLs'() {
    equal((URL as unknown as Record<string, unknown>).createObjectURL, undefined);
  },
  'URLSearchParams: iterated, sorted'() {
    const params = new URLSearchParams('b=1&a=2&b=3');
    params.sort();
    deepEqual(
      [...params],
      [
        ['a', '2'],
        ['b', '1'],
        ['b', '3'],
      ],
    );
    deepEqual([...params.keys(), ...params.values()], ['a', 'b', 'b', '2', '1', '3']);
    equal(String(new URLSearchParams({ q: 'ä&' })), 'q=%C3%A4%26');
  },
  'TextEncoder and TextDecoder'() {
    const bytes = new TextEncoder().encode('aé☃😀');
    equal(new TextDecoder().decode(bytes), 'aé☃😀');
    equal(new TextDecoder('utf-16le').decode(new Uint8Array([97, 0])), 'a');
    deepEqual(new TextEncoder().encodeInto('aé', new Uint8Array(2)), { read: 1, written: 1 });
    throws(() => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])), 'TypeError');
    throws(() => new TextDecoder('nonsense'), 'RangeError');
  },
  'TextDecoder: stream, and the mark of the byte order'() {
    const decoder = new TextDecoder();
    const bytes = new TextEncoder().encode('☃');
    equal(decoder.decode(bytes.subarray(0, 1), { stream: true }) + decoder.decode(bytes.subarray(1)), '☃');
    equal(decoder.decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])), 'a');
    equal(new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])).length, 2);
  },
  'atob and btoa'() {
    equal(atob(btoa('abc')), 'abc');
    throws(() => atob('*'), 'InvalidCharacterError');
  },
  'structuredClone: plain data'() {
    const shared = { deep: [1n, undefined, new Date(7)] };
    const value = { map: new Map<unknown, unknown>([[shared, shared]]), set: new Set(['a']), pattern: /a/gi };
    const copy = structuredClone(value);
    const [[key, inner]] = copy.map as unknown as [[typeof shared, typeof shared]];
    ok(key === inner && key !== shared, 'one copy of what is shared');
    deepEqual([(key.deep[2] as Date).getTime(), copy.set.has('a'), String(copy.pattern)], [7, true, '/a/gi']);
  },
  'structuredClone: cycles, errors, buffers'() {
    const value: Record<string, unknown> = { error: new RangeError('no'), bytes: new Uint16Array([1, 2]) };
    value.self = value;
    const copy = structuredClone(value) as Record<string, unknown>;
    ok(copy.self === copy, 'the cycle');
    deepEqual([(copy.error as Error).name, (copy.error as Error).message], ['RangeError', 'no']);
    deepEqual([...(copy.bytes as Uint16Array)], [1, 2]);
  },
  'structuredClone: what it refuses'() {
    for (const value of [
      () => {},
      Symbol('a'),
      new Proxy({}, {}),
      new AbortController(),
      new Response(),
      Promise.resolve(),
    ]) {
      throws(() => structuredClone(value), 'DataCloneError');
    }
  },
  async 'structuredClone: a Blob, and a buffer that moves'() {
    equal(await structuredClone(new Blob(['a'])).text(), 'a');
    equal(structuredClone(new File(['a'], 'b')).name, 'b');
    const { buffer } = new Uint8Array([1, 2]);
    const moved = structuredClone({ buffer }, { transfer: [buffer] });
    deepEqual([buffer.byteLength, moved.buffer.byteLength], [0, 2]);
  },
  'DOMException: names and codes'() {
    const error = new DOMException('text', 'AbortError');
    deepEqual([error.name, error.message, error.code, error instanceof Error], ['AbortError', 'text', 20, true]);
  },
  'crypto: random values and UUIDs'() {
    const bytes = crypto.getRandomValues(new Uint32Array(4));
    ok(bytes.some((value) => value !== 0));
    ok(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()));
    throws(() => crypto.getRandomValues(new Uint8Array(65_537)), 'QuotaExceededError');
    throws(() => crypto.getRandomValues(new Float32Array(1) as never), 'TypeMismatchError');
  },
  async 'crypto.subtle: digest and HMAC'() {
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode('abc')));
    deepEqual([...hash.subarray(0, 4)], [0xba, 0x78, 0x16, 0xbf]);
    const key = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']);
    const mark = await crypto.subtle.sign('HMAC', key, hash);
    equal(await crypto.subtle.verify('HMAC', key, mark, hash), true);
    const jwk = await crypto.subtle.exportKey('jwk', key);
    const again = await crypto.subtle.importKey('jwk', jwk, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
    deepEqual([again.type, again.extractable, again.usages], ['secret', false, ['verify']]);
    equal(await crypto.subtle.verify('HMAC', again, mark, hash), true);
  },
  async 'crypto.subtle: encryption and derived keys'() {
    const secret = await crypto.subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveKey']);
    const how = { name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8), iterations: 1000 };
    const target = { name: 'AES-GCM', length: 256 };
    const key = await crypto.subtle.deriveKey(how, secret, target, false, ['encrypt', 'decrypt']);
    const box = { name: 'AES-GCM', iv: new Uint8Array(12) };
    const sealed = await crypto.subtle.encrypt(box, key, new Uint8Array([1, 2, 3]));
    deepEqual([...new Uint8Array(await crypto.subtle.decrypt(box, key, sealed))], [1, 2, 3]);
    await rejects(crypto.subtle.decrypt(box, key, new Uint8Array(20)), 'OperationError');
  },
  async 'crypto.subtle: key pairs'() {
    const curve = { name: 'ECDSA', namedCurve: 'P-256' };
    const { publicKey, privateKey } = await crypto.subtle.generateKey(curve, true, ['sign', 'verify']);
    const how = { name: 'ECDSA', hash: 'SHA-256' };
    const mark = await crypto.subtle.sign(how, privateKey, new Uint8Array(3));
    const spki = await crypto.subtle.exportKey('spki', publicKey);
    const again = await crypto.subtle.importKey('spki', spki, curve, true, ['verify']);
    equal(await crypto.subtle.verify(how, again, mark, new Uint8Array(3)), true);
  },
  async 'crypto.subtle: bounded'() {
    const secret = await crypto.subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveBits']);
    const how = { name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8), iterations: 1e9 };
    await rejects(crypto.subtle.deriveBits(how, secret, 256), 'QuotaExceededError');
    await rejects(crypto.subtle.digest('SHA-256', new Uint8Array(20 << 20)), 'QuotaExceededError');
    await rejects(crypto.subtle.digest('MD5', new Uint8Array(1)), 'NotSupportedError');
  },
};
