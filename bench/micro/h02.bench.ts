import h02 from '../../codecs/h02/index.ts';
import { FrameKind, FrameResult, type Transport } from '../../src/codec/index.ts';
import { type Bytes, fromHex } from '../../src/wire/index.ts';

/**
 * Framing and decoding speed on one thread: frames lie in a row among others, as in a chunk from a socket. Goals: 0.7 M
 * V1 frames/s, 2 M binary frames/s. Prints the best and the median of several rounds.
 *
 *   node bench/micro/h02.bench.ts
 */
const ROUND_MS = 400;
const ROUNDS = 7;
const COPIES = 16;

const text = (line: string): Bytes => Uint8Array.from(line, (c) => c.charCodeAt(0));
const binary = (hex: string): Bytes => fromHex(hex) ?? new Uint8Array(0);

function measure(name: string, transport: Transport, bytes: Bytes, kind: FrameKind): void {
  const dialect = h02[transport];
  if (dialect === undefined) return;
  const chunk = new Uint8Array(bytes.length * COPIES);
  for (let n = 0; n < COPIES; n++) chunk.set(bytes, n * bytes.length);
  const options = Object.fromEntries(Object.entries(h02.options).map(([key, rule]) => [key, rule.fallback ?? '']));
  // A unit that repeats itself is not what is measured here.
  const state = dialect.open({ ...options, answers: 'v1' }, 0);
  const out = new FrameResult();
  const rates: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    let frames = 0;
    const from = performance.now();
    while (performance.now() - from < ROUND_MS) {
      for (let pass = 0; pass < 256; pass++) {
        let start = 0;
        while (start < chunk.length) {
          const n = dialect.frame?.(chunk, start, chunk.length, state) ?? 0;
          if (n !== bytes.length) {
            // The last frame of a chunk has nothing behind it: it waits, on a socket, for the next chunk.
            if (n === 0 && start + bytes.length === chunk.length) break;
            throw new Error(`${name}: a frame of ${n} bytes`);
          }
          out.reset(start, start + n);
          dialect.decode(chunk, start, start + n, state, out);
          if (out.kind !== kind) throw new Error(`${name}: kind ${out.kind} ${out.reason}`);
          frames++;
          start += n;
        }
      }
    }
    // The first round warms up.
    if (round > 0) rates.push(frames / ((performance.now() - from) / 1000));
  }
  rates.sort((a, b) => b - a);
  const show = (rate: number | undefined): string => `${((rate ?? 0) / 1e6).toFixed(2)} M frames/s`;
  console.log(`${name.padEnd(24)} best ${show(rates[0])}   median ${show(rates[rates.length >> 1])}`);
}

const V1 = '*HQ,4106011660,V1,124552,A,5035.3129,N,00431.8211,E,000.20,000,131116,FFFFFBFF#';
const V1_CELL = '*HQ,9170000123,V1,081530,A,3352.1292,S,15112.5580,E,027.00,084,050226,FFFFFFFF,505,01,4660,22136,6#';
const NBR = '*HQ,4109179024,NBR,103732,722,310,0,6,8106,32010,23,8101,22007,25,8106,42010,5,100217,FFFFFBFF,5#';
measure('V1', 'tcp', text(V1), FrameKind.Records);
measure('V1, cell and battery', 'tcp', text(V1_CELL), FrameKind.Records);
measure('V1, UDP', 'udp', text(V1), FrameKind.Records);
measure('NBR, 3 cells', 'tcp', text(NBR), FrameKind.Status);
measure('HTBT', 'tcp', text('*HQ,135790246811220,HTBT,100#'), FrameKind.Heartbeat);
measure('binary 32', 'tcp', binary('2441060116601245431311165035313006004318210e000000fffffbffff0024'), FrameKind.Records);
measure(
  'binary 45',
  'tcp',
  binary('2491700001230815300502263352129206151125580A027084FFFFFBFFFF0016090000303901F901123456782D'),
  FrameKind.Records,
);
measure(
  'binary 47',
  'tcp',
  binary('2491700001230815300502263352129206151125580A027084FFFFFFFFFF0016090000303901F90112345678007D2C'),
  FrameKind.Records,
);
measure(
  'binary 42, long id',
  'tcp',
  binary('2435248308419329301047591808172627335900074412294E024138FEFFFFFFFF01120064BA73005ECC'),
  FrameKind.Records,
);
