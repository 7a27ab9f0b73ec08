// Passwords, hashed with scrypt. The parameters stand in the hash, so that they can be raised without locking anybody out.

import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { unknownRequest } from '../errors.js';

const COST = 2 ** 15;
const BLOCK_SIZE = 8;
const PARALLELISM = 1;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const MAX_PASSWORD_BYTES = 512;

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt, COST, BLOCK_SIZE, PARALLELISM);
  return ['scrypt', COST, BLOCK_SIZE, PARALLELISM, salt.toString('base64'), key.toString('base64')].join('$');
}

/** @throws MatrixError 400 `M_UNKNOWN` for one that nobody can have */
export function checkPassword(password: string): void {
  if (password === '' || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw unknownRequest('The password is empty or too long');
  }
}

/** @param hash `undefined` for an account that does not exist: the check then takes just as long, and fails. */
export async function verifyPassword(password: string, hash: string | undefined): Promise<boolean> {
  const [, cost, blockSize, parallelism, salt = '', key = ''] = (hash ?? (await nobody())).split('$');
  const expected = Buffer.from(key, 'base64');
  const actual = await derive(
    password,
    Buffer.from(salt, 'base64'),
    Number(cost),
    Number(blockSize),
    Number(parallelism),
  );
  return timingSafeEqual(actual, expected) && hash !== undefined;
}

let nobodysHash: Promise<string> | undefined;
function nobody(): Promise<string> {
  nobodysHash ??= hashPassword(randomBytes(SALT_BYTES).toString('hex'));
  return nobodysHash;
}

/** On the thread pool: a login does not hold up the event loop. */
function derive(password: string, salt: Buffer, N: number, r: number, p: number): Promise<Buffer> {
  // Node's limit of 32 MiB is just below what these parameters need.
  const options: ScryptOptions = { N, r, p, maxmem: 256 * N * r };
  // Unicode has several spellings of one text; keyboards differ in which they send.
  const text = password.normalize('NFKC');
  return new Promise((resolve, reject) =>
    scrypt(text, salt, KEY_BYTES, options, (error, key) => (error ? reject(error) : resolve(key))),
  );
}
