// Which hosts a module may reach. A grant names a host; the address behind the name must be public, or be named itself:
// else whoever owns a granted name could point it at the homeserver's database.

import { BlockList, isIP } from 'node:net';

export interface HostGrants {
  /** Whether the admin granted the URL's host and port. */
  allows(url: URL): boolean;
  /** Whether a connection for the URL may go to that address. */
  allowsAddress(url: URL, address: string): boolean;
}

/** One grant: a host as URLs spell it, `*.` before a domain for everything below it, or `*` for every public host. */
export interface HostGrant {
  readonly host: string;
  /** `undefined`: the default port of the URL's scheme. */
  readonly port: number | 'any' | undefined;
}

/** Reads `api.example.com`, `*.example.com`, `127.0.0.1:9000`, `[::1]:*`; `undefined` for what is none of these. */
export function parseHostGrant(text: string): HostGrant | undefined {
  const match = /^(\*|(?:\*\.)?[^\s*:/?#@[\]\\%]+|\[[0-9a-f:.]+\])(?::(\*|[0-9]{1,5}))?$/i.exec(text);
  if (match?.[1] === undefined) return undefined;
  const host = canonicalHost(match[1]);
  const port = match[2] === undefined ? undefined : match[2] === '*' ? 'any' : Number(match[2]);
  if (host === undefined || port === 0 || (typeof port === 'number' && port > 65_535)) return undefined;
  return { host, port };
}

/** @throws TypeError when a grant cannot be read; the configuration is checked before it comes here */
export function createHostGrants(texts: readonly string[]): HostGrants {
  const grants = texts.map((text) => {
    const grant = parseHostGrant(text);
    if (grant === undefined) throw new TypeError(`not a host that can be granted: ${text}`);
    return grant;
  });
  const granted = (url: URL, matches: (host: string) => boolean): boolean =>
    grants.some((grant) => matches(grant.host) && portMatches(grant, url));

  return {
    allows: (url) =>
      granted(
        url,
        (host) =>
          host === url.hostname || host === '*' || (host.startsWith('*.') && url.hostname.endsWith(host.slice(1))),
      ),
    allowsAddress(url, address) {
      if (isPublicAddress(address)) return true;
      if (url.hostname === 'localhost' && isLoopback(address)) return granted(url, (host) => host === 'localhost');
      const named = canonicalHost(isIP(address) === 6 ? `[${address}]` : address);
      return granted(url, (host) => host === named);
    },
  };
}

/**
 * Whether granted hosts cover one that a module says it needs, which may be a pattern, too. Where neither names a port, that
 * of https is meant.
 */
export function coversHost(grants: readonly string[], need: string): boolean {
  const wanted = parseHostGrant(need);
  if (wanted === undefined) return false;
  return grants.some((text) => {
    const grant = parseHostGrant(text);
    return grant !== undefined && coversName(grant.host, wanted.host) && coversPort(grant, wanted);
  });
}

/** The address that a URL names instead of a host. */
export function addressIn(url: URL): string | undefined {
  const text = url.hostname.replace(/^\[|\]$/g, '');
  return isIP(text) === 0 ? undefined : text;
}

/** Whether an address is one of the open internet's. */
export function isPublicAddress(address: string): boolean {
  // An address with a zone (`fe80::1%eth0`) is local to that interface.
  if (address.includes('%')) return false;
  switch (isIP(address)) {
    case 4:
      return !reserved.check(address, 'ipv4');
    case 6:
      // Everything outside 2000::/3 is something else: loopback, unique local, link-local, multicast, IPv4 in disguise.
      return unicast.check(address, 'ipv6') && !reserved.check(address, 'ipv6');
    default:
      return false;
  }
}

function isLoopback(address: string): boolean {
  return loopback.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

function portMatches({ port }: HostGrant, url: URL): boolean {
  if (port === undefined) return url.port === '';
  return port === 'any' || port === Number(url.port || (url.protocol === 'https:' ? 443 : 80));
}

function coversName(grant: string, wanted: string): boolean {
  if (grant === wanted) return true;
  if (grant.startsWith('*.')) return wanted.endsWith(grant.slice(1));
  // `*` is every public host: what is not public has to be named.
  return grant === '*' && wanted !== 'localhost' && isPublicOrName(wanted);
}

function isPublicOrName(host: string): boolean {
  const address = host.replace(/^\[|\]$/g, '');
  return isIP(address) === 0 || isPublicAddress(address);
}

function coversPort(grant: HostGrant, { host, port }: HostGrant): boolean {
  if (port === 'any') return grant.port === 'any';
  const name = host.replace(/^\*\.?/, '') || 'host';
  return portMatches(
    grant,
    new URL(`${port === 80 ? 'http' : 'https'}://${name}${port === undefined ? '' : `:${port}`}`),
  );
}

/** Spells a host as URLs do, so that `LOCALHOST`, `0x7f.1` and `bücher.example` are compared as what they mean. */
function canonicalHost(host: string): string | undefined {
  if (host === '*') return host;
  const wildcard = host.startsWith('*.') ? '*.' : '';
  const url = `http://${host.slice(wildcard.length)}/`;
  if (!URL.canParse(url)) return undefined;
  const { hostname } = new URL(url);
  return wildcard !== '' && isIP(hostname) !== 0 ? undefined : wildcard + hostname;
}

function blockList(...subnets: readonly (readonly [network: string, prefix: number])[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of subnets) list.addSubnet(network, prefix, isIP(network) === 6 ? 'ipv6' : 'ipv4');
  return list;
}

const loopback = blockList(['127.0.0.0', 8], ['::1', 128]);
const unicast = blockList(['2000::', 3]);

/** The special-purpose addresses of IANA's registries, as far as they lie where public ones do. */
const reserved = blockList(
  ['0.0.0.0', 8], // this network: Linux connects to itself
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carrier-grade NAT
  ['127.0.0.0', 8],
  ['169.254.0.0', 16], // link-local: where clouds keep their credentials
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4],
  ['2001::', 23], // Teredo carries an IPv4 address
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4 carries an IPv4 address
  ['3fff::', 20],
);
