// Making and reading Matrix identifiers.

import { randomInt } from 'node:crypto';
import { EventId, RoomAlias, RoomId, serverNameOf, UserId } from '@bulkhead/sdk/contract';
import * as v from 'valibot';

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

export const randomLetters = (length: number): string =>
  Array.from({ length }, () => LETTERS[randomInt(LETTERS.length)]).join('');

export const newRoomId = (serverName: string) => `!${randomLetters(18)}:${serverName}`;

export const isUserId = (text: string) => v.is(UserId, text);
export const isRoomId = (text: string) => v.is(RoomId, text);
export const isEventId = (value: unknown) => v.is(EventId, value);
export const isRoomAlias = (text: string) => v.is(RoomAlias, text);
export const isLocal = (id: string, serverName: string) => serverNameOf(id) === serverName;
export const localpartOf = (userId: string) => userId.slice(1, userId.indexOf(':'));
