// A new configuration while the modules are at work: what changed is replaced, what did not is left alone, no call is lost.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import t, { type Test } from 'tap';
import {
  configOf,
  event,
  eventually,
  fixtures,
  get,
  hullsOf,
  lifeOf,
  problemsOf,
  type Running,
  serves,
  sleep,
  start,
} from './harness.ts';

const puppet = (id: string, more: object = {}) => ({ module: './puppet.ts#Puppet', id, ...more });
const lives = (modules: Running, ...ids: string[]) => Promise.all(ids.map((id) => lifeOf(modules, id)));

t.test('starts, stops and restarts what changed, and leaves the rest', async (t) => {
  const modules = await start(t, [puppet('a'), puppet('b'), puppet('c')]);
  const [a, b] = await lives(modules, 'a', 'b', 'c');

  await modules.reload(configOf([puppet('new'), puppet('b', { config: { x: 1 } }), puppet('a')]));
  t.same(
    modules.status().map(({ id }) => id),
    ['new', 'b', 'a'],
    'in the new order',
  );
  t.equal(await lifeOf(modules, 'a'), a, 'what merely stands elsewhere goes on');
  t.not(await lifeOf(modules, 'b'), b, 'what changed was restarted');
  t.ok(await serves(modules, 'new'), 'what is new was started');
  t.equal(
    await modules.fetch(new Request('http://localhost/_synapse/client/c/life')),
    undefined,
    'what is gone is gone',
  );

  const before = await lives(modules, 'new', 'b', 'a');
  await modules.reload(configOf([puppet('new'), puppet('b', { config: { x: 1 } }), puppet('a')]));
  t.same(await lives(modules, 'new', 'b', 'a'), before, 'the same once more changes nothing');

  await modules.reload(configOf([puppet('new', { timeout: '1s' }), puppet('b', { config: { x: 1 } }), puppet('a')]));
  t.not(await lifeOf(modules, 'new'), before[0], 'a limit is a change as well');
  t.same(await lives(modules, 'b', 'a'), before.slice(1));
});

t.test('a faulty file changes nothing', async (t) => {
  const modules = await start(t, [puppet('a'), puppet('b', { hull: 'own' })]);
  const before = await lives(modules, 'a', 'b');
  await eventually(() => hullsOf().length === 4);
  const faults = [
    [puppet('a', { config: { x: 1 } }), puppet('b', { timeot: 1 })],
    [puppet('a', { hull: 'own', config: { x: 1 } }), puppet('c', { hull: 'own' }), { module: './nowhere.ts', id: 'b' }],
    [puppet('a', { config: { x: 1 }, limits: { storage: 0 } }), { module: './setups.ts#Throws', id: 'b' }],
  ];
  for (const faulty of faults) {
    const problems = await problemsOf(modules.reload(configOf(faulty)));
    t.match(problems, [{ module: 'b' }]);
    t.same(await lives(modules, 'a', 'b'), before);
    t.ok(await serves(modules, 'a'));
  }
  t.equal((await get(modules, '/_synapse/client/a/count?key=k')).status, 200, 'not even a quota');
  await eventually(() => hullsOf().length === 4);
  t.pass('no process is left of the attempts');
});

t.test('an edited module file is picked up', async (t) => {
  const { modules, file, entries } = await edited(t);
  const life = await lifeOf(modules, 'a');
  await modules.reload(configOf(entries));
  t.equal(await lifeOf(modules, 'a'), life);

  const source = readFileSync(file, 'utf8');
  writeFileSync(file, source.replace("'as told'", "'as edited'"));
  await modules.reload(configOf(entries));
  t.match(await modules.spamChecker.checkEventForSpam(event('refuse', { to: 'a' })), { error: 'as edited' });

  const now = await lifeOf(modules, 'a');
  writeFileSync(file, source.replace("'as told'", "'as told"));
  t.match(await problemsOf(modules.reload(configOf(entries))), [{ code: 'BundleFailed', module: 'a' }]);
  t.equal(await lifeOf(modules, 'a'), now, 'a faulty edit is not');
});

async function edited(t: Test) {
  // It imports types alone, so it may stand anywhere.
  const file = `${t.testdir({ 'puppet.ts': readFileSync(`${fixtures}puppet.ts`, 'utf8'), data: {} })}/puppet.ts`;
  const entries = [{ module: `${file}#Puppet`, id: 'a' }];
  return { modules: await start(t, entries, { storage: `${dirname(file)}/data` }), file, entries };
}

t.test('under load no call is lost and none is made twice', async (t) => {
  const modules = await start(t, [puppet('a'), puppet('b')]);
  let running = true;
  const asked = new Set<string>();
  const outcomes: { allowed: boolean; failures: readonly object[] }[] = [];
  const statuses: number[] = [];

  const ask = async (worker: number): Promise<void> => {
    for (let i = 0; running; i++) {
      const key = `${worker}-${i}`;
      asked.add(key);
      const to = i % 2 === 0 ? 'a' : 'b';
      outcomes.push(await modules.spamChecker.checkEventForSpam(event('count', { to, key })));
    }
  };
  const browse = async (): Promise<void> => {
    while (running) statuses.push((await get(modules, '/_synapse/client/a/sleep?ms=20')).status);
  };
  const load = [...Array.from({ length: 10 }, (_, worker) => ask(worker)), browse(), browse()];
  for (let round = 0; round < 4; round++) {
    await sleep(200);
    const life = await lifeOf(modules, 'a');
    await modules.reload(
      configOf([puppet('a', { config: { round } }), puppet('b', round % 2 ? {} : { timeout: '4s' })]),
    );
    t.not(await lifeOf(modules, 'a'), life);
  }
  running = false;
  await Promise.all(load);

  t.same(
    outcomes.filter(({ allowed, failures }) => !allowed || failures.length > 0),
    [],
    'every call was answered',
  );
  t.equal(outcomes.length, asked.size);
  t.same(
    statuses.filter((status) => status !== 200),
    [],
    `so were ${statuses.length} web requests`,
  );
  const counted = { ...(await all(modules, 'a')), ...(await all(modules, 'b')) };
  t.same(new Set(Object.keys(counted)), asked, `each of the ${asked.size} calls was made`);
  t.same(
    Object.entries(counted).filter(([, times]) => times !== 1),
    [],
    'once',
  );
});

t.test('a call on its way through several modules finds them all', async (t) => {
  const modules = await start(t, [puppet('a'), puppet('b')], { file: { bulkhead: { fan_out: 'sequential' } } });
  const asked = modules.spamChecker.checkEventForSpam(event('pause', { to: 'a', ms: 1_500 }));
  await sleep(100);
  await modules.reload(configOf([puppet('a', { config: { x: 1 } })]));
  t.match(await asked, { allowed: true, failures: [] }, 'even the one that is configured no more');
});

const all = async (modules: Running, id: string): Promise<Record<string, number>> =>
  (await get(modules, `/_synapse/client/${id}/all`)).json() as Promise<Record<string, number>>;

t.test('what takes effect at the next start only is said', async (t) => {
  const modules = await start(t, [puppet('a')]);
  await modules.reload(configOf([puppet('a')], { bulkhead: { containment: 'thread' } }));
  t.ok(
    modules.log.some(({ level, message }) => level === 'warn' && message.includes('takes effect with the next start')),
  );
});
