import { expect, it } from 'vitest';
import { keptNotes } from '../../src/embedded/repair.ts';

const NOTES = '1\t202601_1_1_0\tx_1\n1\t202601_2_2_0\tx_2\n1\t202602_3_3_0\tx_3\n';

it('keeps notes whose parts are there, merged or mutated', () => {
  expect(keptNotes(NOTES, ['202601_1_1_0', '202601_2_2_0', '202602_3_3_0'])).toBeNull();
  expect(keptNotes(NOTES, ['202601_1_2_1', '202602_3_3_0_9'])).toBeNull();
});

it('removes notes whose parts are missing, also when another partition or a near block is there', () => {
  expect(keptNotes(NOTES, ['202601_1_1_0', '202601_3_3_0', '202602_3_3_0'])).toBe('1\t202601_1_1_0\tx_1\n1\t202602_3_3_0\tx_3\n');
  expect(keptNotes(NOTES, [])).toBe('');
});

it('keeps what it does not know and cuts a torn line', () => {
  const dropped = '2\t202601_1_1_0\tx_1\nsomething else\n';
  expect(keptNotes(dropped, [])).toBeNull();
  expect(keptNotes(`${dropped}1\t2026`, [])).toBe(dropped);
});
