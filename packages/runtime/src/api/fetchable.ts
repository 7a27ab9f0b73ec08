// Whether a module may fetch a URL, as far as the URL says it.

import { ApiError } from '@bulkhead/sdk/contract';
import { addressIn, type HostGrants } from './hosts.js';
import { grantLine, permissionDenied } from './permissions.js';

/** @throws ApiError `InvalidArgument` */
export function parseUrl(text: string): URL {
  if (!URL.canParse(text)) throw new ApiError('InvalidArgument', 'the URL is none, or is relative');
  return new URL(text);
}

/**
 * @param from the URL that redirected here
 * @throws ApiError `PermissionDenied` or `FetchFailed`
 */
export function checkHost(hosts: HostGrants, url: URL, from?: URL): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw failed(`only http: and https: can be fetched, not ${url.protocol}`);
  }
  if (url.username !== '' || url.password !== '') throw failed('a URL with a user name or a password is not fetched');
  if (!hosts.allows(url)) {
    const how = from === undefined ? '' : `${from.host} redirected to ${url.host}; `;
    throw permissionDenied(`${how}the module may not reach ${url.host}`, grantLine({ network: [url.host] }));
  }
  // An address in the URL is connected to without a lookup.
  const address = addressIn(url);
  if (address !== undefined && !hosts.allowsAddress(url, address)) {
    throw permissionDenied(`${url.host} is not a public address`, grantLine({ network: [url.host] }));
  }
}

export const failed = (message: string): ApiError => new ApiError('FetchFailed', message);
