import { expect, it } from 'vitest';
import { type CloneNews, Clones } from '../../../src/in/session/clones.ts';

/** Numbers quote the invariants of src/in/session/clones.ts. */

const T = Date.UTC(2026, 0, 2);
const MINUTE_MS = 60_000;
/** Degrees of latitude: no vehicle is at the one and ten minutes later at the other. */
const [HOME, FAR, THIRD] = [0, 10, 30];
/** Two networks, each with its connections by port. */
const [A, B] = ['192.0.2.1:', '198.51.100.1:'];

interface Step {
  readonly peer: string;
  readonly lat: number;
  /** Ten minutes after the one before. */
  readonly minute?: number;
  readonly account?: string;
}

function news(steps: readonly Step[]): CloneNews[] {
  const found: CloneNews[] = [];
  const clones = new Clones((_device, event) => found.push(event));
  steps.forEach(({ peer, lat, minute, account = 'acme' }, n) => {
    const received = T + (minute ?? 10 * n) * MINUTE_MS;
    clones.saw({ device: 'd', account, peer, mostKmh: 300, lat, lon: 0, time: received, received });
  });
  return found;
}

/** At home and far away by turns, each over the connections of these ports in turn. */
function turns(count: number, portsOfA: string, portsOfB = portsOfA, more: Partial<Step> = {}): Step[] {
  return Array.from({ length: count }, (_, n) => {
    const ports = n % 2 === 0 ? portsOfA : portsOfB;
    const port = ports.charAt((n >> 1) % ports.length);
    return n % 2 === 0 ? { peer: A + port, lat: HOME, ...more } : { peer: B + port, lat: FAR, ...more };
  });
}

it.each<[what: string, steps: readonly Step[], told: number]>([
  ['two connections that each spoke again where it was (19)', turns(4, '1'), 1],
  ['of which the second has not', turns(3, '1'), 0],
  ['two connections within an hour of the last news', turns(8, '1'), 1],
  ['two connections that go on behind that hour', turns(11, '1'), 2],
  ['short connections, the eighth time (19)', turns(8, '1234'), 1],
  ['short connections, seven times', turns(7, '1234'), 0],
  ['short connections of the first alone, four times', turns(4, '12', '1'), 0],
  ['short connections of the other alone, four times', turns(4, '1', '12'), 0],
  ['one connection that is at two places by turns', turns(8, '1').map(({ lat }) => ({ peer: `${A}1`, lat })), 0],
  [
    'short connections of one network that is at two places by turns',
    turns(16, '12345678').map((step, n) => ({ ...step, peer: A + n })),
    0,
  ],
  ['one that spoke again at a third place', [...turns(2, '1'), { peer: `${A}1`, lat: THIRD }, { peer: `${B}1`, lat: FAR }], 0],
  ['the time of another account between', [...turns(2, '1'), ...turns(2, '1', '1', { account: 'bolt' })], 0],
  ['one that is told late, which says nothing', [...turns(3, '1'), { peer: `${B}1`, lat: FAR, minute: 5 }], 0],
  [
    'turns that go on behind one that is told late',
    [...turns(3, '1'), { peer: `${B}1`, lat: HOME, minute: 5 }, { peer: `${B}1`, lat: FAR }],
    1,
  ],
  [
    'longer turns',
    turns(4, '1')
      .flatMap((step) => [step, step])
      .map((step, n) => ({ ...step, minute: 10 * (n >> 1) + (n & 1) })),
    1,
  ],
  ['a network that changed at one place, within half a day (20)', [{ peer: '203.0.113.1:1', lat: HOME }, ...turns(9, '12345')], 0],
  [
    'a network that changed at one place, half a day later (20)',
    [
      { peer: '203.0.113.1:1', lat: HOME },
      { peer: `${A}1`, lat: HOME },
      ...turns(8, '12345').map((step, n) => ({ ...step, minute: 730 + 10 * n })),
    ],
    1,
  ],
])('%s: %#', (_what, steps, told) => {
  expect(news(steps)).toHaveLength(told);
});

it('the news has both addresses, how far apart they are, how fast that would be, and since when', () => {
  expect(news(turns(4, '1'))).toEqual([{ type: 'clone', addresses: [`${A}1`, `${B}1`], distance_km: 1111.9, speed_kmh: 6354, since: T }]);
});
