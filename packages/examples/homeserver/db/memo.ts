/** What was read from the database and nobody has changed since. Only for rows that this process alone writes. */
export class Memo<T> {
  readonly #kept = new Map<string, T>();
  readonly #max: number;
  #generation = 0;

  constructor(max = 10_000) {
    this.#max = max;
  }

  async get(key: string, read: () => Promise<T>): Promise<T> {
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const generation = this.#generation;
    const value = await read();
    // What changed while it was read may be missing in it.
    if (generation !== this.#generation) return value;
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= this.#max && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, value);
    return value;
  }

  /** To be called when a change is stored. */
  forget(key: string): void {
    this.#generation++;
    this.#kept.delete(key);
  }
}
