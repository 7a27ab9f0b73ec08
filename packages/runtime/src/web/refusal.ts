// The HTTP answer to a refusal, so that an embedder never invents a status or a message.

import type { Refused } from '@bulkhead/sdk/contract';

/** The part of an outcome that says no; outcomes of checks, registrations and expired accounts have it. */
export type Refusable = Pick<Refused, 'status' | 'errcode' | 'error' | 'extra'>;

/** `{ errcode, error }` and the refusal's extra fields, with its status. */
export function refusalResponse({ status, errcode, error, extra }: Refusable): Response {
  return Response.json({ ...extra, errcode, error }, { status, headers: { 'access-control-allow-origin': '*' } });
}
