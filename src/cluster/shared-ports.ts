import type { Config } from '../config/schema.ts';

/** One place that the server listens at: the option that says so, and what listens there. */
interface Place {
  readonly option: string;
  readonly what: string;
  readonly transport: 'tcp' | 'udp';
  readonly host: string;
  readonly port: number;
}

/**
 * Ports that two parts of the server would share: listeners share their ports on purpose (each worker has its own socket), so that the
 * kernel would deal connections to both instead of refusing one.
 */
export function portProblems(config: Config): string[] {
  const places: Place[] = config.listeners.map(({ codec, transport, host, port }, index) => ({
    option: `listeners.${index}.port`,
    what: codec,
    transport,
    host,
    port,
  }));
  const tcp = { transport: 'tcp' } as const;
  places.push({ option: 'http.port', what: 'HTTP', ...tcp, host: config.http.host, port: config.http.port });
  if (config.clickhouse.url === undefined)
    places.push({
      option: 'clickhouse.port',
      what: 'the embedded ClickHouse',
      ...tcp,
      host: '127.0.0.1',
      port: config.clickhouse.port,
    });
  return places.flatMap((place, index) => {
    const other = places.slice(0, index).find((earlier) => isShared(earlier, place));
    if (other === undefined) return [];
    const { option, what, transport, host, port } = place;
    const there = other.host === host ? '' : ` (${other.host} and ${host} overlap)`;
    return [
      `${option}: ${what} and ${other.what} (${other.option}) both listen on ${transport} ${port}${there}; give one of them another port`,
    ];
  });
}

function isShared(a: Place, b: Place): boolean {
  return a.port !== 0 && a.port === b.port && a.transport === b.transport && isOverlap(a.host, b.host);
}

/** Do two hosts to listen on have an address in common? A name is taken for what it says. */
function isOverlap(one: string, two: string): boolean {
  const [a, b] = [addressesOf(one), addressesOf(two)];
  return a.some((x) => b.some((y) => x === y || isWild(x, y) || isWild(y, x)));
}

/** `::` takes IPv4 as well. */
function isWild(wild: string, other: string): boolean {
  return wild === '::' || (wild === '0.0.0.0' && !other.includes(':'));
}

function addressesOf(host: string): string[] {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (bare === 'localhost') return ['127.0.0.1', '::1'];
  if (bare === '') return ['::'];
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare)?.[1];
  if (mapped !== undefined) return [mapped];
  // One way of writing each IPv6 address; one with a zone stays as it is.
  const url = bare.includes(':') ? URL.parse(`http://[${bare}]`) : null;
  return [url?.hostname.slice(1, -1) ?? bare];
}
