// The algorithms that modules may use, as data: which operation takes which parameters, and how large they may be.

import { types } from 'node:util';
import { bytesOf, copyOf, isBufferSource } from './bytes.js';
import { DOMException } from './dom-exception.js';

export type Operation = 'digest' | 'sign' | 'encrypt' | 'deriveBits' | 'deriveTarget' | 'generateKey' | 'importKey';

/** Copies one parameter. Throws TypeError for what it is not. */
type Reader = (value: unknown, nativeKey: (key: unknown) => unknown) => unknown;
type Parameters = Readonly<Record<string, Reader>>;

/** Reads the algorithm that a module names into a fresh object with known parameters only. */
export function readAlgorithm(operation: Operation, given: unknown, nativeKey: (key: unknown) => unknown): object {
  const source = typeof given === 'object' && given !== null ? (given as Record<string, unknown>) : { name: given };
  const wanted = `${source.name}`.toLowerCase();
  const name = Object.keys(algorithms).find((known) => known.toLowerCase() === wanted);
  const parameters = name === undefined ? undefined : algorithms[name]?.[operation];
  if (name === undefined || parameters === undefined) {
    throw new DOMException(`${source.name} is not available for ${operation}`, 'NotSupportedError');
  }
  const algorithm: Record<string, unknown> = { name };
  for (const [key, read] of Object.entries(parameters)) {
    const value = read(source[key], nativeKey);
    if (value !== undefined) algorithm[key] = value;
  }
  return algorithm;
}

const MOST_ITERATIONS = 1_000_000;
const MOST_PARAMETER_BYTES = 64 * 1024;

const optional =
  (read: Reader): Reader =>
  (value, nativeKey) =>
    value === undefined ? undefined : read(value, nativeKey);

const uint =
  (most: number): Reader =>
  (value) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < 0) throw new TypeError('expected a whole number');
    if (number > most) throw new DOMException(`${number} is more than ${most}`, 'QuotaExceededError');
    return number;
  };

const oneOf =
  (...choices: (string | number)[]): Reader =>
  (value) => {
    const name = typeof value === 'number' ? value : `${value}`;
    const choice = choices.find((known) => known === name);
    if (choice === undefined) throw new DOMException(`${name} is not available`, 'NotSupportedError');
    return choice;
  };

const bytes: Reader = (value) => {
  if (!isBufferSource(value)) throw new TypeError('expected an ArrayBuffer or a view of one');
  if (bytesOf(value).byteLength > MOST_PARAMETER_BYTES) throw new DOMException('too many bytes', 'QuotaExceededError');
  return copyOf(value);
};

const key: Reader = (value, nativeKey) => nativeKey(value);

const HASHES = ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'];

const hash: Reader = (value) => {
  const name = typeof value === 'object' && value !== null ? (value as { name?: unknown }).name : value;
  const wanted = `${name}`.toUpperCase();
  const known = HASHES.find((one) => one === wanted);
  if (known === undefined) throw new DOMException(`${name} is not an available hash`, 'NotSupportedError');
  return known;
};

/** 3 or 65537: a large exponent makes each use of the key slow. */
const publicExponent: Reader = (value) => {
  if (!types.isUint8Array(value)) throw new TypeError('publicExponent must be a Uint8Array');
  const copy = copyOf(value);
  const exponent = copy.length <= 4 ? copy.reduce((sum, byte) => sum * 256 + byte, 0) : 0;
  if (exponent !== 3 && exponent !== 65_537) throw new DOMException('not an available exponent', 'NotSupportedError');
  return copy;
};

const curve = oneOf('P-256', 'P-384', 'P-521');
const aesLength = oneOf(128, 192, 256);
const hmac = { hash, length: optional(uint(8 * 1024)) };
const rsaKey = { modulusLength: oneOf(2048, 3072, 4096), publicExponent, hash };

const aes = (parameters: Parameters) => ({
  encrypt: parameters,
  importKey: {},
  generateKey: { length: aesLength },
  deriveTarget: { length: aesLength },
});

const algorithms: Readonly<Record<string, Partial<Record<Operation, Parameters>>>> = {
  'SHA-1': { digest: {} },
  'SHA-256': { digest: {} },
  'SHA-384': { digest: {} },
  'SHA-512': { digest: {} },
  HMAC: { sign: {}, importKey: hmac, generateKey: hmac, deriveTarget: hmac },
  'AES-GCM': aes({ iv: bytes, additionalData: optional(bytes), tagLength: optional(uint(128)) }),
  'AES-CBC': aes({ iv: bytes }),
  'AES-CTR': aes({ counter: bytes, length: uint(128) }),
  PBKDF2: { importKey: {}, deriveBits: { hash, salt: bytes, iterations: uint(MOST_ITERATIONS) } },
  HKDF: { importKey: {}, deriveBits: { hash, salt: bytes, info: bytes } },
  ECDSA: { sign: { hash }, importKey: { namedCurve: curve }, generateKey: { namedCurve: curve } },
  ECDH: { deriveBits: { public: key }, importKey: { namedCurve: curve }, generateKey: { namedCurve: curve } },
  Ed25519: { sign: {}, importKey: {}, generateKey: {} },
  X25519: { deriveBits: { public: key }, importKey: {}, generateKey: {} },
  'RSASSA-PKCS1-v1_5': { sign: {}, importKey: { hash }, generateKey: rsaKey },
  'RSA-PSS': { sign: { saltLength: uint(512) }, importKey: { hash }, generateKey: rsaKey },
  'RSA-OAEP': { encrypt: { label: optional(bytes) }, importKey: { hash }, generateKey: rsaKey },
};
