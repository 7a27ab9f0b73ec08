// Bundles that outlive the homeserver: used again as long as nothing has changed that they were made from.

import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Bundle, Maker } from '../../packages/runtime/src/loading/bundle.ts';
import { DiskCache } from '../../packages/runtime/src/loading/disk-cache.ts';
import { makeBundle } from '../../packages/runtime/src/loading/make.ts';
import { childrenOf } from '../containment/harness/proc.ts';
import { puppet, start } from '../runtime/harness.ts';

const files = {
  'config/modules/mine.ts': "export { word } from './word';\nexport { name } from 'named';\n",
  'config/modules/word.js': "export const word = 'first';\n",
  'config/node_modules/named/package.json': '{ "name": "named", "main": "./main.js" }',
  'config/node_modules/named/main.js': "export const name = 'main';\n",
  'config/node_modules/named/other.js': "export const name = 'other';\n",
};

interface Workplace {
  readonly folder: string;
  readonly cache: string;
  /** How often a bundle was really made. */
  readonly made: () => number;
  /** As a homeserver does that has just started. */
  bundle(isolation?: 'compartment' | 'thread', make?: Maker): Promise<Bundle>;
  write(name: string, text: string): void;
}

function workplace(t: Test): Workplace {
  const folder = t.testdir({});
  let made = 0;
  const write = (name: string, text: string): void => {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  const cache = join(folder, 'cache');
  return {
    folder,
    cache,
    made: () => made,
    write,
    async bundle(isolation = 'compartment', make = makeBundle) {
      // What changed just before would not be kept.
      await sleep(60);
      const baseDir = join(folder, 'config');
      const request = { file: join(baseDir, 'modules/mine.ts'), isolation, baseDir };
      const bundle = await new DiskCache(cache).through(request, (asked) => {
        made++;
        return make(asked);
      });
      if (!bundle.ok) throw new Error(JSON.stringify(bundle.faults));
      return bundle;
    },
  };
}

t.test('what was made is used again', async (t) => {
  const { bundle, made, cache } = workplace(t);
  const first = await bundle();
  t.match(first.script, /first.*main/s);
  t.strictSame(await bundle(), first);
  t.equal(made(), 1);
  t.equal(readdirSync(cache).length, 1, 'no draft is left');
});

const changes: Readonly<Record<string, readonly [file: string, text: string, expected: RegExp]>> = {
  'a file': ['config/modules/word.js', "export const word = 'later';\n", /later/],
  'a file that the bundler takes first': ['config/modules/word.ts', "export const word = 'typed';\n", /typed/],
  'a package’s manifest': ['config/node_modules/named/package.json', '{ "main": "./other.js" }', /other/],
  'a nearer package': ['config/modules/node_modules/named/index.js', "export const name = 'nearer';\n", /nearer/],
};

for (const [what, [file, text, expected]] of Object.entries(changes)) {
  t.test(`${what} has changed`, async (t) => {
    const { bundle, made, write } = workplace(t);
    t.notMatch((await bundle()).script, expected);
    write(file, text);
    t.match((await bundle()).script, expected);
    t.equal(made(), 2);
    t.match((await bundle()).script, expected);
    t.equal(made(), 2, 'and is kept as it is now');
  });
}

t.test('with its old time, a changed file is another file', async (t) => {
  const { bundle, folder, write } = workplace(t);
  const file = 'config/modules/word.js';
  utimesSync(join(folder, file), 1, 1);
  await bundle();
  write(file, "export const word = 'later';\n");
  utimesSync(join(folder, file), 1, 1);
  t.match((await bundle()).script, /later/);
});

t.test('what changes while it is bundled is not kept', async (t) => {
  const { bundle, write } = workplace(t);
  const change: Maker = async (request) => {
    const made = await makeBundle(request);
    write('config/modules/word.js', "export const word = 'later';\n");
    return made;
  };
  t.match((await bundle('compartment', change)).script, /first/);
  t.match((await bundle()).script, /later/);
});

t.test('a kept bundle that somebody changed, or that is not whole, is none', async (t) => {
  const { bundle, cache, made } = workplace(t);
  const { script } = await bundle();
  const file = join(cache, readdirSync(cache)[0] as string);
  const text = readFileSync(file, 'utf8');
  for (const damaged of [text.replace('first', 'worse'), text.slice(0, -10), '']) {
    writeFileSync(file, damaged);
    t.equal((await bundle()).script, script);
  }
  t.equal(made(), 4);
});

t.test('a script that says where it lies is not kept', async (t) => {
  const { bundle, made } = workplace(t);
  await bundle('thread');
  await bundle('thread');
  t.equal(made(), 2);
});

t.test('a homeserver that starts again bundles nothing, and keeps nothing that it does not use', async (t) => {
  const storage = t.testdir({});
  const bundles = join(storage, 'bundles');
  const first = await start(t, [puppet('a')], { storage });
  await first.close();
  t.equal(readdirSync(bundles).length, 1);
  writeFileSync(join(bundles, 'old.json'), '{}');
  const before = childrenOf(process.pid, 'loading/main.js');
  const again = await start(t, [puppet('a')], { storage });
  t.strictSame(childrenOf(process.pid, 'loading/main.js'), before, 'there is no process for it');
  t.equal(again.status()[0]?.state, 'running');
  await again.close();
  t.equal(readdirSync(bundles).length, 1);
});
