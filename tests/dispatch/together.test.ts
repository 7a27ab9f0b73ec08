// "What several modules together give", line by line: two modules in real cells, in both fan-out orders.

import type { Modules } from '@bulkhead/runtime';
import type { EventData, UserPresenceState } from '@bulkhead/sdk/contract';
import t from 'tap';
import { startCells } from './cells.ts';

const event = (line: string): EventData => ({
  type: 'm.room.message',
  room_id: '!room:example.com',
  sender: '@alice:example.com',
  origin_server_ts: 1_700_000_000_000,
  content: { line },
});
const noState = { get: () => undefined, list: () => [], entries: () => [] };
const presence = (line: string, state: 'online' | 'offline'): UserPresenceState => ({
  user_id: '@alice:example.com',
  state,
  last_active_ts: 1,
  last_federation_update_ts: 2,
  last_user_sync_ts: 3,
  status_msg: line,
  currently_active: true,
});
const bob = '@bob:example.com';
const requester = { userId: bob, isGuest: false, shadowBanned: false, authenticatedEntity: bob };

type Ask = (modules: Modules, line: string) => Promise<object>;

const checkEventForSpam: Ask = ({ spamChecker }, line) => spamChecker.checkEventForSpam(event(line));
const userMayInvite: Ask = ({ spamChecker }, line) => spamChecker.userMayInvite(`@${line}:x`, bob, '!room:x');
const userMayCreateRoom: Ask = ({ spamChecker }, line) => spamChecker.userMayCreateRoom(`@${line}:x`, {});
const checkRegistrationForSpam: Ask = ({ spamChecker }, line) =>
  spamChecker.checkRegistrationForSpam(null, line, [], null);
const isUserExpired: Ask = ({ accountValidity }, line) => accountValidity.isUserExpired(`@${line}:x`);
const checkEventAllowed: Ask = ({ thirdPartyRules }, line) => thirdPartyRules.checkEventAllowed(event(line), noState);
const onCreateRoom: Ask = ({ thirdPartyRules }, line) => thirdPartyRules.onCreateRoom(requester, { name: line }, false);
const getInterestedUsers: Ask = ({ presenceRouter }, line) => presenceRouter.getInterestedUsers(`@${line}:x`);
const getUsersForStates: Ask = ({ presenceRouter }, line) =>
  presenceRouter.getUsersForStates([presence(line, 'online'), presence(line, 'offline')]);

interface Line {
  readonly ask: Ask;
  readonly m1: string;
  readonly m2: string;
  /** Of M1. */
  readonly onFailure?: 'allow';
  readonly gives: (line: string) => object;
  /** Whether M2 is called when modules are asked one after another; `never`: nor when they are asked at once. */
  readonly callsM2: boolean | 'never';
}

const failure = (kind: string) => ({ module: 'm1', kind });
const allowed = { allowed: true, failures: [] };
const refused = (module: string, more: object = {}) => ({
  allowed: false,
  cause: 'refused',
  module,
  status: 403,
  errcode: 'M_FORBIDDEN',
  extra: {},
  failures: [],
  ...more,
});
const failed = (kind: string) => ({
  allowed: false,
  cause: 'failed',
  module: 'm1',
  status: 500,
  errcode: 'M_UNKNOWN',
  failures: [failure(kind)],
});

const table: readonly Line[] = [
  {
    ask: checkEventForSpam,
    m1: 'false',
    m2: 'no links',
    gives: () => refused('m2', { error: 'no links' }),
    callsM2: true,
  },
  {
    ask: checkEventForSpam,
    m1: 'true after 80 ms',
    m2: 'no links after 1 ms',
    gives: () => refused('m1'),
    callsM2: false,
  },
  { ask: userMayInvite, m1: 'throws', m2: 'false', gives: () => failed('threw'), callsM2: false },
  {
    ask: userMayInvite,
    m1: 'throws',
    m2: 'true',
    onFailure: 'allow',
    gives: () => ({ allowed: true, failures: [failure('threw')] }),
    callsM2: true,
  },
  {
    ask: userMayInvite,
    m1: 'throws',
    m2: 'false',
    onFailure: 'allow',
    gives: () => refused('m2', { failures: [failure('threw')] }),
    callsM2: true,
  },
  { ask: userMayInvite, m1: 'yes', m2: 'true', gives: () => failed('wrong_type'), callsM2: false },
  {
    ask: userMayInvite,
    m1: 'deny M_X',
    m2: 'true',
    gives: () => refused('m1', { errcode: 'M_X', extra: { why: 1 } }),
    callsM2: false,
  },
  { ask: userMayCreateRoom, m1: 'never answers', m2: 'true', gives: () => failed('module_timeout'), callsM2: false },
  {
    ask: checkRegistrationForSpam,
    m1: 'ALLOW',
    m2: 'SHADOW_BAN',
    gives: () => ({ behaviour: 'shadow_ban', module: 'm2', failures: [] }),
    callsM2: true,
  },
  {
    ask: checkRegistrationForSpam,
    m1: 'SHADOW_BAN',
    m2: 'DENY',
    gives: () => ({ behaviour: 'shadow_ban', module: 'm1', failures: [] }),
    callsM2: false,
  },
  {
    ask: isUserExpired,
    m1: 'null',
    m2: 'true',
    gives: () => ({ expired: true, module: 'm2', errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT', failures: [] }),
    callsM2: true,
  },
  {
    ask: isUserExpired,
    m1: 'false',
    m2: 'true',
    gives: () => ({ expired: false, module: 'm1', failures: [] }),
    callsM2: false,
  },
  {
    ask: checkEventAllowed,
    m1: 'true, replaced with A',
    m2: 'false',
    gives: () => ({ ...allowed, replacement: { module: 'm1', event: { content: { letter: 'A' } } } }),
    callsM2: 'never',
  },
  { ask: checkEventAllowed, m1: 'true, null', m2: 'false', gives: () => refused('m2'), callsM2: true },
  {
    ask: onCreateRoom,
    m1: 'adds to initial_state',
    m2: 'throws M_X',
    gives: () => refused('m2', { errcode: 'M_X', error: 'not here' }),
    callsM2: true,
  },
  {
    ask: onCreateRoom,
    m1: 'throws',
    m2: 'adds to initial_state',
    onFailure: 'allow',
    gives: (name) => ({
      allowed: true,
      content: { name, initial_state: [{ type: 'm.m2' }] },
      failures: [failure('threw')],
    }),
    callsM2: true,
  },
  {
    ask: onCreateRoom,
    m1: 'throws',
    m2: 'adds to initial_state',
    gives: () => ({ ...failed('threw'), status: 403, error: 'Room creation forbidden with these parameters' }),
    callsM2: 'never',
  },
  {
    ask: onCreateRoom,
    m1: 'adds to initial_state',
    m2: 'adds to initial_state',
    gives: (name) => ({ ...allowed, content: { name, initial_state: [{ type: 'm.m1' }, { type: 'm.m2' }] } }),
    callsM2: true,
  },
  {
    ask: getInterestedUsers,
    m1: 'one user',
    m2: 'PRESENCE_ALL_USERS',
    gives: () => ({ users: 'ALL', failures: [] }),
    callsM2: true,
  },
  {
    ask: getInterestedUsers,
    m1: 'PRESENCE_ALL_USERS',
    m2: 'one user',
    gives: () => ({ users: 'ALL', failures: [] }),
    callsM2: false,
  },
  {
    ask: getUsersForStates,
    m1: 'one state',
    m2: 'two states',
    gives: (line) => ({
      users: new Map([['@a:x', [presence(line, 'online'), presence(line, 'offline')]]]),
      failures: [],
    }),
    callsM2: true,
  },
];

const nameOf = (index: number) => `line-${index + 1}`;

const says = (of: 'm1' | 'm2') =>
  table.map((line, index) => `        ${nameOf(index)}: ${JSON.stringify(line[of])}`).join('\n');

const yaml = (fanOut: string, onFailure: string | undefined) => `
bulkhead:
  fan_out: ${fanOut}
modules:
  - module: ./scripted.ts#Scripted
    id: m1
    ${onFailure === undefined ? '' : `on_failure: ${onFailure}`}
    breaker: { failures: 1000 }
    timeouts: { user_may_create_room: 100ms }
    config:
      says:
${says('m1')}
  - module: ./scripted.ts#Scripted
    id: m2
    config:
      says:
${says('m2')}
`;

for (const fanOut of ['parallel', 'sequential'] as const) {
  for (const onFailure of [undefined, 'allow'] as const) {
    t.test(`${fanOut}, M1 on_failure: ${onFailure ?? 'as the row says'}`, async (t) => {
      const modules = await startCells(t, yaml(fanOut, onFailure), { containment: 'process' });
      const calls = () => modules.status().map((status) => status.calls);
      for (const [index, line] of table.entries()) {
        if (line.onFailure !== onFailure) continue;
        const name = `${line.ask.name}: ${line.m1} | ${line.m2}`;
        const [before1 = 0, before2 = 0] = calls();
        const startedAt = performance.now();
        const outcome = await line.ask(modules, nameOf(index));
        const took = performance.now() - startedAt;
        t.match(outcome, line.gives(nameOf(index)), name);
        const [after1 = 0, after2 = 0] = calls();
        const m2 = line.callsM2 === true || (line.callsM2 === false && fanOut === 'parallel');
        t.strictSame([after1 - before1, after2 - before2], [1, m2 ? 1 : 0], `${name}: who was called`);
        if (line.m1 === 'never answers') t.ok(took >= 99 && took < 400, `after its timeout (${Math.round(took)} ms)`);
        if (line.m1 === 'true after 80 ms') t.ok(took >= 79, 'whoever answered first');
      }
    });
  }
}
