// Web resources of real modules, asked as an embedder asks them.

import { fileURLToPath } from 'node:url';
import type { Modules } from '@bulkhead/runtime';
import type { Test } from 'tap';
import { type Running, type StartOptions, start } from '../runtime/harness.ts';

const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url));

/** A module that registers these paths and answers each with what it is, in `fixtures/web.ts`. */
export const web = (id: string, resources: Readonly<Record<string, string>>, more: object = {}) => ({
  module: `${fixtures}web.ts#Web`,
  id,
  config: { resources },
  ...more,
});

export const startWeb = (t: Test, modules: Parameters<typeof start>[1], options?: StartOptions): Promise<Running> =>
  start(t, modules, { spares: false, ...options });

export const ask = (modules: Modules, path: string, init?: RequestInit): Promise<Response | undefined> =>
  modules.fetch(new Request(`http://localhost:8008${path}`, init));

/** The answer, which must be there. */
export async function answer(modules: Modules, path: string, init?: RequestInit): Promise<Response> {
  const response = await ask(modules, path, init);
  if (response === undefined) throw new Error(`${path} is nobody's`);
  return response;
}

/** What the module said in its log, under `key` of the fields. */
export const said = (modules: Running, message: string): readonly unknown[] =>
  modules.log.filter((line) => line.message === message).map(({ fields }) => fields.fields);
