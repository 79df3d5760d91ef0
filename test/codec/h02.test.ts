import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import h02 from '../../codecs/h02/index.ts';
import { VOCABULARY } from '../../codecs/vocabulary.ts';
import { eventIndex, type Transport } from '../../src/codec/index.ts';
import {
  checkCodec,
  cutRandomly,
  describeFailure,
  difference,
  Feed,
  type FrameSnapshot,
  feed,
  Random,
  type Sample,
} from '../../src/codec/kit/index.ts';
import { bytesOf, fixtureTests, frameLines, readLines } from '../helpers/fixtures.ts';
import { vectorTests } from '../helpers/vectors.ts';
import { rounds } from '../support/thorough.ts';

const bytesFrom = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const joined = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
const text = (hex: string | null): string | null => (hex === null ? null : String.fromCharCode(...bytesOf(hex)));

fixtureTests(h02);

vectorTests(h02, {
  attributeMap: { status: (value) => ({ name: 'status_bits', value }) },
  command: (v) => {
    const { command, params, uniqueId } = v.expect;
    const first = [Buffer.from(`*HQ,${uniqueId},V0#`).toString('hex')];
    // The vectors' time of the day is the key here.
    const key = 1 * 3600 + 2 * 60 + 3;
    switch (command) {
      case 'alarmArm':
        return { command: { type: 'arm', parameters: {} }, key, first };
      case 'engineResume':
        return { command: { type: 'engine_resume', parameters: {} }, key, first };
      case 'positionPeriodic':
        return { command: { type: 'set_interval', parameters: { seconds: Number(params?.['frequency']) } }, key, first };
      default:
        return undefined;
    }
  },
});

/** Frames of codecs/h02/protocol.md section 13, and frames made after its layouts. */
const B2 = bytesOf('2441060116601245431311165035313006004318210e000000fffffbffff0024');
const B4 = bytesOf('2441091144271222470112142233983006114026520E000000FFFFFBFFFF0014060000000001CC00262B0F170A');
const B7 = bytesOf('2491802711800850240512192350143206090249758e000001ffffbbff00bdf0900000000001d60161cc4b9a35');
const B8 = bytesOf('2421305109380127171003170520046500100286297e003085ffffdfffff03440069129344006400001151415a20');
const B9 = bytesOf('2459051018930314371011213757325002145037076a000344ff7ffbffff00085b0000000001f90300000000640003');
const B10 = bytesOf('2491700001230815300502263352129206151125580A027084FFFFFFFFFF0016090000303901F90112345678007D2C');
const B11 = bytesOf('2491700001230815300502263352129206151125580A027084FFFFFBFFFF0016090000303901F901123456782D');
const B12 = bytesOf('24971305007205201916101533335008000073206976000000effffbffff000252776566060000000000000000000049');
const B13 = bytesOf('2435248308419329301047591808172627335900074412294E024138FEFFFFFFFF01120064BA73005ECC');
const B14 = bytesOf('5800009814991024031101175540227006012321670c000095fffffbffff0033');
const V1 = bytesFrom('*HQ,4106011660,V1,124552,A,5035.3129,N,00431.8211,E,000.20,000,131116,FFFFFBFF#');
const HTBT = bytesFrom('*HQ,135790246811220,HTBT,100#');
const SMS = bytesFrom('*HQ,5226073533,SMS,ST906(70SACD)_TQ_V_2.0 2024/06/07\nID:5226073533\nVOLT:12.9V\nGPS:A-24-23\nGSM:26#');

function lengths(frames: readonly FrameSnapshot[]): number[] {
  return frames.map((frame) => frame.length);
}

function decoded(bytes: Uint8Array, transport: Transport = 'tcp', options = {}): FrameSnapshot {
  const connection = feed(h02, transport, [bytes], { options });
  connection.quiet();
  const frame = connection.frames[0];
  if (frame === undefined) throw new Error('no frame');
  return frame;
}

describe('h02 framing', () => {
  it.each([
    ['B2', B2],
    ['B4', B4],
    ['B7', B7],
    ['B8', B8],
    ['B9', B9],
    ['B10', B10],
    ['B11', B11],
    ['B12', B12],
    ['B13', B13],
    ['B14', B14],
  ])('cuts %s by what follows, whatever follows', (_name, bytes) => {
    for (const next of [V1, HTBT, bytes, B2, B4, B7, B8, B9, B12, B13, B14]) {
      const connection = feed(h02, 'tcp', [joined(bytes, next)]);
      connection.quiet();
      expect(connection.frames[0]?.length).toBe(bytes.length);
      // Frames of one connection have one length: only another length may be misjudged before it is learned.
      if (next === bytes || next[0] === 0x2a)
        expect([lengths(connection.frames), connection.noise]).toEqual([[bytes.length, next.length], 0]);
    }
  });

  it('cuts a frame behind which a line break comes', () => {
    for (const bytes of [B2, B4, B9, B10, B12, B14])
      for (const separator of ['\r\n', ' \r\n', '\n']) {
        const connection = feed(h02, 'tcp', [joined(bytes, bytesFrom(separator), V1)]);
        expect(lengths(connection.frames)).toEqual([bytes.length, V1.length]);
        expect(connection.noise).toBe(separator.length);
      }
  });

  it('does not take the satellite count of a 45-byte frame for a line break', () => {
    for (const satellites of [0x0a, 0x0d, 0x20]) {
      const bytes = B11.slice();
      bytes[32] = satellites;
      expect(lengths(feed(h02, 'tcp', [joined(bytes, bytes, V1)]).frames)).toEqual([45, 45, V1.length]);
    }
  });

  it('leaves a frame that content does not settle open until the peer is quiet', () => {
    const open = feed(h02, 'tcp', [bytesOf('2410307310010503162209022212874500113466574C014028FFFFFBFFFF0000')]);
    expect([open.frames.length, open.pending]).toEqual([0, 32]);
    expect(lengths(open.quiet())).toEqual([32]);
  });

  it('needs no second frame once a length is known on the connection', () => {
    const plain = bytesOf('24430025645511183817091319355128000465632432000100ffe7fbffff0000');
    const connection = feed(h02, 'tcp', [joined(plain, V1), plain]);
    expect([lengths(connection.frames), connection.pending]).toEqual([[32, V1.length, 32], 0]);
  });

  it('learns a longer length from what is left over', () => {
    // Byte 31 reads as no signal, so the first frame is cut at 32; its rest tells.
    const odd = B11.slice();
    odd[31] = 0x40;
    const connection = feed(h02, 'tcp', [joined(odd, odd, V1)]);
    expect(lengths(connection.frames)).toEqual([32, 45, V1.length]);
    expect(connection.noise).toBe(13);
  });

  it('gives up what is left of a frame when the peer falls quiet, and learns from it', () => {
    const odd = B11.slice();
    odd[31] = 0x40;
    const connection = feed(h02, 'tcp', [odd]);
    expect([lengths(connection.frames), connection.pending]).toEqual([[32], 13]);
    expect(connection.quiet().map((frame) => [frame.kind, frame.length])).toEqual([['malformed', 13]]);
    expect(connection.pending).toBe(0);
    expect(lengths(connection.push(odd))).toEqual([45]);
  });

  it('tells 45 from 47 bytes where the record number looks like a voltage', () => {
    // Record numbers 0, 1 and 2 in a row on a connection that mixes both lengths.
    const numbered = (n: number): Uint8Array => {
      const bytes = B11.slice();
      bytes[44] = n;
      return bytes;
    };
    const connection = feed(h02, 'tcp', [joined(numbered(254), numbered(255), numbered(0), B10, numbered(45), numbered(46))]);
    expect([lengths(connection.frames), connection.pending]).toEqual([[45, 45, 45, 47, 45, 45], 0]);
  });

  it('cuts frames of 45 bytes with every record number in a row', () => {
    const connection = feed(h02, 'tcp', []);
    for (let n = 250; n < 250 + 256; n++) {
      const bytes = B11.slice();
      bytes[44] = n & 255;
      expect(lengths(connection.push(joined(bytes, n === 250 ? V1 : new Uint8Array(0)))), String(n & 255)).toEqual(
        n === 250 ? [45, V1.length] : [45],
      );
    }
  });

  it.each([0, 1, 2, 0x64])('tells 47 bytes with a voltage that begins with %d from 45, behind frames of 45', (high) => {
    const long = B10.slice();
    long[44] = high;
    expect(lengths(feed(h02, 'tcp', [joined(B11, B11, long, V1)]).frames)).toEqual([45, 45, 47, V1.length]);
  });

  it('reads no record from an X whose header is none', () => {
    const bytes = bytesOf(frameLines('h02').find(({ id }) => id === 'b14')?.hex ?? '');
    const kinds = [bytes, bytes.slice().fill(0xff, 6, 7)].map((copy) => new Feed(h02, 'tcp').decode(copy, 0, copy.length));
    expect(kinds.map(({ kind, reason, rows }) => [kind, reason, rows.length])).toEqual([
      ['records', '', 1],
      ['malformed', 'bad_header', 0],
    ]);
  });

  it('reads 1024 fields of a text', () => {
    const cells = Array.from({ length: 338 }, (_, n) => `9376,${n + 1},20`).join(',');
    const [frame] = feed(h02, 'tcp', [Buffer.from(`*HQ,1700086468,NBR,103610,460,0,1,338,${cells},130721,FFFFFBFF,4#`)]).frames;
    const row = frame?.rows[0];
    expect(row?.cells.length).toBe(338);
    const named = (name: string): unknown => row?.attributes.find(({ id }) => h02.attributes.get(id)?.name === name)?.value;
    expect([named('status_bits'), named('battery_pct')]).toEqual([0xfffffbff, undefined]);
  });

  it('drops text that lost its end, and nothing else', () => {
    const connection = feed(h02, 'tcp', [joined(V1.slice(0, 40), V1, HTBT)]);
    expect([lengths(connection.frames), connection.noise]).toEqual([[V1.length, HTBT.length], 40]);
  });

  it('drops endless text without stopping the stream', () => {
    const connection = feed(h02, 'tcp', [joined(bytesFrom(`*HQ,1,SMS,${'a'.repeat(20_000)}`), V1)]);
    expect(lengths(connection.frames)).toEqual([V1.length]);
  });

  it('keeps line feeds in the body of a text', () => {
    expect(decoded(SMS).replyText).toBe('ST906(70SACD)_TQ_V_2.0 2024/06/07\nID:5226073533\nVOLT:12.9V\nGPS:A-24-23\nGSM:26');
  });

  it('does not lose text to a marker byte inside garbage', () => {
    const connection = feed(h02, 'tcp', [joined(bytesFrom('GET / HTTP/1.1 $X*'), V1)]);
    expect(lengths(connection.frames)).toEqual([V1.length]);
  });

  it('takes what a datagram holds', () => {
    for (const bytes of [B2, B4, B7, B8, B9, B10, B11, B12, B13]) {
      expect(lengths(feed(h02, 'udp', [bytes]).frames)).toEqual([bytes.length]);
      expect(lengths(feed(h02, 'udp', [joined(bytes, V1, bytes)]).frames)).toEqual([bytes.length, V1.length, bytes.length]);
      expect(lengths(feed(h02, 'udp', [joined(bytes, bytesFrom('\r\n'))]).frames)).toEqual([bytes.length]);
    }
  });

  it('refuses X over UDP, where no connection names its device', () => {
    expect(decoded(B14, 'udp')).toMatchObject({ kind: 'malformed', reason: 'x_over_udp' });
  });

  it('obeys a set length', () => {
    const long = joined(B2, Uint8Array.of(1, 2, 3, 4, 5));
    expect(lengths(feed(h02, 'tcp', [joined(long, long)], { options: { binaryLength: 37 } }).frames)).toEqual([37, 37]);
  });

  it('cuts the same frames at every split, whatever length the connection has learned', () => {
    const odd = B11.slice();
    odd[31] = 0x40;
    const streams = [
      joined(B2, B2, V1),
      joined(B11, V1, bytesFrom('\r\n'), B10, B11),
      joined(B8, B8, HTBT),
      joined(odd, odd, V1, B9),
      joined(B12, bytesFrom(' \r\n'), B12, B7),
      joined(B2, V1, B13, B14, B4),
    ];
    // Bits 14 to 16 of the memo: 0 for nothing learned, else one of the six lengths.
    for (let learned = 0; learned <= 6; learned++) {
      for (const stream of streams) {
        const whole = feed(h02, 'tcp', [stream], { memo: learned << 14 });
        whole.quiet();
        for (let at = 1; at < stream.length; at++) {
          const cut = feed(h02, 'tcp', [stream.slice(0, at), stream.slice(at)], { memo: learned << 14 });
          cut.quiet();
          expect(difference(whole.frames, cut.frames), `learned ${learned}, cut at ${at}`).toBe('');
        }
      }
    }
  });

  it('gives the same records for 1000 random cuts of a mixed stream', () => {
    const noise = bytesFrom('\r\n');
    const stream = joined(B11, V1, noise, B11, B10, SMS, B10, B11, HTBT, bytesFrom('garbage$'), V1, B14, B11, B13, V1);
    const whole = feed(h02, 'tcp', [stream]);
    whole.quiet();
    expect(lengths(whole.frames)).toEqual([45, V1.length, 45, 47, SMS.length, 47, 45, HTBT.length, V1.length, 32, 45, 42, V1.length]);
    const random = new Random(5);
    for (let n = 0; n < 1000; n++) {
      const cut = feed(h02, 'tcp', cutRandomly(stream, 2 + random.below(12), random));
      cut.quiet();
      expect(difference(whole.frames, cut.frames)).toBe('');
    }
  });
});

const frameVector = z.object({
  id: z.string(),
  kind: z.string(),
  frame: z.object({ hex: z.string() }),
  expect: z.object({ hex: z.string().optional() }),
  needs: z.array(z.string()).default([]),
});
const vectors = readLines('../shared/vectors/h02.jsonl')?.map((line) => frameVector.parse(line));

// Which are no part of the repository.
if (vectors !== undefined)
  describe('h02 frame vectors at every split', () => {
    const byId = new Map(vectors.map((vector) => [vector.id, bytesOf(vector.frame.hex)]));
    it.each(vectors.filter(({ kind }) => kind === 'frame'))('$id', (vector) => {
      const bytes = bytesOf(vector.frame.hex);
      for (let cut = 1; cut < bytes.length; cut++) {
        const connection = feed(
          h02,
          'tcp',
          vector.needs.map((id) => byId.get(id) ?? new Uint8Array(0)),
        );
        const frames = [...connection.push(bytes.slice(0, cut)), ...connection.push(bytes.slice(cut))];
        expect(frames[0]?.length).toBe((vector.expect.hex ?? '').length / 2);
      }
    });
  });

describe('h02 attributes', () => {
  it('have the type that the vocabulary gives their name', () => {
    const terms = VOCABULARY.map((term) => ({ type: term.type, pattern: new RegExp(`^${term.name.replace('<n>', '\\d+')}$`) }));
    const wrong = [...h02.attributes.values()].filter(({ name, type }) =>
      terms.some((term) => term.pattern.test(name) && term.type !== type),
    );
    expect(wrong).toEqual([]);
  });
});

describe('h02 recognition', () => {
  const said = (bytes: Uint8Array): (boolean | undefined)[] =>
    Array.from({ length: bytes.length + 1 }, (_, n) => h02.recognise(bytes, 0, n));
  it('knows its own first bytes, and does not change its mind', () => {
    for (const bytes of [V1, B2, B4, B13, B14, bytesFrom('\r\n*HQ,1,V0#')]) {
      const answers = said(bytes);
      expect(answers.at(-1)).toBe(true);
      expect(answers.slice(0, answers.indexOf(true)).every((answer) => answer === undefined)).toBe(true);
      expect(answers.slice(answers.indexOf(true)).every((answer) => answer === true)).toBe(true);
    }
  });
  it('says no to others', () => {
    for (const text of ['GET / HTTP/1.1', 'SSH-2.0-', 'xx\u0011\u0001', '\u0016\u0003\u0001', '\u0000\u000f35', '*1234567', '$GPRMC,1'])
      expect(said(bytesFrom(text)).at(-1)).toBe(false);
  });
});

describe('h02 status word', () => {
  const v1 = (status: string, second: number): Uint8Array =>
    bytesFrom(`*HQ,4106011660,V1,1245${second},A,5035.3129,N,00431.8211,E,000.20,000,131116,${status}#`);
  const events = (words: readonly string[], options = {}): number[] =>
    feed(
      h02,
      'tcp',
      words.map((word, i) => v1(word, 10 + i)),
      { options },
    ).frames.map((frame) => frame.rows[0]?.event ?? -9);

  it('raises an alarm once while it is latched, and again when it comes again', () => {
    expect(events(['FFFFFBFF', 'FFFFFBFD', 'FFFFFBFD', 'FFFFFBFF', 'FFFFFBFD'])).toEqual([0, 1, 0, 0, 1]);
  });

  it('makes an event of each alarm in one word, in rows behind the position', () => {
    const all = (words: readonly string[], memo = 0): number[][] =>
      feed(
        h02,
        'tcp',
        words.map((word, i) => v1(word, 10 + i)),
        { memo },
      ).frames.map((frame) => frame.rows.map(({ event }) => event));
    // SOS and supply removed, then nothing new, then supply back while a vibration begins.
    expect(all(['FFE7FBFD', 'FFE7FBFD', 'FFFDFBFD'])).toEqual([[1, 2], [0], [eventIndex('vibration'), 3]]);
    const [frame] = feed(h02, 'tcp', [v1('FFE7FBFD', 10)]).frames;
    const [position, more] = frame?.rows ?? [];
    expect([more?.time, more?.flags, Number.isNaN(more?.latitude ?? 0)]).toEqual([position?.time, position?.flags, true]);
    // A record is named by its bytes.
    expect([more?.from, more?.to]).toEqual([(position?.from ?? 0) + 1, position?.to]);
    expect(frame?.answer).not.toBe(null);
  });

  it('gives each alarm of a stored word its own event in a batch, too', () => {
    const segment = (time: string, status: string): string => `A,5035.3129,N,00431.8211,E,000.20,000,${time},${status},1cc,0,1,2`;
    const batch = bytesFrom(`*HQ,4106011660,BC,1,1,${segment('13010000', 'FFE7FBFD')};${segment('13010100', 'FFE7FBFD')};#`);
    const frames = feed(h02, 'tcp', [V1, batch]).frames;
    expect(frames[1]?.rows.map(({ event }) => event)).toEqual([1, 2, 0]);
  });

  it('raises no latched alarm again on a new connection, which has the latch of the device', () => {
    const { tcp } = h02;
    const first = new Feed(h02, 'tcp', {});
    first.push(v1('FFE7FBFD', 10));
    const fresh = new Feed(h02, 'tcp', {});
    tcp?.adopt?.(fresh.state, tcp.memo?.(first.state) ?? 0);
    expect(fresh.push(v1('FFE7FBFD', 11)).map((frame) => frame.rows.map(({ event }) => event))).toEqual([[0]]);
    expect(fresh.push(v1('FFFFFBFD', 12)).map((frame) => frame.rows.map(({ event }) => event))).toEqual([[3]]);
  });

  it('leaves the disputed bits to the family', () => {
    expect(events(['FFFBFFFF'])).toEqual([0]);
    expect(events(['FFFBFFFF'], { status: 'cantrack' })).toEqual([1]);
  });
});

describe('h02 batches', () => {
  const days = (fix: string, ...points: readonly string[]): string[] => {
    const v1 = bytesFrom(`*HQ,4106011660,V1,124552,A,5035.3129,N,00431.8211,E,000.20,000,${fix},FFFFFBFF#`);
    const segments = points.map((day) => `A,5035.3129,N,00431.8211,E,000.20,000,${day}101112,FFFFFBFF;`).join('');
    const [, batch] = feed(h02, 'tcp', [v1, bytesFrom(`*HQ,4106011660,BC,1,1,${segments}#`)]).frames;
    return batch?.rows.map(({ time }) => (Number.isNaN(time) ? 'none' : new Date(time).toISOString().slice(0, 10))) ?? [];
  };

  it.each([
    ['150626', '14 15 16 17', '2026-06-14 2026-06-15 2026-06-16 2026-05-17'],
    // Over the end of a year, in both directions.
    ['010126', '31 01 02 30', '2025-12-31 2026-01-01 2026-01-02 2025-12-30'],
    ['311225', '31 01 02', '2025-12-31 2026-01-01 2025-12-02'],
    // The month before has no such day.
    ['010326', '28 29 30 31', '2026-02-28 2026-01-29 2026-01-30 2026-01-31'],
    ['010328', '29 30', '2028-02-29 2028-01-30'],
    ['300426', '30 31 01', '2026-04-30 2026-03-31 2026-05-01'],
    ['280226', '28 01 29', '2026-02-28 2026-03-01 2026-01-29'],
    ['150626', '00 32 99', 'none none none'],
  ])('behind a fix of %s, the days %s are %s', (fix, points, dates) => {
    expect(days(fix, ...points.split(' '))).toEqual(dates.split(' '));
  });
});

describe('h02 answers', () => {
  const answers = (options: object, ...frames: readonly Uint8Array[]): (string | null)[] =>
    feed(h02, 'tcp', frames, { options: { ...options } }).frames.map((frame) => text(frame.answer));

  it('confirms what the document says by default', () => {
    expect(answers({}, bytesFrom('*TH,2020916012,V0#'), HTBT, V1, bytesFrom('*HQ,0000000001,NBR,1#'))).toEqual([
      '*TH,2020916012,V0#',
      '*HQ,135790246811220,HTBT#',
      '*HQ,4106011660,V4,V1,20261101000000#',
      '*HQ,0000000001,V4,NBR,20261101000000#',
    ]);
    expect(answers({}, B11, SMS, bytesFrom('*HQ,1,V4,S20,DONE#'), bytesFrom('*HQ,4109198974,#'), B14)).toEqual(Array(5).fill(null));
  });

  it('never answers a frame without an identity', () => {
    expect(answers({}, V1, bytesFrom('*HQ,,V1,173212,A,2225.78879,S,02829.19021,E,0.00,0,290418,FFFFFBFF#')).at(-1)).toBe(null);
  });

  it('follows the profile', () => {
    expect(answers({ answers: 'none' }, V1, HTBT)).toEqual([null, null]);
    expect(answers({ answers: 'r12' }, B11, V1)).toEqual(['*HQ,9170000123,R12,000000#', '*HQ,4106011660,V4,V1,20261101000000#']);
    expect(answers({ answers: 'v4-all' }, B11)).toEqual(['*HQ,9170000123,V4,V5,20261101000000#']);
  });

  it('finds out from text, too, that a unit waits for R12, but not from text without a time', () => {
    const v8 = bytesFrom('*HQ,9001000002,V8,213945,A,3542.2043,N,38.6508,W,0.00,170,221025,FBFFF9FF,0,0,0,0,22,31,126,0#');
    expect(answers({}, v8, v8, v8, v8)).toEqual([null, null, null, '*HQ,9001000002,R12,000000#']);
    const vp1 = bytesFrom('*hq,356327080425330,VP1,A,2702.7245,S,15251.9311,E,0.48,0.0000,080917#');
    expect(answers({}, vp1, vp1, vp1, vp1)).toEqual([null, null, null, null]);
  });

  it('finds out that a unit waits for R12 from frames far older than the newest', () => {
    const at = (minute: number): Uint8Array => {
      const bytes = B11.slice();
      bytes[7] = (Math.floor(minute / 10) << 4) | (minute % 10);
      return bytes;
    };
    const said = answers({}, at(30), at(1), at(2), at(31), at(3), at(4), at(5), at(6));
    expect(said.map((answer) => answer !== null)).toEqual([false, false, false, false, false, false, false, true]);
  });

  it('finds out that a unit waits for R12', () => {
    const again = answers({}, B11, B11, B11, B11);
    expect(again).toEqual([null, null, null, '*HQ,9170000123,R12,000000#']);
  });
});

describe('h02 records', () => {
  it('have degrees to seven decimals and no more', () => {
    for (const bytes of [V1, B10]) {
      const row = decoded(bytes, 'udp').rows[0];
      expect(row?.latitude).toBe(Number(row?.latitude.toFixed(7)));
      expect(row?.longitude).toBe(Number(row?.longitude.toFixed(7)));
    }
  });

  it('are the points of a batch, each with bytes of its own', () => {
    const points = [
      'A,2235.1777,N,11357.8913,E,10.00,235,13100000,FFFFFFFF,1cc,0,24a0,2154',
      'V,2235.1777,N,11357.8913,E,0,0,13100100,FFFFFBFF',
    ];
    const head = '*HQ,4970105243,BC,104500,2,';
    const rows = decoded(bytesFrom(`${head}${points.join(';')};#`)).rows;
    expect(rows.map(({ from, to }) => [from, to - from])).toEqual([
      [head.length, points[0]?.length],
      [head.length + (points[0]?.length ?? 0) + 1, points[1]?.length],
    ]);
  });
});

describe('h02 and the kit', () => {
  const samples: Sample[] = [
    { name: 'text', transport: 'tcp', chunks: [V1, HTBT, SMS] },
    { name: 'binary 45 and 47', transport: 'tcp', chunks: [B11, V1, B10, B11, B11, HTBT] },
    { name: 'binary 32', transport: 'tcp', chunks: [B2, B2, V1, bytesFrom('\r\n'), B2] },
    { name: 'long and X', transport: 'tcp', chunks: [B13, V1, B14, B12, V1] },
    { name: 'datagram', transport: 'udp', chunks: [B11, joined(B11, V1), B8] },
  ];
  it('passes', () => {
    expect(checkCodec(h02, samples, { rounds: rounds(200, 3000) }).map(describeFailure)).toEqual([]);
  });
});
