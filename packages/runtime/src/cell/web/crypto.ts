// `crypto` for modules. Node's keys carry a native half under a symbol, and its operations take any amount of work on
// threads that all cells of a hull share. So modules get keys of our own, known algorithms, and bounded work.

import { webcrypto } from 'node:crypto';
import { types } from 'node:util';
import { type Operation, readAlgorithm } from './algorithms.js';
import { bytesOf, copyOf } from './bytes.js';
import { DOMException } from './dom-exception.js';
import { inPool } from './pool.js';

type NativeKey = webcrypto.CryptoKey;
type Usage = webcrypto.KeyUsage;

const MEBIBYTE = 1 << 20;
const MOST_DATA = 16 * MEBIBYTE;
const MOST_KEY_DATA = 64 * 1024;
const MOST_RSA_BITS = 4096;
const MOST_RANDOM = 65_536;
const JWK_TEXTS = 'kty use alg crv d dp dq e k kid n p q qi x y'.split(' ');
const USAGES = 'encrypt decrypt sign verify deriveKey deriveBits wrapKey unwrapKey'.split(' ');

const NativeDOMException = globalThis.DOMException;
const native = webcrypto.subtle;
const fillRandom = webcrypto.getRandomValues.bind(webcrypto);
const makeUUID = webcrypto.randomUUID.bind(webcrypto);

const ours = Symbol('ours');
let nativeKey: (key: unknown) => NativeKey;

export class CryptoKey {
  readonly #native: NativeKey;
  readonly #algorithm: object;

  static {
    nativeKey = (key) => {
      if (typeof key !== 'object' || key === null || !(#native in key)) throw new TypeError('expected a CryptoKey');
      return key.#native;
    };
  }

  constructor(token?: unknown, key?: NativeKey) {
    if (token !== ours || key === undefined) throw new TypeError('Illegal constructor');
    this.#native = key;
    this.#algorithm = copyPlain(key.algorithm);
  }

  get type(): string {
    return this.#native.type;
  }
  get extractable(): boolean {
    return this.#native.extractable;
  }
  get algorithm(): object {
    return this.#algorithm;
  }
  get usages(): string[] {
    return [...this.#native.usages];
  }
  get [Symbol.toStringTag](): string {
    return 'CryptoKey';
  }
}

export class SubtleCrypto {
  constructor(token?: unknown) {
    if (token !== ours) throw new TypeError('Illegal constructor');
  }

  digest(algorithm: unknown, data: unknown): Promise<ArrayBuffer> {
    return run(() => {
      const name = read('digest', algorithm);
      const bytes = dataOf(data);
      return () => native.digest(name as never, bytes);
    });
  }

  sign(algorithm: unknown, key: unknown, data: unknown): Promise<ArrayBuffer> {
    return run(() => {
      const how = read('sign', algorithm);
      const inner = nativeKey(key);
      const bytes = dataOf(data);
      return () => native.sign(how as never, inner, bytes);
    });
  }

  verify(algorithm: unknown, key: unknown, signature: unknown, data: unknown): Promise<boolean> {
    return run(() => {
      const how = read('sign', algorithm);
      const inner = nativeKey(key);
      const [mark, bytes] = [dataOf(signature), dataOf(data)];
      return () => native.verify(how as never, inner, mark, bytes);
    });
  }

  encrypt(algorithm: unknown, key: unknown, data: unknown): Promise<ArrayBuffer> {
    return run(() => {
      const how = read('encrypt', algorithm);
      const inner = nativeKey(key);
      const bytes = dataOf(data);
      return () => native.encrypt(how as never, inner, bytes);
    });
  }

  decrypt(algorithm: unknown, key: unknown, data: unknown): Promise<ArrayBuffer> {
    return run(() => {
      const how = read('encrypt', algorithm);
      const inner = nativeKey(key);
      const bytes = dataOf(data);
      return () => native.decrypt(how as never, inner, bytes);
    });
  }

  deriveBits(algorithm: unknown, key: unknown, length?: unknown): Promise<ArrayBuffer> {
    return run(() => {
      const how = read('deriveBits', algorithm);
      const inner = nativeKey(key);
      const bits = length === undefined || length === null ? null : Number(length);
      if (bits !== null && !(bits >= 0 && bits <= 8 * MOST_KEY_DATA)) throw tooMuch('bits to derive');
      return () => native.deriveBits(how as never, inner, bits as number);
    });
  }

  async deriveKey(
    algorithm: unknown,
    key: unknown,
    target: unknown,
    extractable: unknown,
    usages: unknown,
  ): Promise<CryptoKey> {
    const derived = await run(() => {
      const how = read('deriveBits', algorithm);
      const inner = nativeKey(key);
      const wanted = read('deriveTarget', target);
      const uses = usagesOf(usages);
      return () => native.deriveKey(how as never, inner, wanted as never, Boolean(extractable), uses);
    });
    return wrap(derived);
  }

  async generateKey(
    algorithm: unknown,
    extractable: unknown,
    usages: unknown,
  ): Promise<CryptoKey | { publicKey: CryptoKey; privateKey: CryptoKey }> {
    const made = (await run(() => {
      const what = read('generateKey', algorithm);
      const uses = usagesOf(usages);
      return () => native.generateKey(what as never, Boolean(extractable), uses) as Promise<unknown>;
    })) as NativeKey | webcrypto.CryptoKeyPair;
    if (!('privateKey' in made)) return wrap(made);
    return { publicKey: wrap(made.publicKey), privateKey: wrap(made.privateKey) };
  }

  async importKey(
    format: unknown,
    data: unknown,
    algorithm: unknown,
    extractable: unknown,
    usages: unknown,
  ): Promise<CryptoKey> {
    const imported = await run(() => {
      const form = formatOf(format);
      const material = form === 'jwk' ? jwkOf(data) : dataOf(data, MOST_KEY_DATA);
      const what = read('importKey', algorithm);
      const uses = usagesOf(usages);
      return () => native.importKey(form as never, material as never, what as never, Boolean(extractable), uses);
    });
    return wrap(imported);
  }

  async exportKey(format: unknown, key: unknown): Promise<unknown> {
    const exported = await run(() => {
      const form = formatOf(format);
      const inner = nativeKey(key);
      return () => native.exportKey(form as never, inner) as Promise<unknown>;
    });
    return types.isArrayBuffer(exported) ? exported : copyPlain(exported as object);
  }

  get [Symbol.toStringTag](): string {
    return 'SubtleCrypto';
  }
}

export class Crypto {
  readonly #subtle = new SubtleCrypto(ours);

  constructor(token?: unknown) {
    if (token !== ours) throw new TypeError('Illegal constructor');
  }

  get subtle(): SubtleCrypto {
    return this.#subtle;
  }

  getRandomValues<T>(array: T): T {
    if (!types.isTypedArray(array) || types.isFloat32Array(array) || types.isFloat64Array(array)) {
      throw new DOMException('getRandomValues fills arrays of integers', 'TypeMismatchError');
    }
    const bytes = bytesOf(array);
    if (bytes.byteLength > MOST_RANDOM) {
      throw new DOMException(`getRandomValues fills ${MOST_RANDOM} bytes at most`, 'QuotaExceededError');
    }
    fillRandom(bytes);
    return array;
  }

  randomUUID(): string {
    return makeUUID();
  }

  get [Symbol.toStringTag](): string {
    return 'Crypto';
  }
}

export const crypto = new Crypto(ours);

/** Reads the arguments now, so that nobody changes them while they wait, and works when it is this cell's turn. */
async function run<T>(prepare: () => () => Promise<T>): Promise<T> {
  const work = prepare();
  try {
    return await inPool(work);
  } catch (error) {
    throw plainError(error);
  }
}

/** Node's errors may carry more than their message. */
function plainError(error: unknown): Error | DOMException {
  const { name, message } = error as Error;
  if (error instanceof NativeDOMException) return new DOMException(message, name);
  if (name === 'RangeError') return new RangeError(message);
  return name === 'TypeError' ? new TypeError(message) : new DOMException(message, 'OperationError');
}

const read = (operation: Operation, algorithm: unknown): object => readAlgorithm(operation, algorithm, nativeKey);

function wrap(key: NativeKey): CryptoKey {
  const { modulusLength = 0 } = key.algorithm as { modulusLength?: number };
  if (modulusLength > MOST_RSA_BITS) throw tooMuch('bits of an RSA key');
  return new CryptoKey(ours, key);
}

function dataOf(data: unknown, most: number = MOST_DATA): Uint8Array<ArrayBuffer> {
  if (bytesOf(data).byteLength > most) throw tooMuch('bytes');
  return copyOf(data);
}

function formatOf(format: unknown): string {
  const name = `${format}`;
  if (!['raw', 'pkcs8', 'spki', 'jwk'].includes(name)) throw new TypeError(`${name} is not a known key format`);
  return name;
}

function usagesOf(usages: unknown): Usage[] {
  const list = Array.from(usages as Iterable<unknown>, String);
  for (const usage of list) if (!USAGES.includes(usage)) throw new TypeError(`${usage} is not a known key usage`);
  return list as Usage[];
}

function jwkOf(data: unknown): object {
  if (typeof data !== 'object' || data === null) throw new TypeError('a JWK must be an object');
  const jwk = data as Record<string, unknown>;
  const copy: Record<string, unknown> = {};
  for (const name of JWK_TEXTS) {
    const value = jwk[name];
    if (value === undefined) continue;
    const text = `${value}`;
    if (text.length > MOST_KEY_DATA) throw tooMuch('bytes of a key');
    copy[name] = text;
  }
  if (jwk.ext !== undefined) copy.ext = Boolean(jwk.ext);
  if (jwk.key_ops !== undefined) copy.key_ops = Array.from(jwk.key_ops as Iterable<unknown>, String);
  return copy;
}

/** Plain data of Node's as plain data of ours: algorithms and JWKs, with their inner objects, arrays and bytes. */
function copyPlain(value: object): object {
  const entries = Object.entries(value).map(([key, inner]: [string, unknown]) => {
    if (types.isUint8Array(inner)) return [key, copyOf(inner)];
    if (Array.isArray(inner)) return [key, [...inner]];
    return [key, typeof inner === 'object' && inner !== null ? copyPlain(inner) : inner];
  });
  return Object.fromEntries(entries) as object;
}

const tooMuch = (what: string): DOMException => new DOMException(`too many ${what}`, 'QuotaExceededError');
