// Making and reading Matrix identifiers.

import { randomBytes, randomInt } from 'node:crypto';
import { RoomAlias, RoomId, serverNameOf, UserId } from '@bulkhead/sdk/contract';
import * as v from 'valibot';

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

export const randomLetters = (length: number): string =>
  Array.from({ length }, () => LETTERS[randomInt(LETTERS.length)]).join('');

export const newRoomId = (serverName: string) => `!${randomLetters(18)}:${serverName}`;
/** As long as the reference hashes of room versions 4 and later. */
export const newEventId = () => `$${randomBytes(32).toString('base64url')}`;

export const isUserId = (text: string) => v.is(UserId, text);
export const isRoomId = (text: string) => v.is(RoomId, text);
export const isRoomAlias = (text: string) => v.is(RoomAlias, text);
export const isLocal = (id: string, serverName: string) => serverNameOf(id) === serverName;
export const localpartOf = (userId: string) => userId.slice(1, userId.indexOf(':'));
