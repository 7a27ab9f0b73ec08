// Where an alias leads: to a room, and to servers that are in it.

import type { Server } from '../server.js';

export interface Whereabouts {
  readonly roomId: string;
  readonly via?: readonly string[];
}

/** The alias's own server knows. */
export async function whereabouts(
  { config, directory, federation }: Pick<Server, 'config' | 'directory' | 'federation'>,
  alias: string,
  viewer: string,
): Promise<Required<Whereabouts>> {
  if (federation && !directory.isLocal(alias)) return federation.queries.directory(alias);
  return { roomId: await directory.resolve(alias, viewer), via: [config.serverName] };
}
