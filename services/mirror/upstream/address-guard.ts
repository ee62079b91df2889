import { BlockList, isIP } from 'node:net';

/**
 * `public`: anybody's. `private` and `loopback`: of a network of one's own and of this machine. `never`: link-local
 * addresses and the others behind which clouds keep their metadata, and what is nobody's address.
 */
export type AddressClass = 'public' | 'private' | 'loopback' | 'never';

function blockList(...ranges: string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/');
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

/** IANA's registries of special-purpose addresses, and the metadata services that are not link-local. */
const NEVER = blockList(
  '0.0.0.0/8',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/32',
  '2001:db8::/32',
  '2002::/16',
  'fd00:ec2::254/128',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
);
const LOOPBACK = blockList('127.0.0.0/8', '::1/128');
const PRIVATE = blockList(
  '10.0.0.0/8',
  '100.64.0.0/10',
  '172.16.0.0/12',
  '192.168.0.0/16',
  'fc00::/7',
);

/** What kind of address it is, in whatever notation; one that cannot be read is `never`. */
export function classifyAddress(address: string): AddressClass {
  const plain = embeddedIpv4(address) ?? address.replace(/%.*$/, '');
  const version = isIP(plain);
  if (version === 0) return 'never';
  const family = version === 6 ? 'ipv6' : 'ipv4';
  if (NEVER.check(plain, family)) return 'never';
  if (LOOPBACK.check(plain, family)) return 'loopback';
  return PRIVATE.check(plain, family) ? 'private' : 'public';
}

/** The IPv4 address within `::ffff:a.b.c.d` (mapped), `::a.b.c.d` (compatible) and `64:ff9b::a.b.c.d` (NAT64). */
function embeddedIpv4(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined;
  const canonical = URL.parse(`http://[${address.replace(/%.*$/, '')}]/`)?.hostname ?? '';
  const match = /^\[(?:::ffff:|::|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(canonical);
  if (!match) return undefined;
  const [high, low] = [parseInt(match[1] ?? '', 16), parseInt(match[2] ?? '', 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/**
 * Where an upstream may lead its mirror (security: SSRF). The upstream itself is wherever it was configured to be; any
 * other host that it names, in a redirect or as its token service, must be at a public address, or at one of the
 * same kind of network that the upstream itself is in.
 */
export class AddressGuard {
  readonly #classify: (address: string) => AddressClass;
  readonly #own = new Set<AddressClass>();

  constructor(classify: (address: string) => AddressClass = classifyAddress) {
    this.#classify = classify;
  }

  /** The upstream itself was reached at this address. */
  noteOwn(address: string): void {
    this.#own.add(this.#classify(address));
  }

  /** True when another host that the upstream names may be spoken to at this address. */
  allows(address: string): boolean {
    const kind = this.#classify(address);
    if (kind === 'public') return true;
    if (kind === 'private') return this.#own.has('private') || this.#own.has('loopback');
    return kind === 'loopback' && this.#own.has('loopback');
  }
}
