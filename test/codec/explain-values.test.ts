import { expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import jt808 from '../../codecs/jt808/index.ts';
import queclink from '../../codecs/queclink/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { Feed } from '../../src/codec/kit/index.ts';
import { Random } from '../../src/simulate/random.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';

/** What `--explain` says of fields whose bytes are not what the protocol has there: nothing, rather than a number that is none. */
it.each([gt06, h02, jt808, queclink, teltonika].map((codec) => [codec.name, codec] as const))('%s', (name, codec) => {
  const random = new Random(1);
  const said = new Set<string>();
  const state = new Feed(codec, 'tcp').state;
  for (const line of frameLines(name))
    for (let n = 0; n < 40; n++) {
      const bytes = bytesOf(line.hex);
      for (let k = random.int(3); k >= 0; k--) bytes[random.int(bytes.length)] = random.int(256);
      codec.tcp?.explain?.(bytes, 0, bytes.length, state, (_at, _length, field, raw, value = '') => {
        if (/\b(NaN|undefined|null|Infinity|Invalid)\b/.test(value) && !/NaN|undefined|null|Infinity|Invalid/.test(raw))
          said.add(`${field}: ${value}`);
      });
    }
  expect([...said]).toEqual([]);
});
