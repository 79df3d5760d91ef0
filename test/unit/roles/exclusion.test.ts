import { describe, expect, it } from 'vitest';
import { Exclusion } from '../../../src/roles/exclusion.ts';

describe('what writes stored data once more', () => {
  it('is waited for by an erasure, and not begun while one is under way', async () => {
    const exclusion = new Exclusion();
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
    const exclusion = new Exclusion();
    const failing = exclusion.writing(() => Promise.reject(new Error('away')));
    await expect(failing).rejects.toThrow('away');
    expect(await exclusion.erasing(async () => 1)).toBe(1);
  });
});
