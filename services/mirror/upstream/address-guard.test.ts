import { describe, expect, test } from '@jest/globals';

import { AddressGuard, classifyAddress } from './address-guard.ts';

describe('classifyAddress', () => {
  test.each([
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['::ffff:808:808', 'public'],
    ['127.0.0.1', 'loopback'],
    ['127.1.2.3', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['0:0:0:0:0:ffff:7f00:0001', 'loopback'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['64:ff9b::10.0.0.1', 'private'],
    ['64:ff9b::8.8.8.8', 'public'],
    ['169.254.169.254', 'never'],
    ['::ffff:a9fe:a9fe', 'never'],
    ['64:ff9b::a9fe:a9fe', 'never'],
    ['fd00:ec2::254', 'never'],
    ['100.100.100.200', 'never'],
    ['168.63.129.16', 'never'],
    ['0.0.0.0', 'never'],
    ['::', 'never'],
    ['fe80::1%eth0', 'never'],
    ['224.0.0.1', 'never'],
    ['255.255.255.255', 'never'],
    ['2002:7f00:1::', 'never'],
    ['2001:0:1::1', 'never'],
    ['registry.example', 'never'],
    ['', 'never'],
  ])('%s is %s', (address, expected) => {
    expect(classifyAddress(address)).toBe(expected);
  });
});

describe('AddressGuard', () => {
  const addresses = ['8.8.8.8', '10.0.0.1', '127.0.0.1', '169.254.169.254'];

  test.each([
    [undefined, ['8.8.8.8']],
    ['1.1.1.1', ['8.8.8.8']],
    ['192.168.0.1', ['8.8.8.8', '10.0.0.1']],
    ['127.0.0.1', ['8.8.8.8', '10.0.0.1', '127.0.0.1']],
    ['169.254.169.254', ['8.8.8.8']],
  ])('an upstream at %s may lead to %j', (own, allowed) => {
    const guard = new AddressGuard();
    if (own !== undefined) guard.noteOwn(own);
    expect(addresses.filter((address) => guard.allows(address))).toEqual(allowed);
  });
});
