import { type Bytes, hexNumber } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { count, fieldFrom, fieldTo, isHex, textOf, timeAt, whole, width } from './fields.ts';
import { answered } from './information.ts';
import type { Report } from './report.ts';
import type { QueclinkState } from './state.ts';

/**
 * `+ACK:GTxxx`, version, IMEI, name, more …, serial, send time, count; `+NACK` has the cause in front of the serial (protocol.md
 * section 11.3). The serial is the key of the command.
 */
export function acknowledgement(bytes: Bytes, refused: boolean, out: FrameResult): void {
  out.row();
  out.kind = FrameKind.Reply;
  const serial = serialField(bytes);
  const name = textOf(bytes, 0, 1);
  const end = serial < 0 ? count : serial;
  const more = textOf(bytes, 4, end);
  const text = more === '' ? name : `${name},${more}`;
  out.replyText = refused ? `${text} refused` : `${text} ok`;
  if (serial >= 0) {
    const key = hexNumber(bytes, fieldFrom(serial), fieldTo(serial));
    out.replyKey = key === 0 || key === 0xffff ? -1 : key;
  }
  out.attrText(A.Reply, out.replyText);
}

/** The field in front of the send time; a text that was cut off may have none. */
function serialField(bytes: Bytes): number {
  const k = count - 3;
  return k >= 4 && isHex(bytes, k, 4) && (width(k + 1) === 0 || width(k + 1) === 14) && !Number.isFinite(timeAt(bytes, k)) ? k : -1;
}

/** Parameters of a section behind its name. */
const SACK_OF_SRI = 10;
const MOST_FIELDS = 400;

/** GTALL, GTALS: sections, each a name and its parameters without password and serial. The section SRI says whether the unit waits for +SACK. */
export function configuration(report: Report, bytes: Bytes, end: number, state: QueclinkState, out: FrameResult): void {
  out.row();
  out.kind = FrameKind.Reply;
  for (let k = 4; k < end && k < MOST_FIELDS; k++) {
    if (width(k) !== 3 || textOf(bytes, k, k + 1) !== 'SRI') continue;
    const sack = k + SACK_OF_SRI < end ? whole(bytes, k + SACK_OF_SRI) : -1;
    if (sack === 0 || sack === 1) state.wantsSack = sack === 1;
    break;
  }
  answered(report, bytes, 4, end, out);
}
