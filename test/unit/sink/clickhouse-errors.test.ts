import { ClickHouseError } from '@clickhouse/client';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { Secret, SecretUrl } from '../../../src/base/secret.ts';
import { blamesRows, clickHouseCode, isUnmade, plainError } from '../../../src/out/sink/clickhouse/errors.ts';
import { checkVersion, quoteName, quoteText } from '../../../src/out/sink/clickhouse/migrate.ts';

/** What an answer of ClickHouse means, without one. */

const answered = (code: number, message = 'said'): ClickHouseError => new ClickHouseError({ code: String(code), type: 'X', message });
const PLACE = { url: new SecretUrl('http://fixgate:hush@db.example.org:8123/'), password: new Secret('geheim-geheim') };
const plain = (error: unknown, place: Parameters<typeof plainError>[1] = PLACE): string => {
  const { code, message } = plainError(error, place);
  return `${code}: ${message}`;
};

describe('an error', () => {
  it.each<[what: string, error: unknown, code: number, isRows: boolean, unmade: boolean]>([
    ['of the server', answered(241), 241, false, false],
    ['about the rows', answered(117), 117, true, false],
    ['about a constraint', answered(469), 469, true, false],
    ['about a database that is not there', answered(81), 81, false, true],
    ['about one of our tables', answered(60, 'Table fixgate.positions does not exist'), 60, false, true],
    ['about another table', answered(60, 'Table fixgate.mine does not exist'), 60, false, false],
    ['about a table whose name only holds one of ours', answered(60, 'Table fixgate.my_positions does not exist'), 60, false, false],
    ['that names one of our tables', answered(241, 'memory, in positions'), 241, false, false],
    ['of the way there', new Error('socket hang up'), 0, false, false],
  ])('%s is told apart', (_what, error, code, isRows, unmade) => {
    expect([clickHouseCode(error), blamesRows(error), isUnmade(error)]).toEqual([code, isRows, unmade]);
  });

  it.each<[what: string, error: unknown, text: string]>([
    [
      'without tables',
      answered(81, 'no database'),
      'SINK_UNREACHABLE: ClickHouse at URL has no tables yet: the server makes its tables when it first reaches ClickHouse; /readyz says whether it does (no database)',
    ],
    [
      'that refuses access',
      answered(516, 'wrong password'),
      'CLICKHOUSE_REFUSED: ClickHouse at URL refuses access: check user, password and database (wrong password)',
    ],
    ['with a code', answered(241, 'memory'), 'SINK_UNREACHABLE: ClickHouse at URL answered 241: memory'],
    [
      'of the system',
      Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }),
      'SINK_UNREACHABLE: ClickHouse at URL does not answer (ECONNREFUSED)',
    ],
    ['of another kind', new Error('socket hang up'), 'SINK_UNREACHABLE: ClickHouse at URL does not answer (socket hang up)'],
    [
      'with a row',
      answered(469, 'Constraint violated. Column values: lat = 52.5'),
      'SINK_UNREACHABLE: ClickHouse at URL answered 469: Constraint violated.',
    ],
    ['of several lines', answered(241, 'a\n  b\t c'), 'SINK_UNREACHABLE: ClickHouse at URL answered 241: a b c'],
    ['that is long', answered(241, 'x'.repeat(301)), `SINK_UNREACHABLE: ClickHouse at URL answered 241: ${'x'.repeat(300)}`],
    [
      'with what is secret',
      answered(241, 'user fixgate:geheim-geheim'),
      'SINK_UNREACHABLE: ClickHouse at URL answered 241: user fixgate:***',
    ],
  ])('%s reads', (_what, error, text) => {
    expect(plain(error)).toBe(text.replace('URL', String(PLACE.url)));
    expect(plain(error)).not.toMatch(/hush|geheim|52\.5/);
  });

  it('of ours stays as it is, and a place without a password has none to hide', () => {
    const own = new AppError('SINK_UNREACHABLE', 'as it is');
    expect(plainError(own, PLACE)).toBe(own);
    expect(plain(answered(241, 'said'), { url: PLACE.url })).toContain('answered 241: said');
  });
});

describe('a version of ClickHouse', () => {
  it.each([
    ['24.8.1.2', true],
    ['24.7.99', false],
    ['24.10.1', true],
    ['25.1.1', true],
    ['23.12.1', false],
    ['', false],
  ])('%j is served: %s', async (version, isServed) => {
    const client = { query: async () => ({ json: async () => [{ version }] }) };
    const outcome = await checkVersion(Object.assign(Object.create(null), client)).then(
      () => true,
      ({ code }) => code !== 'CLICKHOUSE_OLD',
    );
    expect(outcome).toBe(isServed);
  });
});

it('names and texts are quoted', () => {
  expect([quoteName('fix`gate\\x'), quoteText("it's \\ this")]).toEqual(['`fix\\`gate\\\\x`', "'it\\'s \\\\ this'"]);
  expect([quoteName('a``b'), quoteText("''")]).toEqual(['`a\\`\\`b`', "'\\'\\''"]);
});
