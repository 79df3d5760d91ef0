import { describe, expect, it } from 'vitest';
import { RecentEvents, withoutPlace } from '../../src/live/recent-events.ts';
import type { EventJson } from '../../src/out/record/event.ts';

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
