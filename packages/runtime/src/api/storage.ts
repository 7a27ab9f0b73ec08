// Modules' key-value storage: quotas, expiry and order on top of an ordered map of bytes. Each module has a range of keys
// of its own, and every operation of a module stays inside it.

import { ApiError } from '@bulkhead/sdk/contract';
import type { StorageBackend, StorageChange } from './backend.js';

export interface Storage {
  /** A module's own store; asked again with another quota, the same store with that quota. */
  of(moduleId: string, options: { readonly quotaBytes: number }): ModuleStore;
  /** Removes everything that a module stored. */
  forget(moduleId: string): Promise<void>;
  /** Removes what has expired; it was invisible before. Happens by itself every minute. */
  sweep(): Promise<void>;
  /** Waits for the operations under way; later ones fail. */
  close(): Promise<void>;
}

/** The host's end of `api.storage`. Operations take effect in the order of the calls; failures are ApiErrors. */
export interface ModuleStore {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown, options?: TtlOption): Promise<null>;
  delete(key: string): Promise<boolean>;
  increment(key: string, by?: number, options?: TtlOption): Promise<number>;
  list(page?: ListPage): Promise<{ entries: [key: string, value: unknown][]; next: string | null }>;
}

export interface TtlOption {
  /** Milliseconds. */
  readonly ttl?: number | undefined;
}

export interface ListPage {
  readonly prefix?: string | undefined;
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

export interface StorageOptions {
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Milliseconds between two sweeps. */
  readonly sweepEvery?: number;
}

/** The most bytes that one value may have as JSON. */
export const VALUE_BYTES = 64 * 1024;
/** The most bytes of one page of `list`, however many entries it was asked for. */
export const PAGE_BYTES = 256 * 1024;
/**
 * What an entry costs beside its key and its value: about what its bookkeeping takes on disk. If it were free, a quota of
 * 64 MiB would hold ten million entries of a few bytes: a gigabyte, and many seconds to count after a restart.
 */
export const ENTRY_BYTES = 64;

/** @throws StorageError when the folder is locked by another process, or cannot be used */
export async function openStorage(directory: string, options?: StorageOptions): Promise<Storage> {
  // Not loaded by whoever brings a backend.
  const { openLevel } = await import('./level.js');
  return createStorage(await openLevel(directory), options);
}

export function createStorage(backend: StorageBackend, options: StorageOptions = {}): Storage {
  const now = options.now ?? Date.now;
  const stores = new Map<string, Store>();
  let closing: Promise<void> | undefined;

  const storeOf = (moduleId: string): Store => {
    let store = stores.get(moduleId);
    if (store === undefined) {
      store = new Store(backend, new KeySpace(moduleId), now);
      stores.set(moduleId, store);
    }
    return store;
  };
  const sweep = async (): Promise<void> => {
    for (const store of stores.values()) await store.sweep();
  };
  // A sweep that fails is tried again; a module that meets the same failure reports it.
  const timer = setInterval(() => sweep().catch(() => {}), options.sweepEvery ?? 60_000).unref();

  return {
    of(moduleId, { quotaBytes }) {
      const store = storeOf(moduleId);
      store.quotaBytes = quotaBytes;
      return store;
    },
    forget: (moduleId) => storeOf(moduleId).clear(),
    sweep,
    close() {
      closing ??= (async () => {
        clearInterval(timer);
        await Promise.all([...stores.values()].map((store) => store.close()));
        await backend.close();
      })();
      return closing;
    },
  };
}

interface Entry {
  readonly json: Uint8Array;
  /** When it goes, in milliseconds since the epoch; 0: never. */
  readonly expires: number;
}

class Store implements ModuleStore {
  quotaBytes = 0;
  readonly #backend: StorageBackend;
  readonly #keys: KeySpace;
  readonly #now: () => number;
  /** Settles, never rejects, when the last operation is over. */
  #tail: Promise<unknown> = Promise.resolve();
  /** The cost of all entries; `undefined` until counted, and after a write of which nobody knows how it ended. */
  #used: number | undefined;
  #closed = false;

  constructor(backend: StorageBackend, keys: KeySpace, now: () => number) {
    this.#backend = backend;
    this.#keys = keys;
    this.#now = now;
  }

  get(key: string): Promise<unknown> {
    return this.#inTurn(async (now) => {
      const entry = ifLive(await this.#read(encodeKey(key)), now);
      return entry && decodeJson(entry.json);
    });
  }

  set(key: string, value: unknown, { ttl }: TtlOption = {}): Promise<null> {
    return this.#inTurn(async (now) => {
      await this.#put(encodeKey(key), encodeJson(value), expiry(ttl, now), now);
      return null;
    });
  }

  delete(key: string): Promise<boolean> {
    return this.#inTurn(async (now) => {
      const name = encodeKey(key);
      const entry = await this.#read(name);
      if (entry === undefined) return false;
      await this.#write(this.#removal(name, entry), -costOf(name, entry));
      return ifLive(entry, now) !== undefined;
    });
  }

  increment(key: string, by = 1, { ttl }: TtlOption = {}): Promise<number> {
    return this.#inTurn(async (now) => {
      const name = encodeKey(key);
      const entry = ifLive(await this.#read(name), now);
      const before = entry === undefined ? 0 : decodeJson(entry.json);
      if (typeof before !== 'number') throw invalid('the value to increment is not a number');
      const sum = before + by;
      // Beyond this a counter would stand still without a word.
      if (Math.abs(sum) > Number.MAX_SAFE_INTEGER) throw invalid('the sum is beyond the safe integers');
      await this.#put(name, encodeJson(sum), entry?.expires ?? expiry(ttl, now), now);
      return sum;
    });
  }

  list({ prefix = '', after, limit = 100 }: ListPage = {}): ReturnType<ModuleStore['list']> {
    return this.#inTurn(async (now) => {
      // Sweeping first means that nobody can make the host step over the same expired entries again and again.
      await this.#sweep(now);
      const { from, to } = this.#keys.page(encodeKey(prefix), after === undefined ? undefined : encodeKey(after));
      const entries: [string, unknown][] = [];
      let bytes = 0;
      for await (const [key, value] of this.#backend.scan(from, to)) {
        const name = this.#keys.nameOf(key);
        bytes += name.length + value.length;
        if (entries.length === limit || (bytes > PAGE_BYTES && entries.length > 0)) {
          return { entries, next: entries.at(-1)?.[0] ?? null };
        }
        entries.push([utf8.decode(name), decodeJson(decodeEntry(value).json)]);
      }
      return { entries, next: null };
    });
  }

  sweep(): Promise<void> {
    return this.#inTurn((now) => this.#sweep(now));
  }

  clear(): Promise<void> {
    return this.#inTurn(async () => {
      this.#used = undefined;
      for (;;) {
        const keys = await take(this.#backend.scan(this.#keys.start, this.#keys.end), CHUNK);
        if (keys.length === 0) return;
        await this.#backend.write(keys.map((key) => ({ key, value: undefined })));
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#tail;
  }

  /** Runs one operation after the other: an increment is atomic because nothing of its module runs beside it. */
  #inTurn<T>(work: (now: number) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new ApiError('Gone', 'the storage is closed'));
    const result = this.#tail.then(() => work(Math.floor(this.#now()))).catch(rethrow);
    this.#tail = result.catch(() => {});
    return result;
  }

  async #read(name: Uint8Array): Promise<Entry | undefined> {
    const value = await this.#backend.get(this.#keys.entry(name));
    return value && decodeEntry(value);
  }

  async #put(name: Uint8Array, json: Uint8Array, expires: number, now: number): Promise<void> {
    const entry = { json, expires };
    const growth = (over: Entry | undefined) => costOf(name, entry) - costOf(name, over);
    let previous = await this.#read(name);
    if (!this.#fits(await this.#count(), growth(previous))) {
      await this.#sweep(now);
      previous = await this.#read(name);
      if (!this.#fits(await this.#count(), growth(previous))) throw this.#full(growth(previous));
    }
    await this.#write(
      [
        ...(previous === undefined ? [] : this.#removal(name, previous)),
        { key: this.#keys.entry(name), value: encodeEntry(entry) },
        ...(expires === 0 ? [] : [{ key: this.#keys.expiry(expires, name), value: EMPTY }]),
      ],
      growth(previous),
    );
  }

  /** What does not grow is welcome even above the quota, which an admin may have lowered. */
  #fits(used: number, growth: number): boolean {
    return growth <= 0 || used + growth <= this.quotaBytes;
  }

  #full(growth: number): ApiError {
    return new ApiError(
      'QuotaExceeded',
      `the storage quota of ${this.quotaBytes} bytes is used up (${this.#used} in use, ${growth} more wanted); ` +
        'delete entries, give them a ttl, or ask the admin for a larger limits.storage',
    );
  }

  #removal(name: Uint8Array, entry: Entry): StorageChange[] {
    const changes: StorageChange[] = [{ key: this.#keys.entry(name), value: undefined }];
    if (entry.expires !== 0) changes.push({ key: this.#keys.expiry(entry.expires, name), value: undefined });
    return changes;
  }

  async #write(changes: StorageChange[], growth: number): Promise<void> {
    const used = this.#used;
    this.#used = undefined;
    await this.#backend.write(changes);
    if (used !== undefined) this.#used = used + growth;
  }

  /** Counted from what is really there, once in a process: no crash can leave a wrong sum behind. */
  async #count(): Promise<number> {
    if (this.#used === undefined) {
      let used = 0;
      const { from, to } = this.#keys.page(EMPTY);
      for await (const [key, value] of this.#backend.scan(from, to)) {
        used += costOf(this.#keys.nameOf(key), decodeEntry(value));
      }
      this.#used = used;
    }
    return this.#used;
  }

  async #sweep(now: number): Promise<void> {
    const { from, to } = this.#keys.expiredAt(now);
    for (;;) {
      const expired = await take(this.#backend.scan(from, to), CHUNK);
      if (expired.length === 0) return;
      const changes: StorageChange[] = expired.map((key) => ({ key, value: undefined }));
      let freed = 0;
      for (const key of expired) {
        const name = this.#keys.nameOfExpiry(key);
        const entry = await this.#read(name);
        // If the server died while it cleared a module, a time may outlive its entry, and the name may be in use again.
        if (entry === undefined || ifLive(entry, now) !== undefined) continue;
        changes.push({ key: this.#keys.entry(name), value: undefined });
        freed += costOf(name, entry);
      }
      await this.#write(changes, -freed);
    }
  }
}

/**
 * One module's range of keys: a version, the id's length, the id, then `v` and the name of an entry, or `x`, a time and the
 * name of an entry that expires then. The length comes first so that no id and name together can spell another id: after
 * `a` and `b:c` joined by a separator, a module called `a:b` would read what `a` stored.
 */
class KeySpace {
  readonly start: Uint8Array;
  readonly end: Uint8Array;

  constructor(moduleId: string) {
    const id = encodeKey(moduleId);
    const length = Buffer.alloc(3, FORMAT);
    length.writeUInt16BE(id.length, 1);
    this.start = Buffer.concat([length, id]);
    this.end = Buffer.concat([this.start, LAST]);
  }

  entry(name: Uint8Array): Uint8Array {
    return Buffer.concat([this.start, ENTRIES, name]);
  }

  nameOf(entryKey: Uint8Array): Uint8Array {
    return entryKey.subarray(this.start.length + 1);
  }

  expiry(at: number, name: Uint8Array): Uint8Array {
    return Buffer.concat([this.start, EXPIRIES, encodeTime(at), name]);
  }

  nameOfExpiry(expiryKey: Uint8Array): Uint8Array {
    return expiryKey.subarray(this.start.length + 1 + TIME_BYTES);
  }

  /** The entries whose names begin with `prefix` and stand behind `after`. UTF-8 never has a byte 0xff. */
  page(prefix: Uint8Array, after?: Uint8Array): { from: Uint8Array; to: Uint8Array } {
    const first = this.entry(prefix);
    const next = after === undefined ? first : Buffer.concat([this.entry(after), FIRST]);
    return { from: Buffer.compare(next, first) > 0 ? next : first, to: Buffer.concat([first, LAST]) };
  }

  expiredAt(now: number): { from: Uint8Array; to: Uint8Array } {
    return { from: this.expiry(0, EMPTY), to: this.expiry(now + 1, EMPTY) };
  }
}

/** The format of keys and values; another one gets another number. */
const FORMAT = 1;
const ENTRIES = Buffer.from('v');
const EXPIRIES = Buffer.from('x');
const EMPTY = Buffer.alloc(0);
const FIRST = Buffer.from([0x00]);
const LAST = Buffer.from([0xff]);
const TIME_BYTES = 6;
/** The year 10889. */
const MAX_TIME = 2 ** 48 - 2;
/** How many entries are removed at once. */
const CHUNK = 256;

const utf8 = new TextDecoder();

/** Two lone surrogates are two names to JavaScript, and the same bytes in UTF-8: one would overwrite the other. */
function encodeKey(key: string): Uint8Array {
  if (!key.isWellFormed()) throw invalid('a key must be well-formed Unicode');
  return Buffer.from(key);
}

function encodeJson(value: unknown): Uint8Array {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // Cyclic, too deep or a BigInt: said below.
  }
  if (text === undefined) throw invalid('a value must be JSON');
  const json = Buffer.from(text);
  if (json.length > VALUE_BYTES) throw invalid(`a value may have ${VALUE_BYTES} bytes as JSON, not ${json.length}`);
  return json;
}

function decodeJson(json: Uint8Array): unknown {
  return JSON.parse(utf8.decode(json));
}

function encodeEntry({ json, expires }: Entry): Uint8Array {
  return Buffer.concat([encodeTime(expires), json]);
}

function decodeEntry(value: Uint8Array): Entry {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return { expires: bytes.readUIntBE(0, TIME_BYTES), json: bytes.subarray(TIME_BYTES) };
}

function encodeTime(time: number): Uint8Array {
  const bytes = Buffer.alloc(TIME_BYTES);
  bytes.writeUIntBE(time, 0, TIME_BYTES);
  return bytes;
}

function expiry(ttl: number | undefined, now: number): number {
  return ttl === undefined ? 0 : Math.min(now + ttl, MAX_TIME);
}

function ifLive(entry: Entry | undefined, now: number): Entry | undefined {
  return entry !== undefined && (entry.expires === 0 || entry.expires > now) ? entry : undefined;
}

function costOf(name: Uint8Array, entry: Entry | undefined): number {
  return entry === undefined ? 0 : ENTRY_BYTES + name.length + entry.json.length;
}

async function take(entries: ReturnType<StorageBackend['scan']>, count: number): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  for await (const [key] of entries) {
    keys.push(key);
    if (keys.length === count) break;
  }
  return keys;
}

function invalid(message: string): ApiError {
  return new ApiError('InvalidArgument', message);
}

/** A failure of the disk names the host's paths: that is for the host's log (`cause`), not for a module. */
function rethrow(error: unknown): never {
  if (error instanceof ApiError) throw error;
  const failure = new ApiError('HomeserverError', 'the storage failed');
  failure.cause = error;
  throw failure;
}
