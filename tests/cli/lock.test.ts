// `bulkhead lock` as an admin runs it: what is in the file, and when there is none.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { configOf, greeter, HASH, HASHES, lockOf, project, run } from '../integrity/project.ts';

t.test('a lock says what the modules are, the same everywhere', async (t) => {
  const here = project(t, { grants: '    permissions: { users: [read], rooms: [write, read] }\n' });
  const { code, stdout, stderr } = await run(here, 'lock');
  t.strictSame([code, stderr], [0, '']);
  t.equal(
    stdout.replace(HASHES, '#'),
    `greeter  ./modules/greeter.ts  [new]
  script      #
  asks for    + users: read
  granted     + rooms: read
              + rooms: write
              + users: read
  packages    + left-pad 1.0.0
  files       + modules/greeter.ts
              + modules/words.ts

1 module in modules.lock.
`,
  );
  const lock = lockOf(here);
  t.equal(
    lock.replace(HASHES, '#').replace(/runtime: .*/, 'runtime: 0.0.0'),
    `# What the modules were when an admin looked at them last: one that is something else now does not start.
# Written by "bulkhead lock", compared by "bulkhead diff". Commit this file, and do not edit it.
lock: 1
runtime: 0.0.0
modules:
  greeter:
    module: ./modules/greeter.ts
    isolation: compartment
    script: #
    asks:
      users:
        - read
    granted:
      rooms:
        - read
        - write
      users:
        - read
    dependencies:
      left-pad@1.0.0:
        lib/main.js: #
    files:
      modules/greeter.ts: #
      modules/words.ts: #
`,
  );
  t.match(await run(here, 'lock'), { code: 0, stdout: '1 module in modules.lock, as before.\n' });

  const elsewhere = mkdtempSync(join(tmpdir(), 'bulkhead another folder '));
  t.teardown(() => rmSync(elsewhere, { recursive: true }));
  cpSync(here.dir, elsewhere, { recursive: true });
  rmSync(join(elsewhere, 'modules.lock'));
  t.match(await run({ dir: elsewhere }, 'lock'), { code: 0 });
  t.equal(readFileSync(join(elsewhere, 'modules.lock'), 'utf8'), lock);
  t.strictSame(
    readdirSync(elsewhere).toSorted(),
    ['homeserver.yaml', 'modules', 'modules.lock', 'node_modules', 'package.json'],
    'nothing else was written',
  );
});

t.test('a damaged lock is replaced by locking, and shown by all else', async (t) => {
  const here = project(t);
  await run(here, 'lock');
  const lock = lockOf(here);
  here.write('modules.lock', lock.replace('modules:', '<<<<<<< HEAD\nmodules:'));
  for (const command of ['diff', 'check']) {
    const { code, stdout, stderr } = await run(here, command);
    t.strictSame([code, stdout], [2, '']);
    t.match(
      stderr,
      /^error\[LockUnreadable\] \(modules\.lock:5:1\): .*\n {2}5 \| <<<<<<< HEAD\n {4}\| \^\n {2}hint: get it back/,
    );
  }
  const json = await run(here, 'diff', '--json');
  t.match(JSON.parse(json.stdout), {
    ok: false,
    problems: [{ code: 'LockUnreadable', place: { line: 5, column: 1 } }],
  });
  t.match(await run(here, 'lock'), { code: 0 });
  t.equal(lockOf(here), lock);
});

t.test('what cannot be loaded cannot be locked, and what is there stays', async (t) => {
  const here = project(t);
  await run(here, 'lock');
  const lock = lockOf(here);
  here.write('modules/greeter.ts', 'throw new Error("not today");\nexport default class {}\n');
  const { code, stderr } = await run(here, 'lock');
  t.equal(code, 2);
  t.match(stderr, /^error\[SetupFailed\] modules\[0\]\.module \(homeserver\.yaml:2:13\): Error: not today/);
  t.notMatch(stderr, 'hint');
  here.write('homeserver.yaml', configOf('    timout: 1s\n'));
  t.match(await run(here, 'lock', '--json'), { code: 2, stdout: /"UnknownKey"/ });
  t.equal(lockOf(here), lock);
});

t.test('a pin has to hold for locking, but not for looking', async (t) => {
  const here = project(t);
  await run(here, 'lock');
  const [script = ''] = lockOf(here).match(HASH) ?? [];
  here.write('homeserver.yaml', configOf(`    integrity: ${script.replace(/-.{4}/, '-AAAA')}\n`));
  const { code, stderr } = await run(here, 'lock');
  t.equal(code, 2);
  t.match(
    stderr,
    `error[IntegrityMismatch] modules[0].integrity (homeserver.yaml:5:16): the script of greeter is not the`,
  );
  t.match(await run(here, 'diff'), { code: 0 });
  here.write('homeserver.yaml', configOf(`    integrity: ${script}\n`));
  t.match(await run(here, 'check'), { code: 0 });
});

t.test('what a module is made of cannot write on the terminal', async (t) => {
  const here = project(t);
  here.write('modules/\u001b[2J.ts', 'export const hello = "hello";\n');
  here.write('modules/greeter.ts', greeter().replace("'./words.js'", "'./\\u001b[2J.ts'"));
  const { code, stdout } = await run(here, 'lock');
  t.equal(code, 0);
  t.match(stdout, '+ modules/\u{fffd}[2J.ts');
  t.notMatch(lockOf(here), '\u001b');
  t.match(await run(here, 'diff'), { code: 0 }, 'and reads back as what it was');
});
