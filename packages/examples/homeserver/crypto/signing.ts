// Ed25519 signatures over JSON (appendices, "Signing JSON"): the server's own, and those of others.

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { canonicalJson } from './canonical-json.js';

/** Signatures in unpadded base64, by server (or other signer), then by key id. */
export type Signatures = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface Signer {
  readonly serverName: string;
  readonly key: SigningKey;
}

export class SigningKey {
  /** As signatures name it, such as `ed25519:a_AbCd`. */
  readonly id: string;
  /** In unpadded base64. */
  readonly publicKey: string;
  readonly #private: KeyObject;

  /** @param seed its 32 secret bytes */
  constructor(version: string, seed: Uint8Array) {
    this.id = `ed25519:${version}`;
    this.#private = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' });
    const { x = '' } = createPublicKey(this.#private).export({ format: 'jwk' });
    this.publicKey = unpadded(Buffer.from(x, 'base64url'));
  }

  /** @returns the signature in unpadded base64 */
  sign(text: string): string {
    return unpadded(sign(null, Buffer.from(text), this.#private));
  }
}

/** What stands before the seed in the only form of a private key that Node reads without knowing the public one. */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The object with the signer's signature added to those that it has. */
export function signJson<T extends object>(
  object: T & { readonly signatures?: Signatures },
  { serverName, key }: Signer,
): T & { readonly signatures: Signatures } {
  const signature = key.sign(signedPart(object));
  const own = { ...object.signatures?.[serverName], [key.id]: signature };
  return { ...object, signatures: { ...object.signatures, [serverName]: own } };
}

/** Whether `signature` is the key's over the object. @param publicKey in base64, as is the signature */
export function verifyJson(object: object, signature: string, publicKey: string): boolean {
  const x = Buffer.from(publicKey, 'base64').toString('base64url');
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    return verify(null, Buffer.from(signedPart(object)), key, Buffer.from(signature, 'base64'));
  } catch {
    // What is no key has signed nothing.
    return false;
  }
}

/** What a signature is made over. */
export function signedPart(object: object): string {
  const { signatures: _, unsigned: __, ...signed } = object as Record<string, unknown>;
  return canonicalJson(signed);
}

export const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
