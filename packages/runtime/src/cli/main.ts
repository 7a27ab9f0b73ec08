#!/usr/bin/env node
// The program `bulkhead`. Exit codes: 0 all is well, 1 something failed that is not the user's doing, 2 the configuration or
// a module is wrong, 64 the program was called wrongly, 130 and 143 ended by SIGINT and SIGTERM.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ConfigurationError } from '../config/problem.js';
import { type Check, checkConfiguration } from './check.js';
import { renderCheck, renderProblems } from './render.js';

const HELP = `Usage: bulkhead <command> [options]

Commands:
  check <homeserver.yaml>   Load and set up every module of the file, tell what each
                            does and may do, and end them. Nothing is changed: what
                            modules store goes to a folder that is removed again.

Options:
  --json       Print one JSON object instead of text.
  -h, --help   Print this help.
  --version    Print the version.

Exit codes: 0 all is well; 2 the configuration or a module is wrong;
64 the program was called wrongly; 1 anything else.
`;

const exits = { ok: 0, failed: 1, wrong: 2, usage: 64 } as const;

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
  if (command !== 'check') throw new UsageError(`there is no command "${command}"`);
  const [file, ...more] = operands;
  if (file === undefined) throw new UsageError('check needs a file, such as homeserver.yaml');
  if (more.length > 0) throw new UsageError(`check takes one file, got ${operands.length}`);
  return check(file, values.json ?? false);
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

async function check(file: string, json: boolean): Promise<number> {
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
  let checked: Check;
  try {
    checked = await checkConfiguration(file, signals.signal);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const { problems } = error;
    if (json) print({ ok: false, file, problems });
    else process.stderr.write(renderProblems(problems, { color: isColourful(process.stderr) }));
    return exits.wrong;
  }
  if (json) print({ ok: true, file, ...checked });
  else process.stdout.write(renderCheck(file, checked, { color: isColourful(process.stdout) }));
  return exits.ok;
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** https://no-color.org */
function isColourful({ isTTY }: NodeJS.WriteStream): boolean {
  return isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { readonly version: string }).version;
}
