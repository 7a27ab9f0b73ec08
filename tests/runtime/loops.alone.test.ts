// A module that does not give its thread back: its call settles in time, it alone is ended, and it serves again.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import t from 'tap';
import {
  containments,
  event,
  eventually,
  get,
  puppet as hardy,
  kills,
  lifeOf,
  problemsOf,
  reborn,
  serves,
  sleep,
  start,
  tell,
  within,
} from './harness.ts';

const puppet = (id: string, more: object = {}) => hardy(id, { timeout: '250ms', ...more });

/** Until there is a spare cell again. */
const warm = (): Promise<void> => sleep(1_000);

for (const containment of containments) {
  t.test(`${containment}: an endless loop in a callback`, async (t) => {
    // With an hour for other callbacks, only the deadline of this one can tell.
    const slow = { timeout: '1h', timeouts: { check_event_for_spam: '250ms' } };
    const modules = await start(t, [puppet('good'), puppet('bad', slow)], { containment });
    const life = await lifeOf(modules, 'bad');
    const settles: number[] = [];
    const killed: number[] = [];
    await within(t, 250, 'it serves again after it was ended', async () => {
      const before = kills(modules);
      const told = await tell(modules, 'bad', 'loop');
      t.match(told, { allowed: false, kind: 'module_timeout', module: 'bad' });
      settles.push(told.ms);
      killed.push(await eventually(() => kills(modules) > before));
      const took = await eventually(() => serves(modules, 'bad'));
      await warm();
      return took;
    });
    // Each of these was measured above, and is measured anew only when the machine was too busy.
    const next = async (times: number[], measure: () => Promise<number>): Promise<number> => times.pop() ?? measure();
    await within(t, 300, 'the call settles', () => next(settles, async () => (await tell(modules, 'bad', 'loop')).ms));
    await within(t, 400, 'its cell is ended after the deadline', () =>
      next(killed, async () => {
        await warm();
        const before = kills(modules);
        await tell(modules, 'bad', 'loop');
        return eventually(() => kills(modules) > before);
      }),
    );
    t.not(await lifeOf(modules, 'bad'), life, 'in another life');
    t.match(
      modules.log.filter(({ message }) => message.includes('failed in checkEventForSpam')),
      [
        {
          level: 'warn',
          fields: { module: 'bad', callback: 'checkEventForSpam', kind: 'module_timeout', durationMs: Number },
        },
      ],
    );
  });

  t.test(`${containment}: a chain of promises that begins after a sign of life`, async (t) => {
    const slow = { timeout: '1h', timeouts: { check_event_for_spam: '250ms' } };
    const modules = await start(t, [puppet('bad', slow)], { containment });
    const life = await lifeOf(modules, 'bad');
    // The call and the question for a sign are read together, when the request gives the thread back.
    const request = get(modules, '/_synapse/client/bad/busy?ms=300');
    await sleep(20);
    t.match(await tell(modules, 'bad', 'chain'), { allowed: false, module: 'bad' });
    await request;
    // Nobody asks it anything more, so nothing else finds it out.
    await eventually(() => kills(modules) > 0);
    await reborn(modules, 'bad', life);
  });

  t.test(`${containment}: a loop in a life that is replaced meanwhile is told of`, async (t) => {
    const modules = await start(t, [puppet('bad')], { containment });
    const looping = tell(modules, 'bad', 'loop');
    await sleep(50);
    await modules.restart('bad');
    t.match(await looping, { allowed: false, kind: 'module_timeout' });
    await eventually(() => kills(modules) === 1);
    t.ok(await serves(modules, 'bad'), 'the next life goes on');
  });

  t.test(`${containment}: others go on meanwhile`, async (t) => {
    const modules = await start(t, [puppet('good', { timeout: '5s' }), puppet('bad')], { containment });
    await within(t, 50, "the host's event loop was held up", async () => {
      const delay = monitorEventLoopDelay({ resolution: 5 });
      delay.enable();
      let over = false;
      const looping = tell(modules, 'bad', 'loop').then(() => {
        over = true;
      });
      let answered = 0;
      while (!over) {
        t.match(await get(modules, '/_synapse/client/good/refuse'), { status: 200 });
        answered++;
      }
      await looping;
      t.ok(answered > 10, `the other answered ${answered} times`);
      await eventually(() => serves(modules, 'bad'));
      delay.disable();
      return delay.max / 1e6;
    });
  });

  for (const deed of ['loopLater', 'loopInTimer']) {
    t.test(`${containment}: ${deed} is found out, asked or not`, async (t) => {
      const modules = await start(t, [puppet('bad')], { containment });
      const life = await lifeOf(modules, 'bad');
      await tell(modules, 'bad', deed);
      // Nobody asks it anything meanwhile.
      await eventually(() => kills(modules) === 1);
      await reborn(modules, 'bad', life);
    });
  }

  t.test(`${containment}: a loop in a web resource`, async (t) => {
    const modules = await start(t, [puppet('bad')], { containment });
    const life = await lifeOf(modules, 'bad');
    await within(t, 400, 'its cell is ended after the deadline', async () => {
      const before = kills(modules);
      t.equal((await get(modules, '/_synapse/client/bad/loop')).status, 504);
      const took = await eventually(() => kills(modules) > before);
      await eventually(() => serves(modules, 'bad'));
      return took;
    });
    t.not(await lifeOf(modules, 'bad'), life);
  });

  t.test(`${containment}: a call that nobody waits for any more and that loops`, async (t) => {
    const modules = await start(t, [puppet('bad')], { containment });
    const life = await lifeOf(modules, 'bad');
    const outcome = await modules.spamChecker.checkEventForSpam(event('loop', { to: 'bad' }), {
      signal: AbortSignal.timeout(50),
    });
    t.match(outcome, { allowed: false, failures: [{ module: 'bad', kind: 'stopped' }] });
    await eventually(() => kills(modules) === 1);
    await reborn(modules, 'bad', life);
  });

  t.test(`${containment}: who takes his time is not ended because of one before`, async (t) => {
    const modules = await start(t, [puppet('bad', { timeout: '500ms' })], { containment });
    await tell(modules, 'bad', 'allow');
    const hanging = tell(modules, 'bad', 'hang');
    await sleep(400);
    // Still busy when the other's time is over, and for longer than a sign of life is waited for.
    t.match(await tell(modules, 'bad', 'busy', { ms: 350 }), { said: 'was busy' });
    t.match(await hanging, { kind: 'module_timeout' });
    t.equal(kills(modules), 0);
  });

  t.test(`${containment}: calls behind the one that loops`, async (t) => {
    const modules = await start(t, [puppet('bad', { timeout: '1s' })], { containment });
    await tell(modules, 'bad', 'allow');
    const running = tell(modules, 'bad', 'sleep', { ms: 5_000 });
    await sleep(300);
    const looping = tell(modules, 'bad', 'loop');
    await sleep(450);
    const behind = tell(modules, 'bad', 'context');
    t.match(await running, { kind: 'module_timeout' }, 'a call that was running is not asked again');
    const { said } = await behind;
    t.match(JSON.parse(said), { attempt: 2 }, 'a call that had not begun is');
    t.match(await looping, { allowed: false }, 'the loop itself has failed');
  });

  t.test(`${containment}: calls that only stood beside the one that loops`, async (t) => {
    const timeouts = { check_event_for_spam: '10s' };
    const modules = await start(t, [puppet('bad', { timeouts })], { containment });
    const before = JSON.parse((await tell(modules, 'bad', 'context')).said) as { life: string };
    const [answered, suspended, looping, behind] = await Promise.all([
      tell(modules, 'bad', 'context'),
      tell(modules, 'bad', 'pause', { ms: 400 }),
      modules.spamChecker.userMayCreateRoom('@loop:example.com', {}),
      tell(modules, 'bad', 'context'),
    ]);
    t.match(looping, { allowed: false, failures: [{ kind: 'module_timeout' }] });
    for (const { said } of [answered, behind]) {
      const { attempt, life } = JSON.parse(said) as { attempt: number; life: string };
      t.equal(attempt, 2, 'the next life is asked');
      t.not(life, before.life);
    }
    t.match(suspended, { allowed: true }, 'another call was on the stack');
  });

  t.test(`${containment}: whose time it was`, async (t) => {
    const modules = await start(t, [puppet('bad', { timeout: '300ms' })], {
      containment,
      homeserver: { getProfile: () => new Promise(() => {}) },
    });
    await tell(modules, 'bad', 'allow');
    t.match(await tell(modules, 'bad', 'hang'), { kind: 'module_timeout' });
    t.match(await Promise.all([tell(modules, 'bad', 'loop'), tell(modules, 'bad', 'allow')]), [
      { kind: 'module_timeout' },
      { kind: 'queue_timeout' },
    ]);
    await eventually(() => serves(modules, 'bad'));
  });

  t.test(`${containment}: waiting for the host`, async (t) => {
    const modules = await start(t, [puppet('bad', { timeout: '300ms', permissions: { users: ['read'] } })], {
      containment,
      homeserver: { getProfile: () => new Promise(() => {}) },
    });
    t.match(await tell(modules, 'bad', 'ask'), { kind: 'api_timeout' });
    t.ok(await serves(modules, 'bad'), 'and it was not ended for it');
    t.equal(modules.status()[0]?.restarts, 0);
  });

  for (const [exported, where] of Object.entries({
    LoopsInParseConfig: 'in parseConfig',
    LoopsInConstructor: 'in the constructor',
    LoopsInSetup: 'in an awaited set-up',
  })) {
    t.test(`${containment}: an endless loop ${where} is an error with its place`, async (t) => {
      const bad = { module: `./loops.ts#${exported}`, id: 'bad', setup_timeout: '300ms' };
      t.match(await problemsOf(start(t, [puppet('good'), bad], { containment })), [
        { code: 'SetupTimedOut', module: 'bad', place: { line: 12 } },
      ]);
    });
  }

  t.test(`${containment}: an endless loop at import`, async (t) => {
    const bad = { module: './loops-at-import.ts', id: 'bad', setup_timeout: '300ms' };
    t.match(await problemsOf(start(t, [bad], { containment })), [{ code: 'SetupTimedOut', module: 'bad' }]);
  });
}
