// The server's signing key: made at the first start, kept beside the data, in the format of Synapse's `signing.key`.

import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { randomLetters } from '../ids.js';
import { SigningKey, unpadded } from './signing.js';

/** The file holds something else. Another key would make this another server to all others, so none is made. */
export class InvalidSigningKey extends Error {
  override readonly name = 'InvalidSigningKey';
}

/**
 * @param file where the key lives; `undefined`: a new one that is kept nowhere
 * @throws InvalidSigningKey
 */
export async function openSigningKey(file: string | undefined): Promise<SigningKey> {
  if (file === undefined) return new SigningKey(newVersion(), randomBytes(SEED_BYTES));
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  return parse(kept ?? (await create(file)), file);
}

const SEED_BYTES = 32;
const newVersion = () => `a_${randomLetters(4)}`;

async function create(file: string): Promise<string> {
  const text = `ed25519 ${newVersion()} ${unpadded(randomBytes(SEED_BYTES))}\n`;
  await mkdir(dirname(file), { recursive: true });
  // Half a key after a crash would keep the server from starting ever again: the name appears with the whole file.
  const draft = `${file}.${process.pid}`;
  const handle = await open(draft, 'w', OWNER_ONLY);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  return text;
}

/** Who reads the key can speak as this server. */
const OWNER_ONLY = 0o600;

function parse(text: string, file: string): SigningKey {
  const [, version, base64 = ''] = /^ed25519 (\w+) ([\w+/]{43})=?\s*$/.exec(text) ?? [];
  if (version === undefined) throw new InvalidSigningKey(`${file}: expected "ed25519 <version> <seed in base64>"`);
  return new SigningKey(version, Buffer.from(base64, 'base64'));
}
