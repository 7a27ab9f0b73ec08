// What the module registers while it is being set up. Afterwards the set is frozen: the host knows it before the first call.

import { ApiError, closeNames, type WebResource } from '@bulkhead/sdk/contract';
import type { ManifestRow } from '../../wire/record.js';

const MOST_STATE_TYPES = 20;

type AnyCallback = (...args: unknown[]) => unknown;

export class Registry {
  readonly callbacks = new Map<string, AnyCallback>();
  readonly resources: { readonly path: string; readonly resource: WebResource }[] = [];
  readonly stateTypes = new Set<string>();
  readonly #rows: Readonly<Record<string, ManifestRow>>;
  #open = true;

  constructor(rows: Readonly<Record<string, ManifestRow>>) {
    this.#rows = rows;
  }

  register(category: string, callbacks: unknown): void {
    this.#expectOpen('callbacks');
    if (typeof callbacks !== 'object' || callbacks === null) {
      throw new ApiError('InvalidRegistration', 'expected an object of callbacks');
    }
    for (const [name, callback] of Object.entries(callbacks)) {
      if (callback === undefined) continue;
      const row = Object.hasOwn(this.#rows, name) ? this.#rows[name] : undefined;
      if (row === undefined) {
        const [close] = closeNames(name, Object.keys(this.#rows));
        const hint = close === undefined ? '' : `; did you mean "${close}"?`;
        throw new ApiError('InvalidRegistration', `there is no callback "${name}"${hint}`);
      }
      if (row.category !== category) {
        throw new ApiError(
          'InvalidRegistration',
          `"${name}" belongs to ${registrationOf(row.category)}, not to ${registrationOf(category)}`,
        );
      }
      if (typeof callback !== 'function') {
        throw new ApiError('InvalidRegistration', `"${name}" must be a function, not ${typeof callback}`);
      }
      if (this.callbacks.has(name)) throw new ApiError('InvalidRegistration', `"${name}" is registered twice`);
      this.callbacks.set(name, callback as AnyCallback);
    }
  }

  wantState(stateTypes: unknown): void {
    if (!Array.isArray(stateTypes) || !stateTypes.every((type) => typeof type === 'string' && type.length <= 255)) {
      throw new ApiError('InvalidRegistration', 'stateTypes must be a list of event types');
    }
    for (const type of stateTypes) this.stateTypes.add(type);
    if (this.stateTypes.size > MOST_STATE_TYPES) {
      throw new ApiError('InvalidRegistration', `at most ${MOST_STATE_TYPES} stateTypes can come with a call`);
    }
  }

  registerResource(path: unknown, resource: unknown): void {
    this.#expectOpen('web resources');
    if (typeof path !== 'string' || !path.startsWith('/')) {
      throw new ApiError('InvalidRegistration', 'the path of a web resource begins with "/"');
    }
    const fits =
      typeof resource === 'function' ||
      typeof (resource as { fetch?: unknown } | null | undefined)?.fetch === 'function';
    if (!fits) {
      throw new ApiError('InvalidRegistration', `the resource at ${path} must be a function or have a fetch method`);
    }
    this.resources.push({ path, resource: resource as WebResource });
  }

  /** @throws ApiError when a callback that another one requires is missing */
  close(): void {
    for (const name of this.callbacks.keys()) {
      const missing = this.#rows[name]?.requires.find((required) => !this.callbacks.has(required));
      if (missing !== undefined) {
        throw new ApiError('InvalidRegistration', `"${name}" requires "${missing}" to be registered as well`);
      }
    }
    this.#open = false;
  }

  #expectOpen(what: string): void {
    if (!this.#open) {
      throw new ApiError('RegistrationClosed', `${what} can be registered only while the module is being set up`);
    }
  }
}

const registrationOf = (category: string): string =>
  `register${category.charAt(0).toUpperCase()}${category.slice(1)}Callbacks`;
