// Validation: a schema's issues become problems with places, and what is right is kept.

import * as v from 'valibot';
import type { Fault, ModuleEntry, Path, Problem } from './entry.js';
import { decodeFault, isMapping } from './expected.js';
import { inOrder, pathText } from './problem.js';
import type { Source } from './source.js';

/** The problems of one source, each with its place. */
export class Problems {
  readonly #source: Source;
  readonly #found: Problem[] = [];

  constructor(source: Source) {
    this.#source = source;
    for (const { path, place, ...fault } of source.faults) {
      this.#found.push({ ...fault, module: this.#moduleAt(path), path: pathText(path) || undefined, place });
    }
  }

  /** Validates what it can: keys that are wrong are reported and left out. `undefined` if nothing is left to go on with. */
  check<T>(schema: v.GenericSchema<unknown, T>, input: unknown, root: Path): Checked<T> | undefined {
    const result = v.safeParse(schema, input);
    if (result.success) return { value: result.output, broken: new Set() };
    const broken = new Set<string>();
    for (const issue of result.issues) {
      const inner = (issue.path ?? []).map(({ key }) => key as string | number);
      broken.add(String(inner[0]));
      const path = [...root, ...inner];
      const fault = decodeFault(issue.message);
      if (!this.touches(path)) this.add(fault, path, undefined, fault.code === 'InvalidValue' ? 'value' : 'key');
    }
    if (!isMapping(input)) return undefined;
    const rest = Object.fromEntries(Object.entries(input).filter(([key]) => !broken.has(key)));
    const second = v.safeParse(schema, rest);
    return second.success ? { value: second.output, broken } : undefined;
  }

  add(fault: Fault, path: Path, module = this.#moduleAt(path), of: 'key' | 'value' = 'value'): void {
    this.#found.push({ ...fault, module, path: pathText(path), place: this.#source.place(path, of) });
  }

  duplicateId(entry: ModuleEntry, holder: ModuleEntry, id: string): void {
    const line = holder.locate([])?.line;
    this.#found.push({
      code: 'DuplicateId',
      message: `the id ${JSON.stringify(entry.id)} is taken by ${holder.path}${line ? ` in line ${line}` : ''}`,
      hint: `${entry.id === entry.specifier ? 'add this line' : 'give it another'}: id: ${id}`,
      module: entry.id,
      path: entry.path,
      place: entry.locate(['id']),
    });
  }

  /** Whether something at, above or below the path could not be read. */
  touches(path: Path): boolean {
    return this.#source.faults.some((fault) =>
      fault.path.every((part, index) => index >= path.length || part === path[index]),
    );
  }

  inOrder(): readonly Problem[] {
    return inOrder(this.#found);
  }

  #moduleAt([section, index]: Path): string | undefined {
    if (section !== 'modules' || typeof index !== 'number' || !Array.isArray(this.#source.modules)) return undefined;
    const raw: unknown = this.#source.modules[index];
    if (!isMapping(raw)) return undefined;
    return [raw.id, raw.module].find((name): name is string => typeof name === 'string');
  }
}

interface Checked<T> {
  readonly value: T;
  /** The keys that were wrong and are left out of the value. */
  readonly broken: ReadonlySet<string>;
}
