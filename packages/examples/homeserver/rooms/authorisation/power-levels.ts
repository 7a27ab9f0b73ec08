// Rule 9: nobody gives away, or takes, more power than he has.

import { forbidden } from '../../errors.js';
import { isUserId } from '../../ids.js';
import type { RoomEvent } from '../event.js';
import { level, record } from '../power-levels.js';

const LEVELS = ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite'];
const MAPS = ['events', 'notifications'];

/** @param own the sender's current power level */
export function authorisePowerLevels(
  { content, sender }: RoomEvent,
  current: RoomEvent | undefined,
  own: number,
): void {
  // 9.1
  for (const key of LEVELS) {
    if (content[key] !== undefined && level(content[key]) === undefined) throw forbidden(`${key} is no integer`);
  }
  // 9.2, 9.3
  for (const key of [...MAPS, 'users']) {
    if (content[key] !== undefined && !isMapOfLevels(content[key])) throw forbidden(`${key} is no map of integers`);
  }
  if (!Object.keys(record(content.users)).every(isUserId)) throw forbidden('users is no map of user ids');

  // 9.4: the first levels of a room are whatever its creator says.
  if (!current) return;

  // 9.5
  for (const change of changes(current.content, content)) {
    if (LEVELS.includes(change.key)) checkReach(change.key, change, own);
  }
  // 9.6, 9.7
  for (const map of MAPS) {
    for (const change of changes(record(current.content[map]), record(content[map]))) {
      checkReach(`${map}.${change.key}`, change, own);
    }
  }
  for (const change of changes(record(current.content.users), record(content.users))) {
    // 9.8
    if (change.key !== sender && (level(change.before) ?? Number.NEGATIVE_INFINITY) >= own) {
      throw forbidden('You cannot change the power level of a user who has as much as you');
    }
    // 9.9
    checkReach(`users.${change.key}`, change, own);
  }
}

function isMapOfLevels(value: unknown): boolean {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isMap && Object.values(value).every((item) => level(item) !== undefined);
}

interface LevelChange {
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** What was added, changed or removed. */
function changes(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>): LevelChange[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys]
    .map((key) => ({ key, before: before[key], after: after[key] }))
    .filter((change) => change.before !== change.after);
}

function checkReach(name: string, { before, after }: LevelChange, own: number): void {
  const highest = Math.max(level(before) ?? Number.NEGATIVE_INFINITY, level(after) ?? Number.NEGATIVE_INFINITY);
  if (highest > own) throw forbidden(`Your power level does not suffice to change ${name}`);
}
