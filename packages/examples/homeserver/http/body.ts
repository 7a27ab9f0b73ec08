// JSON bodies: read, limited, checked against a schema, and refused in the specification's words.

import type { Context } from 'hono';
import * as v from 'valibot';
import { badJson, missingParam, notJson, tooLarge } from '../errors.js';

/** Above the largest event, with room for createRoom's initial state. */
const MAX_BODY_BYTES = 1 << 20;

/** @param empty what an empty body stands for, where the specification lets it be empty */
export async function readBody<const S extends v.GenericSchema>(
  c: Context,
  schema: S,
  empty?: Readonly<Record<string, unknown>>,
): Promise<v.InferOutput<S>> {
  const text = await readText(c.req.raw);
  return check(schema, check(JsonObject, text === '' && empty ? empty : parseJson(text)));
}

/** valibot's objects and records let arrays pass. */
export const JsonObject = v.custom<Readonly<Record<string, unknown>>>(isObject, 'expected an object');

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A schema of an object or record that lets no array pass. valibot's types cannot say that the two are one. */
export const objectOf = <const S extends v.GenericSchema>(schema: S) =>
  v.pipe(v.unknown(), v.check(isObject, 'expected an object'), schema as never) as unknown as S;

/** A name of the client's choice, or a word to look for. The database takes no NUL. */
export const Name = v.pipe(
  v.string(),
  v.check((text) => !text.includes('\0') && Buffer.byteLength(text) <= 255, 'expected at most 255 bytes without NUL'),
);

export const readObject = (c: Context) => readBody(c, JsonObject);

/** @param wrong makes the refusal of a value that is there and is not what it should be */
export function check<const S extends v.GenericSchema>(schema: S, value: unknown, wrong = badJson): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  if (path !== null && issue.input === undefined) throw missingParam(path);
  throw wrong(path === null ? issue.message : `${path}: ${issue.message}`);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notJson();
  }
}

export async function readText(request: Request, limit = MAX_BODY_BYTES): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let text = '';
  let size = 0;
  try {
    for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > limit) throw tooLarge('The request body is too large');
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  } catch (error) {
    throw error instanceof TypeError ? notJson() : error;
  }
}
