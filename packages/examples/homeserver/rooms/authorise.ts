// The specification's authorisation rules, room version 11. One pure function decides on every event that is made here;
// what concerns other servers' events (auth events, signatures, third-party invites) has no place in a server without any.

import { serverNameOf } from '@bulkhead/sdk/contract';
import { forbidden } from '../errors.js';
import { isUserId } from '../ids.js';
import { type EventDraft, membershipOf, type RoomEvent } from './event.js';
import { level, PowerLevels, record } from './power-levels.js';
import type { StateKey, StateView } from './state.js';

/** The part of a room's state that decides on an event. */
export interface AuthState {
  readonly create: RoomEvent | undefined;
  readonly powerLevels: RoomEvent | undefined;
  readonly joinRules: RoomEvent | undefined;
  readonly sender: RoomEvent | undefined;
  /** The membership of the user whom a m.room.member event is about. */
  readonly target: RoomEvent | undefined;
}

export function authKeys({ type, sender, state_key: target }: EventDraft): readonly StateKey[] {
  const keys: StateKey[] = [
    ['m.room.create', ''],
    ['m.room.power_levels', ''],
    ['m.room.join_rules', ''],
    ['m.room.member', sender],
  ];
  if (type === 'm.room.member' && target !== undefined && target !== sender) keys.push(['m.room.member', target]);
  return keys;
}

export async function authStateFor(event: RoomEvent, state: StateView): Promise<AuthState> {
  const found = await state.getAll(authKeys(event));
  const target = event.type === 'm.room.member' ? event.state_key : undefined;
  const find = (type: string, stateKey: string) =>
    found.find((candidate) => candidate.type === type && candidate.state_key === stateKey);
  return {
    create: find('m.room.create', ''),
    powerLevels: find('m.room.power_levels', ''),
    joinRules: find('m.room.join_rules', ''),
    sender: find('m.room.member', event.sender),
    target: target === undefined ? undefined : find('m.room.member', target),
  };
}

/** @throws MatrixError 403 `M_FORBIDDEN` that says which rule the event breaks */
export function authorise(event: RoomEvent, state: AuthState): void {
  if (event.type === 'm.room.create') {
    authoriseCreate(event, state);
    return;
  }
  if (!state.create) throw forbidden('The room does not exist');
  const levels = new PowerLevels(state.powerLevels, state.create.sender);
  if (event.type === 'm.room.member') authoriseMember(event, state, levels);
  else authoriseOther(event, state, levels);
}

function authoriseCreate(event: RoomEvent, state: AuthState): void {
  if (state.create) throw forbidden('The room exists already');
  if (serverNameOf(event.room_id) !== serverNameOf(event.sender)) throw forbidden('The room belongs to another server');
}

function authoriseMember(event: RoomEvent, state: AuthState, levels: PowerLevels): void {
  const target = event.state_key;
  if (target === undefined || !isUserId(target)) throw forbidden('The state key of a membership is a user id');
  const isOwn = target === event.sender;
  const before = membership(isOwn ? state.sender : state.target);
  const sender = membership(state.sender);
  const own = levels.user(event.sender);
  const theirs = levels.user(target);

  switch (membershipOf(event)) {
    case 'join': {
      if (!isOwn) throw forbidden('Nobody can make another user join');
      if (before === 'ban') throw forbidden('You are banned from the room');
      if (before === 'join' || before === 'invite') return;
      // The creator joins before there are any rules.
      if (!state.joinRules && state.create?.sender === target && before === undefined) return;
      // Restricted rooms admit the invited only: this server vouches for nobody.
      if (joinRule(state) !== 'public') throw forbidden('You are not invited to this room');
      return;
    }
    case 'invite':
      if (sender !== 'join') throw forbidden('You are not in the room');
      if (before === 'join') throw forbidden('The user is in the room already');
      if (before === 'ban') throw forbidden('The user is banned from the room');
      if (own < levels.action('invite')) throw forbidden('Your power level does not suffice to invite');
      return;
    case 'leave':
      if (isOwn) {
        if (before === 'join' || before === 'invite' || before === 'knock') return;
        throw forbidden(before === 'ban' ? 'You are banned from the room' : 'You are not in the room');
      }
      if (sender !== 'join') throw forbidden('You are not in the room');
      if (before === 'ban' && own < levels.action('ban')) throw forbidden('Your power level does not suffice to unban');
      if (own < levels.action('kick')) throw forbidden('Your power level does not suffice to kick');
      if (own <= theirs) throw forbidden('You cannot kick a user whose power level is not below yours');
      return;
    case 'ban':
      if (sender !== 'join') throw forbidden('You are not in the room');
      if (own < levels.action('ban')) throw forbidden('Your power level does not suffice to ban');
      if (own <= theirs) throw forbidden('You cannot ban a user whose power level is not below yours');
      return;
    case 'knock':
      if (joinRule(state) !== 'knock' && joinRule(state) !== 'knock_restricted') {
        throw forbidden('Nobody can knock on this room');
      }
      if (!isOwn) throw forbidden('Nobody can knock for another user');
      if (before === 'ban' || before === 'invite' || before === 'join') throw forbidden('You cannot knock now');
      return;
    default:
      throw forbidden('Unknown membership');
  }
}

function authoriseOther(event: RoomEvent, state: AuthState, levels: PowerLevels): void {
  if (membership(state.sender) !== 'join') throw forbidden('You are not in the room');
  const own = levels.user(event.sender);
  if (own < levels.event(event.type, event.state_key !== undefined)) {
    throw forbidden(`Your power level does not suffice to send ${event.type}`);
  }
  // A key that is a user id belongs to that user: nobody else speaks under it.
  if (event.state_key?.startsWith('@') && event.state_key !== event.sender) {
    throw forbidden('The state key is the id of another user');
  }
  if (event.type === 'm.room.power_levels') authorisePowerLevels(event, state, own);
}

const SINGLE_LEVELS = ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite'];

/** Nobody gives away, or takes, more power than he has. */
function authorisePowerLevels(event: RoomEvent, { powerLevels }: AuthState, own: number): void {
  for (const key of SINGLE_LEVELS) {
    const value = event.content[key];
    if (value !== undefined && level(value) === undefined) throw forbidden(`${key} is no integer`);
  }
  for (const key of ['users', 'events', 'notifications']) {
    const value = event.content[key];
    if (value === undefined) continue;
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isMap || Object.values(value).some((item) => level(item) === undefined)) {
      throw forbidden(`${key} is no map of integers`);
    }
  }
  if (!Object.keys(record(event.content.users)).every(isUserId)) throw forbidden('users is no map of user ids');
  // The first levels of a room are whatever its creator says.
  if (!powerLevels) return;

  const old = powerLevels.content;
  for (const key of SINGLE_LEVELS) checkChange(key, old[key], event.content[key], own);
  for (const map of ['events', 'notifications']) {
    for (const [key, before, after] of changes(old[map], event.content[map])) {
      checkChange(`${map}.${key}`, before, after, own);
    }
  }
  for (const [userId, before, after] of changes(old.users, event.content.users)) {
    checkChange(`users.${userId}`, before, after, own);
    if (before !== after && userId !== event.sender && (level(before) ?? Number.NEGATIVE_INFINITY) >= own) {
      throw forbidden('You cannot change the power level of a user who has as much as you');
    }
  }
}

function checkChange(key: string, before: unknown, after: unknown, own: number): void {
  if (before === after) return;
  const highest = Math.max(level(before) ?? Number.NEGATIVE_INFINITY, level(after) ?? Number.NEGATIVE_INFINITY);
  if (highest > own) throw forbidden(`Your power level does not suffice to change ${key}`);
}

function changes(
  before: unknown,
  after: unknown,
): readonly (readonly [key: string, before: unknown, after: unknown])[] {
  const [old, fresh] = [record(before), record(after)];
  return [...new Set([...Object.keys(old), ...Object.keys(fresh)])].map((key) => [key, old[key], fresh[key]]);
}

const membership = (event: RoomEvent | undefined) => event && membershipOf(event);
const joinRule = ({ joinRules }: AuthState) => joinRules?.content.join_rule ?? 'invite';
