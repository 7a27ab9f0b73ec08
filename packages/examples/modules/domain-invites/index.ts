// Who may invite whom, by the servers of both; and who may name rooms and list them in the directory.

import { allow, deny, type ModuleApi, type RequestedPermissions, serverNameOf, type Verdict, v } from '@bulkhead/sdk';

const Server = v.pipe(v.string(), v.nonEmpty('expected a server name or *'), v.toLowerCase());

/** Has to match the whole name. */
const Pattern = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return new RegExp(`^(?:${dataset.value})$`, 'u');
    } catch {
      addIssue({ message: 'expected a regular expression' });
      return NEVER;
    }
  }),
);

const Config = v.strictObject({
  /** Inviter's server to invitees' servers. */
  invites: v.pipe(
    v.record(Server, v.array(Server)),
    v.transform((mapping) => new Map(Object.entries(mapping).map(([from, to]) => [from, new Set(to)]))),
  ),
  other_servers: v.optional(v.picklist(['allow', 'deny'], 'expected allow or deny'), 'deny'),
  alias_pattern: v.optional(Pattern),
  publish_rooms: v.optional(v.picklist(['everybody', 'admins'], 'expected everybody or admins'), 'everybody'),
});
type Config = v.InferOutput<typeof Config>;

export class DomainInvites {
  /** Who is an admin matters only where something is kept to admins. */
  static permissions({ alias_pattern, publish_rooms }: Config): RequestedPermissions {
    return alias_pattern !== undefined || publish_rooms === 'admins' ? { users: ['read'] } : {};
  }

  static parseConfig(config: unknown): Config {
    return v.parse(Config, config);
  }

  private readonly config: Config;
  private readonly api: ModuleApi;

  constructor(config: Config, api: ModuleApi) {
    this.config = config;
    this.api = api;
    api.registerSpamCheckerCallbacks({ userMayInvite: this.userMayInvite });
    // What is not restricted is not registered: the homeserver then need not ask.
    if (config.alias_pattern) api.registerSpamCheckerCallbacks({ userMayCreateRoomAlias: this.userMayCreateRoomAlias });
    if (config.publish_rooms === 'admins') {
      api.registerSpamCheckerCallbacks({ userMayPublishRoom: this.userMayPublishRoom });
    }
  }

  userMayInvite(inviter: string, invitee: string): Verdict {
    const from = serverOf(inviter);
    const to = serverOf(invitee);
    const targets = this.config.invites.get(from);
    if (targets ? targets.has(to) || targets.has('*') : this.config.other_servers === 'allow') return allow();
    return deny({ reason: `Users of ${from} may not invite users of ${to}` });
  }

  async userMayCreateRoomAlias(userId: string, roomAlias: string): Promise<Verdict> {
    const name = roomAlias.slice(1, roomAlias.indexOf(':'));
    if (this.config.alias_pattern?.test(name) || (await this.isAdmin(userId))) return allow();
    return deny({ reason: `Only admins may name a room ${name}` });
  }

  async userMayPublishRoom(userId: string): Promise<Verdict> {
    if (await this.isAdmin(userId)) return allow();
    return deny({ reason: 'Only admins may list rooms in the directory' });
  }

  private async isAdmin(userId: string): Promise<boolean> {
    return (await this.api.getUserInfo(userId))?.isAdmin ?? false;
  }
}

// Server names are compared without regard to case, as DNS does.
const serverOf = (userId: string): string => serverNameOf(userId)?.toLowerCase() ?? '';
