import { type Bytes, u16be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { NAMES } from './messages.ts';

/** One message inside its frame: what every reader gets. One object is reused; it is valid during one decode. */
export class Message {
  /** Offset of the number, of the content, and behind the content (where the serial begins). */
  from = 0;
  p = 0;
  q = 0;
  number = 0;
  serial = 0;
  long = false;
  /** The checksum is right. */
  sealed = true;
  name = '';

  /** The frame at `start` whose content ends at `q`. */
  set(bytes: Bytes, start: number, q: number, sealed: boolean): void {
    this.long = bytes[start] === 0x79;
    this.from = start + (this.long ? 4 : 3);
    this.p = this.from + 1;
    this.q = q;
    this.number = bytes[this.from]!;
    this.serial = u16be(bytes, q);
    this.sealed = sealed;
    this.name = NAMES[this.number] || 'unknown';
  }

  /** Bytes of content. */
  get size(): number {
    return this.q - this.p;
  }
}

/** Opens the row of a record that has a time: its identity is number and content. */
export function record(m: Message, out: FrameResult): number {
  const r = out.row();
  out.from[r] = m.from;
  out.to[r] = m.q;
  out.kind = FrameKind.Records;
  return r;
}

/** Opens the row of a status without a time: the serial tells it from the next one with the same content. */
export function status(m: Message, kind: FrameKind, out: FrameResult): number {
  const r = out.row();
  out.from[r] = m.from;
  out.to[r] = m.q + 2;
  out.kind = kind;
  return r;
}
