// Objects that hold any JSON.

import * as v from 'valibot';

/**
 * A JSON object of any content. Arrays, Maps and Dates are none: in JSON they would become something else. Taken as it is:
 * a schema that copies leaves out keys such as `constructor`, which in an event's content are as good as any other.
 */
export const JsonObject = v.custom<Record<string, unknown>>((value) => isJsonObject(value), 'expected an object');

export const isJsonObject = (value: unknown): boolean => Object.prototype.toString.call(value) === '[object Object]';
