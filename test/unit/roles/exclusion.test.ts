import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockParked } from '../../../src/base/lock/parked-lock.ts';
import { Exclusion } from '../../../src/roles/exclusion.ts';

/** Numbers quote the invariants of src/roles/exclusion.ts. */

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'fixgate-exclusion-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

describe('what writes stored data once more', () => {
  it('is waited for by an erasure, and not begun while one is under way', async () => {
    const exclusion = new Exclusion(dataDir);
    const order: string[] = [];
    let written = (): void => {};
    const writing = exclusion.writing(async () => {
      await new Promise<void>((resolve) => {
        written = resolve;
      });
      order.push('written');
    });
    const erasing = exclusion.erasing(async () => {
      order.push('erased');
    });
    expect(() => exclusion.writing(async () => {})).toThrow('a device is being erased');
    written();
    await Promise.all([writing, erasing]);
    expect(order).toEqual(['written', 'erased']);
    expect(await exclusion.writing(async () => 'again')).toBe('again');
  });

  it('may fail: what waits for it goes on', async () => {
    const exclusion = new Exclusion(dataDir);
    const failing = exclusion.writing(() => Promise.reject(new Error('away')));
    await expect(failing).rejects.toThrow('away');
    expect(await exclusion.erasing(async () => 1)).toBe(1);
  });

  it('1: beside the server is refused while a device is erased, and nothing is erased while it works', async () => {
    const exclusion = new Exclusion(dataDir);
    const directory = join(dataDir, 'parked');
    const both = [0, 1].map(() => exclusion.erasing(() => expect(lockParked(directory)).rejects.toThrow('a device is being erased')));
    await Promise.all(both);
    const beside = await lockParked(directory);
    await expect(exclusion.erasing(async () => 'erased')).rejects.toThrow('parked entries are being retried');
    await beside.close();
    expect(await exclusion.erasing(async () => 'erased')).toBe('erased');
    await (await lockParked(directory)).close();
  });
});
