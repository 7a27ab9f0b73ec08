// The logger that an embedder passes, and what modules may write through it.

import { createRateLimit } from '../api/quota.js';
import type { logLevels } from '../wire/record.js';

/** The part of pino's interface that the runtime uses. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What ends a line, moves the cursor of a terminal, or turns the direction of what follows. */
const CONTROLS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** Messages quote modules, who would write lines of their own in the host's name, or on the admin's terminal. */
export function withPlainMessages(logger: Logger): Logger {
  const spelled = (control: string): string => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const plain = (message: string): string => message.replace(CONTROLS, spelled);
  return {
    debug: (fields, message) => logger.debug(fields, plain(message)),
    info: (fields, message) => logger.info(fields, plain(message)),
    warn: (fields, message) => logger.warn(fields, plain(message)),
    error: (fields, message) => logger.error(fields, plain(message)),
  };
}

/** Whether the line was written. */
export type ModuleLog = (level: (typeof logLevels)[number], message: string, fields?: unknown) => boolean;

const MOST_DENIALS = 20;
const LONGEST_DENIAL = 500;

/** Tells the admin what a module called without a permission: each thing once, and not more than a few. */
export function createDenialLog(logger: Logger, module: string): (method: string, message: string) => void {
  const told = new Set<string>();
  return (method, message) => {
    const text = message.slice(0, LONGEST_DENIAL);
    if (told.size >= MOST_DENIALS || told.has(text)) return;
    told.add(text);
    logger.warn({ module, method }, `${module}: ${text}`);
  };
}

const LINES_PER_SECOND = 50;
const BURST = 500;

/** A module's lines, with its id on them; what goes over the limit is counted and told with the next line that passes. */
export function createModuleLog(logger: Logger, module: string): ModuleLog {
  const limit = createRateLimit({ perSecond: LINES_PER_SECOND, burst: BURST });
  return (level, message, fields) => {
    if (!limit.take()) return false;
    const dropped = limit.takeDropped();
    if (dropped > 0) logger.warn({ module, dropped }, `${dropped} log lines of the module were dropped`);
    // Under a key of their own, so that a module's fields cannot pass for the host's.
    logger[level]({ module, ...(fields === undefined ? {} : { fields }) }, message);
    return true;
  };
}
