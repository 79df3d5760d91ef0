import { expect, it } from 'vitest';
import { AppError, messageOf, systemCode } from '../../../src/base/errors.ts';

it('an error has the cause that it was given, and no other', () => {
  const cause = new Error('the disk is full');
  expect(new AppError('JOURNAL_FAILED', 'not written', cause)).toMatchObject({ code: 'JOURNAL_FAILED', message: 'not written', cause });
  expect(new AppError('JOURNAL_FAILED', 'not written')).not.toHaveProperty('cause');
});

it.each([
  [Object.assign(new Error('full'), { code: 'ENOSPC' }), 'ENOSPC', 'full'],
  [Object.assign(new Error('full'), { code: 28 }), '', 'full'],
  [new Error('full'), '', 'full'],
  [{ code: 'ENOSPC' }, '', '[object Object]'],
  ['full', '', 'full'],
  [undefined, '', 'undefined'],
])('of %o, the code of the system is %j and the message %j', (error, code, message) => {
  expect([systemCode(error), messageOf(error)]).toEqual([code, message]);
});
