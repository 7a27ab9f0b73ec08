// FormData of the XMLHttpRequest standard.

import { File, isBlob } from './blob.js';

export type FormValue = string | File;
type Entry = readonly [name: string, value: FormValue];

let entriesOf: (form: FormData) => readonly Entry[];

export class FormData {
  #entries: Entry[] = [];

  static {
    entriesOf = (form) => form.#entries;
  }

  constructor(form?: unknown) {
    if (form !== undefined) throw new TypeError('there are no HTML forms here');
  }

  append(name: string, value: unknown, filename?: string): void {
    this.#entries.push(makeEntry(name, value, filename));
  }

  set(name: string, value: unknown, filename?: string): void {
    const entry = makeEntry(name, value, filename);
    const place = this.#entries.findIndex(([known]) => known === entry[0]);
    if (place < 0) {
      this.#entries.push(entry);
      return;
    }
    this.#entries[place] = entry;
    this.#entries = this.#entries.filter(([known], index) => known !== entry[0] || index === place);
  }

  delete(name: string): void {
    const key = toName(name);
    this.#entries = this.#entries.filter(([known]) => known !== key);
  }
  get(name: string): FormValue | null {
    const key = toName(name);
    return this.#entries.find(([known]) => known === key)?.[1] ?? null;
  }
  getAll(name: string): FormValue[] {
    const key = toName(name);
    return this.#entries.filter(([known]) => known === key).map(([, value]) => value);
  }
  has(name: string): boolean {
    const key = toName(name);
    return this.#entries.some(([known]) => known === key);
  }

  forEach(callback: (value: FormValue, name: string, form: FormData) => void, thisArg?: unknown): void {
    if (typeof callback !== 'function') throw new TypeError('forEach takes a function');
    for (const [name, value] of this) Reflect.apply(callback, thisArg, [value, name, this]);
  }
  /** What is added on the way is seen. */
  *entries(): Generator<[string, FormValue], undefined, undefined> {
    for (let index = 0; index < this.#entries.length; index += 1) {
      const [name, value] = this.#entries[index] as Entry;
      yield [name, value];
    }
  }
  *keys(): Generator<string, undefined, undefined> {
    for (const [name] of this) yield name;
  }
  *values(): Generator<FormValue, undefined, undefined> {
    for (const [, value] of this) yield value;
  }
  [Symbol.iterator](): Generator<[string, FormValue], undefined, undefined> {
    return this.entries();
  }
  get [Symbol.toStringTag](): string {
    return 'FormData';
  }
}

/** The entries as they stand; also the test for a genuine FormData, since a private field refuses all others. */
export const formEntries = (form: FormData): readonly Entry[] => entriesOf(form);

const toName = (name: unknown): string => `${name}`.toWellFormed();

function makeEntry(name: unknown, value: unknown, filename: unknown): Entry {
  if (!isBlob(value)) {
    if (filename !== undefined) throw new TypeError('only a Blob can have a file name');
    return [toName(name), `${value}`.toWellFormed()];
  }
  if (value instanceof File && filename === undefined) return [toName(name), value];
  const lastModified = value instanceof File ? { lastModified: value.lastModified } : {};

  const fileName = filename === undefined ? 'blob' : toName(filename);
  return [toName(name), new File([value], fileName, { type: value.type, ...lastModified })];
}
