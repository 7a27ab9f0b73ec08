// The third table: what an admin can grant. From it derive what a module may declare, the keys of an entry's `permissions`,
// the scopes that methods of the ModuleApi need, and the reference page.

/** A group of permissions: what its values are, and what they let a module do. */
export type PermissionRow =
  | { readonly kind: 'access'; readonly values: Readonly<Record<string, string>> }
  | { readonly kind: 'hosts' | 'paths' | 'size'; readonly doc: string };

export const permissionGroups = {
  network: {
    kind: 'hosts',
    doc: '`fetch` from these hosts, such as `api.example.com`, `api.example.com:8443`, `*.example.com`',
  },
  users: {
    kind: 'access',
    values: { read: 'look up profiles and accounts of local users, and ask who makes a web request' },
  },
  rooms: {
    kind: 'access',
    values: {
      read: 'read the state of any room that the server is in',
      write: 'send events and change memberships as any local user',
    },
  },
  web: {
    kind: 'access',
    values: {
      credentials: 'see `Authorization`, `Cookie` and `access_token` of requests to its web resources',
      cookies: 'set cookies',
      service_worker: 'send `Service-Worker-Allowed`',
    },
  },
  web_paths: {
    kind: 'paths',
    doc: 'register web resources at these paths and below them; `/path/*` is what is below it alone. `/_synapse/client/*` unless the admin says otherwise',
  },
  storage: {
    kind: 'size',
    doc: 'keep so much, such as `10MiB`. It is given as `limits.storage`, 64 MiB unless the admin says otherwise',
  },
} as const satisfies Readonly<Record<string, PermissionRow>>;

type Table = typeof permissionGroups;

export type PermissionGroup = keyof Table;

/** The groups that are granted under `permissions`: all but the storage, which is a limit. */
export type GrantGroup = { [G in PermissionGroup]: Table[G]['kind'] extends 'size' ? never : G }[PermissionGroup];

/** As in YAML: a number is bytes. */
export type ByteSize = number | `${number}${'B' | 'KiB' | 'MiB' | 'GiB' | 'TiB'}`;

type Declared<R extends PermissionRow> = R extends { readonly kind: 'access'; readonly values: infer V }
  ? readonly (keyof V)[]
  : R extends { readonly kind: 'paths' }
    ? readonly `/${string}`[]
    : R extends { readonly kind: 'size' }
      ? ByteSize
      : readonly string[];

/** What a module needs, as the admin writes it. A module whose needs are not all granted is not started. */
export type RequestedPermissions = { readonly [G in PermissionGroup]?: Declared<Table[G]> };

/** What a method needs: one value of a group. */
export type Scope =
  | 'none'
  | {
      [G in PermissionGroup]: Table[G] extends { readonly kind: 'access'; readonly values: infer V }
        ? `${G}:${keyof V & string}`
        : never;
    }[PermissionGroup];
