// Sessions of interactive authentication: what a client began and may come back to.

import { unknownRequest } from '../errors.js';
import { randomLetters } from '../ids.js';

const SESSION_MS = 15 * 60_000;
const MAX_SESSIONS = 10_000;

export class Sessions<T> {
  readonly #sessions = new Map<string, { readonly data: T; readonly until: number }>();

  /** @returns the session's id */
  begin(data: T): string {
    const now = Date.now();
    for (const [id, { until }] of this.#sessions) {
      // The Map is in order of time: the first that is young ends the search.
      if (until > now && this.#sessions.size < MAX_SESSIONS) break;
      this.#sessions.delete(id);
    }
    const id = randomLetters(24);
    this.#sessions.set(id, { data, until: now + SESSION_MS });
    return id;
  }

  /** @throws MatrixError 400 `M_UNKNOWN` */
  get(id: string): T {
    const session = this.#sessions.get(id);
    if (!session || session.until < Date.now()) throw unknownRequest('Unknown session');
    return session.data;
  }

  end(id: string): void {
    this.#sessions.delete(id);
  }
}
