// A user's devices as the user manages them. With a device go its tokens, its keys and the messages that wait for it.

import { and, asc, eq, inArray } from 'drizzle-orm';
import type { Tokens } from '../accounts/tokens.js';
import type { Database } from '../db/database.js';
import { deviceKeys, devices } from '../db/schema.js';
import type { DeviceKeys } from '../keys/device-keys.js';
import type { DeviceLists } from '../keys/device-lists.js';
import type { Changes } from '../sync/changes.js';

export interface Device {
  readonly device_id: string;
  readonly display_name?: string;
}

export class Devices {
  readonly #db: Database;
  readonly #tokens: Tokens;
  readonly #changes: Changes;
  readonly #lists: DeviceLists;
  readonly #keys: DeviceKeys;

  constructor(db: Database, tokens: Tokens, changes: Changes, lists: DeviceLists, keys: DeviceKeys) {
    this.#db = db;
    this.#tokens = tokens;
    this.#changes = changes;
    this.#lists = lists;
    this.#keys = keys;
  }

  async of(userId: string): Promise<readonly Device[]> {
    const found = await this.#db
      .select()
      .from(devices)
      .where(eq(devices.userId, userId))
      .orderBy(asc(devices.createdTs));
    return found.map(deviceOf);
  }

  async find(userId: string, deviceId: string): Promise<Device | undefined> {
    const [found] = await this.#db.select().from(devices).where(isDevice(userId, deviceId));
    return found && deviceOf(found);
  }

  /** @returns whether there is such a device */
  async rename(userId: string, deviceId: string, displayName: string): Promise<boolean> {
    const renamed = await this.#changes.write(async (tx) => {
      const found = await tx
        .update(devices)
        .set({ displayName })
        .where(isDevice(userId, deviceId))
        .returning({ deviceId: devices.deviceId });
      // Others are told the name with the keys.
      if (found.length > 0 && (await hasKeys(tx, userId, [deviceId]))) await this.#lists.mark(tx, userId);
      return found.length > 0;
    });
    if (renamed) await this.#lists.announce(userId);
    return renamed;
  }

  /** Logs devices out. @param deviceIds default: all of the user */
  async delete(userId: string, deviceIds?: readonly string[]): Promise<void> {
    const deleted = await this.#changes.write(async (tx) => {
      if (await hasKeys(tx, userId, deviceIds)) await this.#lists.mark(tx, userId);
      return tx
        .delete(devices)
        .where(and(eq(devices.userId, userId), deviceIds && inArray(devices.deviceId, [...deviceIds])))
        .returning({ deviceId: devices.deviceId });
    });
    this.#tokens.forget(userId, deviceIds);
    for (const { deviceId } of deleted) this.#keys.forget(userId, deviceId);
    await this.#lists.announce(userId);
  }

  /** Logs out all devices of a user but one. */
  async deleteOthers(userId: string, kept: string | undefined): Promise<void> {
    const all = await this.of(userId);
    await this.delete(
      userId,
      all.map(({ device_id }) => device_id).filter((deviceId) => deviceId !== kept),
    );
  }
}

async function hasKeys(tx: Database, userId: string, deviceIds?: readonly string[]): Promise<boolean> {
  const found = await tx
    .select({ deviceId: deviceKeys.deviceId })
    .from(deviceKeys)
    .where(and(eq(deviceKeys.userId, userId), deviceIds && inArray(deviceKeys.deviceId, [...deviceIds])))
    .limit(1);
  return found.length > 0;
}

const isDevice = (userId: string, deviceId: string) => and(eq(devices.userId, userId), eq(devices.deviceId, deviceId));

const deviceOf = ({ deviceId, displayName }: typeof devices.$inferSelect): Device => ({
  device_id: deviceId,
  ...(displayName === null ? {} : { display_name: displayName }),
});
