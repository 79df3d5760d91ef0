import { enclose } from '../../codecs/jt808/frame.ts';
import { bytesOf } from './fixtures.ts';

/** A frame of this content, in the standard alphabet or in that of E7 (codecs/jt808/protocol.md section 2). */
export function jt808Frame(content: string, e7 = false): Uint8Array {
  const bytes = bytesOf(content);
  const out = new Uint8Array(2 * bytes.length + 4);
  return out.slice(0, enclose(bytes, bytes.length, e7, out, 0));
}

/** A message of the 2013 edition. */
export function jt808Message(id: string, body: string, serial = 1): Uint8Array {
  return jt808Frame(`${id}${padded(body.length / 2, 4)}013812345678${padded(serial, 4)}${body}`);
}

/** A report of 2026-10-01 08:00:00 (UTC+8) with this alarm word and items. */
export function jt808Report(alarms: number, items = '', serial = 1): Uint8Array {
  return jt808Message('0200', `${padded(alarms, 8)}000000030311f0c80001f33800100000000026100108000${serial % 10}${items}`, serial);
}

function padded(n: number, width: number): string {
  return n.toString(16).padStart(width, '0');
}
