// Filters that clients keep on the server, and how a request names one.

import { createHash } from 'node:crypto';
import { and, eq } from 'drizzle-orm';
import * as v from 'valibot';
import type { Database } from '../db/database.js';
import { filters } from '../db/schema.js';
import { invalidParam, tooLarge } from '../errors.js';
import { check, objectOf } from '../http/body.js';
import { EventFilter, Filter, FilterBody, RoomEventFilterBody } from './filter.js';

const MAX_FILTER_BYTES = 65_536;

export class Filters {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @returns the filter's id, the same for the same filter */
  async store(userId: string, content: Readonly<Record<string, unknown>>): Promise<string> {
    check(FilterBody, content);
    const text = JSON.stringify(content);
    if (Buffer.byteLength(text) > MAX_FILTER_BYTES) throw tooLarge(`Filters may have ${MAX_FILTER_BYTES} bytes`);
    const filterId = createHash('sha256').update(text).digest('base64url').slice(0, 22);
    await this.#db.insert(filters).values({ userId, filterId, content }).onConflictDoNothing();
    return filterId;
  }

  async find(userId: string, filterId: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const [found] = await this.#db
      .select()
      .from(filters)
      .where(and(eq(filters.userId, userId), eq(filters.filterId, filterId)));
    return found?.content;
  }

  /** @param text of /sync's `filter`: an id, or a filter itself, which begins with `{` */
  async named(userId: string, text: string | undefined): Promise<Filter> {
    if (text === undefined || text === '') return new Filter();
    const body = text.startsWith('{') ? inline(text) : await this.find(userId, text);
    if (!body) throw invalidParam('There is no such filter');
    return new Filter(parsed(FilterBody, body));
  }
}

/** @param text of /messages' and /context's `filter`, which is always the filter itself */
export const eventFilter = (text: string | undefined): EventFilter =>
  new EventFilter(text === undefined || text === '' ? {} : parsed(RoomEventFilterBody, inline(text)));

function inline(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidParam('The filter is no JSON');
  }
}

function parsed<const S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(objectOf(schema), value, { abortEarly: true });
  if (!result.success) throw invalidParam(`The filter is not valid: ${result.issues[0].message}`);
  return result.output;
}
