import { describe, expect, it } from 'vitest';
import { Batch, EventRows, tokenOf, UsageRows } from '../../../src/out/sink/sink.ts';
import { recordRows } from '../../support/record-rows.ts';

const T = Date.UTC(2026, 9, 1);
const EVENT = {
  id: '0123456789abcdef',
  device: 'd1',
  account: 'acme',
  protocol: 'toy',
  type: 'connected',
  time: T,
  received: T + 1,
  data: '{"k":1}',
};
const TRAFFIC = { in: 1, out: 2, segments: 3, datagrams: 4, records: 5, network: { mcc: 240, mnc: 1, roaming: false } };

describe('a batch', () => {
  it('knows of each record the entry that it came from, and keeps what is marked as sent again while it grows', () => {
    const batch = new Batch();
    for (const [sequence, count] of [
      [7, 2],
      [8, 0],
      [9, 1500],
      [12, 1],
    ] as const) {
      recordRows(
        Array.from({ length: count }, () => ({})),
        batch.rows,
      );
      batch.locate('3', sequence);
      if (sequence === 7) batch.resent[1] = 1;
    }
    expect([0, 1, 2, 1501, 1502].map((row) => [batch.slot[row], batch.sequence[row], batch.resent[row]])).toEqual([
      ['3', 7, 0],
      ['3', 7, 1],
      ['3', 9, 0],
      ['3', 9, 0],
      ['3', 12, 0],
    ]);
    expect([batch.slot.length, batch.sequence.length, batch.resent.length >= 1503]).toEqual([1503, 1503, true]);
  });

  it('that is cleared is as a new one', () => {
    const batch = new Batch();
    recordRows([{}, {}], batch.rows);
    batch.locate('3', 7);
    batch.resent[1] = 1;
    batch.events.push(EVENT, '3', 8);
    batch.audit.push(EVENT, '3', 9);
    batch.usage.push('d1', 'acme', EVENT.id, T, TRAFFIC, '3', 10);
    batch.relayedRows.add(0);
    batch.relayedEvents.add(0);
    Object.assign(batch, { ranges: { 3: { from: 7, to: 10 } }, token: 'x', entries: 4, bytes: 100, oldest: T });
    batch.clear();
    const { rows, ...rest } = batch;
    const { rows: _, ...fresh } = new Batch();
    expect(rest).toEqual(fresh);
    expect([rows.count, rows.device]).toEqual([0, []]);
  });
});

it('columns of events give back each event, and nothing of one that is not there', () => {
  const rows = new EventRows();
  rows.push(EVENT, '3', 8);
  rows.push({ ...EVENT, type: 'disconnected' }, '4', 9);
  expect([rows.at(0), rows.at(1).type, rows.slot, rows.sequence, rows.count]).toEqual([EVENT, 'disconnected', ['3', '4'], [8, 9], 2]);
  expect(rows.at(2)).toEqual({ id: '', device: '', account: '', protocol: '', type: '', time: 0, received: 0, data: '{}' });
});

it('columns of usage have what was noted', () => {
  const rows = new UsageRows();
  rows.push('d1', 'acme', EVENT.id, T, TRAFFIC, '3', 8);
  expect({ ...rows }).toEqual({
    count: 1,
    device: ['d1'],
    account: ['acme'],
    id: [EVENT.id],
    time: [T],
    bytesIn: [1],
    bytesOut: [2],
    segments: [3],
    datagrams: [4],
    records: [5],
    network: [TRAFFIC.network],
    slot: ['3'],
    sequence: [8],
  });
});

it('a token names the installation and the ranges, by slot', () => {
  const ranges = { 10: { from: 1, to: 2 }, 9: { from: 3, to: 3 } };
  expect(tokenOf('here', ranges)).toBe('here 9:3-3 10:1-2');
  expect(tokenOf('here', {})).toBe('here ');
});
