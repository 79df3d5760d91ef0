import { stat, utimes } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { retain } from '../../src/journal/retention.ts';
import { directory, open, read, segments, type Watched } from './slot.ts';

const DAY = 86_400_000;
const NOW = 1_800_000_000_000;

/** Ten segments of one entry each, received at 1001…1010 and last written `ageMs` before NOW; still open for writing. */
async function slotOf10(path: string, ageMs: number): Promise<Watched> {
  const slot = await open(path, { segmentBytes: 1 });
  for (let i = 1; i <= 10; i++) {
    slot.append(`entry ${i}`, 1000 + i);
    await slot.it.flush();
  }
  for (const segment of await segments(path)) await utimes(segment, new Date(NOW - ageMs), new Date(NOW - ageMs));
  return slot;
}

describe('retention', () => {
  it('1 and 3: removes what is delivered and old, never what is not delivered, never the newest', async () => {
    const path = await directory();
    const slot = await slotOf10(path, DAY + 1);
    expect(await retain({ directory: path, delivered: 4, now: NOW })).toMatchObject({
      segments: 6,
      removedSegments: 4,
      oldestUndelivered: 1005,
      overBudget: false,
    });
    expect((await read(path)).map((entry) => entry.sequence)).toEqual([5, 6, 7, 8, 9, 10]);
    expect(await retain({ directory: path, delivered: 10, now: NOW })).toMatchObject({
      segments: 1,
      removedSegments: 5,
      oldestUndelivered: 0,
    });
    slot.append('more', 2000);
    await slot.it.close();
    expect((await read(path)).map((entry) => entry.sequence)).toEqual([10, 11]);
  });

  it('2: delivered segments stay until they are old enough', async () => {
    const path = await directory();
    const slot = await slotOf10(path, DAY - 1);
    expect(await retain({ directory: path, delivered: 10, now: NOW })).toMatchObject({ segments: 10, removedSegments: 0 });
    expect(await retain({ directory: path, delivered: 10, now: NOW, keepMs: DAY - 1 })).toMatchObject({ segments: 1 });
    await slot.it.close();
  });

  it('2: over the budget they go earlier, oldest first, and no more of them than needed', async () => {
    const path = await directory();
    const slot = await slotOf10(path, 0);
    const sizes = await Promise.all((await segments(path)).map(async (segment) => (await stat(segment)).size));
    const lastFour = sizes.slice(6).reduce((sum, size) => sum + size, 0);
    const report = await retain({ directory: path, delivered: 10, now: NOW, maxBytes: lastFour });
    expect(report).toMatchObject({ segments: 4, bytes: lastFour, removedSegments: 6, overBudget: false });
    await slot.it.close();
  });

  it('1: over the budget with nothing delivered, nothing goes, and the report says so', async () => {
    const path = await directory();
    const slot = await slotOf10(path, 2 * DAY);
    expect(await retain({ directory: path, delivered: 0, now: NOW, maxBytes: 1 })).toMatchObject({
      segments: 10,
      removedSegments: 0,
      overBudget: true,
      oldestUndelivered: 1001,
    });
    expect(await read(path)).toHaveLength(10);
    await slot.it.close();
  });

  it('1: a segment whose last entry is not delivered stays whole', async () => {
    const path = await directory();
    const slot = await open(path, { segmentBytes: 500 });
    for (let i = 1; i <= 30; i++) {
      slot.append(`entry ${i}`, 1000 + i);
      await slot.it.flush();
    }
    await slot.it.close();
    for (let delivered = 0; delivered <= 30; delivered++) {
      await retain({ directory: path, delivered, now: Number.MAX_SAFE_INTEGER, keepMs: 0 });
      const left = (await read(path, delivered + 1)).map((entry) => entry.sequence);
      expect(left).toEqual(Array.from({ length: 30 - delivered }, (_, i) => delivered + 1 + i));
    }
  });

  it('a slot that does not exist has nothing to remove', async () => {
    const path = await directory();
    expect(await retain({ directory: `${path}/none`, delivered: 0, now: NOW })).toEqual({
      segments: 0,
      bytes: 0,
      removedSegments: 0,
      removedBytes: 0,
      oldestUndelivered: 0,
      overBudget: false,
    });
  });
});
