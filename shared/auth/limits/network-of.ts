import { isIPv4, isIPv6 } from 'node:net';

const IPV4_MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * The network that an address is counted with: an IPv4 address by itself, an IPv6 address with its /64, since one
 * machine has all of that. What is no address is a network of its own.
 */
export function networkOf(address: string): string {
  const plain = address.replace(/%.*$/s, '');
  const [, mapped] = IPV4_MAPPED.exec(plain) ?? [];
  if (mapped !== undefined) return mapped;
  if (isIPv4(plain)) return plain;
  return isIPv6(plain) ? `${groupsOf(plain).slice(0, 4).join(':')}::/64` : address;
}

/** The eight groups of an IPv6 address, without leading zeros. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = address.split('::', 2);
  const before = head === '' ? [] : head.split(':');
  if (tail === undefined) return before.map(shortest);
  const after = tail === '' ? [] : tail.split(':');
  // The last group may be an IPv4 address, which stands for two.
  const written = before.length + after.length + (after.at(-1)?.includes('.') === true ? 1 : 0);
  const between = new Array<string>(Math.max(0, 8 - written)).fill('0');
  return [...before, ...between, ...after].map(shortest);
}

const shortest = (group: string): string => group.toLowerCase().replace(/^0+(?=.)/, '');
