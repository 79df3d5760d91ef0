import { type Bytes, i32be, u16be, u64be } from '../../src/base/wire/index.ts';
import { defineCodec, FrameKind, type FrameResult } from '../../src/codec/index.ts';

/**
 * A codec for these tests. A frame is records of 22 bytes: time (u64, 0: none), latitude and longitude (i32, 1e-7 degrees,
 * 0x7fffffff: none), speed (u16, km/h), supply (u16, mV), number (u16). 0xff as the first byte makes it throw, 0xfe
 * malformed.
 */
export const RECORD_BYTES = 22;
export const NOWHERE = 0x7fffffff;

export const tiny = defineCodec({
  name: 'tiny',
  about: 'tests of the way out',
  maxFrameBytes: 65_536,
  maxAnswerBytes: 0,
  attributePrefix: 'tiny_',
  attributes: new Map([
    [1, { name: 'external_v', type: 'number' as const, scale: 0.001 }],
    [2, { name: 'number', type: 'number' as const }],
    [3, { name: 'reply', type: 'text' as const }],
  ]),
  messages: ['records'],
  reasons: ['BAD'],
  recognise: () => true,
  tcp: {
    open: () => ({}),
    frame: (_bytes, start, end) => end - start,
    decode: (bytes, start, end, _state, out) => decodeTiny(bytes, start, end, out),
    encodeAck: () => 0,
  },
});

function decodeTiny(bytes: Bytes, start: number, end: number, out: FrameResult): void {
  const first = bytes[start] ?? 0;
  if (first === 0xff) throw new Error('the tiny codec is broken');
  if (first === 0xfe) {
    out.malformed('BAD');
    return;
  }
  out.kind = FrameKind.Records;
  out.name = 'records';
  for (let p = start; p + RECORD_BYTES <= end; p += RECORD_BYTES) {
    const r = out.row();
    out.from[r] = p;
    out.to[r] = p + RECORD_BYTES;
    const time = u64be(bytes, p);
    if (time > 0) out.time[r] = time;
    const latitude = i32be(bytes, p + 8);
    if (latitude !== NOWHERE) {
      out.latitude[r] = latitude / 1e7;
      out.longitude[r] = i32be(bytes, p + 12) / 1e7;
      out.valid[r] = 1;
    }
    out.speedKmh[r] = u16be(bytes, p + 16);
    out.attr(1, u16be(bytes, p + 18));
    out.attr(2, u16be(bytes, p + 20));
    if (latitude === NOWHERE) out.attrText(3, 'état ☂');
  }
}
