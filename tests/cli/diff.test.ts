// `bulkhead diff` as an admin runs it, and that `bulkhead lock` accepts just what it shows.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { configOf, greeter, HASH, HASHES, lockOf, type Project, project, run } from '../integrity/project.ts';

/** What `diff` says; locking then has to say the same. */
async function told(t: Test, project: Project): Promise<string> {
  const diff = await run(project, 'diff');
  t.strictSame([diff.code, diff.stderr], [1, '']);
  const lock = await run(project, 'lock');
  t.strictSame([lock.code, lock.stderr], [0, '']);
  const paragraphs = (text: string): string => text.split('\n\n').slice(0, -1).join('\n\n');
  t.equal(paragraphs(lock.stdout), paragraphs(diff.stdout));
  return diff.stdout.replace(HASHES, '#');
}

t.test('a diff says what changed', async (t) => {
  const here = project(t);
  t.match(await run(here, 'diff'), {
    code: 2,
    stdout: '',
    stderr: 'error[LockUnreadable] there is no modules.lock\n  hint: `bulkhead lock homeserver.yaml` writes it\n',
  });
  await run(here, 'lock');

  here.write(
    'modules/greeter.ts',
    greeter({ asks: "network: ['evil.example']" }).replace("'./words.js'", "'./more.js'"),
  );
  here.write('modules/more.ts', 'export const hello = "hello";\n');
  const changed = `greeter  ./modules/greeter.ts  [changed]
  script      # -> #
  asks for    + network: evil.example
              - users: read
  files       + modules/more.ts
              - modules/words.ts
              ~ modules/greeter.ts

1 module changed since modules.lock was written.
`;
  const json = await run(here, 'diff', '--json');
  t.equal(json.code, 1);
  t.match(JSON.parse(json.stdout), {
    ok: true,
    file: 'homeserver.yaml',
    lockFile: 'modules.lock',
    different: true,
    runtime: null,
    modules: [
      {
        id: 'greeter',
        state: 'changed',
        script: { locked: HASH, found: HASH },
        asks: { added: ['network: evil.example'], removed: ['users: read'] },
        granted: { added: [], removed: [] },
        dependencies: [],
        files: { added: ['modules/more.ts'], removed: ['modules/words.ts'], changed: ['modules/greeter.ts'] },
      },
    ],
  });
  t.equal(await told(t, here), changed, 'granted or not');
  t.match(await run(here, 'diff'), { code: 0, stdout: 'Nothing changed since modules.lock was written.\n' });

  await t.test('in packages: another version, and the same version with something else in it', async (t) => {
    const manifest = 'node_modules/left-pad/package.json';
    here.write(manifest, readFileSync(join(here.dir, manifest), 'utf8').replace('1.0.0', '1.0.1'));
    here.write('node_modules/left-pad/lib/main.js', 'module.exports = (text) => text + "";');
    t.match(await told(t, here), '  script      # -> #\n  packages    ~ left-pad 1.0.0 -> 1.0.1\n\n');

    here.write('node_modules/left-pad/lib/main.js', 'module.exports = (text) => text.trim();');
    t.match(await told(t, here), '  script      # -> #\n  files       ~ left-pad@1.0.1/lib/main.js\n\n');
  });

  await t.test('where the script stayed the same', async (t) => {
    here.write('modules/more.ts', '// A comment.\nexport const hello = "hello";\n');
    t.match(await told(t, here), '  script      the same\n  files       ~ modules/more.ts\n\n');
  });

  await t.test('in the configuration', async (t) => {
    const grants =
      '    permissions: { users: [read], network: [evil.example], rooms: [read] }\n    isolation: thread\n';
    const another = '  - module: ./modules/greeter.ts\n    id: another\n    permissions: { network: [evil.example] }\n';
    here.write('homeserver.yaml', configOf(another, grants));
    const both = await told(t, here);
    t.match(both, 'another  ./modules/greeter.ts  [new]\n  script      #\n  asks for    + network: evil.example\n');
    t.match(
      both,
      '  isolation   compartment -> thread\n  script      # -> #\n  granted     + network: evil.example\n              + rooms: read\n\n2 modules changed',
    );
    here.write('homeserver.yaml', configOf('', grants));
    t.equal(
      await told(t, here),
      'another  ./modules/greeter.ts  [gone]\n\n1 module changed since modules.lock was written.\n',
    );
  });

  await t.test('in Bulkhead itself', async (t) => {
    const [script = ''] = lockOf(here).match(HASH) ?? [];
    const other = script.replace(/-.{4}/, '-AAAA');
    here.write(
      'modules.lock',
      lockOf(here)
        .replace(script, other)
        .replace(/runtime: .*/, 'runtime: 0.0.1'),
    );
    t.match(
      await told(t, here),
      /^Bulkhead 0\.0\.1 -> .*\n\ngreeter .*\n {2}script +# -> #\n +no file of the module's changed: what Bulkhead makes of them did\n/,
    );
  });
});
