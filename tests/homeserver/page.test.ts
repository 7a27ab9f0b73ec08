// The page in a browser: people talk, modules refuse, loop and crash beside it, and what they write stays text.

import { setTimeout as delay } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import t, { type Test } from 'tap';
import { examples, startHomeserver } from '../e2e/harness.ts';
import { findChromium, launch, NO_CHROMIUM, Window } from './browser.ts';
import { Client } from './client.ts';
import { createFakeModules, type FakeModules, refused } from './fake-modules.ts';
import { startServer } from './harness.ts';

const chromium = findChromium();
const skip = chromium === undefined && NO_CHROMIUM;
const ALIAS = '#lobby:example.com';

async function browse(t: Test): Promise<Browser> {
  const browser = await launch(chromium as string);
  t.teardown(() => browser.close());
  return browser;
}

async function isSoon(holds: () => Promise<boolean>): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    if (await holds()) return true;
    await delay(50);
  }
  return false;
}

t.test('with the modules of the example', { skip }, async (t) => {
  const server = await startHomeserver(t, `${examples}homeserver.yaml`);
  const browser = await browse(t);
  const alice = await Window.open(browser, server.url);
  const bob = await Window.open(browser, server.url);

  await t.test('a name that a module refuses', async (t) => {
    await alice.page.getByLabel('Name').fill('spammer');
    await alice.page.getByLabel('Password').fill('secret');
    await alice.press('Register');
    await alice.page.getByRole('alert').filter({ hasText: /\S/ }).waitFor();
    t.ok(await alice.page.locator('#chat').isHidden());
  });

  await t.test('two windows talk', async () => {
    await alice.comeIn('alice');
    await bob.comeIn('bob');
    await alice.say('hello bob');
    await bob.message('hello bob').waitFor();
    await bob.say('hello alice');
    await alice.message('hello alice').waitFor();
  });

  await t.test('what modules were asked, and how long it took', async (t) => {
    const asked = alice.page.locator('#decisions [data-kind="asked"]', { hasText: 'checkEventForSpam' }).first();
    await asked.locator('summary').click();
    const rogue = asked.locator('li', { hasText: /rogue allows/ });
    await rogue.waitFor();
    t.match(await rogue.textContent(), /\d ms/);
    const rows = alice.page.locator('#modules tr');
    t.equal(await rows.count(), server.modules.status().length);
    t.match(await rows.filter({ hasText: 'word-list' }).textContent(), /running.*MiB.*%/);
  });

  await t.test('a message that is refused says why, where it stands and among the decisions', async (t) => {
    await bob.say('to the casino!');
    const row = bob.message('to the casino!');
    await row.getByText('Advertising for gambling is not welcome here').waitFor();
    t.match(await row.textContent(), '403 M_FORBIDDEN');
    for (const { page } of [alice, bob]) {
      const decision = page.locator('#decisions [data-kind="refused"]', { hasText: 'word-list' });
      await decision.waitFor();
      t.match(await decision.textContent(), /Advertising for gambling is not welcome here/);
      t.match(await decision.textContent(), /from @bob:example\.com/);
    }
    t.equal(await alice.message('to the casino!').count(), 0);
  });

  await t.test('a message that is rewritten', async () => {
    await alice.press('a tracking link');
    await alice.page.locator('.message', { hasText: 'page?id=7' }).getByText('rewritten by a module').waitFor();
    await bob.message('page?id=7').waitFor();
  });

  await t.test('attacks, while the talk goes on', async (t) => {
    const talk = new AbortController();
    let said = 0;
    const talking = (async () => {
      while (!talk.signal.aborted) {
        await bob.say(`number ${++said}.`);
        await delay(100);
      }
    })();
    const incidents = alice.page.locator('#incidents article[data-over="true"]');
    const failure = (text: string) => alice.page.locator('#decisions [data-kind="failed"]', { hasText: text }).first();

    await alice.press('throw');
    await failure('thrown on command').waitFor();
    t.match(await alice.message('!rogue throw').textContent(), /500 M_UNKNOWN.*could not be checked/);

    await alice.press('loop for ever');
    const ended = incidents.filter({ hasText: 'rogue was ended' });
    await ended.first().waitFor();
    t.match(await ended.first().textContent(), /Back after [\d.]+ m?s, 9 others undisturbed/);
    await failure('module timeout').waitFor();

    await alice.press('abort the process');
    const gone = incidents.filter({ hasText: /Process \d+ is gone/ });
    await gone.first().waitFor();
    // On a busy machine the watchdog may not have seen enough to tell who it was of two.
    t.match(await gone.first().textContent(), /(culprit|suspects): .*rogue-abort/);
    t.match(await gone.first().textContent(), /All 10 modules back after [\d.]+ m?s/);
    const restarts = alice.page.locator('#modules tr', { hasText: 'word-list' }).locator('td').nth(3);
    t.ok(await isSoon(async () => (await restarts.textContent()) === '1'), 'restarts are counted');

    talk.abort();
    await talking;
    // What was said while a module could not be asked is refused, by policy; nothing is lost, and nothing else.
    const refusals = bob.page.locator('.message[data-state="refused"]', { hasText: 'number' });
    const settled = async () => (await bob.page.locator('.message[data-state="sending"]').count()) === 0;
    t.ok(await isSoon(settled), 'everything that bob said was answered');
    while ((await refusals.count()) > 0) {
      await refusals.first().getByRole('button', { name: 'Send again' }).click();
      await isSoon(settled);
    }
    for (let number = 1; number <= said; number++) await alice.message(`number ${number}.`).waitFor();
    t.ok(said > 10, `${said} messages were said meanwhile`);
  });

  await t.test('a window that is loaded again is where it was; who logs out is not', async (t) => {
    await bob.page.reload();
    await bob.message('hello bob').or(bob.message('number')).first().waitFor();
    await bob.press('Log out');
    await bob.page.locator('#entrance').waitFor();
    await bob.page.reload();
    t.ok(await bob.page.locator('#chat').isHidden());
    await bob.comeIn('bob', 'Log in');
    await bob.say('back again');
    await alice.message('back again').waitFor();
  });

  await t.test('with the keyboard alone', async (t) => {
    const { page, complaints } = await Window.open(browser, server.url);
    const press = async (...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    const isOn = () => page.evaluate<string>('document.activeElement.textContent || document.activeElement.id');
    await press('Tab');
    await page.keyboard.type('carol');
    await press('Tab');
    await page.keyboard.type('the password of carol');
    await press('Enter');
    await page.locator('#chat').waitFor();
    await page.keyboard.type('no mouse needed');
    await press('Enter');
    await alice.message('no mouse needed').waitFor();
    await press('Tab', 'Tab');
    t.equal(await isOn(), 'a listed word');
    await press('Enter');
    await page.getByText('Advertising for gambling').first().waitFor();
    t.same(complaints, []);
  });

  await t.test('on a phone nothing is wider than it', async (t) => {
    const phone = await Window.open(browser, server.url, { viewport: { width: 360, height: 700 }, isMobile: true });
    t.ok(await phone.fits(), 'the entrance');
    await phone.comeIn('dora');
    await phone.say(`a ${'very'.repeat(100)} long word`);
    await phone.message('long word').waitFor();
    await phone.page.locator('#modules tr').first().waitFor();
    t.ok(await phone.fits(), 'the room and the modules');
    const box = await phone.page.locator('#composer').boundingBox();
    t.ok(box && box.y + box.height < 700, 'the line to write is on the first screen');
    t.same(phone.complaints, []);
  });

  t.same([...alice.complaints, ...bob.complaints], [], 'nothing was complained of');
});

t.test('what is hostile stays text', { skip }, async (t) => {
  // Each tells by the title of the page that it was more than text.
  const ATTACKS = [
    '<img src=x onerror="document.title=\'pwned\'">',
    '</bdi></li><script>document.title="pwned"</script>',
    '<svg onload="document.title=\'pwned\'">',
    '"><a href="javascript:document.title=\'pwned\'">',
  ];
  const everything = ATTACKS.join(' ');
  const server = await startServer(t, { modules: async () => hostileModules(everything) });
  const modules = server.modules as FakeModules;
  const browser = await browse(t);
  const alice = await Window.open(browser, server.url);
  await alice.comeIn('alice');
  const mallory = await Client.register(server.url, 'mallory');
  await mallory.setDisplayName(everything.slice(0, 250));
  const room = await mallory.join(ALIAS);
  const { page } = alice;

  for (const attack of ATTACKS) {
    await mallory.say(room, attack);
    await alice.message(attack).waitFor();
  }
  await page
    .locator('.message .name', { hasText: everything.slice(0, 50) })
    .first()
    .waitFor();

  // A module's id, its reason, why it failed, and what became of it.
  await page.locator('#modules tr', { hasText: ATTACKS[0] as string }).waitFor();
  modules.answers = {
    checkEventForSpam: () => refused({ module: everything, errcode: everything, error: everything }),
  };
  await alice.say('to be refused');
  await alice.message('to be refused').locator('.refusal', { hasText: everything }).waitFor();
  await page.locator('#decisions [data-kind="refused"]', { hasText: everything }).waitFor();
  modules.answers = {
    checkEventForSpam: () => {
      const failure = { module: everything, callback: 'checkEventForSpam', kind: 'threw', durationMs: 1 } as const;
      return refused({ module: everything, cause: 'failed', failures: [{ ...failure, message: everything }] });
    },
  };
  await alice.say('to fail');
  await page.locator('#decisions [data-kind="failed"] .why', { hasText: everything }).waitFor();
  modules.emit('call', { module: everything, callback: 'checkEventForSpam', result: 'allow', durationMs: 1 });
  await page.locator('#decisions [data-kind="asked"]', { hasText: ATTACKS[0] as string }).waitFor();
  modules.emit('watch', { module: everything, limit: 'memory', action: 'ended', used: 2, allowed: 1 });
  await page.locator('#decisions li', { hasText: 'is ended' }).waitFor();
  modules.emit('cell', { module: everything, state: 'restarting', cause: everything });
  await page.locator('#incidents article', { hasText: ATTACKS[0] as string }).waitFor();

  t.equal(await page.title(), 'Bulkhead on example.com');
  t.equal(await page.locator('main img, main script, main svg, main a').count(), 0, 'no markup came of it');
  t.same(alice.complaints, [], 'and the browser had nothing to forbid');

  await t.test('even if the page were careless, the browser would not be', async (t) => {
    await t.rejects(page.evaluate('document.body.innerHTML = "<b>markup</b>"'), /TrustedHTML/);
    await t.rejects(page.evaluate('document.createElement("script").text = "1"'), /TrustedScript/);
    await page.evaluate('document.body.setAttribute("style", "display: none")');
    t.equal(await page.evaluate('getComputedStyle(document.body).display'), 'flex', 'no inline style');
  });
});

function hostileModules(id: string): FakeModules {
  const modules = createFakeModules();
  const permissions = { asked: {}, granted: {} };
  const life = { specifier: id, state: 'running', cause: id, mode: 'enforce', startMs: 1, hullPid: 1, permissions };
  const numbers = { restarts: 0, calls: 0, failures: {}, inFlight: 0, memory: 1, cpu: 0, apiCalls: 0, watches: {} };
  const instances = { configured: 1, running: 1 };
  modules.statuses = [{ id, ...life, ...numbers, instances, callbacks: [], resources: [] }] as never;
  return modules;
}

t.test('what is much is cut', { skip }, async (t) => {
  const server = await startServer(t);
  const window = await Window.open(await browse(t), server.url);
  const { page } = window;
  await window.comeIn('alice');
  const bob = await server.register('bob');
  const room = await bob.join(ALIAS);

  await bob.say(room, `long ${'x'.repeat(30_000)} end`);
  const long = page.locator('.message', { hasText: 'long xxx' });
  await long.waitFor();
  t.ok(((await long.textContent())?.length ?? 0) < 4_200, 'a message');

  for (let number = 1; number <= 450; number++) await bob.say(room, `number ${number}.`);
  await page.getByText('number 450.').waitFor();
  t.ok((await page.locator('#timeline > li').count()) <= 400, 'the room');

  for (let reports = 0; reports < 12; reports++) {
    for (let i = 0; i < 20; i++) {
      server.fake.emit('watch', { module: 'a', limit: 'cpu', action: 'slowed', used: 1, allowed: 1 });
    }
    await delay(150);
  }
  t.ok(await isSoon(async () => (await page.locator('#decisions > li').count()) === 150), 'the decisions');
});

t.test('whoever makes the room second joins it', { skip }, async (t) => {
  const server = await startServer(t);
  const bob = await server.register('bob');
  const room = await bob.createRoom({ room_alias_name: 'lobby', preset: 'public_chat' });
  const window = await Window.open(await browse(t), server.url);
  const { page } = window;
  // As it was a moment before bob made it.
  const notFound = { status: 404, json: { errcode: 'M_NOT_FOUND', error: 'Room alias not found' } };
  await page.route('**/join/**', (route) => route.fulfill(notFound), { times: 1 });
  await window.comeIn('alice');
  await bob.say(room, 'there you are');
  await page.getByText('there you are').waitFor();
});

t.test('nobody keeps others out by a room that they cannot see', { skip }, async (t) => {
  const server = await startServer(t);
  server.fake.answers = {
    checkRegistrationForSpam: () => ({ behaviour: 'shadow_ban', module: 'fake', failures: [], observed: [] }),
  };
  const ghost = await server.register('ghost');
  server.fake.answers = {};
  await ghost.createRoom({ room_alias_name: 'lobby', preset: 'public_chat' });

  const browser = await browse(t);
  const [alice, bob] = [await Window.open(browser, server.url), await Window.open(browser, server.url)];
  await alice.comeIn('alice');
  await bob.comeIn('bob');
  await bob.say('here');
  await alice.message('here').waitFor();
});

t.test('who watches', { skip }, async (t) => {
  const browser = await browse(t);

  await t.test('a window that nobody sees does not', async (t) => {
    const server = await startServer(t);
    const { page } = await Window.open(browser, server.url);
    t.ok(await isSoon(async () => server.fake.listeners > 0));
    const hide = (hidden: boolean) =>
      page.evaluate(`
        Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      `);
    await hide(true);
    t.ok(await isSoon(async () => server.fake.listeners === 0), 'it is forgotten');
    await hide(false);
    t.ok(await isSoon(async () => server.fake.listeners > 0), 'until it is seen again');
    await page.close();
    t.ok(await isSoon(async () => server.fake.listeners === 0), 'and when it is closed');
  });

  await t.test('from elsewhere, admins', async (t) => {
    const server = await startServer(t, {
      admins: ['@admin:example.com'],
      modules: async () => hostileModules('the-module'),
    });
    const elsewhere = { extraHTTPHeaders: { 'x-forwarded-for': '192.0.2.1' } };
    const window = await Window.open(browser, server.url, elsewhere);
    const { page } = window;
    await page.getByText('Come in as an admin').waitFor();
    await window.comeIn('bob');
    await page.getByText('Only admins may watch').waitFor();
    t.ok(await page.locator('table').isHidden());
    await page.getByRole('button', { name: 'Log out' }).click();
    await window.comeIn('admin');
    await page.getByRole('rowheader', { name: 'the-module' }).waitFor();
    t.ok(await page.locator('#feed-state').isHidden());
  });

  await t.test('a homeserver that comes back is watched again', async (t) => {
    const first = await startServer(t, { modules: async () => hostileModules('first') });
    const { port } = new URL(first.url);
    const { page } = await Window.open(browser, first.url);
    await page.getByRole('rowheader', { name: 'first' }).waitFor();
    await first.close();
    await page.getByText('does not answer').waitFor();
    await startServer(t, { modules: async () => hostileModules('second') }, Number(port));
    await page.getByRole('rowheader', { name: 'second' }).waitFor();
  });
});
