// `npm start` as a process of its own: the guided tour, staying up, Ctrl-C, and what it says when something is wrong.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { examples, fixtures } from './harness.ts';

const main = fileURLToPath(new URL('dist/homeserver/main.js', `file://${examples}`));
// A tour takes some 10 s by itself; the machine may be busy with others.
t.setTimeout(280_000);

interface Run {
  readonly process: ChildProcess;
  stdout: string;
  stderr: string;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

function start(t: Test, ...args: readonly string[]): Run {
  // What tap has every process load, the permissions of a hull do not let it read.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const run: Run = {
    process: child,
    stdout: '',
    stderr: '',
    ended: once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string),
  };
  child.stdout.on('data', (text: Buffer) => {
    run.stdout += text;
  });
  child.stderr.on('data', (text: Buffer) => {
    run.stderr += text;
  });
  return run;
}

/** What the process said, once it matches. */
async function says(run: Run, pattern: RegExp): Promise<RegExpExecArray> {
  for (;;) {
    const found = pattern.exec(run.stdout);
    if (found) return found;
    if (run.process.exitCode !== null) throw new Error(`it ended: ${run.stdout}${run.stderr}`);
    await delay(50);
  }
}

/** Processes that run, by their parents'. */
async function processes(): Promise<{ pid: number; parent: number; command: string }[]> {
  const found = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = await readFile(`/proc/${name}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const command = (await readFile(`/proc/${name}/cmdline`, 'utf8')).replaceAll('\0', ' ');
      if (state !== 'Z') found.push({ pid: Number(name), parent: Number(parent), command });
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}

async function childrenOf(pid: number): Promise<number[]> {
  return (await processes()).filter(({ parent }) => parent === pid).map(({ pid }) => pid);
}

async function stillThere(pids: readonly number[]): Promise<string[]> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    // A number may be given to another process: only hulls count.
    const left = (await processes()).filter(({ pid, command }) => pids.includes(pid) && command.includes('hull'));
    if (left.length === 0 || Date.now() > deadline) return left.map(({ pid, command }) => `${pid} ${command}`);
    await delay(50);
  }
}

const steps = (run: Run) => ({
  passed: run.stdout.match(/^ {2}\S*✓/gmu)?.length ?? 0,
  failed: run.stdout.match(/^ {2}\S*✗.*\n.*/gmu) ?? [],
});

/** Takes the tour and goes. */
async function takesTheTour(t: Test, ...args: readonly string[]): Promise<Run> {
  const run = start(t, '--once', '--port', '0', ...args);
  t.equal(await run.ended, 0, 'exit code 0');
  const { passed, failed } = steps(run);
  t.same(failed, []);
  t.ok(passed >= 24, `${passed} steps passed`);
  t.match(run.stdout, new RegExp(`${passed} steps came out as they should, 0 did not`));
  t.notMatch(run.stderr, /^\s+at /m, 'no stack traces');
  if (!t.passing()) t.comment(run.stdout + run.stderr);
  return run;
}

t.test('--once: the tour, and the end', async (t) => {
  const run = await takesTheTour(t);
  t.match(run.stdout, /culprit: rogue-abort/);
  t.match(run.stdout, /serving again \d+ ms after the kill/);
  t.match(run.stdout, /\d+ ms after the hull's end/);
});

t.test('with twenty modules', async (t) => {
  const run = await takesTheTour(t, '--config', `${examples}homeserver-20.yaml`);
  t.match(run.stdout, /20 modules \(/);
});

t.test('without --once it stays up, answers, and Ctrl-C ends it with nothing left', async (t) => {
  const run = start(t, '--port', '0', '--no-tour');
  const [, url] = (await says(run, /stays up at \S*?(http:\/\/[\d.]+:\d+)/)) as unknown as [string, string];
  await says(run, /Ctrl-C stops it/);

  const hello = await fetch(`${url}/_synapse/client/demo/hello?name=you`);
  t.same(await hello.json(), { hello: 'you' });
  const page = await fetch(`${url}/_matrix/client/versions`);
  t.ok(((await page.json()) as { versions: string[] }).versions.length > 0);
  t.equal(run.process.exitCode, null);

  const { port } = new URL(url);
  await t.test('a second one on its port says so', async (t) => {
    const second = start(t, '--port', port, '--no-tour');
    t.equal(await second.ended, 1);
    t.match(second.stderr, `Port ${port} of 127.0.0.1 is taken`);
    t.notMatch(second.stderr, /^\s+at /m, 'no stack trace');
  });
  t.equal((await fetch(`${url}/_matrix/client/versions`)).status, 200, 'the first does not mind');

  const hulls = await childrenOf(run.process.pid as number);
  t.ok(hulls.length > 0, 'hulls run');
  run.process.kill('SIGINT');
  t.equal(await run.ended, 0, 'exit code 0');
  t.same(await stillThere(hulls), [], 'no process is left');
  t.notMatch(run.stderr, /^\s+at /m);
});

t.test('Ctrl-C in the middle of the tour', async (t) => {
  const run = start(t, '--port', '0');
  await says(run, /alice registers/);
  const hulls = await childrenOf(run.process.pid as number);
  run.process.kill('SIGINT');
  t.type(await run.ended, 'number', 'it ends by itself');
  t.same(await stillThere(hulls), []);
  t.notMatch(run.stderr, /^\s+at /m);
});

t.test('--help', async (t) => {
  const run = start(t, '--help');
  t.equal(await run.ended, 0);
  for (const option of ['--once', '--no-tour', '--config', '--port', '--data', '--verbose'])
    t.match(run.stdout, option);
  t.equal(run.stderr, '');
});

t.test('wrong arguments', async (t) => {
  for (const [args, message] of [
    [['--port', 'many'], /--port: expected a port number, got "many"/],
    [['--twice'], /--twice/],
  ] as const) {
    const run = start(t, ...args);
    t.equal(await run.ended, 2);
    t.match(run.stderr, message);
    t.match(run.stderr, /--once/, 'and the usage');
    t.notMatch(run.stderr, /^\s+at /m);
  }
});

t.test('a configuration that is wrong', async (t) => {
  const wrong = (name: string) => start(t, '--port', '0', '--config', `${fixtures}${name}`);
  const cases: [string, RegExp[]][] = [
    ['wrong.yaml', [/wrong\.yaml:5:14/, /timeout: soon/, /wrong\.yaml:6:13/]],
    ['wrong-keys.yaml', [/wrong-keys\.yaml:4:5: /, /wrong-keys\.yaml:5:11: listen\.prot/]],
    ['broken-yaml.yaml', [/broken-yaml\.yaml:\d+:\d+/]],
    ['not-there.yaml', [/not-there\.yaml: .*no such file/]],
  ];
  for (const [name, messages] of cases) {
    const run = wrong(name);
    t.equal(await run.ended, 2, `${name}: exit code 2`);
    for (const message of messages) t.match(run.stderr, message);
    t.notMatch(run.stderr, /^\s+at /m, 'no stack trace');
    t.equal(run.stdout, '', 'nothing was started');
  }
});
