// Messages from device to device. Each waits until a sync comes with a token that was given out together with it.

import type { Requester } from '@bulkhead/sdk/contract';
import { and, asc, eq, lte } from 'drizzle-orm';
import { anyOf } from '../db/any-of.js';
import type { Database } from '../db/database.js';
import { Memo } from '../db/memo.js';
import { deviceMessages, devices } from '../db/schema.js';
import { firstTime } from '../db/transactions.js';
import type { Content } from '../rooms/event.js';
import type { Changes } from '../sync/changes.js';
import type { Notifier } from '../sync/notifier.js';
import type { Part, Piece, View } from '../sync/part.js';

/** By user, then by device; `*` stands for all devices of the user. */
export type Recipients = Readonly<Record<string, Readonly<Record<string, Content>>>>;

const ALL_DEVICES = '*';
const MAX_TOLD = 100;
const ROWS_A_STATEMENT = 1000;

export class DeviceMessages implements Part {
  readonly #db: Database;
  readonly #changes: Changes;
  readonly #notifier: Notifier;
  /** Whether anything waits for a device. */
  readonly #waiting = new Memo<boolean>();

  constructor(db: Database, changes: Changes, notifier: Notifier) {
    this.#db = db;
    this.#changes = changes;
    this.#notifier = notifier;
  }

  /** Devices that do not exist are passed over. A request that is repeated sends nothing a second time. */
  async send(sender: Requester, type: string, transactionId: string, messages: Recipients): Promise<void> {
    const told = await this.#changes.write(async (tx) => {
      if (!(await firstTime(tx, sender, `sendToDevice ${type} ${transactionId}`))) return [];
      // Nobody else sees what a shadow-banned user does.
      const userIds = Object.keys(messages).filter((userId) => !sender.shadowBanned || userId === sender.userId);
      const rows = (await devicesOf(tx, userIds)).flatMap(({ userId, deviceId }) => {
        const forUser = messages[userId] ?? {};
        const content = Object.hasOwn(forUser, deviceId) ? forUser[deviceId] : forUser[ALL_DEVICES];
        return content ? [{ userId, deviceId, message: { type, sender: sender.userId, content } }] : [];
      });
      for (let at = 0; at < rows.length; at += ROWS_A_STATEMENT) {
        await tx.insert(deviceMessages).values(rows.slice(at, at + ROWS_A_STATEMENT));
      }
      return rows;
    });
    for (const { userId, deviceId } of told) this.#waiting.forget(nameOf(userId, deviceId));
    this.#notifier.usersChanged(told.map(({ userId }) => userId));
  }

  async collect({ userId, deviceId, since, until }: View): Promise<Piece> {
    if (deviceId === undefined) return {};
    const waits = await this.#waiting.get(nameOf(userId, deviceId), () => this.#isWaitedFor(userId, deviceId));
    if (!waits) return {};
    if (since) await this.#acknowledge(userId, deviceId, since.messages);
    const waiting = await this.#db
      .select()
      .from(deviceMessages)
      .where(and(isFor(userId, deviceId), lte(deviceMessages.position, until.messages)))
      .orderBy(asc(deviceMessages.position))
      .limit(MAX_TOLD + 1);
    const told = waiting.slice(0, MAX_TOLD);
    const last = told.at(-1);
    return {
      toDevice: told.map(({ message }) => message),
      ...(waiting.length > told.length && last ? { next: { messages: last.position } } : {}),
    };
  }

  async #acknowledge(userId: string, deviceId: string, until: number): Promise<void> {
    await this.#db.delete(deviceMessages).where(and(isFor(userId, deviceId), lte(deviceMessages.position, until)));
    this.#waiting.forget(nameOf(userId, deviceId));
  }

  async #isWaitedFor(userId: string, deviceId: string): Promise<boolean> {
    const found = await this.#db
      .select({ position: deviceMessages.position })
      .from(deviceMessages)
      .where(isFor(userId, deviceId))
      .limit(1);
    return found.length > 0;
  }
}

const nameOf = (userId: string, deviceId: string) => `${userId}\0${deviceId}`;

const isFor = (userId: string, deviceId: string) =>
  and(eq(deviceMessages.userId, userId), eq(deviceMessages.deviceId, deviceId));

const devicesOf = (tx: Database, userIds: readonly string[]) =>
  tx.select({ userId: devices.userId, deviceId: devices.deviceId }).from(devices).where(anyOf(devices.userId, userIds));
