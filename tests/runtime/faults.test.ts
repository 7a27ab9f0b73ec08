// Errors and nonsense: a failure of that call, a line in the log, and nothing else.

import t from 'tap';
import { containments, event, get, lifeOf, puppet, serves, sleep, start, tell } from './harness.ts';

for (const containment of containments) {
  t.test(`${containment}: what a callback throws or answers`, async (t) => {
    const modules = await start(t, [puppet('good'), puppet('bad', { timeout: '500ms' })], { containment });
    const life = await lifeOf(modules, 'bad');
    const cases = [
      ['throw', {}, 'threw', /thrown on command/],
      ['throwString', {}, 'threw', /a string was thrown/],
      ['wrong', { answer: 42 }, 'wrong_type', /./],
      ['wrong', { answer: null }, 'wrong_type', /./],
      ['wrong', { answer: { allowed: true } }, 'wrong_type', /./],
      ['wrong', { answer: [['deep']] }, 'wrong_type', /./],
      ['unspeakable', {}, 'wrong_type', /not JSON/],
      ['huge', {}, 'too_large', /larger than the limit/],
    ] as const;
    for (const [deed, more, kind, message] of cases) {
      const told = await tell(modules, 'bad', deed, more);
      t.match(told, { allowed: false, kind, module: 'bad', message }, deed);
      t.match(
        modules.log.at(-1),
        { level: 'warn', fields: { module: 'bad', callback: 'checkEventForSpam', kind, durationMs: Number } },
        'logged with module, callback, kind and duration',
      );
      t.ok(await serves(modules, 'bad'));
    }
    t.equal(await lifeOf(modules, 'bad'), life, 'none of it ended the cell');
    t.match(modules.status().find(({ id }) => id === 'bad')?.failures, { threw: 2, wrong_type: 5, too_large: 1 });
  });

  t.test(`${containment}: what nobody waits for`, async (t) => {
    const modules = await start(t, [puppet('bad')], { containment });
    const life = await lifeOf(modules, 'bad');
    for (const [deed, message] of [
      ['rejectUnhandled', /nobody listens/],
      ['throwInTimer', /thrown in a timer/],
    ] as const) {
      t.match(await tell(modules, 'bad', deed), { allowed: true });
      await sleep(100);
      t.match(
        modules.log.filter((line) => message.test(line.message)),
        [{ level: 'error', message: /uncaught/, fields: { module: 'bad', fields: { stack: String } } }],
        `${deed}: logged`,
      );
      t.ok(await serves(modules, 'bad'));
    }
    t.equal(await lifeOf(modules, 'bad'), life, 'never fatal');
  });

  t.test(`${containment}: an error that fights back`, async (t) => {
    const modules = await start(t, [puppet('bad', { timeout: '250ms' })], { containment });
    const told = await tell(modules, 'bad', 'throwHostile');
    t.match(told, { allowed: false, module: 'bad' });
    t.ok(told.ms < 2_000, 'settled in time');
  });

  t.test(`${containment}: a failing web resource`, async (t) => {
    const modules = await start(t, [puppet('bad')], { containment });
    const response = await get(modules, '/_synapse/client/bad/throw');
    t.equal(response.status, 500);
    t.notMatch(await response.text(), /thrown on command/, 'which says nothing of why');
    t.ok(await serves(modules, 'bad'));
  });
}

t.test('failure policies', async (t) => {
  const modules = await start(t, [puppet('open', { on_failure: 'allow' }), puppet('shut')]);
  t.match(await modules.spamChecker.checkEventForSpam(event('throw', { to: 'open' })), {
    allowed: true,
    failures: [{ module: 'open', kind: 'threw' }],
  });
  t.match(await modules.spamChecker.checkEventForSpam(event('throw', { to: 'shut' })), {
    allowed: false,
    cause: 'failed',
    status: 500,
    errcode: 'M_UNKNOWN',
    failures: [{ module: 'shut', kind: 'threw' }],
  });
});
