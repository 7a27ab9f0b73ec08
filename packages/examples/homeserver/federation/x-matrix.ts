// How servers say who they are: every request is signed ("Request Authentication").

import { ServerName } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { type Signer, signJson } from '../crypto/signing.js';

/** What the signature is over. */
export interface ServerRequest {
  readonly method: string;
  /** Path and query, as they go over the wire. */
  readonly uri: string;
  readonly origin: string;
  readonly destination: string;
  readonly content?: object;
}

export interface Credentials {
  readonly origin: string;
  readonly destination: string;
  readonly key: string;
  readonly signature: string;
}

/** The Authorization header of a request of this server's. */
export function authorization(request: Omit<ServerRequest, 'origin'>, signer: Signer): string {
  const origin = signer.serverName;
  const signed = signJson({ ...request, origin }, signer);
  const signature = signed.signatures[origin]?.[signer.key.id];
  return `X-Matrix origin="${origin}",destination="${request.destination}",key="${signer.key.id}",sig="${signature}"`;
}

/** @returns `undefined` for what is no such header, or names something twice */
export function parseAuthorization(header: string): Credentials | undefined {
  const [, list] = /^X-Matrix +(.*)$/i.exec(header) ?? [];
  if (list === undefined || header.length > MAX_HEADER) return undefined;
  const fields = new Map<string, string>();
  for (const part of list.split(',')) {
    const [, name, quoted, token] = FIELD.exec(part) ?? [];
    if (name === undefined || fields.has(name.toLowerCase())) return undefined;
    fields.set(name.toLowerCase(), quoted ?? token ?? '');
  }
  const result = v.safeParse(Fields, Object.fromEntries(fields));
  if (!result.success) return undefined;
  const { origin, destination, key, sig } = result.output;
  return { origin, destination, key, signature: sig };
}

const MAX_HEADER = 2000;
/** No value of these may contain a comma or an escaped quote. */
const FIELD = /^\s*([\w-]+)=(?:"([^"\\,]*)"|([^\s",\\]*))\s*$/;
const Fields = v.object({ origin: ServerName, destination: ServerName, key: v.string(), sig: v.string() });
