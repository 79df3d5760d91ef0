const MAPPED = '::ffff:';
/** Groups of 16 bits. */
const IPV6_GROUPS = 8;

/** The address of a peer `address:port`. IPv4 that a listener on :: has seen is IPv4. */
export function addressOf(peer: string): string {
  const address = peer.slice(0, peer.lastIndexOf(':'));
  return address.startsWith(MAPPED) && address.includes('.') ? address.slice(MAPPED.length) : address;
}

/** The network of an address, as a key: the first `bytes4` bytes of an IPv4 address, the first `groups6` groups of an IPv6 one. */
export function networkOf(address: string, bytes4: number, groups6: number): string {
  if (!address.includes(':')) return address.split('.').slice(0, bytes4).join('.');
  const [head = '', tail = ''] = (address.split('%')[0] ?? '').toLowerCase().split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === '' ? [] : tail.split(':');
  const zeros = Math.max(0, IPV6_GROUPS - first.length - last.length);
  const groups = [...first, ...Array<string>(zeros).fill('0'), ...last];
  return groups
    .slice(0, groups6)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}
