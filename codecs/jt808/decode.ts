import { type Bytes, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { Form, ticket } from './answer.ts';
import { batch, batchVendor } from './batch.ts';
import { Content, Header } from './frame.ts';
import { identityOf } from './identity.ts';
import { isPlausible, LOCATION, location } from './location.ts';
import { lock, sentence } from './lock.ts';
import {
  acceleration,
  attributes,
  authenticate,
  driverCard,
  heartbeat,
  media,
  parameters,
  register,
  textReply,
  universalReply,
} from './message.ts';
import { formOf, nameOf } from './messages.ts';
import { passThrough } from './pass-through.ts';
import type { Jt808State } from './state.ts';

/**
 * Reads one frame.
 *
 * 1. A frame with a wrong checksum is not answered (the device sends it again) unless the option `integrity` is `count`. A length field that does
 *    not fit is counted; what is there is read.
 * 2. Every message that a device sends is stored, known or not, and answered when it is.
 * 3. The identity of a record is its location body: the same in a report of its own and in a batch.
 * 4. Of a message in packages, each is stored and answered. The first is read as far as it goes; of a batch, all positions that lie in one package.
 */
const Reason = { Short: 'short', Checksum: 'checksum', Length: 'length', Encrypted: 'encrypted' } as const;
export const REASONS: readonly string[] = Object.values(Reason);

const CONTENT = new Content();
const HEADER = new Header();

export function decode(bytes: Bytes, start: number, end: number, state: Jt808State, out: FrameResult): void {
  state.chain = state.alarms;
  if (bytes[start] === 0x28) {
    sentence(bytes, start, end, out);
    return;
  }
  const c = CONTENT;
  const h = HEADER;
  c.open(bytes, start, end);
  if (!h.read(c)) {
    out.malformed(Reason.Short);
    return;
  }
  if (c.sum !== 0) {
    if (state.verify) {
      out.malformed(Reason.Checksum);
      return;
    }
    out.damaged = Reason.Checksum;
  } else if (!h.fits) out.damaged = Reason.Length;
  identify(c, h, state, out);
  out.name = nameOf(h.id);
  const form = formOf(h.id);
  if (form !== Form.None) ticket(out, form, h, c.bytes);
  if (h.id === 0x0801 && isMediaDone(c, h, state)) ticket(out, Form.Media, h, c.bytes);
  if (h.number > 1) {
    out.name = 'fragment';
    if (h.id === 0x0704) batch(c, h, state, out);
    return;
  }
  // What is encrypted reads as nothing. The flag is also set by mistake: locations are looked at.
  if (h.encrypted && !isLegible(c, h)) {
    if (h.id === 0x0100 || h.id === 0x0102) out.kind = FrameKind.Login;
    out.damaged = Reason.Encrypted;
    return;
  }
  read(c, h, state, out);
}

function identify(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  if (!state.knows(c.bytes, h.phoneAt, h.phoneBytes)) state.id = identityOf(c.bytes, h.phoneAt, h.phoneBytes);
  state.is2019 = h.is2019;
  state.e7 = h.e7;
  state.version = h.version;
  out.deviceId = state.id;
}

function read(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  switch (h.id) {
    case 0x0200:
      report(c, p, h, state, out);
      return;
    case 0x0201:
    case 0x0500:
      if (q - p >= 2) out.replyKey = h.id === 0x0201 ? keyAt(b, p) : -1;
      report(c, p + 2, h, state, out);
      return;
    case 0x0704:
      batch(c, h, state, out);
      return;
    case 0x0210:
      batchVendor(c, h, state, out);
      return;
    case 0x5501:
    case 0x5502:
      lock(c, h, state, out);
      return;
    default:
      other(c, h, state, out);
  }
}

function other(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  switch (h.id) {
    case 0x0002:
    case 0x0506:
      heartbeat(c, h, out);
      return;
    case 0x0003:
    case 0x0004:
    case 0x0109:
    case 0x1007:
    case 0x8888:
      out.kind = FrameKind.Heartbeat;
      return;
    case 0x0001:
      universalReply(c, h, out);
      return;
    case 0x0100:
      register(c, h, state, out);
      return;
    case 0x0102:
      authenticate(c, h, out);
      return;
    case 0x0104:
      parameters(c, h, out);
      return;
    case 0x0107:
      attributes(c, h, state, out);
      return;
    case 0x0701:
    case 0x1300:
    case 0x6006:
      textReply(c, h, out);
      return;
    case 0x0702:
      driverCard(c, h, state, out);
      return;
    case 0x0800:
    case 0x0801:
      media(c, h, state, out);
      return;
    case 0x2070:
      acceleration(c, h, state, out);
      return;
    case 0x0900:
      passThrough(c, h, state, out);
      return;
    default:
  }
}

function report(c: Content, p: number, h: Header, state: Jt808State, out: FrameResult): void {
  if (h.q - p < LOCATION) {
    if (h.total === 0) out.malformed(Reason.Short);
    return;
  }
  out.kind = FrameKind.Records;
  if (h.id === 0x0200 && (c.bytes[p + 3]! & 1) !== 0) ticket(out, Form.Sos, h, c.bytes);
  location(c, p, h.q, false, state, out);
}

/** The id of a picture stands in its first package only. */
function isMediaDone(c: Content, h: Header, state: Jt808State): boolean {
  if (h.number <= 1) {
    if (h.q - h.p < 8) return false;
    state.mediaBegins(h.serial, h.total, u32be(c.bytes, h.p));
  }
  return state.isLastOfMedia(h.serial, Math.max(1, h.number));
}

/** Is the body of a frame that says it is encrypted a plain location, or nothing at all? Locks mean something else by these bits. */
function isLegible(c: Content, h: Header): boolean {
  if (h.id === 0x5501 || h.id === 0x5502) return true;
  const at = h.id === 0x0200 ? h.p : h.id === 0x0201 || h.id === 0x0500 ? h.p + 2 : h.id === 0x0704 ? h.p + 5 : h.q;
  return h.p === h.q || (at + LOCATION <= h.q && isPlausible(c.bytes, at));
}

function keyAt(b: Bytes, at: number): number {
  const key = (b[at]! << 8) | b[at + 1]!;
  return key === 0 ? -1 : key;
}
