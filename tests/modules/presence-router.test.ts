import { PRESENCE_ALL_USERS, type UserPresenceState } from '@bulkhead/sdk';
import t from 'tap';
import { startModules } from './harness.js';

const yaml = `
modules:
  - module: ./modules/presence-router/index.ts#PresenceRouter
    id: presence-router
    config:
      users:
        '@watcher:example.com': ['@alice:example.com', '@bob:example.com']
        '@noc:example.com': ALL
`;

const online = (user_id: string): UserPresenceState => ({
  user_id,
  state: 'online',
  last_active_ts: 1,
  last_federation_update_ts: 1,
  last_user_sync_ts: 1,
  currently_active: true,
});

const { presenceRouter } = await startModules(t, yaml);

t.test('states go to their watchers', async (t) => {
  const alice = online('@alice:example.com');
  const carol = online('@carol:example.com');
  const { users, failures } = await presenceRouter.getUsersForStates([alice, carol]);
  t.same(failures, []);
  t.same([...users].sort(), [
    ['@noc:example.com', [alice, carol]],
    ['@watcher:example.com', [alice]],
  ]);
});

t.test('watchers are interested in those they watch', async (t) => {
  const of = async (user: string) => (await presenceRouter.getInterestedUsers(user)).users;
  t.same(await of('@watcher:example.com'), new Set(['@alice:example.com', '@bob:example.com']));
  t.equal(await of('@noc:example.com'), PRESENCE_ALL_USERS);
  t.same(await of('@alice:example.com'), new Set());
});
