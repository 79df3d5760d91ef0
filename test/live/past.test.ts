import { describe, expect, it } from 'vitest';
import { Views } from '../../src/fleet/privacy/views.ts';
import { RecentEvents, withoutPlace } from '../../src/live/recent-events.ts';
import type { EventJson } from '../../src/out/record/event.ts';
import { type TrackRow, thinned } from '../../src/out/sink/clickhouse/past.ts';

describe('who has looked at a device', () => {
  it('is recorded once for each device, caller and kind in ten minutes', () => {
    const recorded: object[] = [];
    let now = 0;
    const views = new Views({ now: () => now, record: (device, event) => recorded.push({ device, ...event }) });
    for (const by of ['a', 'a', 'b']) views.note('d-1', 'track', by);
    views.note('d-1', 'trace', 'a');
    views.note('d-2', 'track', 'a');
    expect(recorded).toEqual([
      { device: 'd-1', type: 'viewed', what: 'track', by: 'a' },
      { device: 'd-1', type: 'viewed', what: 'track', by: 'b' },
      { device: 'd-1', type: 'viewed', what: 'trace', by: 'a' },
      { device: 'd-2', type: 'viewed', what: 'track', by: 'a' },
    ]);
    now = 600_000;
    views.note('d-1', 'track', 'a');
    expect(recorded).toHaveLength(5);
    for (let n = 0; n < 30_000; n++) views.note(`d-${n}`, 'export', 'a');
    expect(recorded).toHaveLength(30_005);
  });
});

describe('a track that is thinned', () => {
  const row = (minute: number, speedKmh = 10, event = ''): TrackRow => [60_000 * minute, 1, 2, speedKmh, null, null, event, []];

  it('keeps the first of each bucket, both ends of gaps, events, the fastest and the last, invariant 1', () => {
    const buckets = [
      [row(0), row(9), row(4, 50)],
      [row(10), row(19), row(15, 80)],
      [row(60), row(69), row(61, 20)],
    ] as const;
    const times = thinned(buckets, [row(7, 10, 'sos'), row(60)], 600_000).map(([time]) => time / 60_000);
    expect(times).toEqual([0, 7, 10, 15, 19, 60, 69]);
  });
});

describe('events for who may not know where devices are', () => {
  const of = (type: string, data: object): EventJson => {
    const common = { version: 1, id: '1', kind: 'event', device: 'd-1', account: '', time: 1, received: 1, protocol: '' } as const;
    return { ...common, type, data: { ...data } };
  };

  it('have no place that a locator has found', () => {
    const found = of('located', { time: 1, lat: 59.3293, lon: 18.0686, accuracy_m: 120, valid: false, source: 'cells' });
    expect(withoutPlace(found).data).toEqual({ time: 1, valid: false, source: 'cells', withheld: true });
  });

  it('have no reply in which one was read, whatever the command', () => {
    const answered = { id: 'c', command: 'status', state: 'answered', reply: 'OK maps/59.3,18.0', values: { lat: 59.3, lon: 18 } };
    expect(withoutPlace(of('command', answered)).data).toEqual({ id: 'c', command: 'status', state: 'answered', withheld: true });
    const plain = of('command', { id: 'c', command: 'version', state: 'answered', reply: 'V 1.2', values: { firmware: 'V 1.2' } });
    expect(withoutPlace(plain)).toBe(plain);
    const empty = of('command', { id: 'c', command: 'locate', state: 'sent' });
    expect(withoutPlace(empty)).toBe(empty);
  });
});

describe('recent events', () => {
  it('are each there once, the last thousand, newest first', () => {
    const recent = new RecentEvents();
    const event = (n: number) =>
      ({
        version: 1,
        id: String(n).padStart(16, '0'),
        kind: 'event',
        device: `d-${n % 2}`,
        account: '',
        time: n,
        received: n,
        protocol: '',
        type: n % 3 === 0 ? 'a' : 'b',
        data: {},
      }) as const;
    for (let n = 0; n < 1500; n++) expect(recent.add(event(n))).toBe(true);
    expect(recent.add(event(1499))).toBe(false);
    const query = { types: [], from: 0, to: 9999, limit: 5000 };
    const found = recent.list(query).map(({ time }) => time);
    expect([found[0], found.length <= 1000, found.length >= 900]).toEqual([1499, true, true]);
    const page = recent.list({ ...query, limit: 3, device: 'd-1', types: ['a'] });
    expect(page.map(({ time }) => time)).toEqual([1497, 1491, 1485]);
    expect(recent.list({ ...query, limit: 1, before: page[0] }).map(({ time }) => time)).toEqual([1496]);
    recent.remove('d-1');
    expect(recent.list(query).every(({ device }) => device === 'd-0')).toBe(true);
  });
});
