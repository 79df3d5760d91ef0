import { pathToFileURL } from 'node:url';
import gt06 from '../codecs/gt06/index.ts';
import h02 from '../codecs/h02/index.ts';
import jt808 from '../codecs/jt808/index.ts';
import queclink from '../codecs/queclink/index.ts';
import teltonika from '../codecs/teltonika/index.ts';
import { systemClock } from '../src/base/clock.ts';
import { type Bytes, crc16Arc, fromHex, putU16be, putU32be } from '../src/base/wire/index.ts';
import { type Codec, checkOptions, FrameResult, type Transport } from '../src/codec/index.ts';

/**
 * Framing and decoding on one thread, checksums included, for each kind of message that matters. A frame lies among
 * copies of itself, as in a chunk from a socket. Frames a second of processor time, the middle one of several rounds: a busy
 * machine makes a round longer, not slower.
 *
 *   node bench/codec.ts [seconds for each kind, default 2]
 */
export interface CodecRate {
  readonly codec: string;
  readonly kind: string;
  readonly framesPerS: number;
  readonly recordsPerS: number;
  /** Records per second; 0: none is set. */
  readonly goal: number;
}

interface Kind {
  readonly codec: Codec;
  readonly kind: string;
  readonly transport?: Transport;
  readonly bytes: Bytes;
  readonly goal?: number;
}

const ROUNDS = 7;
const COPIES = 16;

/** Goals: bench/README.md. */
const LOCATIONS = 3e6;
const TEXT = 0.7e6;
const QUECLINK = 0.8e6;
const JT808 = 1.5e6;
const BINARY = 2e6;

const KINDS: readonly Kind[] = [
  { codec: teltonika, kind: 'codec 8, 10 records', bytes: frame(0x08, 10), goal: 2.5e6 },
  { codec: teltonika, kind: 'codec 8E, 10 records', bytes: frame(0x8e, 10) },
  { codec: teltonika, kind: 'codec 16, 10 records', bytes: frame(0x10, 10) },
  { codec: teltonika, kind: 'codec 8E, 10 records, UDP', transport: 'udp', bytes: datagram(0x8e, 10) },
  { codec: teltonika, kind: 'codec 8E, 1 record', bytes: frame(0x8e, 1) },
  {
    codec: gt06,
    kind: '12 location',
    bytes: hex('78781f120b081d112e10cf027ac7eb0c46584900148f01cc00287d001fb8000380810d0a'),
    goal: LOCATIONS,
  },
  {
    codec: gt06,
    kind: '22 location',
    bytes: hex('787822221a070f0c2238c90339f5b00d0a78783c145a01cc00287d001f710100000d0a80550d0a'),
    goal: LOCATIONS,
  },
  {
    codec: gt06,
    kind: 'A0 location, 4G',
    bytes: hex('78782ea01a070f0c2238cc03a23c24079469a657d91382da000100009b12000000000123a1b20100000001e2400104a8e60d0a'),
    goal: LOCATIONS,
  },
  { codec: gt06, kind: '16 alarm', bytes: hex('787825160b0b0f0e241dcf027ac8870c4657e60014020901cc00287d001f726506040101003656a40d0a') },
  { codec: gt06, kind: '13 heartbeat', bytes: hex('78780a1346040400020002b0a20d0a') },
  { codec: h02, kind: 'V1', bytes: text('*HQ,4106011660,V1,124552,A,5035.3129,N,00431.8211,E,000.20,000,131116,FFFFFBFF#'), goal: TEXT },
  {
    codec: h02,
    kind: 'V1, cell and battery',
    bytes: text('*HQ,9170000123,V1,081530,A,3352.1292,S,15112.5580,E,027.00,084,050226,FFFFFFFF,505,01,4660,22136,6#'),
    goal: TEXT,
  },
  {
    codec: h02,
    kind: 'NBR, 3 cells',
    bytes: text('*HQ,4109179024,NBR,103732,722,310,0,6,8106,32010,23,8101,22007,25,8106,42010,5,100217,FFFFFBFF,5#'),
  },
  { codec: h02, kind: 'HTBT', bytes: text('*HQ,135790246811220,HTBT,100#') },
  { codec: h02, kind: 'binary 32', bytes: hex('2441060116601245431311165035313006004318210e000000fffffbffff0024'), goal: BINARY },
  {
    codec: h02,
    kind: 'binary 45',
    bytes: hex('2491700001230815300502263352129206151125580A027084FFFFFBFFFF0016090000303901F901123456782D'),
    goal: BINARY,
  },
  {
    codec: jt808,
    kind: '0200, mileage, signal',
    bytes: hex(
      '7e0200002c013812345678000500000000000c000f01675a3802c7915c02f8007d02007d0126112909300001040000007d0230011931010b610204e5217e',
    ),
    goal: JT808,
  },
  { codec: jt808, kind: '0002 heartbeat', bytes: hex('7e000200000138123456780003307e') },
  {
    codec: queclink,
    kind: 'GTFRI, personal',
    bytes: text(
      '+RESP:GTFRI,1A0102,135790246811220,,0,0,1,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,204.7,92,20260214013300,11F0$',
    ),
    goal: QUECLINK,
  },
  {
    codec: queclink,
    kind: 'GTFRI, vehicle',
    bytes: text(
      '+RESP:GTFRI,060228,135790246811220,,14827,10,1,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,00,15989.5,01070:43:13,13,180,88,220101,,,,20260214013300,11F0$',
    ),
    goal: QUECLINK,
  },
  { codec: queclink, kind: 'GTHBD', bytes: text('+ACK:GTHBD,1A0102,135790246811220,,20260214013300,11F0$') },
];

/** Measures every kind for about `seconds` each. */
export function benchCodecs(seconds: number): CodecRate[] {
  return KINDS.map((kind) => measure(kind, (1000 * seconds) / (ROUNDS + 1)));
}

export function codecTable(rates: readonly CodecRate[]): string {
  const row = (cells: readonly string[]): string =>
    `${cells.map((cell, k) => (k < 2 ? cell.padEnd([10, 27][k] ?? 0) : cell.padStart(15))).join('')}\n`;
  const millions = (perS: number): string => `${(perS / 1e6).toFixed(2)} M`;
  const lines = rates.map(({ codec, kind, framesPerS, recordsPerS, goal }) =>
    row([
      codec,
      kind,
      millions(framesPerS),
      millions(recordsPerS),
      goal > 0 ? `≥ ${millions(goal)} ${recordsPerS >= goal ? '✓' : '✗'}` : '',
    ]),
  );
  return row(['', 'one thread', 'frames/s', 'records/s', 'goal']) + lines.join('');
}

function measure({ codec, kind, transport = 'tcp', bytes, goal = 0 }: Kind, roundMs: number): CodecRate {
  const dialect = codec[transport];
  if (dialect === undefined) throw new Error(`${codec.name} does not speak ${transport}`);
  const chunk = new Uint8Array(bytes.length * COPIES);
  for (let n = 0; n < COPIES; n++) chunk.set(bytes, n * bytes.length);
  // A unit that repeats itself, which `auto` looks for, is not what is measured here.
  const state = dialect.open(
    checkOptions(codec.options, codec === h02 ? { answers: 'v1' } : codec === queclink ? { sack: 'on' } : {}, []),
    0,
  );
  const out = new FrameResult();
  let frames = 0;
  let records = 0;
  const pass = (): void => {
    for (let start = 0; start < chunk.length; start += bytes.length) {
      const n = dialect.frame?.(chunk, start, chunk.length, state) ?? bytes.length;
      // The last frame of a chunk has nothing behind it: some wait, on a socket, for the next chunk.
      if (n === 0 && start + bytes.length === chunk.length) return;
      if (n !== bytes.length) throw new Error(`${codec.name} ${kind}: a frame of ${n} bytes`);
      out.reset(start, start + n);
      dialect.decode(chunk, start, start + n, state, out);
      if (out.reason !== '' || out.damaged !== '') throw new Error(`${codec.name} ${kind}: ${out.reason}${out.damaged}`);
      records += out.rows;
      frames++;
    }
  };
  const rounds: { readonly framesPerS: number; readonly recordsPerS: number }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    frames = 0;
    records = 0;
    const from = process.cpuUsage();
    for (const until = systemClock.elapsed() + roundMs; systemClock.elapsed() < until; ) for (let n = 0; n < 16; n++) pass();
    const used = process.cpuUsage(from);
    const seconds = (used.user + used.system) / 1e6;
    // The first round warms up.
    if (round > 0) rounds.push({ framesPerS: frames / seconds, recordsPerS: records / seconds });
  }
  rounds.sort((a, b) => b.framesPerS - a.framesPerS);
  const { framesPerS, recordsPerS } = rounds[ROUNDS >> 1] ?? { framesPerS: 0, recordsPerS: 0 };
  return { codec: codec.name, kind, framesPerS, recordsPerS, goal };
}

/**
 * One Teltonika record with the elements that devices send by default: ignition, movement, signal, data mode, sleep, GNSS
 * (one byte), PDOP, HDOP, supply, battery, current, speed, cell, area (two), odometer, operator (four).
 */
function record(codec: number, n: number): number[] {
  const groups = [[239, 240, 21, 80, 200, 69], [181, 182, 66, 67, 68, 24, 205, 206], [16, 241], []];
  const operator = 24602;
  const out: number[] = [];
  const put = (value: number, bytes: number): void => {
    for (let k = bytes - 1; k >= 0; k--) out.push(Math.floor(value / 256 ** k) & 255);
  };
  const idBytes = codec === 0x08 ? 1 : 2;
  const countBytes = codec === 0x8e ? 2 : 1;
  put(1_770_000_000_000 + n * 10_000, 8);
  put(0, 1);
  put(253_032_000 + n * 1_000, 4);
  put(547_146_000 + n * 700, 4);
  put(120 + n, 2);
  put((77 + 3 * n) % 360, 2);
  put(11, 1);
  put(53 + n, 2);
  put(0, idBytes);
  if (codec === 0x10) put(7, 1);
  put(groups.flat().length, countBytes);
  groups.forEach((ids, group) => {
    put(ids.length, countBytes);
    for (const id of ids) {
      put(id, idBytes);
      put(id === 241 ? operator : (id * 37 + n) % (group === 0 ? 2 : 30_000), 1 << group);
    }
  });
  if (codec === 0x8e) put(0, 2);
  return out;
}

function frame(codec: number, records: number): Bytes {
  const rows = Array.from({ length: records }, (_, n) => record(codec, n)).flat();
  const bytes = new Uint8Array(12 + 3 + rows.length);
  putU32be(bytes, 4, 3 + rows.length);
  bytes.set([codec, records, ...rows, records], 8);
  putU32be(bytes, bytes.length - 4, crc16Arc(bytes, 8, bytes.length - 4));
  return bytes;
}

function datagram(codec: number, records: number): Bytes {
  const tcp = frame(codec, records);
  const head = hex('0000cafe0105000f333532303933303836343033363535');
  const bytes = new Uint8Array(head.length + tcp.length - 12);
  bytes.set(head);
  bytes.set(tcp.subarray(8, tcp.length - 4), head.length);
  putU16be(bytes, 0, bytes.length - 2);
  return bytes;
}

function hex(digits: string): Bytes {
  return fromHex(digits) ?? new Uint8Array(0);
}

function text(line: string): Bytes {
  return Uint8Array.from(line, (character) => character.charCodeAt(0));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.stdout.write(codecTable(benchCodecs(Number(process.argv[2] ?? 2))));
