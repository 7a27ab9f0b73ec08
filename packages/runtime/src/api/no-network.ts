// For modules without a grant, whose every request is refused: the network's own code takes a tenth of a second to load.

import { checkHost, failed, parseUrl } from './fetchable.js';
import { createHostGrants } from './hosts.js';
import type { Fetcher } from './network.js';

const nowhere = createHostGrants([]);

export const noNetwork: Fetcher = {
  async fetch({ url }) {
    checkHost(nowhere, parseUrl(url));
    throw failed('no host was granted');
  },
  async close() {},
};
