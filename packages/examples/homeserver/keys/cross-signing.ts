// Cross-signing: a user's three keys with which he vouches for his devices and for other users, and the signatures that
// clients add afterwards. A signature that does not hold is refused, so that nobody's clients trip over it.

import { isDeepStrictEqual } from 'node:util';
import { and, eq, or } from 'drizzle-orm';
import { type Signatures, signedPart, verifyJson } from '../crypto/signing.js';
import { anyOf } from '../db/any-of.js';
import type { Database } from '../db/database.js';
import { crossSigningKeys, keySignatures } from '../db/schema.js';
import { forbidden, invalidParam, invalidSignature, missingParam } from '../errors.js';
import type { Content } from '../rooms/event.js';
import type { Changes } from '../sync/changes.js';
import type { DeviceKeys } from './device-keys.js';
import type { DeviceLists } from './device-lists.js';

export const USAGES = ['master', 'self_signing', 'user_signing'] as const;
export type Usage = (typeof USAGES)[number];

export interface CrossSigningKey extends Content {
  readonly user_id: string;
  readonly usage: readonly string[];
  readonly keys: Readonly<Record<string, string>>;
  readonly signatures?: Signatures;
}

export type CrossSigningKeys = Readonly<Partial<Record<Usage, CrossSigningKey>>>;

/** Why a signature was not taken. */
export interface SignatureFailure {
  readonly userId: string;
  readonly keyId: string;
  readonly error: Error;
}

export class CrossSigning {
  readonly #db: Database;
  readonly #changes: Changes;
  readonly #deviceKeys: DeviceKeys;
  readonly #lists: DeviceLists;

  constructor(db: Database, changes: Changes, deviceKeys: DeviceKeys, lists: DeviceLists) {
    this.#db = db;
    this.#changes = changes;
    this.#deviceKeys = deviceKeys;
    this.#lists = lists;
  }

  async of(userIds: readonly string[]): Promise<ReadonlyMap<string, CrossSigningKeys>> {
    const found = await this.#db.select().from(crossSigningKeys).where(anyOf(crossSigningKeys.userId, userIds));
    const keys = new Map<string, Record<string, CrossSigningKey>>();
    for (const { userId, usage, key } of found) {
      keys.set(userId, { ...keys.get(userId), [usage]: key as CrossSigningKey });
    }
    return keys;
  }

  /** Whether an upload would change what is there: then the user has to authenticate (spec, v1.11). */
  async replaces(userId: string, fresh: CrossSigningKeys): Promise<boolean> {
    const before = (await this.of([userId])).get(userId);
    if (!before?.master) return false;
    return USAGES.some((usage) => fresh[usage] && !isDeepStrictEqual(fresh[usage].keys, before[usage]?.keys));
  }

  async upload(userId: string, fresh: CrossSigningKeys): Promise<void> {
    const before = (await this.of([userId])).get(userId);
    const master = fresh.master ?? before?.master;
    if (!master) throw missingParam('master_key');
    for (const usage of USAGES) {
      const key = fresh[usage];
      if (!key) continue;
      if (key.user_id !== userId) throw invalidParam('The key belongs to another user');
      if (!key.usage.includes(usage)) throw invalidParam(`The key is not for ${usage}`);
      if (usage !== 'master' && !isSigned(key, userId, master)) throw invalidSignature();
      if (await this.#deviceKeys.find(userId, publicKeyOf(key))) throw forbidden('A device goes by the id of the key');
    }
    await this.#changes.write(async (tx) => {
      for (const usage of USAGES) {
        const key = fresh[usage];
        if (!key) continue;
        await tx
          .insert(crossSigningKeys)
          .values({ userId, usage, key })
          .onConflictDoUpdate({ target: [crossSigningKeys.userId, crossSigningKeys.usage], set: { key } });
      }
      await this.#lists.mark(tx, userId);
    });
    await this.#lists.announce(userId);
  }

  /** @param signed by user, then by device id or public key: the key with the signatures to add */
  async sign(
    signer: string,
    signed: Readonly<Record<string, Readonly<Record<string, Content>>>>,
  ): Promise<readonly SignatureFailure[]> {
    const failures: SignatureFailure[] = [];
    for (const [userId, keys] of Object.entries(signed)) {
      for (const [keyId, object] of Object.entries(keys)) {
        try {
          await this.#addSignatures(signer, userId, keyId, object);
        } catch (error) {
          failures.push({ userId, keyId, error: error as Error });
        }
      }
      await this.#lists.announce(userId);
    }
    return failures;
  }

  /** The signatures that were added to the keys of some users, as far as a viewer may know who made them. */
  async signaturesOn(
    userIds: readonly string[],
    viewer: string,
  ): Promise<readonly (typeof keySignatures.$inferSelect)[]> {
    const { userId, signer } = keySignatures;
    return this.#db
      .select()
      .from(keySignatures)
      .where(and(anyOf(userId, userIds), or(eq(signer, userId), eq(signer, viewer))));
  }

  async #addSignatures(signer: string, userId: string, keyId: string, object: Content): Promise<void> {
    const own = (await this.of([signer])).get(signer);
    const theirs = userId === signer ? own : (await this.of([userId])).get(userId);
    const device = userId === signer ? await this.#deviceKeys.find(userId, keyId) : undefined;
    // Of other users one vouches for the master key and for nothing else.
    const target = device ?? (theirs?.master && publicKeyOf(theirs.master) === keyId ? theirs.master : undefined);
    if (!target) throw invalidParam('There is no such key to sign');
    if (signedPart(object) !== signedPart(target)) throw invalidSignature();
    const made = Object.entries((object.signatures as Signatures | undefined)?.[signer] ?? {});
    const rows: (typeof keySignatures.$inferInsert)[] = [];
    for (const [signerKeyId, signature] of made) {
      const publicKey = await this.#publicKey(signer, own, signerKeyId);
      if (publicKey === undefined || !verifyJson(object, signature, publicKey)) throw invalidSignature();
      rows.push({ userId, keyId, signer, signerKeyId, signature });
    }
    if (rows.length === 0) throw invalidSignature();
    await this.#changes.write(async (tx) => {
      for (const row of rows) {
        const { signature } = row;
        const { userId: owner, keyId: key, signer: by, signerKeyId } = keySignatures;
        await tx
          .insert(keySignatures)
          .values(row)
          .onConflictDoUpdate({ target: [owner, key, by, signerKeyId], set: { signature } });
      }
      await this.#lists.mark(tx, userId);
    });
  }

  /** Of a device, or of one of the user's cross-signing keys. */
  async #publicKey(userId: string, own: CrossSigningKeys | undefined, keyId: string): Promise<string | undefined> {
    for (const usage of USAGES) {
      const key = own?.[usage];
      if (key && Object.hasOwn(key.keys, keyId)) return key.keys[keyId];
    }
    const device = await this.#deviceKeys.find(userId, keyId.slice(keyId.indexOf(':') + 1));
    return (device?.keys as Readonly<Record<string, string>> | undefined)?.[keyId];
  }
}

/** There is one: the schema sees to it. */
const publicKeyOf = ({ keys }: CrossSigningKey): string => Object.values(keys)[0] ?? '';

function isSigned(key: CrossSigningKey, userId: string, master: CrossSigningKey): boolean {
  const publicKey = publicKeyOf(master);
  const signature = key.signatures?.[userId]?.[`ed25519:${publicKey}`];
  return signature !== undefined && verifyJson(key, signature, publicKey);
}
