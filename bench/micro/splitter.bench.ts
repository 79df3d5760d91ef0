import { u16be } from '../../src/base/wire/index.ts';
import { Splitter } from '../../src/codec/frame/splitter.ts';
import type { StreamDialect } from '../../src/codec/index.ts';

/**
 * How fast the splitter cuts frames whose dialect costs next to nothing: `node bench/micro/splitter.bench.ts`.
 * Whole: frames lie in the chunk and are handed over in place. Split: chunks of odd sizes, so that frames must be copied.
 */

const dialect: StreamDialect = {
  open: () => ({}),
  frame: (bytes, start, end) => (end - start < 2 ? 0 : u16be(bytes, start)),
  decode() {},
  encodeAck: () => 0,
};
const MAX_FRAME = 2048;
const CHUNK = 65_536;
const TOTAL = 256 * 1024 * 1024;

function run(label: string, frameBytes: number, chunkBytes: number): void {
  const stream = new Uint8Array(CHUNK - (CHUNK % frameBytes));
  for (let p = 0; p < stream.length; p += frameBytes) stream.set([frameBytes >> 8, frameBytes & 255], p);
  const chunks: Uint8Array[] = [];
  for (let p = 0; p < stream.length; p += chunkBytes) chunks.push(stream.subarray(p, p + chunkBytes));
  let frames = 0;
  const splitter = new Splitter(dialect, {}, MAX_FRAME, () => {
    frames++;
    return true;
  });
  const pass = (bytes: number): string => {
    frames = 0;
    let done = 0;
    const start = performance.now();
    for (; done < bytes; done += stream.length) for (const chunk of chunks) splitter.push(chunk);
    const seconds = (performance.now() - start) / 1000;
    if (frames !== done / frameBytes) throw new Error(`${frames} frames of ${done / frameBytes}`);
    return `${(done / seconds / 1e6).toFixed(0).padStart(8)} MB/s${(frames / seconds / 1e6).toFixed(2).padStart(10)} M frames/s`;
  };
  // The first pass, a tenth as long, is for the compiler.
  pass(TOTAL / 10);
  console.log(label.padEnd(34) + pass(TOTAL));
}

for (const frameBytes of [40, 600]) {
  run(`${frameBytes}-byte frames, whole`, frameBytes, CHUNK);
  run(`${frameBytes}-byte frames, 1448-byte chunks`, frameBytes, 1448);
  run(`${frameBytes}-byte frames, 37-byte chunks`, frameBytes, 37);
}
