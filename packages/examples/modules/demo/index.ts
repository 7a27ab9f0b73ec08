// The smallest module that does something: one callback, one web resource.

import type { ModuleApi, RequestedPermissions } from '@bulkhead/sdk';
import { Hono } from 'hono';

const HELLO = '/_synapse/client/demo/hello';

export class DemoModule {
  /** Needs no grant: below `/_synapse/client` a module may answer. */
  static readonly permissions: RequestedPermissions = { web_paths: [HELLO] };

  /** Takes the configuration as the admin wrote it. */
  static parseConfig(config: unknown): unknown {
    return config;
  }

  private readonly api: ModuleApi;

  constructor(_config: unknown, api: ModuleApi) {
    this.api = api;
    api.registerSpamCheckerCallbacks({ userMayCreateRoom: this.userMayCreateRoom }); // called with this module as `this`
    api.registerWebResource(HELLO, hello);
  }

  async userMayCreateRoom(user: string): Promise<boolean> {
    const may = user !== '@evilguy:example.com';
    if (!may) this.api.logger.info('refused to create a room', { user });
    return may;
  }
}

// Requests keep their full URL, so routes are written out from the root.
const hello = new Hono().get(HELLO, (c) => {
  const name = c.req.query('name');
  if (!name) return c.json({ errcode: 'M_MISSING_PARAM', error: 'Missing query parameter: name' }, 400);
  return c.json({ hello: name });
});
