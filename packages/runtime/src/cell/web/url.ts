// URL and URLSearchParams. Node's parser does the work behind private fields: it sees nothing but strings, and none of its
// errors, whose classes are Node's own, comes out.

const { URL: NativeURL, URLSearchParams: NativeParams } = globalThis;
type NativeURL = InstanceType<typeof NativeURL>;
type NativeParams = InstanceType<typeof NativeParams>;

export type ParamsInit = string | Iterable<Iterable<string>> | Record<string, string>;

let paramsOf: (native: NativeParams) => URLSearchParams;

export class URLSearchParams {
  #native: NativeParams;

  static {
    paramsOf = (native) => {
      const params = new URLSearchParams();
      params.#native = native;
      return params;
    };
  }

  constructor(init: ParamsInit = '') {
    this.#native = new NativeParams(readInit(init));
  }

  get size(): number {
    return this.#native.size;
  }
  append(name: string, value: string): void {
    this.#native.append(text(name), text(value));
  }
  delete(name: string, value?: string): void {
    if (value === undefined) this.#native.delete(text(name));
    else this.#native.delete(text(name), text(value));
  }
  get(name: string): string | null {
    return this.#native.get(text(name));
  }
  getAll(name: string): string[] {
    return [...this.#native.getAll(text(name))];
  }
  has(name: string, value?: string): boolean {
    return value === undefined ? this.#native.has(text(name)) : this.#native.has(text(name), text(value));
  }
  set(name: string, value: string): void {
    this.#native.set(text(name), text(value));
  }
  sort(): void {
    this.#native.sort();
  }
  forEach(callback: (value: string, name: string, params: URLSearchParams) => void, thisArg?: unknown): void {
    if (typeof callback !== 'function') throw new TypeError('forEach takes a function');
    for (const [name, value] of this) Reflect.apply(callback, thisArg, [value, name, this]);
  }
  *entries(): Generator<[string, string], undefined, undefined> {
    for (const [name, value] of this.#native) yield [name, value];
  }
  *keys(): Generator<string, undefined, undefined> {
    for (const [name] of this.#native) yield name;
  }
  *values(): Generator<string, undefined, undefined> {
    for (const [, value] of this.#native) yield value;
  }
  [Symbol.iterator](): Generator<[string, string], undefined, undefined> {
    return this.entries();
  }
  toString(): string {
    return this.#native.toString();
  }
  get [Symbol.toStringTag](): string {
    return 'URLSearchParams';
  }
}

export class URL {
  readonly #native: NativeURL;
  readonly #searchParams: URLSearchParams;

  constructor(url: string, base?: string) {
    this.#native = parse(text(url), base === undefined ? undefined : text(base));
    this.#searchParams = paramsOf(this.#native.searchParams);
  }

  static canParse(url: string, base?: string): boolean {
    return NativeURL.canParse(text(url), base === undefined ? undefined : text(base));
  }
  static parse(url: string, base?: string): URL | null {
    return URL.canParse(url, base) ? new URL(url, base) : null;
  }

  get href(): string {
    return this.#native.href;
  }
  set href(value: string) {
    this.#native.href = parse(text(value), undefined).href;
  }
  get origin(): string {
    return this.#native.origin;
  }
  get protocol(): string {
    return this.#native.protocol;
  }
  set protocol(value: string) {
    this.#native.protocol = text(value);
  }
  get username(): string {
    return this.#native.username;
  }
  set username(value: string) {
    this.#native.username = text(value);
  }
  get password(): string {
    return this.#native.password;
  }
  set password(value: string) {
    this.#native.password = text(value);
  }
  get host(): string {
    return this.#native.host;
  }
  set host(value: string) {
    this.#native.host = text(value);
  }
  get hostname(): string {
    return this.#native.hostname;
  }
  set hostname(value: string) {
    this.#native.hostname = text(value);
  }
  get port(): string {
    return this.#native.port;
  }
  set port(value: string) {
    this.#native.port = text(value);
  }
  get pathname(): string {
    return this.#native.pathname;
  }
  set pathname(value: string) {
    this.#native.pathname = text(value);
  }
  get search(): string {
    return this.#native.search;
  }
  set search(value: string) {
    this.#native.search = text(value);
  }
  get hash(): string {
    return this.#native.hash;
  }
  set hash(value: string) {
    this.#native.hash = text(value);
  }
  get searchParams(): URLSearchParams {
    return this.#searchParams;
  }
  toString(): string {
    return this.#native.href;
  }
  toJSON(): string {
    return this.#native.href;
  }
  get [Symbol.toStringTag](): string {
    return 'URL';
  }
}

const text = (value: unknown): string => `${value}`;

function parse(url: string, base: string | undefined): NativeURL {
  // Asked first: the error that Node would throw is of a class of its own.
  if (NativeURL.canParse(url, base)) return new NativeURL(url, base);
  throw Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL', input: url });
}

function readInit(init: ParamsInit): string | [string, string][] {
  if ((typeof init !== 'object' && typeof init !== 'function') || init === null) return text(init);
  if (typeof (init as Iterable<unknown>)[Symbol.iterator] !== 'function') {
    const record = init as Record<string, string>;
    return Object.keys(record).map((key) => [key, text(record[key])]);
  }
  return Array.from(init as Iterable<Iterable<string>>, (pair) => {
    if (typeof pair !== 'object' || pair === null) throw new TypeError('each parameter must be a pair');
    const [name, value, ...more] = pair;
    if (name === undefined || value === undefined || more.length > 0) {
      throw new TypeError('each parameter must be a pair of name and value');
    }
    return [text(name), text(value)];
  });
}
