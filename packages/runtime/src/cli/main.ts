#!/usr/bin/env node
// The program `bulkhead`. Exit codes: 0 all is well, 1 `diff` found a difference, 2 the configuration, the lock or a module is
// wrong, 64 the program was called wrongly, 70 something failed that is not the user's doing, 130 and 143 ended by SIGINT and
// SIGTERM.

import { parseArgs } from 'node:util';
import { ConfigurationError } from '../config/problem.js';
import { version } from '../version.js';
import { checkConfiguration } from './check.js';
import { diffModules, lockModules } from './integrity.js';
import { renderCheck, renderDiff, renderLock, renderProblems, type Style } from './render.js';

const HELP = `Usage: bulkhead <command> [options]

Commands:
  check <homeserver.yaml>   Load and set up every module of the file, tell what each
                            does and may do, and end them. Nothing is changed: what
                            modules store goes to a folder that is removed again.
  lock <homeserver.yaml>    Write modules.lock beside the file: what each module consists
                            of and asks for. From then on a module that is something
                            else does not start.
  diff <homeserver.yaml>    Tell what changed since. Like lock, it loads every module
                            into a cell, but sets none up.

Options:
  --json       Print one JSON object instead of text.
  -h, --help   Print this help.
  --version    Print the version.

Exit codes: 0 all is well; 1 diff found a difference; 2 the configuration,
the lock or a module is wrong; 64 the program was called wrongly;
70 anything else.
`;

const exits = { ok: 0, different: 1, wrong: 2, usage: 64, failed: 70 } as const;

/** What a command has to say when nothing is wrong. */
interface Result {
  readonly json: object;
  readonly text: (style: Style) => string;
  readonly exit: number;
}

const commands = {
  async check(file, signal) {
    const checked = await checkConfiguration(file, signal);
    return { json: checked, text: (style) => renderCheck(file, checked, style), exit: exits.ok };
  },
  async lock(file) {
    const locked = await lockModules(file);
    return { json: locked, text: (style) => renderLock(locked, style), exit: exits.ok };
  },
  async diff(file) {
    const compared = await diffModules(file);
    return {
      json: compared,
      text: (style) => renderDiff(compared, style),
      exit: compared.different ? exits.different : exits.ok,
    };
  },
} satisfies Record<string, (file: string, signal: AbortSignal) => Promise<Result>>;

const isCommand = (name: string): name is keyof typeof commands => Object.hasOwn(commands, name);

class UsageError extends Error {}

// Whoever reads our output may stop reading.
process.stdout.on('error', () => process.exit());

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = error instanceof UsageError ? exits.usage : exits.failed;
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`bulkhead: ${text}\n${error instanceof UsageError ? 'Try: bulkhead --help\n' : ''}`);
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    process.stdout.write(HELP);
    return exits.ok;
  }
  if (values.version) {
    process.stdout.write(`${version()}\n`);
    return exits.ok;
  }
  const [command, ...operands] = positionals;
  if (command === undefined) throw new UsageError('which command?');
  if (!isCommand(command)) throw new UsageError(`there is no command "${command}"`);
  const [file, ...more] = operands;
  if (file === undefined) throw new UsageError(`${command} needs a file, such as homeserver.yaml`);
  if (more.length > 0) throw new UsageError(`${command} takes one file, got ${operands.length}`);
  return run(command, file, values.json ?? false);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
  } catch (error) {
    // Its messages go on with advice about "--" after the first sentence.
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
}

async function run(command: keyof typeof commands, file: string, json: boolean): Promise<number> {
  const signals = new AbortController();
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      signals.abort();
      // Hulls end by themselves when their host is gone.
      process.exit(code);
    });
  }
  try {
    const result = await commands[command](file, signals.signal);
    if (json) print({ ok: true, file, ...result.json });
    else process.stdout.write(result.text({ color: isColourful(process.stdout) }));
    return result.exit;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const { problems } = error;
    if (json) print({ ok: false, file, problems });
    else process.stderr.write(renderProblems(problems, { color: isColourful(process.stderr) }));
    return exits.wrong;
  }
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** https://no-color.org */
function isColourful({ isTTY }: NodeJS.WriteStream): boolean {
  return isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}
