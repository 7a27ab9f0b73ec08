// What is locked or pinned starts; what is not does not, and nothing of it runs.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModuleRuntime, type RuntimeOptions } from '@bulkhead/runtime';
import t, { type Test } from 'tap';
import { type LogLine, problemsOf, recorder } from '../runtime/harness.ts';
import { configOf, greeter, leftPad, lockOf, type Project, project, run } from './project.ts';

async function lock(project: Project): Promise<void> {
  const { code, stderr } = await run(project, 'lock');
  if (code !== 0) throw new Error(stderr);
}

let storages = 0;

async function start(t: Test, { configFile }: Project, options: Partial<RuntimeOptions> = {}) {
  const log: LogLine[] = [];
  const modules = await createModuleRuntime({
    configFile,
    homeserver: { serverName: 'example.com' },
    storage: `${configFile}.storage-${storages++}`,
    logger: recorder(log),
    ...options,
  });
  t.teardown(() => modules.close({ drainMs: 0 }));
  return { modules, log };
}

/** What is wrong, and what was logged meanwhile. */
async function refused(t: Test, project: Project, options: Partial<RuntimeOptions> = {}) {
  const log: LogLine[] = [];
  const problems = await problemsOf(start(t, project, { logger: recorder(log), ...options }));
  return { problems, logged: log.map(({ message }) => message) };
}

const scriptIn = (project: Project): string => /script: (.*)/.exec(lockOf(project))?.[1] ?? '';

t.test('a module that is what it was starts, and one that changed does not', async (t) => {
  const here = project(t);
  await lock(here);
  const locked = scriptIn(here);
  const { modules, log } = await start(t, here);
  t.match(log, [{ message: 'loaded' }], 'it greets when it is loaded');
  t.match(await modules.spamChecker.userMayInvite('@a:example.com', '@b:example.com', '!r:example.com'), {
    allowed: true,
  });
  await modules.close();

  for (const [file, text] of [
    ['modules/greeter.ts', greeter({ greeting: 'loaded anew' })],
    ['modules/words.ts', 'export const hello = "bye";\n'],
    ['node_modules/left-pad/lib/main.js', 'module.exports = () => "";'],
  ] as const) {
    const before = readFileSync(join(here.dir, file), 'utf8');
    here.write(file, text);
    const { problems, logged } = await refused(t, here);
    t.match(problems, [
      {
        code: 'ModuleChanged',
        module: 'greeter',
        path: 'modules[0].module',
        place: { file: here.configFile, line: 2, column: 13 },
        hint: `\`bulkhead diff ${here.configFile}\` shows what changed, \`bulkhead lock ${here.configFile}\` accepts it`,
      },
    ]);
    t.match(problems[0]?.message, `locked is ${locked}`);
    t.equal(problems.length, 1);
    t.strictSame(logged, [], 'and nothing of it ran');
    here.write(file, before);
  }
  here.write('node_modules/left-pad/package.json', leftPad('9.9.9')['package.json']);
  await t.resolves(start(t, here), 'the script counts, not what packages say of themselves');

  here.write('modules/greeter.ts', greeter({ greeting: 'loaded anew' }));
  await lock(here);
  t.match((await start(t, here)).log, [{ message: 'loaded anew' }], 'locked again it starts');
});

t.test('a module that is not locked does not start', async (t) => {
  const here = project(t);
  await lock(here);
  here.write(
    'homeserver.yaml',
    configOf(
      '    required: false\n  - module: ./modules/greeter.ts\n    id: another\n    permissions: { users: [read] }\n    required: false\n',
    ),
  );
  const { problems } = await refused(t, here);
  t.match(problems, [
    { code: 'NotLocked', module: 'another', place: { line: 6 }, message: 'another is not in modules.lock' },
  ]);
  t.equal(problems.length, 1, 'required or not');
  rmSync(here.lockFile);
  await t.resolves(start(t, here), 'without a lock everything does');
});

t.test('a module that asks for something else does not start', async (t) => {
  const here = project(t);
  await lock(here);
  here.write(
    'homeserver.yaml',
    configOf(
      '    config: { asks: { network: [evil.example], users: [read] } }\n',
      '    permissions: { network: [evil.example], users: [read] }\n',
    ),
  );
  const { problems } = await refused(t, here);
  t.match(problems, [
    {
      code: 'ModuleChanged',
      place: { line: 2, column: 13 },
      message:
        'greeter is not what it was: it asks for network: evil.example; users: read, when it was locked for users: read',
    },
  ]);
  here.write(
    'homeserver.yaml',
    configOf(
      '    config: { asks: { web: [], users: [read, read] } }\n',
      '    permissions: { users: [read], rooms: [read] }\n',
    ),
  );
  await t.resolves(
    start(t, here),
    'the same in other words is the same, and what is granted is for the admin to change',
  );
});

t.test('a pinned script is the only one that runs', async (t) => {
  const here = project(t);
  await lock(here);
  const script = scriptIn(here);
  rmSync(here.lockFile);
  here.write('homeserver.yaml', configOf(`    integrity: ${script}\n`));
  await t.resolves(start(t, here));

  here.write('modules/words.ts', 'export const hello = "bye";\n');
  const { problems, logged } = await refused(t, here);
  t.match(problems, [{ code: 'IntegrityMismatch', path: 'modules[0].integrity', place: { line: 5, column: 16 } }]);
  t.strictSame(logged, []);
  const real = /it is (sha256-\S{44})$/.exec(problems[0]?.message ?? '')?.[1] ?? '';
  t.equal(problems[0]?.hint, `if it shall be that one, write integrity: ${real}`);
  here.write('homeserver.yaml', configOf(`    integrity: ${real}\n`));
  await t.resolves(start(t, here), 'the message tells the real hash');

  here.write('homeserver.yaml', configOf('    integrity: md5-1\n'));
  const nonsense = await refused(t, here);
  t.match(nonsense.problems, [{ code: 'InvalidValue' }]);
  t.strictSame(nonsense.logged, [], 'with a pin that is none it does not run either');
});

t.test('a reload respects the lock', async (t) => {
  const here = project(t);
  await lock(here);
  const old = readFileSync(here.lockFile, 'utf8');
  const { modules, log } = await start(t, here);
  await modules.reload();

  here.write('modules/greeter.ts', greeter({ greeting: 'loaded anew' }));
  t.match(await problemsOf(modules.reload()), [{ code: 'ModuleChanged' }]);
  t.match(modules.status(), [{ id: 'greeter', state: 'running' }], 'what ran goes on');
  await lock(here);
  await modules.reload();
  t.strictSame(
    log.map(({ message }) => message),
    ['loaded', 'loaded anew'],
  );

  writeFileSync(here.lockFile, old);
  t.match(await problemsOf(modules.reload()), [{ code: 'ModuleChanged' }], 'a lock that changed is read anew');
  writeFileSync(here.lockFile, '{');
  t.match(await problemsOf(modules.reload()), [{ code: 'LockUnreadable' }]);
  t.match(modules.status(), [{ id: 'greeter', state: 'running' }]);
});

t.test('with a damaged lock nothing runs', async (t) => {
  const here = project(t);
  writeFileSync(here.lockFile, 'lock: 1\nmodules: {}\n');
  const { problems, logged } = await refused(t, here);
  t.match(problems, [{ code: 'LockUnreadable', message: 'the key "runtime" is missing' }]);
  t.strictSame(logged, []);
  rmSync(here.lockFile);
});

t.test('an embedder says where the lock is', async (t) => {
  const here = project(t);
  await lock(here);
  const lockFile = join(here.dir, 'elsewhere.lock');
  writeFileSync(
    lockFile,
    readFileSync(here.lockFile, 'utf8').replace(/script: .*/, `script: sha256-${'A'.repeat(43)}=`),
  );
  t.match((await refused(t, here, { lockFile })).problems, [{ code: 'ModuleChanged' }]);
  writeFileSync(here.lockFile, readFileSync(lockFile));
  await t.resolves(start(t, here, { lockFile: false }), 'or that there is none');

  const config = { text: readFileSync(here.configFile, 'utf8'), file: here.configFile };
  t.match(
    await problemsOf(
      createModuleRuntime({ config, homeserver: { serverName: 'example.com' }, storage: `${here.dir}/storage` }),
    ),
    [{ code: 'ModuleChanged' }],
  );
  const module = join(here.dir, 'modules/greeter.ts');
  const parsed = { modules: [{ module, id: 'greeter', permissions: { users: ['read'] } }] };
  await t.resolves(start(t, here, { config: parsed }), 'parsed content lies nowhere');
  t.match((await refused(t, here, { config: parsed, lockFile })).problems, [{ code: 'ModuleChanged' }]);
});
