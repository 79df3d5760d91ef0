import { type Bytes, bcdDigits, u16be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { Form, ticket } from './answer.ts';
import { identity } from './blocks.ts';
import type { Message } from './message.ts';
import type { Gt06State } from './state.ts';

/**
 * 0x01 (protocol.md section 6.1): IMEI 8 BCD | type 2 (LEN ≥ 0F) | time zone and language 2 (LEN 11).
 *
 * Locks have a vendor constant in the checksum of their login, so that it never is right, and want the time in the
 * answer. Identity, zone and class stay with the connection.
 */
export function login(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  if (m.size < 8) {
    out.malformed('short');
    return;
  }
  out.kind = FrameKind.Login;
  state.topin = false;
  state.topinTold = true;
  out.deviceId = identity(bytes, m.p);
  const type = m.size >= 10 ? u16be(bytes, m.p + 8) : 0;
  if (type >> 8 === 0x36 || (!m.sealed && bcdDigits(bytes, m.p, m.p + 8) !== '')) state.lock = true;
  if (m.size >= 12) {
    const zone = zoneMinutes(u16be(bytes, m.p + 10));
    if (!Number.isNaN(zone)) {
      state.setZone(zone);
      state.zoneOfLogin = true;
    }
  }
  ticket(out, state.lock ? Form.LockLogin : Form.Short, m.number, m.serial);
}

/** Bits 15–4: hours × 100 + minutes; bit 3: west. Minutes ahead of UTC, NaN if that is not a zone. */
export function zoneMinutes(word: number): number {
  const v = word >> 4;
  const minutes = Math.floor(v / 100) * 60 + (v % 100);
  if (v % 100 >= 60 || minutes > 840) return Number.NaN;
  return (word & 8) !== 0 ? -minutes + 0 : minutes;
}
