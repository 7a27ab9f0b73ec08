// The example presence router through everything: whom it names is seen over /sync, without any room in common.

import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Client, type SyncBody } from '../homeserver/client.ts';
import { fixtures, startHomeserver } from './harness.ts';

const { register, url } = await startHomeserver(t, `${fixtures}presence.yaml`);
const [watcher, alice, bob, carol, noc] = (await Promise.all(
  ['watcher', 'alice', 'bob', 'carol', 'noc'].map(register),
)) as [Client, Client, Client, Client, Client];

/** What a sync tells of others' presence: who, and what he says of himself. */
const told = ({ presence }: SyncBody, receiver: Client) =>
  presence.events
    .filter(({ sender }) => sender !== receiver.userId)
    .map(({ sender, content }) => `${sender} ${content.presence} ${content.status_msg ?? ''}`)
    .sort();

t.test('two users with whom he shares no room are seen, a fourth is not', async (t) => {
  for (const user of [alice, bob, carol]) await user.setPresence('online', 'here');
  t.same(told(await watcher.sync(), watcher), ['@alice:example.com online here', '@bob:example.com online here']);
  t.same(told(await carol.sync(), carol), [], 'who is not named sees nobody');
  t.same(told(await noc.sync(), noc), [
    '@alice:example.com online here',
    '@bob:example.com online here',
    '@carol:example.com online here',
    '@watcher:example.com online ',
  ]);
});

t.test('changes come with the next sync', async (t) => {
  await watcher.sync();
  t.same(told(await watcher.sync(), watcher), [], 'none');
  await alice.setPresence('unavailable', 'lunch');
  await carol.setPresence('unavailable', 'lunch');
  t.same(told(await watcher.sync(), watcher), ['@alice:example.com unavailable lunch']);
  t.same(told(await watcher.sync(), watcher), [], 'once');
});

t.test('a sync that waits is woken by those two, and not by the fourth', async (t) => {
  await watcher.sync();
  let woken = false;
  const waiting = watcher.sync({ timeout: 60_000, set_presence: 'offline' }).finally(() => {
    woken = true;
  });
  await delay(300);
  await carol.setPresence('online', 'shouting');
  await delay(300);
  t.notOk(woken, 'a stranger wakes nobody');
  const startedAt = performance.now();
  await bob.setPresence('unavailable', 'quietly');
  t.same(told(await waiting, watcher), ['@bob:example.com unavailable quietly']);
  t.ok(performance.now() - startedAt < 20_000, 'long before its time is up');
});

t.test('a sync in which nothing happens ends when its time is up', async (t) => {
  await watcher.sync();
  const startedAt = performance.now();
  t.same(told(await watcher.sync({ timeout: 400, set_presence: 'offline' }), watcher), []);
  t.ok(performance.now() - startedAt >= 395);
});

t.test('a shadow-banned or unknown user is nobody', async (t) => {
  // Who may not see a user cannot ask for his presence either; the router is about /sync.
  const answer = await new Client(url, { accessToken: String(watcher.accessToken) }).fetch(
    'GET',
    `/_matrix/client/v3/presence/${encodeURIComponent(carol.userId)}/status`,
  );
  t.equal(answer.status, 403);
});
