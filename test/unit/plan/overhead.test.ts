import { expect, it } from 'vitest';
import { billed } from '../../../src/fleet/plan/overhead.ts';

const counters = { bytes_in: 1000, bytes_out: 200, segments: 10, datagrams: 3, records: 7 };

it.each([
  [{ segment_bytes: 0, datagram_bytes: 0, round_bytes: 1 }, 1200],
  [{ segment_bytes: 40, datagram_bytes: 28, round_bytes: 1 }, 1684],
  [{ segment_bytes: 40, datagram_bytes: 28, round_bytes: 1024 }, 2048],
  [{ segment_bytes: 0, datagram_bytes: 0, round_bytes: 1200 }, 1200],
])('bills bytes both ways, what carried them, and rounds up: %j', (overhead, expected) => {
  expect(billed({ overhead }, counters)).toBe(expected);
});

it('bills nothing for nothing', () => {
  expect(
    billed(
      { overhead: { segment_bytes: 40, datagram_bytes: 28, round_bytes: 1024 } },
      { bytes_in: 0, bytes_out: 0, segments: 0, datagrams: 0, records: 0 },
    ),
  ).toBe(0);
});
