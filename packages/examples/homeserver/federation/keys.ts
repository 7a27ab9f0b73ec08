// The keys with which servers sign: this one's, published, and those of others, fetched and kept while they are valid
// ("Retrieving server keys").

import * as v from 'valibot';
import { type Signatures, type Signer, signJson, verifyJson } from '../crypto/signing.js';
import { fetchJson } from './transport.js';

const DAY_MS = 24 * 60 * 60_000;
/** Nobody is believed for longer, whatever he promises. */
const MAX_VALIDITY_MS = 7 * DAY_MS;
const MAX_SERVERS = 1000;
const MAX_KEYS = 20;
const MAX_BYTES = 65_536;
const TIMEOUT_MS = 10_000;
/** Between two requests for one server's keys: who sends unknown key ids shall not make this one ask all the time. */
const PAUSE_MS = 2_000;

/** What `GET /_matrix/key/v2/server` answers. */
export function ownKeys(signer: Signer): object {
  const { serverName, key } = signer;
  return signJson(
    {
      server_name: serverName,
      valid_until_ts: Date.now() + DAY_MS,
      verify_keys: { [key.id]: { key: key.publicKey } },
      old_verify_keys: {},
    },
    signer,
  );
}

interface ServerKeys {
  readonly fetchedAt: number;
  /** By key id; `until` is the last moment at which it signs. */
  readonly keys: ReadonlyMap<string, { readonly publicKey: string; readonly until: number }>;
}

export class KeyRing {
  readonly #signer: Signer;
  readonly #servers: ReadonlyMap<string, string>;
  /** By server, the one longest unused first. */
  readonly #known = new Map<string, ServerKeys>();
  readonly #fetching = new Map<string, Promise<ServerKeys>>();

  /** @param servers base URLs by server name */
  constructor(signer: Signer, servers: ReadonlyMap<string, string>) {
    this.#signer = signer;
    this.#servers = servers;
  }

  /** Whether the server has signed the object with a key that was valid `at` that time. */
  async isSigned(object: object, server: string, at: number): Promise<boolean> {
    const signatures = v.safeParse(OwnSignatures, (object as { signatures?: Signatures }).signatures?.[server]);
    if (!signatures.success) return false;
    for (const [keyId, signature] of Object.entries(signatures.output).slice(0, MAX_KEYS)) {
      const publicKey = await this.find(server, keyId, at);
      if (publicKey !== undefined && verifyJson(object, signature, publicKey)) return true;
    }
    return false;
  }

  /** The server's public key of that id; `undefined` if it had no such key `at` that time, or cannot be asked. */
  async find(server: string, keyId: string, at: number): Promise<string | undefined> {
    const { serverName, key } = this.#signer;
    if (server === serverName) return keyId === key.id ? key.publicKey : undefined;
    const known = this.#known.get(server);
    const found = known?.keys.get(keyId);
    if (known && found && found.until >= at) {
      this.#keep(server, known);
      return found.publicKey;
    }
    if (known && Date.now() - known.fetchedAt < PAUSE_MS) return undefined;
    const fresh = (await this.#fetch(server)).keys.get(keyId);
    return fresh && fresh.until >= at ? fresh.publicKey : undefined;
  }

  #fetch(server: string): Promise<ServerKeys> {
    const running = this.#fetching.get(server);
    if (running) return running;
    const fetching = this.#ask(server)
      // Keys that are known stay so while their server cannot be reached.
      .catch(() => this.#known.get(server)?.keys ?? new Map())
      .then((keys) => {
        const fetched = { fetchedAt: Date.now(), keys };
        if (this.#servers.has(server)) this.#keep(server, fetched);
        return fetched;
      })
      .finally(() => this.#fetching.delete(server));
    this.#fetching.set(server, fetching);
    return fetching;
  }

  async #ask(server: string): Promise<ServerKeys['keys']> {
    const base = this.#servers.get(server);
    if (base === undefined) return new Map();
    const url = new URL('/_matrix/key/v2/server', base).href;
    const { body } = await fetchJson(url, { method: 'GET', timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
    return readKeys(body, server);
  }

  #keep(server: string, keys: ServerKeys): void {
    this.#known.delete(server);
    this.#known.set(server, keys);
    const [leastUsed] = this.#known.keys();
    if (this.#known.size > MAX_SERVERS && leastUsed !== undefined) this.#known.delete(leastUsed);
  }
}

/** @throws when the answer is not what the server itself says of its keys */
function readKeys(body: object, server: string): ServerKeys['keys'] {
  const { server_name, valid_until_ts, verify_keys, old_verify_keys } = v.parse(KeyDocument, body);
  if (server_name !== server) throw new Error(`These are the keys of ${server_name}`);
  const own = (body as { signatures: Signatures }).signatures[server] ?? {};
  const keys = new Map<string, { publicKey: string; until: number }>();
  for (const [keyId, { key, expired_ts }] of Object.entries(old_verify_keys).slice(0, MAX_KEYS)) {
    keys.set(keyId, { publicKey: key, until: expired_ts });
  }
  const until = Math.min(valid_until_ts, Date.now() + MAX_VALIDITY_MS);
  for (const [keyId, { key }] of Object.entries(verify_keys).slice(0, MAX_KEYS)) {
    // Each key signs the document: nobody gives another's key out as his own.
    if (!verifyJson(body, own[keyId] ?? '', key)) throw new Error(`${keyId} has not signed the keys`);
    keys.set(keyId, { publicKey: key, until });
  }
  return keys;
}

const OwnSignatures = v.record(v.string(), v.string());
const KeyDocument = v.object({
  server_name: v.string(),
  valid_until_ts: v.number(),
  verify_keys: v.record(v.string(), v.object({ key: v.string() })),
  old_verify_keys: v.optional(v.record(v.string(), v.object({ key: v.string(), expired_ts: v.number() })), {}),
  signatures: v.record(v.string(), OwnSignatures),
});
