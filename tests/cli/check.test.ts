// `bulkhead check` as an admin runs it: a process with a file.

import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { program, runProgram, startProgram } from './program.ts';

const fixtures = join(import.meta.dirname, 'fixtures');

const start = (args: readonly string[], temporary = t.testdir({})) => startProgram(args, { cwd: fixtures, temporary });
const run = (args: readonly string[], temporary = t.testdir({})) => runProgram(args, { cwd: fixtures, temporary });

t.test('says of each module what it does and may do', async (t) => {
  const temporary = t.testdir({});
  const { code, stdout, stderr } = await run(['check', 'homeserver.yaml'], temporary);
  t.equal(stderr, '');
  t.equal(code, 0);
  t.equal(
    stdout
      .replace(/\d+ ms/, 'N ms')
      .replace(/[\d.]+ MiB of/, 'N MiB of')
      .replace(`${fixtures}/`, ''),
    `homeserver.yaml: 2 modules on cli.example

greeter  ./greeter.ts#Greeter
  callbacks   user_may_invite
  resources   /greetings
  asks for    network: api.example.com, other.org:8080
              rooms: write
              storage: 1MiB
  granted     network: *.example.com, other.org:8080
              users: read (not asked for)
              rooms: read (not asked for), write
              web_paths: /greetings (not asked for)
              storage: 64MiB
  set up in   N ms
  memory      N MiB of 48 MiB
  notes       warn: this clears the screen: \\u001b[2J

optional  ./greeter.ts#Optional  [observe, parked]
  asks for    nothing
  granted     nothing
  notes       error: optional is parked: Error: not today (greeter.ts:22:11)

1 module set up, 1 parked.
`,
  );
  t.strictSame(readdirSync(temporary), [], 'what the module stored is gone');
  t.notOk(existsSync(join(fixtures, 'module-data')), "the homeserver's storage was not touched");
});

t.test('says the same as JSON', async (t) => {
  const { code, stdout } = await run(['check', '--json', 'homeserver.yaml']);
  t.equal(code, 0);
  const report = JSON.parse(stdout);
  t.match(report, {
    ok: true,
    file: 'homeserver.yaml',
    serverName: 'cli.example',
    modules: [
      {
        id: 'greeter',
        module: './greeter.ts#Greeter',
        state: 'ready',
        mode: 'enforce',
        callbacks: ['user_may_invite'],
        resources: ['/greetings'],
        startMs: Number,
        memory: Number,
        memoryLimit: 48 * 2 ** 20,
      },
      { id: 'optional', state: 'parked', mode: 'observe', callbacks: [], memory: null },
    ],
    notes: [],
  });
  t.strictSame(report.modules[0].permissions, {
    asked: { network: ['api.example.com', 'other.org:8080'], rooms: ['write'], storage: ['1MiB'] },
    granted: {
      network: ['*.example.com', 'other.org:8080'],
      users: ['read'],
      rooms: ['read', 'write'],
      web: [],
      web_paths: ['/greetings'],
      storage: ['64MiB'],
    },
    unasked: { users: ['read'], rooms: ['read'], web_paths: ['/greetings'] },
  });
});

t.test('shows every fault with its place, and exits with 2', async (t) => {
  const temporary = t.testdir({});
  const { code, stdout, stderr } = await run(['check', 'faulty.yaml'], temporary);
  t.equal(code, 2);
  t.equal(stdout, '');
  t.match(stderr, 'error[ExportNotFound] modules[0].module (faulty.yaml:2:13): there is no export "Greter"');
  t.match(stderr, '  2 |   - module: ./greeter.ts#Greter\n    |             ^');
  t.match(stderr, 'hint: did you mean "Greeter"?');
  t.match(stderr, 'error[SetupFailed] modules[1].module (faulty.yaml:4:13): Error: not today');
  t.match(
    stderr,
    `error[NotGranted] modules[2].permissions (faulty.yaml:8:18): it needs what is not granted: network: other.org:8080; rooms: write`,
  );
  t.match(
    stderr,
    'hint: to grant it, the entry has to say: permissions: { network: ["*.example.com", other.org:8080], rooms: [write] }',
  );
  t.notMatch(stderr, '\u001b', 'no colours in a pipe');
  t.strictSame(readdirSync(temporary), []);

  const json = await run(['check', 'faulty.yaml', '--json']);
  t.equal(json.code, 2);
  t.equal(json.stderr, '');
  t.match(JSON.parse(json.stdout), {
    ok: false,
    problems: [
      { code: 'ExportNotFound', module: 'greeter', path: 'modules[0].module', place: { line: 2, column: 13 } },
      { code: 'SetupFailed', module: 'optional' },
      { code: 'NotGranted', module: 'ungranted', path: 'modules[2].permissions' },
    ],
  });
});

t.test('a file that is not there is a fault of the configuration', async (t) => {
  const { code, stderr } = await run(['check', 'nowhere.yaml']);
  t.equal(code, 2);
  t.match(stderr, 'error[FileNotReadable] nowhere.yaml cannot be read: there is no such file');
});

t.test('a file without modules is well', async (t) => {
  const { code, stdout } = await run(['check', 'none.yaml']);
  t.equal(code, 0);
  t.equal(stdout, 'none.yaml: 0 modules on localhost\n\nNothing to set up.\n');
});

t.test('tells how it is called', async (t) => {
  const version: string = JSON.parse(readFileSync(join(program, '../../../package.json'), 'utf8')).version;
  t.match(await run(['--version']), { code: 0, stdout: `${version}\n` });
  t.match(await run(['--help']), { code: 0, stdout: /^Usage: bulkhead <command>/, stderr: '' });
  t.match(await run(['check', '-h']), { code: 0, stdout: /^Usage: bulkhead <command>/ });
  for (const [args, message] of [
    [[], 'which command?'],
    [['chekc'], 'there is no command "chekc"'],
    [['check'], 'check needs a file, such as homeserver.yaml'],
    [['check', 'a', 'b'], 'check takes one file, got 2'],
    [['check', '--jsno', 'a'], "Unknown option '--jsno'"],
  ] as const) {
    const ended = await run(args);
    t.strictSame(ended, { code: 64, stdout: '', stderr: `bulkhead: ${message}\nTry: bulkhead --help\n` });
  }
});

t.test('ends cleanly when it is told to', { skip: process.platform !== 'linux' && 'reads /proc' }, async (t) => {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const temporary = t.testdir({});
    const child = start(['check', 'slow.yaml'], temporary);
    const ended = once(child, 'exit');
    let hulls: readonly number[] = [];
    while (hulls.length === 0) {
      await sleep(50);
      hulls = childrenOf(child.pid as number);
    }
    await sleep(500);
    t.equal(readdirSync(temporary).length, 1);
    child.kill(signal);
    const [exitCode] = await ended;
    t.equal(exitCode, code);
    t.strictSame(readdirSync(temporary), []);
    for (let waited = 0; hulls.some(isAlive) && waited < 2_000; waited += 50) await sleep(50);
    t.notOk(hulls.some(isAlive), 'its hulls are gone');
  }
});

function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => statOf(candidate)?.parent === pid);
}

const isAlive = (pid: number): boolean => !'ZX'.includes(statOf(pid)?.state ?? 'X');

function statOf(pid: number): { readonly state: string; readonly parent: number } | undefined {
  try {
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return { state: state ?? 'X', parent: Number(parent) };
  } catch {
    return undefined;
  }
}
