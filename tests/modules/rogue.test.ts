import type { ModuleEvents, Modules } from '@bulkhead/runtime';
import t from 'tap';
import { message, startModules } from './harness.js';

/** Rogues, and the demo module: the neighbour that must not notice. */
const yaml = (...rogues: readonly string[]) => `
modules:
  - { module: ./modules/demo/index.ts#DemoModule, id: demo }
${rogues
  .map((more) => `  - { module: ./modules/rogue/index.ts, breaker: { failures: 100, window: 60s }, ${more} }\n`)
  .join('')}`;

/** The deadline of 250 ms, and what a busy machine adds to it. */
const SETTLED_MS = 1_000;

const say = (modules: Modules, body: string) => modules.spamChecker.checkEventForSpam(message({ body }));

/** What the neighbour does, whatever happens. */
async function demoServes(modules: Modules): Promise<void> {
  t.match(await modules.spamChecker.userMayCreateRoom('@alice:example.com', {}), { allowed: true, failures: [] });
}

async function serveAgain(modules: Modules): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await say(modules, 'hello')).allowed) if (Date.now() > deadline) throw new Error('not within 20 s');
}

t.test('what a rogue does, it does to itself', async (t) => {
  const modules = await startModules(
    t,
    yaml('id: rogue, timeout: 250ms', 'id: rogue-slow, timeout: 20s, config: { trigger: "!slow" }'),
  );

  for (const body of ['!slow', '!slow toString', 'say !slow loop', 'loop', 5]) {
    const outcome = await modules.spamChecker.checkEventForSpam(message({ body }));
    t.match(outcome, { allowed: true, failures: [] }, `${body} is no command`);
  }
  t.match(await say(modules, '!slow leak'), {
    allowed: false,
    cause: 'refused',
    module: 'rogue-slow',
    error: 'could see: nothing',
  });

  const states: ModuleEvents['cell'][] = [];
  modules.on('cell', (event) => states.push(event));

  const tricks: [command: string, module: string, kind: string][] = [
    ['!slow throw', 'rogue-slow', 'threw'],
    ['!slow lie', 'rogue-slow', 'wrong_type'],
    ['!slow huge', 'rogue-slow', 'too_large'],
    ['!rogue hang', 'rogue', 'module_timeout'],
    ['!rogue loop', 'rogue', 'module_timeout'],
  ];
  for (const [command, module, kind] of tricks) {
    t.match(await say(modules, 'hello'), { allowed: true, failures: [] });
    t.same(states, [], 'no cell was lost so far');
    const before = performance.now();
    const outcome = await say(modules, command);
    if (kind === 'module_timeout') t.ok(performance.now() - before < SETTLED_MS, `${command} is settled in time`);
    t.match(outcome, { allowed: false, cause: 'failed', module, status: 500, errcode: 'M_UNKNOWN' });
    t.match(outcome.failures, [{ module, callback: 'checkEventForSpam', kind }]);
    await demoServes(modules);
  }

  await serveAgain(modules);
  t.match(states, [
    { module: 'rogue', state: 'restarting' },
    { module: 'rogue', state: 'running' },
  ]);

  const flood = say(modules, '!rogue flood');
  await demoServes(modules);
  await flood;
  await serveAgain(modules);
});

t.test('a process that aborts takes nobody with it', async (t) => {
  const modules = await startModules(
    t,
    yaml(
      'id: rogue, timeout: 250ms',
      'id: rogue-abort, timeout: 20s, config: { trigger: "!bomb" }',
      'id: rogue-snap, timeout: 20s, config: { trigger: "!snap" }',
    ),
  );
  const hullAfter = async (body: string) => {
    const hull = new Promise<ModuleEvents['hull']>((resolve) => {
      const off = modules.on('hull', (event) => {
        off();
        resolve(event);
      });
    });
    const before = modules.status().find(({ id }) => id === 'demo')?.hullPid;
    const outcome = await say(modules, body);
    const { pid, ...ended } = await hull;
    t.equal(pid, before, 'it was the hull that all share');
    await demoServes(modules);
    return { outcome, ended };
  };

  const abort = await hullAfter('!bomb abort');
  t.match(abort.outcome, { allowed: false, cause: 'failed', failures: [{ module: 'rogue-abort', kind: 'crashed' }] });
  // On a fast machine it is over before it was seen busy twice: then it is the one suspect.
  t.match(abort.ended, { cause: /^SIG(?:TRAP|ABRT)/, modules: ['rogue-abort'], known: Boolean });
  await serveAgain(modules);

  const hasty = await hullAfter('!rogue abort');
  // The abort may come before the timer, on a machine that is busy.
  t.match(hasty.outcome, { allowed: false, failures: [{ module: 'rogue', kind: /^(?:module_timeout|crashed)$/ }] });
  t.match(hasty.ended, { cause: /^SIG(?:TRAP|ABRT|KILL)/, modules: ['rogue'], known: Boolean });
  await serveAgain(modules);

  const snap = await hullAfter('!snap snap');
  t.match(snap.outcome, { allowed: false, failures: [{ module: 'rogue-snap', kind: 'crashed' }] });
  t.match(snap.ended, { cause: /^SIGABRT/ });
  t.ok(snap.ended.modules.includes('rogue-snap'), 'it is among the suspects');
});

t.test('without a compartment a rogue sees a lot', async (t) => {
  const modules = await startModules(t, yaml('id: rogue, isolation: thread'));
  t.match(await say(modules, '!rogue leak'), { error: /process .*Buffer .*shared prototypes/ });
});
