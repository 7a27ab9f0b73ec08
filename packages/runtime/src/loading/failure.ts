// What loading answers when a module cannot be loaded. Where in the configuration that is, the caller knows.

import type { Fault, ProblemCode } from '../config/entry.js';
import { frame } from '../config/frame.js';
import { shortName } from './imports.js';

export interface LoadFailure {
  readonly ok: false;
  readonly faults: readonly Fault[];
}

export const failure = (code: ProblemCode, message: string, hint?: string): LoadFailure => ({
  ok: false,
  faults: [{ code, message, hint }],
});

export interface SourceLine {
  readonly file: string;
  readonly line: number;
  /** From 1. */
  readonly column: number;
  readonly lineText: string;
}

/** A message about a line of the module's own. */
export const messageAt = (text: string, { file, line, column, lineText }: SourceLine, workDir: string): string =>
  `${shortName(file, workDir)}:${line}:${column}: ${text}\n${frame(lineText, line, column)}`;
