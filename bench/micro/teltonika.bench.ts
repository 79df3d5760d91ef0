import teltonika from '../../codecs/teltonika/index.ts';
import { FrameKind, FrameResult, type Transport } from '../../src/codec/index.ts';
import { type Bytes, crc16Arc, fromHex, putU16be, putU32be } from '../../src/wire/index.ts';

/**
 * Decoding speed on one thread, checksum included: frames of ten records with the element set that devices send by default
 * (6 elements of one byte, 8 of two, 2 of four). Prints the best and the median of several rounds, by seconds of processor time:
 * a busy machine makes a round longer, not slower.
 *
 *   node bench/micro/teltonika.bench.ts
 */

/** Ignition, movement, signal, data mode, sleep, GNSS · PDOP, HDOP, supply, battery, current, speed, cell, area · odometer, operator. */
const ELEMENTS = [[239, 240, 21, 80, 200, 69], [181, 182, 66, 67, 68, 24, 205, 206], [16, 241], []] as const;
const OPERATOR = 24602;
const ROUND_MS = 400;
const ROUNDS = 7;

function record(codec: number, n: number): number[] {
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
  put(ELEMENTS.flat().length, countBytes);
  ELEMENTS.forEach((ids, group) => {
    put(ids.length, countBytes);
    for (const id of ids) {
      put(id, idBytes);
      put(id === 241 ? OPERATOR : (id * 37 + n) % (group === 0 ? 2 : 30_000), 1 << group);
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
  const head = fromHex(`0000cafe0105000f${'333532303933303836343033363535'}`) ?? new Uint8Array(0);
  const bytes = new Uint8Array(head.length + tcp.length - 12);
  bytes.set(head);
  bytes.set(tcp.subarray(8, tcp.length - 4), head.length);
  putU16be(bytes, 0, bytes.length - 2);
  return bytes;
}

/** The frame lies among others, as in a chunk from a socket. */
function measure(name: string, transport: Transport, bytes: Bytes): void {
  const dialect = teltonika[transport];
  if (dialect === undefined) return;
  const copies = 16;
  const chunk = new Uint8Array(bytes.length * copies);
  for (let n = 0; n < copies; n++) chunk.set(bytes, n * bytes.length);
  const state = dialect.open({ integrity: 'verify', family: 'fm' }, 0);
  const out = new FrameResult();
  const rounds: { frames: number; records: number }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    let frames = 0;
    let records = 0;
    const from = process.cpuUsage();
    const until = performance.now() + ROUND_MS;
    while (performance.now() < until) {
      for (let start = 0; start < chunk.length; ) {
        const n = dialect.frame?.(chunk, start, chunk.length, state) ?? 0;
        out.reset(start, start + n);
        dialect.decode(chunk, start, start + n, state, out);
        if (out.kind !== FrameKind.Records) throw new Error(`${name}: ${out.reason}`);
        records += out.rows;
        frames++;
        start += n;
      }
    }
    const used = process.cpuUsage(from);
    const seconds = (used.user + used.system) / 1e6;
    // The first round warms up.
    if (round > 0) rounds.push({ frames: frames / seconds, records: records / seconds });
  }
  rounds.sort((a, b) => b.records - a.records);
  const show = (of: { frames: number; records: number } | undefined): string =>
    `${((of?.frames ?? 0) / 1000).toFixed(0).padStart(5)} k frames/s ${((of?.records ?? 0) / 1e6).toFixed(2)} M records/s`;
  console.log(`${name.padEnd(24)} best ${show(rounds[0])}   median ${show(rounds[rounds.length >> 1])}`);
}

measure('codec 8, 10 records', 'tcp', frame(0x08, 10));
measure('codec 8E, 10 records', 'tcp', frame(0x8e, 10));
measure('codec 16, 10 records', 'tcp', frame(0x10, 10));
measure('codec 8E, 10, UDP', 'udp', datagram(0x8e, 10));
measure('codec 8E, 1 record', 'tcp', frame(0x8e, 1));
