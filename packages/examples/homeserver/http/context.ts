// What requests carry through the app.

import type { Requester } from '@bulkhead/sdk/contract';
import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context } from 'hono';
import { forbidden } from '../errors.js';

export interface Env {
  Variables: { requester: Requester };
}

/** User agent and address, as modules get them; the address is empty for requests that came over no socket. */
export function requestInfo(c: Context): readonly [userAgent: string | null, ip: string] {
  return [
    c.req.header('user-agent') ?? null,
    c.env?.incoming === undefined ? '' : (getConnInfo(c).remote.address ?? ''),
  ];
}

/** The user in the path, who is the one that asks. @throws MatrixError 403 `M_FORBIDDEN` */
export function ownUserId(c: Context<Env>): string {
  const { userId } = c.var.requester;
  if (c.req.param('userId') !== userId) throw forbidden('You cannot act for another user');
  return userId;
}

/** A number from the query, within limits; the default when it is absent or none. */
export function numberFrom(
  text: string | undefined,
  { min = 0, max, fallback }: { min?: number; max: number; fallback: number },
): number {
  const value = text === undefined || text === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) ? Math.min(Math.max(Math.trunc(value), min), max) : fallback;
}
