import gt06 from '../../codecs/gt06/index.ts';
import { AckRequest, checkOptions, FrameResult, Settled } from '../../src/codec/index.ts';
import { Splitter } from '../../src/frame/splitter.ts';
import { fromHex } from '../../src/wire/index.ts';

/**
 * Frames a second on one thread: `node bench/micro/gt06.bench.ts [seconds]`.
 * decode: checksum and rows of one whole frame. split: finding the frames of a 64 KiB chunk and decoding them. answer: the bytes that go back.
 * Allocated bytes a frame are what the heap grew by in a run without a collection: 0 is the goal for locations and heartbeats.
 */
const FRAMES = {
  'location 22': '787822221a070f0c2238c90339f5b00d0a78783c145a01cc00287d001f710100000d0a80550d0a',
  'location 12': '78781f120b081d112e10cf027ac7eb0c46584900148f01cc00287d001fb8000380810d0a',
  'location A0': '78782ea01a070f0c2238cc03a23c24079469a657d91382da000100009b12000000000123a1b20100000001e2400104a8e60d0a',
  heartbeat: '78780a1346040400020002b0a20d0a',
  alarm: '787825160b0b0f0e241dcf027ac8870c4657e60014020901cc00287d001f726506040101003656a40d0a',
} as const;

const dialect = gt06.tcp;
if (dialect === undefined) throw new Error('gt06 has no stream dialect');
const seconds = Number(process.argv[2] ?? 1);
const options = checkOptions(gt06.options, {}, []);
const out = new FrameResult();

function rate(run: (n: number) => void): { perSecond: number; bytesEach: number } {
  for (let i = 0; i < 10; i++) run(20_000);
  const heap = process.memoryUsage().heapUsed;
  run(20_000);
  const bytesEach = Math.max(0, (process.memoryUsage().heapUsed - heap) / 20_000);
  const started = performance.now();
  let done = 0;
  while (performance.now() - started < seconds * 1000) {
    run(20_000);
    done += 20_000;
  }
  return { perSecond: (done * 1000) / (performance.now() - started), bytesEach };
}

function show(name: string, result: { perSecond: number; bytesEach: number }): void {
  console.log(
    `${name.padEnd(24)} ${(result.perSecond / 1e6).toFixed(2).padStart(6)} M/s  ${result.bytesEach.toFixed(1).padStart(6)} B allocated`,
  );
}

let sink = 0;
for (const [name, text] of Object.entries(FRAMES)) {
  const bytes = fromHex(text) ?? new Uint8Array(0);
  const state = dialect.open(options, 0);
  out.reset(0, bytes.length);
  dialect.decode(bytes, 0, bytes.length, state, out);
  if (out.rows !== 1 || out.damaged !== '') throw new Error(`${name}: not a whole frame`);
  show(
    `decode ${name}`,
    rate((n) => {
      for (let i = 0; i < n; i++) {
        out.reset(0, bytes.length);
        dialect.decode(bytes, 0, bytes.length, state, out);
        sink += out.rows;
      }
    }),
  );
}

const one = fromHex(FRAMES['location 12']) ?? new Uint8Array(0);
const many = new Uint8Array(one.length * Math.floor(65536 / one.length));
for (let p = 0; p < many.length; p += one.length) many.set(one, p);
const state = dialect.open(options, 0);
const splitter = new Splitter(dialect, state, gt06.maxFrameBytes, (bytes, start, end) => {
  out.reset(start, end);
  dialect.decode(bytes, start, end, state, out);
  sink += out.rows;
  return true;
});
const each = many.length / one.length;
show(
  'split and decode',
  rate((n) => {
    for (let i = 0; i < n; i += each) splitter.push(many);
  }),
);

const request = new AckRequest();
request.settled = Settled.Stored;
request.ticketA = 0x1130002;
const answer = new Uint8Array(gt06.maxAnswerBytes);
show(
  'answer',
  rate((n) => {
    for (let i = 0; i < n; i++) sink += dialect.encodeAck(request, state, answer, 0);
  }),
);
if (sink === 0) throw new Error('nothing was decoded');
