// Storage over real LevelDB folders: separation, quota, expiry, order, and what happens around a restart.

import { stat } from 'node:fs/promises';
import type { ApiError } from '@bulkhead/sdk/contract';
import t, { type Test } from 'tap';
import type { StorageBackend } from '../../packages/runtime/src/api/backend.ts';
import {
  createStorage,
  ENTRY_BYTES,
  openStorage,
  PAGE_BYTES,
  type StorageOptions,
  VALUE_BYTES,
} from '../../packages/runtime/src/api/storage.ts';

const MIB = 1024 * 1024;

async function open(t: Test, options: StorageOptions = {}, directory = t.testdir()) {
  const storage = await openStorage(directory, options);
  t.teardown(() => storage.close());
  return { storage, directory, store: storage.of('demo', { quotaBytes: MIB }) };
}

function clock(time = 1000) {
  return { now: () => time, advance: (ms: number) => (time += ms) };
}

t.test('values are JSON, and absent is not null', async (t) => {
  const { store } = await open(t);
  t.equal(await store.get('a'), undefined);
  t.equal(await store.set('a', { list: [1, 'ü', null], nested: { __proto__: null, x: true } }), null);
  t.strictSame(await store.get('a'), { list: [1, 'ü', null], nested: { x: true } });
  await store.set('a', null);
  t.equal(await store.get('a'), null);
  t.equal(await store.delete('a'), true);
  t.equal(await store.delete('a'), false);
  t.equal(await store.get('a'), undefined);
});

t.test('values outlive a restart', async (t) => {
  const directory = t.testdir();
  const first = await openStorage(directory);
  await first.of('demo', { quotaBytes: MIB }).set('a', 'kept');
  await first.close();
  const { store } = await open(t, {}, directory);
  t.equal(await store.get('a'), 'kept');
});

t.test('what is no JSON, or too large, is refused', async (t) => {
  const { store } = await open(t);
  const cycle: Record<string, unknown> = {};
  cycle.cycle = cycle;
  for (const value of [undefined, () => 1, 1n, cycle, 'x'.repeat(VALUE_BYTES)]) {
    await t.rejects(store.set('a', value), { name: 'ApiError', code: 'InvalidArgument' });
  }
  await store.set('a', 'x'.repeat(VALUE_BYTES - 2));
  t.equal((await store.list()).entries.length, 1);
});

t.test('no id and key together spell the key of another module', async (t) => {
  const { storage } = await open(t);
  const ids = [
    'a',
    'a:b',
    'ab',
    'a\0',
    'a/b',
    '\u0001v',
    'a:b:c',
    'v',
    'ü',
    '',
    'a'.repeat(300),
    `a${'a'.repeat(256)}`,
  ];
  const stores = ids.map((id) => storage.of(id, { quotaBytes: MIB }));
  const keys = ['b:c', 'c', ':b', '\0', '\u0001v', 'v', 'xv', 'b', '\uffff', '\u{10ffff}'];
  for (const [index, store] of stores.entries()) for (const key of keys) await store.set(key, `${index} ${key}`);
  for (const [index, store] of stores.entries()) {
    for (const key of keys) t.equal(await store.get(key), `${index} ${key}`);
    t.equal((await store.list()).entries.length, keys.length);
  }
  await storage.forget('a');
  t.strictSame(await storage.of('a', { quotaBytes: MIB }).list(), { entries: [], next: null });
  for (const store of stores.slice(1)) t.equal((await store.list()).entries.length, keys.length);
});

t.test('names that UTF-8 cannot tell apart are refused', async (t) => {
  const { store, storage } = await open(t);
  await t.rejects(store.set('\ud800', 1), { code: 'InvalidArgument' });
  await t.rejects(store.list({ prefix: '\udc00' }), { code: 'InvalidArgument' });
  await t.rejects(store.list({ after: '\udc00' }), { code: 'InvalidArgument' });
  t.throws(() => storage.of('\ud800', { quotaBytes: MIB }));
});

t.test('increments are atomic, and operations take effect in order', async (t) => {
  const { store } = await open(t);
  const sums = await Promise.all(Array.from({ length: 200 }, () => store.increment('n')));
  t.strictSame(
    sums,
    Array.from({ length: 200 }, (_, index) => index + 1),
  );
  const [, before, , after] = await Promise.all([
    store.set('n', 'one'),
    store.get('n'),
    store.set('n', 'two'),
    store.get('n'),
    store.delete('n'),
  ]);
  t.strictSame([before, after, await store.get('n')], ['one', 'two', undefined]);
});

t.test('only numbers are incremented, and only as far as they stay exact', async (t) => {
  const { store } = await open(t);
  await store.set('text', '1');
  await t.rejects(store.increment('text'), { code: 'InvalidArgument' });
  await store.set('n', Number.MAX_SAFE_INTEGER - 1);
  t.equal(await store.increment('n'), Number.MAX_SAFE_INTEGER);
  await t.rejects(store.increment('n'), { code: 'InvalidArgument' });
  t.equal(await store.increment('n', -5), Number.MAX_SAFE_INTEGER - 5);
});

t.test('a failed operation does not stop the next ones', async (t) => {
  const { store } = await open(t);
  const failing = store.set('\ud800', 1);
  const next = store.set('a', 1);
  await t.rejects(failing);
  await next;
  t.equal(await store.get('a'), 1);
});

t.test('an entry is gone at the moment its time is over', async (t) => {
  const time = clock();
  const { store } = await open(t, time);
  await store.set('a', 1, { ttl: 100 });
  time.advance(99);
  t.equal(await store.get('a'), 1);
  time.advance(1);
  t.equal(await store.get('a'), undefined);
  t.strictSame(await store.list(), { entries: [], next: null });
  t.equal(await store.delete('a'), false);
  t.equal(await store.increment('a'), 1);
});

t.test('a ttl counts from the first increment; a set replaces it', async (t) => {
  const time = clock();
  const { storage, store } = await open(t, time);
  await store.increment('n', 1, { ttl: 100 });
  time.advance(60);
  t.equal(await store.increment('n', 1, { ttl: 100 }), 2);
  time.advance(60);
  t.equal(await store.increment('n', 1, { ttl: 100 }), 1);

  await store.set('a', 1, { ttl: 100 });
  await store.set('a', 2);
  time.advance(1000);
  await storage.sweep();
  t.equal(await store.get('a'), 2, 'the sweep does not go by the time of the value before');
});

t.test('the longest ttl is not a short one', async (t) => {
  const { storage, store } = await open(t);
  await store.set('a', 1, { ttl: Number.MAX_SAFE_INTEGER });
  await storage.sweep();
  t.equal(await store.get('a'), 1);
});

t.test('sweeping removes from the disk what expired, and nothing else', async (t) => {
  const time = clock();
  const memory = countingBackend();
  const storage = createStorage(memory, time);
  t.teardown(() => storage.close());
  const store = storage.of('demo', { quotaBytes: MIB });
  for (let i = 0; i < 700; i++) await store.set(`short ${i}`, i, { ttl: 10 + (i % 7) });
  await store.set('long', 1, { ttl: 1000 });
  await store.set('always', 1);
  time.advance(100);
  await storage.sweep();
  t.equal(memory.size, 3, 'two entries, and the time of one');
  t.strictSame((await store.list()).entries, [
    ['always', 1],
    ['long', 1],
  ]);
});

t.test('sweeping happens by itself', async (t) => {
  const time = clock();
  const memory = countingBackend();
  const storage = createStorage(memory, { ...time, sweepEvery: 5 });
  t.teardown(() => storage.close());
  await storage.of('demo', { quotaBytes: MIB }).set('a', 1, { ttl: 10 });
  time.advance(10);
  while (memory.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.pass('the disk is empty');
});

t.test('pages of a list follow each other without gap or repetition', async (t) => {
  const { store } = await open(t);
  const keys = Array.from({ length: 250 }, (_, index) => `k${String(index).padStart(3, '0')}`);
  for (const key of keys) await store.set(key, key);
  await store.set('j', 0);
  await store.set('l', 0);
  const first = await store.list({ prefix: 'k' });
  t.equal(first.entries.length, 100, 'a hundred unless it says more');
  const seen: string[] = [];
  for (let after: string | undefined; ; ) {
    const { entries, next } = await store.list({ prefix: 'k', limit: 125, after });
    seen.push(...entries.map(([key]) => key));
    if (next === null) break;
    after = next;
  }
  t.strictSame(seen, keys);
  t.strictSame(await store.list({ prefix: 'k', after: 'z' }), { entries: [], next: null });
  t.equal((await store.list({ prefix: 'k', after: 'a', limit: 1 })).entries[0]?.[0], 'k000');
});

t.test('a page is limited in bytes, so that a thousand large values are not read at once', async (t) => {
  const { storage } = await open(t);
  const store = storage.of('large', { quotaBytes: 10 * MIB });
  for (let i = 0; i < 20; i++) await store.set(`k${i}`, 'x'.repeat(VALUE_BYTES - 2));
  let pages = 0;
  let count = 0;
  for (let after: string | undefined; ; ) {
    const { entries, next } = await store.list({ limit: 1000, after });
    t.ok(JSON.stringify(entries).length < PAGE_BYTES + 1000);
    count += entries.length;
    pages += 1;
    if (next === null) break;
    after = next;
  }
  t.equal(count, 20);
  t.ok(pages >= 5);
});

t.test('the quota', async (t) => {
  const cost = (key: string, value: unknown) => ENTRY_BYTES + key.length + JSON.stringify(value).length;

  t.test('counts keys and values of what is there', async (t) => {
    const { storage } = await open(t);
    const store = storage.of('small', { quotaBytes: cost('a', 'xx') + cost('b', 'xx') });
    await store.set('a', 'xx');
    await store.set('b', 'xx');
    await store.set('b', 'yy');
    await t.rejects(store.set('b', 'yyy'), { name: 'ApiError', code: 'QuotaExceeded', message: /limits\.storage/ });
    await t.rejects(store.increment('c'), { code: 'QuotaExceeded' });
    t.equal(await store.get('b'), 'yy');
    await store.delete('a');
    await store.set('b', 'yyy');
    t.equal(await storage.of('other', { quotaBytes: 1000 }).increment('c'), 1, 'others have their own');
  });

  t.test('is right after the process was gone', async (t) => {
    const directory = t.testdir();
    const first = await openStorage(directory);
    await first.of('demo', { quotaBytes: MIB }).set('a', 'x'.repeat(1000));
    await first.close();
    const { storage } = await open(t, {}, directory);
    const store = storage.of('demo', { quotaBytes: cost('a', 'x'.repeat(1000)) + cost('b', 1) });
    await store.set('b', 1);
    await t.rejects(store.set('b', 11), { code: 'QuotaExceeded' });
  });

  t.test('does not count what expired, even before it was swept', async (t) => {
    const time = clock();
    const { storage } = await open(t, time);
    const store = storage.of('small', { quotaBytes: 1000 });
    await store.set('a', 'x'.repeat(800), { ttl: 10 });
    await t.rejects(store.set('b', 'x'.repeat(800)), { code: 'QuotaExceeded' });
    time.advance(10);
    await store.set('b', 'x'.repeat(800));
    time.advance(10);
    await storage.sweep();
    await t.rejects(store.set('c', 'x'.repeat(800)), { code: 'QuotaExceeded' }, 'the space was given back once');
  });

  t.test('that was lowered leaves what is there, to be read and to shrink', async (t) => {
    const { storage } = await open(t);
    const store = storage.of('small', { quotaBytes: 1000 });
    await store.set('a', 'x'.repeat(500));
    t.equal(storage.of('small', { quotaBytes: 100 }), store, 'one store, however often it is asked for');
    await t.rejects(store.set('b', 1), { code: 'QuotaExceeded' });
    t.equal(await store.get('a'), 'x'.repeat(500));
    await store.set('a', 'x'.repeat(400));
  });

  t.test('charges for an entry as such, so that ten million empty ones do not fit into it', async (t) => {
    const { storage } = await open(t);
    const store = storage.of('tiny', { quotaBytes: 10 * ENTRY_BYTES });
    let stored = 0;
    await t.rejects(
      async () => {
        for (; stored < 100; stored++) await store.set(String(stored), 0);
      },
      { code: 'QuotaExceeded' },
    );
    t.ok(stored < 10);
  });

  t.test('is recounted after a write of which nobody knows whether it happened', async (t) => {
    const memory = countingBackend();
    const storage = createStorage(memory);
    t.teardown(() => storage.close());
    const store = storage.of('demo', { quotaBytes: 1000 });
    await store.set('a', 1);
    memory.failAfterWriting = true;
    await t.rejects(store.set('b', 'x'.repeat(800)), { code: 'HomeserverError' });
    memory.failAfterWriting = false;
    await t.rejects(store.set('c', 'x'.repeat(800)), { code: 'QuotaExceeded' });
  });
});

t.test('forgetting gives the space back, and the module goes on', async (t) => {
  const { storage } = await open(t);
  const store = storage.of('small', { quotaBytes: 1000 });
  await store.set('a', 'x'.repeat(800), { ttl: 1000 });
  await storage.forget('small');
  t.equal(await store.get('a'), undefined);
  await store.set('b', 'x'.repeat(800));
});

t.test('a time that outlived its entry, by a crash while it was cleared, takes no other away', async (t) => {
  const time = clock();
  const memory = countingBackend();
  const first = createStorage(memory, time);
  const store = first.of('demo', { quotaBytes: 1000 });
  await store.set('a', 'x'.repeat(800), { ttl: 10 });
  memory.failAfterChange = 0;
  await t.rejects(first.forget('demo'));
  memory.failAfterChange = undefined;
  t.equal(memory.size, 1, 'the time alone is left');
  await store.set('a', 'again');
  time.advance(100);
  await first.sweep();
  t.equal(await store.get('a'), 'again');
  t.equal(memory.size, 1);
  await first.close();
});

t.test('a second opening is refused with what to do', async (t) => {
  const { directory } = await open(t);
  await t.rejects(openStorage(directory), {
    name: 'StorageError',
    code: 'StorageLocked',
    message: new RegExp(`${directory}.*in use.*bulkhead: \\{ storage`),
  });
});

t.test('a folder that cannot be used is named', async (t) => {
  const directory = t.testdir({ file: '' });
  await t.rejects(openStorage(`${directory}/file`), { code: 'StorageUnusable', message: /file/ });
});

t.test('a new folder is its owner’s alone', async (t) => {
  const directory = `${t.testdir()}/deep/new`;
  await open(t, {}, directory);
  t.equal((await stat(directory)).mode & 0o077, 0);
});

t.test('modules do not learn where the disk fails', async (t) => {
  const broken: StorageBackend = {
    ...countingBackend(),
    get: () => Promise.reject(new Error('IO error: /var/lib/homeserver/000042.log: No space left on device')),
  };
  const storage = createStorage(broken);
  t.teardown(() => storage.close());
  const error = await storage
    .of('demo', { quotaBytes: MIB })
    .get('a')
    .catch((error: unknown) => error);
  t.match(error, { name: 'ApiError', code: 'HomeserverError', message: 'the storage failed' });
  t.match((error as ApiError).cause, { message: /No space left/ });
});

t.test('closing waits for what is under way and refuses what comes after', async (t) => {
  const directory = t.testdir();
  const storage = await openStorage(directory);
  const store = storage.of('demo', { quotaBytes: MIB });
  const writes = Array.from({ length: 50 }, (_, index) => store.set(`k${index}`, index));
  await Promise.all([storage.close(), storage.close()]);
  await t.resolves(Promise.all(writes));
  await t.rejects(store.get('k0'), { code: 'Gone' });
  const { store: reopened } = await open(t, {}, directory);
  t.equal((await reopened.list()).entries.length, 50);
});

/** A backend of an embedder's own: an ordered map, and failures on demand. */
function countingBackend() {
  const map = new Map<string, Uint8Array>();
  const hex = (key: Uint8Array) => Buffer.from(key).toString('hex');
  const backend = {
    failAfterWriting: false,
    failAfterChange: undefined as number | undefined,
    get size() {
      return map.size;
    },
    get: async (key: Uint8Array) => map.get(hex(key)),
    async write(changes: readonly { key: Uint8Array; value: Uint8Array | undefined }[]) {
      for (const [index, { key, value }] of changes.entries()) {
        if (value === undefined) map.delete(hex(key));
        else map.set(hex(key), value);
        if (index === backend.failAfterChange) throw new Error('died');
      }
      if (backend.failAfterWriting) throw new Error('broken');
    },
    async *scan(from: Uint8Array, to: Uint8Array) {
      const keys = [...map.keys()].filter((key) => key >= hex(from) && key < hex(to)).sort();
      for (const key of keys) yield [Buffer.from(key, 'hex'), map.get(key) ?? Buffer.alloc(0)] as const;
    },
    close: async () => {},
  };
  return backend satisfies StorageBackend;
}
