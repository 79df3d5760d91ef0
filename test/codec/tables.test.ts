import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NAMES } from '../../codecs/gt06/messages.ts';
import h02 from '../../codecs/h02/index.ts';
import { nameOf } from '../../codecs/jt808/messages.ts';
import { REPORTS } from '../../codecs/queclink/report.ts';
import teltonika from '../../codecs/teltonika/index.ts';

/** The table at the end of each protocol document has every message that the codec has a name for. */

const DOCUMENT = ['protocol', 'md'].join('.');
const REMEDY = `add a row to the last table of ${DOCUMENT}: what is made of the message`;

/** First column of the tables behind the heading that begins with this. */
function firstColumn(codec: string, heading: string): string {
  const text = readFileSync(new URL(`../../codecs/${codec}/${DOCUMENT}`, import.meta.url), 'utf8');
  const section = text.slice(text.indexOf(`\n## ${heading}`) + 1).split(/\n## /, 2)[0] ?? '';
  return section
    .split('\n')
    .flatMap((line) => (line.startsWith('| ') ? [line.split('|')[1] ?? ''] : []))
    .join('\n');
}

const hex = (n: number, width: number): string => n.toString(16).toUpperCase().padStart(width, '0');

describe('the table of messages', () => {
  it('of GT06', () => {
    const listed = new Set(firstColumn('gt06', '19.').match(/\b[0-9A-F]{2}\b/g));
    const missing = NAMES.flatMap((name, number) => (name === '' || listed.has(hex(number, 2)) ? [] : [hex(number, 2)]));
    expect(missing, REMEDY).toEqual([]);
  });

  it('of H02', () => {
    const column = firstColumn('h02', '15.');
    const listed = new Set(column.match(/[\w$]+/g));
    const own = new Set(['empty', 'unknown', 'downlink']);
    const missing = h02.messages.filter((name) => !own.has(name) && !listed.has(name));
    expect(missing, REMEDY).toEqual([]);
  });

  it('of JT/T 808', () => {
    const column = firstColumn('jt808', '20.');
    const listed = new Set(column.match(/\b[0-9A-F]{4}\b/g));
    for (const [, from = '', to = ''] of column.matchAll(/\b([0-9A-F]{4})–([0-9A-F]{4})\b/g))
      for (let id = Number.parseInt(from, 16); id <= Math.min(Number.parseInt(to, 16), Number.parseInt(from, 16) + 15); id++)
        listed.add(hex(id, 4));
    const missing: string[] = [];
    for (let id = 0; id < 0x10000; id++) if (nameOf(id) !== 'unknown' && !listed.has(hex(id, 4))) missing.push(hex(id, 4));
    expect(missing, REMEDY).toEqual([]);
  });

  it('of Teltonika', () => {
    const column = firstColumn('teltonika', '16.');
    const named: Record<string, string> = {
      ping: '`FF`',
      imei: 'IMEI packet',
      unknown_codec: 'another codec id',
      text_message: 'text message',
    };
    const missing = teltonika.messages.filter((name) => {
      const id = /^codec_(\d+)(e?)$/.exec(name);
      const wanted = id === null ? named[name] : `codec ${id[2] === 'e' ? '8E' : hex(Number(id[1]), 2)}`;
      return wanted === undefined || !column.includes(wanted);
    });
    expect(missing, REMEDY).toEqual([]);
  });

  it('of Queclink', () => {
    const listed = new Set(firstColumn('queclink', '15.').match(/\bGT\w+|\b[A-Z]{3}\b/g));
    const missing = REPORTS.map(({ name }) => name).filter((name) => !listed.has(name) && !listed.has(`GT${name}`));
    expect(missing, REMEDY).toEqual([]);
  });
});
