// A folder as an admin has it: a configuration, a module that greets in the log when it is loaded, and a package that it imports.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type Ended, runProgram } from '../cli/program.ts';

export interface Project {
  readonly dir: string;
  readonly configFile: string;
  readonly lockFile: string;
  write(file: string, text: string): void;
}

export function project(t: Test, { grants }: { readonly grants?: string } = {}): Project {
  const dir = t.testdir({
    'homeserver.yaml': configOf('', grants),
    'package.json': '{ "name": "the-server", "version": "7.0.0", "type": "module" }',
    modules: { 'greeter.ts': greeter(), 'words.ts': 'export const hello = "hello";\n' },
    node_modules: { 'left-pad': leftPad('1.0.0') },
  });
  return {
    dir,
    configFile: join(dir, 'homeserver.yaml'),
    lockFile: join(dir, 'modules.lock'),
    write: (file, text) => writeFileSync(join(dir, file), text),
  };
}

export const HASH = /sha256-[A-Za-z0-9+/]{43}=/;
export const HASHES = new RegExp(HASH, 'g');

export const lockOf = ({ lockFile }: Project): string => readFileSync(lockFile, 'utf8');

/** Runs a command of the program on the configuration. */
export const run = ({ dir }: Pick<Project, 'dir'>, ...args: readonly string[]): Promise<Ended> =>
  runProgram([...args, 'homeserver.yaml'], { cwd: dir });

/** What the module asks for. */
const GRANTS = '    permissions: { users: [read] }\n';

export const configOf = (entry: string, grants = GRANTS): string => `modules:
  - module: ./modules/greeter.ts
    id: greeter
${grants}${entry}`;

export const greeter = ({ asks = "users: ['read']", greeting = 'loaded' } = {}): string => `
import pad from 'left-pad';
import { hello } from './words.js';

console.log('${greeting}');

export default class {
  static permissions = { ${asks} };
  static parseConfig(config) {
    if (config.asks !== undefined) this.permissions = config.asks;
    return config;
  }
  constructor(config, api) {
    api.registerSpamCheckerCallbacks({ userMayInvite: () => pad(hello) === hello || 'M_FORBIDDEN' });
  }
}
`;

export const leftPad = (version: string, code = 'module.exports = (text) => text;') => ({
  'package.json': JSON.stringify({ name: 'left-pad', version, main: 'lib/main.js' }),
  lib: { 'main.js': code, 'package.json': '{ "type": "commonjs" }' },
});
