const MAPPED = '::ffff:';
/** Groups of 16 bits. */
const IPV6_GROUPS = 8;

/** A peer as `address:port`: in logs, events and the journal. IPv4 that a listener on :: has seen (`::ffff:192.0.2.1`) is IPv4. */
export function peerOf(address: string, port: number): string {
  return `${unmapped(address)}:${port}`;
}

/** The address of a peer, also of one that an earlier version has noted. */
export function addressOf(peer: string): string {
  return unmapped(peer.slice(0, peer.lastIndexOf(':')));
}

/** A host and port to show: an IPv6 address is put in brackets. */
export function placeOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function unmapped(address: string): string {
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
