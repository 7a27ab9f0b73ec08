// How packages are looked up, by the isolation that the module will run in.

import type { BuildOptions } from 'esbuild';
import type { ModuleEntry } from '../config/entry.js';

export type Isolation = ModuleEntry['isolation'];

export function packageRules(isolation: Isolation): BuildOptions {
  return isolation === 'thread'
    ? { platform: 'node', conditions: ['module'], mainFields: ['module', 'main'] }
    : { platform: 'browser', conditions: ['browser', 'worker', 'module'], mainFields: ['browser', 'module', 'main'] };
}
