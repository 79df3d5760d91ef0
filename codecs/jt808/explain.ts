import { ascii, type Bytes, hex, u16be } from '../../src/base/wire/index.ts';
import type { Note } from '../../src/codec/index.ts';
import { Content, Header } from './frame.ts';
import { nameOf } from './messages.ts';

const CONTENT = new Content();
const HEADER = new Header();

/** Annotates the parts of one frame: header field by field, body and checksum. */
export function explain(bytes: Bytes, start: number, end: number, note: Note): void {
  if (bytes[start] === 0x28) {
    note(start, end - start, 'sentence', ascii(bytes, start, end));
    return;
  }
  const c = CONTENT;
  const h = HEADER;
  c.open(bytes, start, end);
  if (end - start < 3 || !h.read(c)) {
    note(start, end - start, 'frame', hex(bytes, start, end), 'too short for a header');
    return;
  }
  const b = c.bytes;
  const part = (from: number, to: number, name: string, about?: string): void => {
    const at = c.placeOf(from);
    const length = c.placeOf(to) - at;
    if (length > 0) note(at, length, name, hex(b, from, to), about);
  };
  note(start, 1, 'delimiter', hex(bytes, start, start + 1));
  part(c.p, c.p + 2, 'message id', nameOf(h.id));
  part(c.p + 2, c.p + 4, 'attributes', `${h.attributes & 0x3ff} bytes${h.is2019 ? ', 2019' : ''}${h.total > 0 ? ', packaged' : ''}`);
  if (h.is2019) part(c.p + 4, c.p + 5, 'version');
  part(h.phoneAt, h.phoneAt + h.phoneBytes, 'phone');
  const serial = h.phoneAt + h.phoneBytes;
  const behind = h.total > 0 || (h.attributes & 0x2000) !== 0 ? h.p - 4 : h.p;
  part(serial, behind, 'serial');
  if (behind < h.p) part(behind, h.p, 'package', `${u16be(b, behind + 2)} of ${h.total}`);
  part(h.p, h.q, 'body');
  const tail = c.placeOf(h.q);
  note(tail, end - 1 - tail, 'checksum', hex(bytes, tail, end - 1), c.sum === 0 ? 'right' : 'wrong');
  note(end - 1, 1, 'delimiter', hex(bytes, end - 1, end));
}
