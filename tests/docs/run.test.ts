// What can run in the documentation runs: configurations are checked, programs are run, servers are started and asked, and what a
// console shows is what it shows.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { loadConfig } from '../../packages/examples/homeserver/config.ts';
import { readConfig } from '../../packages/runtime/src/config/read.ts';
import { type Block, type Page, readPages, root } from './markdown.ts';
import { emptyFolder, fileOf, writeFiles } from './project.ts';
import { freePort, listens } from './servers.ts';

const exec = promisify(execFile);
const program = join(root, 'packages/runtime/dist/cli/main.js');
const scripts: Readonly<Record<string, string>> = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts;

/** The port that the documentation's servers listen to. */
const WRITTEN_PORT = /\b8008\b/g;

for (const page of readPages()) {
  const blocks = page.blocks.filter(({ language }) => language in kinds() || language === 'ts' || language === 'js');
  if (blocks.length === 0) continue;
  t.test(page.path, async (t) => {
    const port = await freePort();
    const folder = emptyFolder(`docs-run/${page.slug}`);
    const replace = (text: string): string => text.replace(WRITTEN_PORT, String(port));
    writeFiles(folder, page, replace);
    const context: Context = { t, page, folder, replace, port, servers: [] };
    t.teardown(() => {
      for (const server of context.servers) server.kill();
    });
    for (const block of blocks) {
      const name = `line ${block.line}: ${block.language} ${[...block.words.keys()].join(' ')}`;
      await t.test(name, (t) => runBlock(block, { ...context, t }));
    }
  });
}

interface Context {
  readonly t: Test;
  readonly page: Page;
  readonly folder: string;
  readonly replace: (text: string) => string;
  readonly port: number;
  readonly servers: ChildProcess[];
}

async function runBlock(block: Block, context: Context): Promise<void> {
  await (kinds()[block.language] ?? runCode)(block, context);
}

/** Runs of blocks by their language. */
function kinds(): Readonly<Record<string, (block: Block, context: Context) => Promise<void> | void>> {
  return { yaml: runYaml, console: runConsole, sh: runShell };
}

/** `homeserver`: keys of the example's homeserver, which are none of the runtime's. */
async function runYaml({ text, words }: Block, { t, folder }: Context): Promise<void> {
  if (words.has('homeserver')) {
    const file = join(folder, 'keys.yaml');
    writeFileSync(file, text);
    await t.resolves(loadConfig(file, {}));
    return;
  }
  const { config, problems } = readConfig({ text, file: 'homeserver.yaml' });
  if (words.has('faulty')) t.not(problems.length, 0);
  else t.strictSame(problems, []);
  t.not(config.modules.length, 0);
  if (words.has('defaults')) {
    const [entry] = config.modules;
    const bare = readConfig({ text: `modules: [{ module: ${entry?.specifier} }]`, file: 'homeserver.yaml' }).config;
    t.strictSame(plain(entry), plain(bare.modules[0]));
    t.match({ ...bare, containment: 'process' }, { containment: config.containment, fanOut: config.fanOut });
  }
  if (words.has('check')) {
    const { code, output } = await node([program, 'check', words.get('file') as string], folder);
    t.equal(code, 0, output);
  }
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

async function runCode(block: Block, { t, page, folder, port, servers }: Context): Promise<void> {
  const file = fileOf(block);
  if (block.words.has('run')) {
    const { code, output } = await node(['--import=tsx', file], folder);
    t.equal(code, 0, output);
  } else if (block.words.has('serve')) {
    const server = spawnNode(['--import=tsx', file], folder);
    let output = '';
    server.stderr?.on('data', (text) => {
      output += text;
    });
    servers.push(server);
    t.ok(await listens(port, server), output);
  } else if (block.words.has('file')) {
    const others = page.blocks.filter((other) => other !== block).map(({ text }) => text);
    t.ok(
      others.some((text) => text.includes(file.replace(/\.ts$/, ''))),
      `${file} is used by another block`,
    );
  } else {
    t.pass('type-checked elsewhere');
  }
}

async function runConsole({ text }: Block, { t, folder, replace }: Context): Promise<void> {
  for (const [command, expected] of commandsIn(text)) {
    const [name, ...args] = wordsOf(replace(command));
    let output: string;
    if (name === 'curl') output = await curl(args);
    else if (name === 'npx' && args[0] === 'bulkhead') {
      output = (await node([program, ...args.slice(1)], folder)).output;
    } else throw new Error(`a command that the tests do not know: ${command}`);
    t.equal(normal(output), normal(expected), command);
  }
}

async function runShell({ text }: Block, { t, folder }: Context): Promise<void> {
  for (const line of text.trim().split('\n')) {
    const [name, ...args] = wordsOf(line);
    if (name === 'npm') t.ok(scripts[args[0] === 'run' ? (args[1] ?? '') : (args[0] ?? '')], line);
    else if (name === 'npx' && args[0] === 'bulkhead') {
      const file = args.at(-1) ?? '';
      const { code } = await node([program, ...args.slice(1)], folder);
      t.equal(code, existsSync(join(folder, file)) ? 0 : 2, line);
    } else throw new Error(`a command that the tests do not know: ${line}`);
  }
}

/** What differs from one run to the next. */
const normal = (text: string): string =>
  text
    .trimEnd()
    .replace(/\d+(\.\d+)? (ms|MiB of)/g, 'N $2')
    .replace(/sha256-\S{44}/g, 'sha256-')
    .replace(/\d+\.\d+\.\d+/g, 'N.N.N');

function commandsIn(text: string): readonly (readonly [command: string, output: string])[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf('\n');
      return [part.slice(0, end), part.slice(end + 1)] as const;
    });
}

/** Words as a shell splits them, as far as the documentation goes: single quotes only. */
const wordsOf = (command: string): readonly string[] =>
  [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');

async function curl(args: readonly string[]): Promise<string> {
  let url = '';
  const init: RequestInit = {};
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] as string;
    if (arg === '-d') {
      init.method = 'POST';
      init.body = args[++index] ?? '';
      init.headers = { 'content-type': 'application/json' };
    } else url = arg;
  }
  return (await fetch(url, init)).text();
}

interface Ended {
  readonly code: number;
  readonly output: string;
}

async function node(args: readonly string[], cwd: string): Promise<Ended> {
  try {
    const { stdout, stderr } = await exec('env', ['-u', 'NODE_OPTIONS', process.execPath, ...args], { cwd });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}

// tap would give the process, and the hulls that it starts, an import of its own by NODE_OPTIONS.
const spawnNode = (args: readonly string[], cwd: string): ChildProcess =>
  spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, ...args], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
