import { describe, expect, it } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import { RecordFeed } from '../helpers/fixtures.ts';

/** A text position is a fix whatever follows its status word, and a tail of no known shape is neither a cell nor an attribute (codecs/h02/protocol.md section 5). */

const DEVICE = '4106011660';
const GROUP = '124552,A,5035.3129,N,00431.8211,E,000.20,090,131116,FFFFFBFF';
const FIX = { kind: 'fix', device: DEVICE, time: Date.UTC(2016, 10, 13, 12, 45, 52), valid: true, course_deg: 90 };
const LONGEST = 24;

function read(text: string): Record<string, unknown>[] {
  const connection = new RecordFeed(h02, 'tcp', {});
  connection.feed.push(Buffer.from(text));
  return connection.records.flat();
}

describe('a position with n fields behind its status word', () => {
  it.each(['V1', 'V5', 'V6', 'V8', 'VI2', 'ABC'])('of type %s', (type) => {
    for (const filler of ['', '0', '1', 'GH', '460', 'ffffff', '-5', '7.25'])
      for (let n = 0; n <= LONGEST; n++) {
        const text = `*HQ,${DEVICE},${type},${GROUP}${`,${filler}`.repeat(n)}#`;
        const records = read(text);
        expect(records[0], text).toMatchObject(FIX);
        expect(records[0]?.['lat'], text).toBeCloseTo(50.588548, 5);
        expect(records[0]?.['lon'], text).toBeCloseTo(4.530352, 5);
        expect(records, text).toHaveLength(1);
        // No network has a number that these could be.
        if (filler !== '460') expect(records[0]?.['cells'], text).toBeUndefined();
      }
  });

  it('keeps the tail as it came', () => {
    for (let n = 1; n <= LONGEST; n++) {
      const [record] = read(`*HQ,${DEVICE},V1,${GROUP}${',GH'.repeat(n)}#`);
      expect(JSON.stringify(record?.['attrs']), String(n)).toContain(Array(n).fill('GH').join(','));
    }
  });
});
