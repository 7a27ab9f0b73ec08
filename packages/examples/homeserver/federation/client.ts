// Signed requests to other servers.

import type { Signer } from '../crypto/signing.js';
import { badGateway, MatrixError } from '../errors.js';
import { fetchJson, type HttpAnswer, Unreachable } from './transport.js';
import { authorization } from './x-matrix.js';

export interface FederationRequest {
  readonly method?: 'GET' | 'PUT' | 'POST';
  /** Each part is encoded. */
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: object;
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
}

const TIMEOUT_MS = 15_000;
const MAX_BYTES = 1 << 20;

/** The other server's own words. */
export class RefusedByServer extends Error {
  override readonly name = 'RefusedByServer';
  readonly status: number;
  readonly errcode: string;

  constructor(server: string, { status, body }: HttpAnswer) {
    super(typeof body.error === 'string' ? body.error.slice(0, MAX_MESSAGE) : `${server} answered ${status}`);
    this.status = status;
    this.errcode = typeof body.errcode === 'string' && ERRCODE.test(body.errcode) ? body.errcode : 'M_UNKNOWN';
  }
}

const MAX_MESSAGE = 500;
const ERRCODE = /^[A-Z][A-Z0-9_.]{0,254}$/;

export class FederationClient {
  readonly serverName: string;
  readonly #signer: Signer;
  readonly #servers: ReadonlyMap<string, string>;
  readonly #closing = new AbortController();

  /** @param servers base URLs by server name */
  constructor(signer: Signer, servers: ReadonlyMap<string, string>) {
    this.serverName = signer.serverName;
    this.#signer = signer;
    this.#servers = servers;
  }

  knows(server: string): boolean {
    return server !== this.serverName && this.#servers.has(server);
  }

  /** @throws RefusedByServer | Unreachable */
  async request(server: string, request: FederationRequest): Promise<Readonly<Record<string, unknown>>> {
    const { method = 'GET', path, query = {}, body, timeoutMs = TIMEOUT_MS, maxBytes = MAX_BYTES } = request;
    const base = this.#servers.get(server);
    if (base === undefined) throw new Unreachable(`Nothing says where ${server} is`);
    const url = new URL(['/_matrix/federation', ...path.map(encodeURIComponent)].join('/'), base);
    for (const [key, value] of Object.entries(query)) {
      for (const each of [value].flat()) url.searchParams.append(key, each);
    }
    const uri = url.pathname + url.search;
    const signed = { method, uri, destination: server, ...(body === undefined ? {} : { content: body }) };
    const answer = await fetchJson(url.href, {
      method,
      headers: {
        authorization: authorization(signed, this.#signer),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs,
      maxBytes,
      signal: this.#closing.signal,
    });
    if (answer.status !== 200) throw new RefusedByServer(server, answer);
    return answer.body;
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort();
  }
}

/** What a client is told when another server would have had to do something. */
export function toClient(error: unknown, server: string): unknown {
  if (error instanceof RefusedByServer && error.status >= 400 && error.status < 500 && error.status !== 401) {
    return new MatrixError(error.status, error.errcode, error.message);
  }
  if (error instanceof RefusedByServer || error instanceof Unreachable) {
    return badGateway(`${server} does not do its part: ${error.message}`);
  }
  return error;
}
