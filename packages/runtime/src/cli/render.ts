// What the program prints. Much of it comes from modules, so no control character gets to the terminal.

import picocolors from 'picocolors';
import { grantLine } from '../api/permissions.js';
import type { Grants, Problem } from '../config/entry.js';
import { formatProblems, printable } from '../config/problem.js';
import type { Check, CheckedModule, Note, Permissions } from './check.js';

interface Style {
  readonly color: boolean;
}
type Paint = ReturnType<typeof picocolors.createColors>;

export function renderCheck(file: string, { serverName, modules, notes }: Check, { color }: Style): string {
  const paint = picocolors.createColors(color);
  const ready = modules.filter(({ state }) => state === 'ready');
  const parked = modules.length - ready.length;
  const heading = `${paint.bold(printable(file))}: ${count(modules.length)} on ${printable(serverName)}`;
  const verdict =
    parked === 0
      ? paint.green(modules.length === 0 ? 'Nothing to set up.' : `${count(ready.length)} set up.`)
      : paint.yellow(`${count(ready.length)} set up, ${parked} parked.`);
  const paragraphs = [heading, ...modules.map((module) => renderModule(module, paint)), ...renderNotes(notes, paint)];
  return `${[...paragraphs, verdict].join('\n\n')}\n`;
}

export function renderProblems(problems: readonly Problem[], style: Style): string {
  const text = formatProblems(problems, style);
  const unsupported = problems.some(({ message }) => message.includes('does not support'));
  return `${text}\n${unsupported ? `\n${WITHOUT_HOMESERVER}\n` : ''}`;
}

const WITHOUT_HOMESERVER =
  'check runs without a homeserver: a module that asks one for something while it is set up cannot be checked here.';

function renderModule(module: CheckedModule, paint: Paint): string {
  const { id, state, mode, callbacks, resources, startMs, memory, memoryLimit } = module;
  const marks = [mode === 'observe' ? 'observe' : '', state === 'parked' ? 'parked' : ''].filter(Boolean);
  const title = [
    paint.bold(printable(id)),
    id === module.module ? '' : paint.dim(printable(module.module)),
    marks.length === 0 ? '' : paint.yellow(`[${marks.join(', ')}]`),
  ];
  const used = memory === null ? 'memory unknown' : `${mebibytes(memory)} MiB`;
  const rows: [label: string, lines: readonly string[]][] = [
    ['callbacks', callbacks],
    ['resources', resources.map(printable)],
    ['permissions', renderPermissions(module.permissions, paint)],
    ['set up in', state === 'ready' ? [`${startMs} ms`] : []],
    ['memory', state === 'ready' ? [`${used} of ${mebibytes(memoryLimit)} MiB`] : []],
    ['notes', renderNotes(module.notes, paint)],
  ];
  return [
    title.filter(Boolean).join('  '),
    ...rows.flatMap(([label, lines]) =>
      lines.map((line, index) => `  ${paint.dim((index === 0 ? label : '').padEnd(12))}${line}`),
    ),
  ].join('\n');
}

function renderPermissions({ granted, missing, unasked }: Permissions, paint: Paint): readonly string[] {
  const lines: string[] = [];
  for (const [group, values] of Object.entries(granted)) {
    for (const value of values) {
      const idle = unasked[group]?.includes(value) ?? false;
      lines.push(`${group}: ${value}${idle ? paint.yellow('  granted, but not asked for') : ''}`);
    }
  }
  for (const [group, values] of Object.entries(missing)) {
    for (const value of values) {
      const line = printable(grantLine(group as keyof Grants, value));
      lines.push(
        `${printable(group)}: ${printable(value)}${paint.yellow(`  asked for, but not granted; to grant it: ${line}`)}`,
      );
    }
  }
  return lines.length === 0 ? ['none'] : lines;
}

function renderNotes(notes: readonly Note[], paint: Paint): readonly string[] {
  return notes.map(
    ({ level, message }) => `${level === 'warn' ? paint.yellow(level) : paint.red(level)}: ${printable(message)}`,
  );
}

const count = (modules: number): string => `${modules} ${modules === 1 ? 'module' : 'modules'}`;

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1).replace(/\.0$/, '');
