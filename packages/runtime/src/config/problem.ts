// Problems: how they are made and how they read. Whoever finds a fault says what; here it gets its where.

import picocolors from 'picocolors';
import type { Fault, ModuleEntry, Path, Problem } from './entry.js';

/** The configuration is wrong, or a module that it names is. Nothing was started. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly code = 'ConfigurationError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(formatProblems(problems));
    this.problems = problems;
  }
}

/**
 * Says where in the configuration a module's fault is.
 * @param path from the entry's root, such as `['config', 'words', 0]`
 */
export function problemAt(entry: ModuleEntry, fault: Fault, path: Path = []): Problem {
  return {
    code: fault.code,
    message: fault.message,
    hint: fault.hint,
    module: entry.id,
    path: entry.path + pathText(path, '.'),
    place: entry.locate(path),
  };
}

/** Whether the entry has such a key of its own. A key that is not there is placed where the entry begins. */
export function says({ locate }: Pick<ModuleEntry, 'locate'>, key: string): boolean {
  const [entry, place] = [locate([]), locate([key])];
  return place !== undefined && (place.line !== entry?.line || place.column !== entry.column);
}

/** Renders problems as a compiler does: what and where, the offending line, a hint. */
export function formatProblems(problems: readonly Problem[], { color = false }: { color?: boolean } = {}): string {
  const paint = picocolors.createColors(color);
  return problems.map((problem) => format(problem, paint)).join('\n\n');
}

function format(
  { code, message, path, place, hint }: Problem,
  paint: ReturnType<typeof picocolors.createColors>,
): string {
  const position = place && `(${place.file}:${place.line}:${place.column})`;
  const where = [path && printable(path), position].filter(Boolean).join(' ');
  const [first, ...more] = printable(message).split('\n');
  const headline = `${paint.red(paint.bold(`error[${code}]`))} ${where && `${paint.bold(where)}: `}${first}`;
  return [
    headline,
    ...more.map((line) => `  ${line}`),
    ...(place ? [paint.dim(place.frame)] : []),
    ...(hint ? [`  ${paint.cyan('hint:')} ${printable(hint).replaceAll('\n', '\n        ')}`] : []),
  ].join('\n');
}

/** In the order of the file. */
export function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const line = ({ place }: Problem) => place?.line ?? 0;
  const column = ({ place }: Problem) => place?.column ?? 0;
  return problems.toSorted((a, b) => line(a) - line(b) || column(a) - column(b));
}

/** Text without control characters: what a module says may be meant for the admin's terminal rather than for him. */
export const printable = (text: string): string => text.replace(/[^\P{Cc}\n]|\p{Cf}/gu, '\u{fffd}');

/** `modules[1].config.words`; a key that could not stand in such a path is quoted. `lead` goes before a first key. */
export function pathText(path: Path, lead = ''): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`;
      if (!/^[\w-]+$/.test(part)) return `[${JSON.stringify(part)}]`;
      return index === 0 ? lead + part : `.${part}`;
    })
    .join('');
}
