import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { systemClock } from '../../src/clock.ts';
import { type Codec, checkOptions, FrameResult } from '../../src/codec/index.ts';
import { Gt06Device } from '../../src/simulate/gt06.ts';
import { H02Device } from '../../src/simulate/h02.ts';
import type { Speaker } from '../../src/simulate/speaker.ts';
import { TeltonikaDevice } from '../../src/simulate/teltonika.ts';
import { Track } from '../../src/simulate/track.ts';

/** Records a second that one thread frames and decodes: ten records a frame for Teltonika, one for the others. */
export function codecThroughput(runMs: number): Readonly<Record<string, number>> {
  const now = (): number => systemClock.now();
  return {
    teltonika: throughput(teltonika, new TeltonikaDevice(1, 0x08, 'tcp', 1), 10, runMs),
    gt06: throughput(gt06, new Gt06Device(0, 'gps-lbs-status', now), 1, runMs),
    h02: throughput(h02, new H02Device(0, 'text', now), 1, runMs),
  };
}

const FRAMES = 64;

function throughput(codec: Codec, speaker: Speaker, records: number, runMs: number): number {
  const { tcp } = codec;
  if (tcp === undefined) return 0;
  const track = new Track(1, speaker.resolutionMs);
  const frames = Array.from({ length: FRAMES }, (_, f) => {
    const samples = Array.from({ length: records }, (_, k) => track.at(1_793_491_200_000 + 1000 * (f * records + k)));
    const packet = speaker.packets(samples).find(({ fixes }) => fixes.length === records);
    return packet === undefined ? new Uint8Array(0) : speaker.wire(packet).bytes;
  });
  const bytes = new Uint8Array(Buffer.concat(frames));
  const state = tcp.open(checkOptions(codec.options, {}, []), 0);
  const out = new FrameResult();
  const pass = (): number => {
    let rows = 0;
    for (let p = 0; p < bytes.length; ) {
      const n = tcp.frame(bytes, p, bytes.length, state);
      if (n <= 0) throw new Error(`${codec.name} finds no frame at ${p}`);
      out.reset(p, p + n);
      tcp.decode(bytes, p, p + n, state, out);
      rows += out.rows;
      p += n;
    }
    return rows;
  };
  // Half the time to get warm.
  measure(pass, runMs / 2);
  return measure(pass, runMs / 2);
}

function measure(pass: () => number, runMs: number): number {
  const from = systemClock.elapsed();
  let rows = 0;
  let now = from;
  while (now - from < runMs) {
    for (let k = 0; k < 20; k++) rows += pass();
    now = systemClock.elapsed();
  }
  return (1000 * rows) / (now - from);
}
