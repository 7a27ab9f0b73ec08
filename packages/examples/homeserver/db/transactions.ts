// Requests that clients may repeat, because they did not get the answer.

import type { Requester } from '@bulkhead/sdk/contract';
import { and, eq, lt } from 'drizzle-orm';
import type { Database } from './database.js';
import { clientTransactions as transactions } from './schema.js';

const KEPT_MS = 24 * 60 * 60_000;

/**
 * Whether a device asks this for the first time. To be asked in the transaction that does what is asked: both are stored,
 * or neither.
 */
export async function firstTime(tx: Database, { userId, deviceId }: Requester, request: string): Promise<boolean> {
  if (deviceId === undefined) return true;
  const now = Date.now();
  const ofDevice = and(eq(transactions.userId, userId), eq(transactions.deviceId, deviceId));
  await tx.delete(transactions).where(and(ofDevice, lt(transactions.createdTs, now - KEPT_MS)));
  const inserted = await tx
    .insert(transactions)
    .values({ userId, deviceId, request, createdTs: now })
    .onConflictDoNothing()
    .returning({ request: transactions.request });
  return inserted.length > 0;
}
