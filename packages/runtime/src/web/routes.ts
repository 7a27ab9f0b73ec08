// Which module answers a path.

import { isBelow, plainPath, requestedPath } from '../api/paths.js';
import type { ModuleEntry } from '../config/entry.js';
import type { Life } from '../supervision/life.js';

/** A module as the web sees it. */
export interface WebModule {
  readonly entry: ModuleEntry;
  /** The life that answers, or the next one if that comes within so many milliseconds. */
  present(ms: number): Promise<Life | undefined>;
  readonly registered: { readonly resources: readonly string[] };
  /** A request took too long: is it late, or is the cell blocked? */
  doubt(life: Life): void;
}

export interface Route {
  readonly path: string;
  readonly module: WebModule;
  readonly resource: number;
}

/** The routes of all modules: the longest path first; of equals the module that stands first in the configuration. */
export function createRoutes(
  modules: readonly WebModule[],
  warn: (module: string, message: string) => void,
): readonly Route[] {
  const taken = new Map<string, Route>();
  for (const module of modules) {
    module.registered.resources.forEach((path, resource) => {
      const key = plainPath(path);
      if (key === undefined) return;
      const owner = taken.get(key);
      if (owner === undefined) taken.set(key, { path: key, module, resource });
      else warn(module.entry.id, `${path} is answered by ${owner.module.entry.id}, which stands first`);
    });
  }
  return [...taken.values()].sort((a, b) => b.path.length - a.path.length);
}

/** The route that a URL's path belongs to, however its spelling is read. */
export function findRoute(routes: readonly Route[], { pathname }: URL): Route | undefined {
  if (routes.length === 0) return undefined;
  const path = requestedPath(pathname);
  return path === undefined ? undefined : routes.find((candidate) => isBelow(path, candidate.path));
}
