// `npm run picture`: takes docs/page.png of the example homeserver's page, with its modules at work.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createHomeserver } from '@bulkhead/examples/homeserver';
import { createModuleRuntime } from '@bulkhead/runtime';
import { findChromium, launch, NO_CHROMIUM, Window } from '../homeserver/browser.ts';

const { values: options } = parseArgs({
  options: {
    out: { type: 'string', default: fileURLToPath(new URL('../../docs/page.png', import.meta.url)) },
    dark: { type: 'boolean', default: false },
    phone: { type: 'boolean', default: false },
  },
});

const SIZES = { desk: { width: 1180, height: 740 }, phone: { width: 390, height: 844 } };
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

const chromium = findChromium();
if (chromium === undefined) throw new Error(NO_CHROMIUM);
const configFile = fileURLToPath(new URL('../../packages/examples/homeserver.yaml', import.meta.url));
const storage = await mkdtemp(join(tmpdir(), 'bulkhead-'));
const homeserver = await createHomeserver({
  configFile,
  memory: true,
  logger: quiet,
  modules: (host) => createModuleRuntime({ configFile, homeserver: host, logger: quiet, storage }),
});
try {
  const { url } = await homeserver.listen(0);
  const browser = await launch(chromium);
  try {
    await take(await talk(browser, url));
  } finally {
    await browser.close();
  }
} finally {
  await homeserver.close();
  await rm(storage, { recursive: true, force: true });
}

/** Two people talk while modules refuse, loop and crash. @returns the window to be taken */
async function talk(browser: Awaited<ReturnType<typeof launch>>, url: string): Promise<Window> {
  const alice = await Window.open(browser, url, {
    viewport: options.phone ? SIZES.phone : SIZES.desk,
    colorScheme: options.dark ? 'dark' : 'light',
    // Sharp where it is shown small, and no larger a file than that takes.
    deviceScaleFactor: 1.2,
    isMobile: options.phone,
  });
  const bob = await Window.open(browser, url);
  await alice.comeIn('alice');
  await bob.comeIn('bob');
  await bob.say('Does anything still work when a module never returns?');
  await alice.message('never returns').waitFor();
  await alice.press('loop for ever');
  await alice.page.locator('#incidents article[data-over="true"]', { hasText: 'rogue' }).waitFor();
  await bob.say('It does: one cell was ended, and this went through.');
  await alice.message('one cell was ended').waitFor();
  await alice.press('a tracking link');
  await alice.page.getByText('rewritten by a module').waitFor();
  await bob.say('And when the whole process goes down?');
  await alice.message('whole process').waitFor();
  await alice.press('abort the process');
  await alice.page.locator('#incidents article[data-over="true"]', { hasText: 'Process' }).waitFor();
  await bob.say('Nobody here noticed.');
  await alice.message('Nobody here noticed').waitFor();
  await alice.press('a listed word');
  await alice.page.locator('#decisions [data-kind="refused"]').waitFor();
  return alice;
}

async function take({ page }: Window): Promise<void> {
  await page.mouse.move(0, 0);
  await page.getByLabel('Message', { exact: true }).focus();
  // The line of modules comes once a second.
  await page.waitForTimeout(1_500);
  await page.screenshot({ path: options.out, fullPage: options.phone });
}
