// Headers of the Fetch standard.

/** In the order of arrival; a name is kept in lower case. */
type Entry = readonly [name: string, value: string];

export type HeadersInit = Iterable<Iterable<string>> | Record<string, string> | Headers;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN = /[\0\r\n]|[^\0-\xff]/;
const EDGES = /^[\t\n\r ]+|[\t\n\r ]+$/g;

let freezeHeaders: (headers: Headers) => void;

export class Headers {
  #entries: Entry[] = [];
  #sorted: Entry[] | undefined;
  #immutable = false;

  static {
    freezeHeaders = (headers) => {
      headers.#immutable = true;
    };
  }

  constructor(init?: HeadersInit) {
    if (init === undefined) return;
    for (const [name, value] of pairsOf(init)) this.append(name, value);
  }

  append(name: string, value: string): void {
    const entry = this.#check(name, value);
    this.#change([...this.#entries, entry]);
  }

  set(name: string, value: string): void {
    const [key, text] = this.#check(name, value);
    const place = this.#entries.findIndex(([known]) => known === key);
    const rest = this.#entries.filter(([known], index) => known !== key || index === place);
    if (place < 0) rest.push([key, text]);
    else rest[place] = [key, text];
    this.#change(rest);
  }

  delete(name: string): void {
    const key = readName(name);
    this.#refuseIfImmutable();
    this.#change(this.#entries.filter(([known]) => known !== key));
  }

  get(name: string): string | null {
    const key = readName(name);
    const values = this.#entries.filter(([known]) => known === key).map(([, value]) => value);
    return values.length > 0 ? values.join(key === 'cookie' ? '; ' : ', ') : null;
  }

  getSetCookie(): string[] {
    return this.#entries.filter(([name]) => name === 'set-cookie').map(([, value]) => value);
  }

  has(name: string): boolean {
    const key = readName(name);
    return this.#entries.some(([known]) => known === key);
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void, thisArg?: unknown): void {
    if (typeof callback !== 'function') throw new TypeError('forEach takes a function');
    for (const [name, value] of this) Reflect.apply(callback, thisArg, [value, name, this]);
  }

  /** By name, with the values of one name joined; each cookie for itself. What is added on the way is seen. */
  *entries(): Generator<[string, string], undefined, undefined> {
    for (let index = 0; ; index += 1) {
      const entry = this.#sort()[index];
      if (entry === undefined) return;
      yield [entry[0], entry[1]];
    }
  }
  *keys(): Generator<string, undefined, undefined> {
    for (const [name] of this) yield name;
  }
  *values(): Generator<string, undefined, undefined> {
    for (const [, value] of this) yield value;
  }
  [Symbol.iterator](): Generator<[string, string], undefined, undefined> {
    return this.entries();
  }
  get [Symbol.toStringTag](): string {
    return 'Headers';
  }

  #check(name: string, value: string): Entry {
    const key = readName(name);
    const text = `${value}`.replace(EDGES, '');
    if (FORBIDDEN.test(text)) throw new TypeError(`the value of ${key} is not a valid header value`);
    this.#refuseIfImmutable();
    return [key, text];
  }

  #change(entries: Entry[]): void {
    this.#entries = entries;
    this.#sorted = undefined;
  }

  #refuseIfImmutable(): void {
    if (this.#immutable) throw new TypeError('these headers are immutable');
  }

  #sort(): Entry[] {
    if (this.#sorted !== undefined) return this.#sorted;
    const names = [...new Set(this.#entries.map(([name]) => name))].sort();
    this.#sorted = names.flatMap((name): Entry[] =>
      name === 'set-cookie'
        ? this.getSetCookie().map((value): Entry => [name, value])
        : [[name, this.get(name) as string]],
    );
    return this.#sorted;
  }
}

/** For responses that the standard makes itself. */
export const makeImmutable = (headers: Headers): void => freezeHeaders(headers);

function readName(name: string): string {
  const text = `${name}`;
  if (!TOKEN.test(text)) throw new TypeError(`${JSON.stringify(text.slice(0, 100))} is not a valid header name`);
  return text.toLowerCase();
}

function* pairsOf(init: HeadersInit): Generator<[string, string]> {
  if (typeof init !== 'object' || init === null) throw new TypeError('headers must be an object');
  if (typeof (init as Iterable<unknown>)[Symbol.iterator] !== 'function') {
    for (const key of Reflect.ownKeys(init)) {
      if (!Object.getOwnPropertyDescriptor(init, key)?.enumerable) continue;
      if (typeof key === 'symbol') throw new TypeError('a header name cannot be a symbol');
      yield [key, (init as Record<string, string>)[key] as string];
    }
    return;
  }
  for (const pair of init as Iterable<Iterable<string>>) {
    const [name, value, ...more] = pair;
    if (name === undefined || value === undefined || more.length > 0) {
      throw new TypeError('each header must be a pair of name and value');
    }
    yield [name, value];
  }
}
