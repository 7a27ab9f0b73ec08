// A module in several cells: who is asked, and what becomes of it when one of them is lost.

import t from 'tap';
import {
  configOf,
  type Entry,
  eventually,
  get,
  lifeOf,
  problemsOf,
  puppet,
  type Running,
  start,
  tell,
} from './harness.ts';

const crew = (instances: number, more: object = {}): Entry => ({
  ...puppet('crew', more),
  module: './puppet.ts#Crew',
  instances,
});
const lifeAsked = async (modules: Running): Promise<string> =>
  (JSON.parse((await tell(modules, 'crew', 'context')).said) as { life: string }).life;
/** Of so many calls one after another. */
const livesAsked = async (modules: Running, calls: number): Promise<ReadonlySet<string>> => {
  const lives = new Set<string>();
  for (let call = 0; call < calls; call++) lives.add(await lifeAsked(modules));
  return lives;
};
const running = (modules: Running): unknown => modules.status()[0]?.instances;

t.test('only a module that says that it is stateless has several', async (t) => {
  const problems = await problemsOf(start(t, [puppet('one', { instances: 2 })]));
  t.match(problems, [
    {
      code: 'NotStateless',
      module: 'one',
      path: 'modules[0].instances',
      message: 'the module does not declare that it is stateless',
      hint: /runs in one cell.*stateless: true/,
      place: { line: Number },
    },
  ]);
  t.equal(problems.length, 1, 'said once');
  t.equal((await problemsOf(start(t, [crew(65)])))[0]?.code, 'InvalidValue');
});

t.test('calls and web requests are spread', async (t) => {
  const modules = await start(t, [crew(3)]);
  t.same(running(modules), { configured: 3, running: 3 });
  t.equal((await livesAsked(modules, 6)).size, 3);
  const web = new Set<string>();
  for (let request = 0; request < 6; request++) web.add(await lifeOf(modules, 'crew'));
  t.equal(web.size, 3);
  t.equal(modules.status()[0]?.calls, 6, 'told of as one module');
});

t.test('whoever is busy is spared', async (t) => {
  const modules = await start(t, [crew(2)]);
  const asked = tell(modules, 'crew', 'busy', { ms: 1_000 });
  const others: Promise<string>[] = [];
  const startedAt = performance.now();
  for (let call = 0; call < 20; call++) others.push(lifeAsked(modules));
  const first = await others[0];
  t.ok(performance.now() - startedAt < 900, 'answered meanwhile');
  for (let call = 0; call < 5; call++) t.equal(await lifeAsked(modules), first, 'by the one that is free');
  t.match(await asked, { said: 'was busy' });
});

t.test('the others answer while one is lost, and it comes back', async (t) => {
  const modules = await start(t, [crew(2, { timeout: '500ms' })]);
  t.match(await tell(modules, 'crew', 'throwInTimer'), { allowed: true });
  const loop = tell(modules, 'crew', 'loop');
  for (let call = 0; call < 10; call++) t.match(await tell(modules, 'crew', 'refuse'), { said: 'as told' });
  t.match(await loop, { kind: 'module_timeout', module: 'crew' });
  await eventually(() => modules.status()[0]?.instances.running === 1);
  t.equal(modules.status()[0]?.state, 'running', 'it answers');
  await eventually(() => modules.status()[0]?.instances.running === 2);
  t.equal((await livesAsked(modules, 4)).size, 2);
});

t.test('they have one storage', async (t) => {
  const modules = await start(t, [crew(3)]);
  await Promise.all(Array.from({ length: 30 }, () => tell(modules, 'crew', 'count', { key: 'k' })));
  t.equal(await (await get(modules, '/_synapse/client/crew/stored/k')).json(), 30);
});

t.test('restart renews all of them, and a reload changes how many there are', async (t) => {
  const modules = await start(t, [crew(2)]);
  const before = await livesAsked(modules, 4);
  await modules.restart('crew');
  const after = await livesAsked(modules, 4);
  t.equal(after.size, 2);
  t.same(
    [...after].filter((life) => before.has(life)),
    [],
  );
  t.equal(modules.status()[0]?.restarts, 2);
  await modules.reload(configOf([crew(3)]));
  t.same(running(modules), { configured: 3, running: 3 });
  t.equal((await livesAsked(modules, 6)).size, 3);
});
