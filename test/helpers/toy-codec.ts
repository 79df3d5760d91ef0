import {
  ascii,
  type Bytes,
  decimal,
  hex,
  i8,
  i32be,
  indexOf,
  putAscii,
  putU8,
  putU16be,
  putU32be,
  u16be,
  u32be,
  xorSum,
} from '../../src/base/wire/index.ts';
import {
  type AckRequest,
  type CodecDefinition,
  type Command,
  defineCodec,
  eventIndex,
  FrameKind,
  type FrameResult,
  type Options,
  Settled,
  type StreamDialect,
  type Transport,
  unknownEvent,
} from '../../src/codec/index.ts';

/**
 * A codec as an outside package would write it, small enough to break on purpose. One frame:
 *
 * ```
 * 0  2  sync    "TY"
 * 2  1  type    1 login · 2 fixes · 3 alive · 4 reply · 5 status
 * 3  1  flags   bit 0, in a login: speeds of this device are in knots
 * 4  2  serial
 * 6  2  length  of the whole frame
 * 8  …  body
 * -1 1  check   exclusive or of everything before
 * ```
 */
const HEAD = 8;
const FIX_BYTES = 18;
const STATUS_BYTES = 20;
const KMH_PER_KNOT = 1.852;

const LOGIN = 1;
const FIXES = 2;
const ALIVE = 3;
const REPLY = 4;
const STATUS = 5;

export interface ToyState {
  knots: boolean;
  /** A login of this connection has said whether. */
  told: boolean;
  readonly count: boolean;
}

export const toyDialect: StreamDialect<ToyState> = {
  open(options: Options, memo: number): ToyState {
    return { knots: (memo & 1) === 1, told: false, count: options['integrity'] === 'count' };
  },
  memo(state: ToyState): number {
    return state.knots ? 1 : 0;
  },
  adopt(state: ToyState, memo: number): void {
    if (!state.told) state.knots = (memo & 1) === 1;
  },
  describeMemo(memo: number): Record<string, string> {
    return (memo & 1) === 1 ? { speed: 'knots' } : {};
  },
  frame(bytes: Bytes, start: number, end: number): number {
    if (bytes[start] !== 0x54) {
      const sync = indexOf(bytes, start, end, 0x54);
      return start - (sync < 0 ? end : sync);
    }
    if (end - start > 1 && bytes[start + 1] !== 0x59) return -1;
    if (end - start < HEAD) return 0;
    const length = u16be(bytes, start + 6);
    return length > HEAD ? length : -2;
  },
  decode(bytes: Bytes, start: number, end: number, state: ToyState, out: FrameResult): void {
    if (end - start <= HEAD) {
      out.malformed('TOO_SHORT');
      return;
    }
    if (xorSum(bytes, start, end - 1) !== bytes[end - 1]!) {
      if (!state.count) {
        out.malformed('BAD_CHECK');
        return;
      }
      out.damaged = 'BAD_CHECK';
    }
    out.ticketA = bytes[start + 2]!;
    out.ticketB = u16be(bytes, start + 4);
    const body = start + HEAD;
    const last = end - 1;
    switch (bytes[start + 2]) {
      case LOGIN:
        if (last - body !== 8 || decimal(bytes, body, last) < 0) {
          out.malformed('BAD_ID');
          return;
        }
        out.kind = FrameKind.Login;
        out.name = 'login';
        out.deviceId = ascii(bytes, body, last);
        state.knots = (bytes[start + 3]! & 1) === 1;
        state.told = true;
        return;
      case FIXES:
        decodeFixes(bytes, body, last, state, out);
        return;
      case ALIVE:
        out.kind = FrameKind.Heartbeat;
        out.name = 'alive';
        return;
      case REPLY:
        if (last - body < 4) {
          out.malformed('TOO_SHORT');
          return;
        }
        out.kind = FrameKind.Reply;
        out.name = 'reply';
        out.replyKey = u32be(bytes, body) & 0x7fffffff;
        out.replyText = ascii(bytes, body + 4, last);
        return;
      case STATUS:
        decodeStatus(bytes, body, last, out);
        return;
      default:
        out.name = 'unknown';
    }
  },
  encodeAck(request: AckRequest, _state: ToyState, out: Bytes, at: number): number {
    if (request.settled === Settled.Failed || request.kind === FrameKind.Ignored) return 0;
    let p = putAscii(out, at, 'TA');
    p = putU8(out, p, request.settled === Settled.Refused ? 0xff : request.accepted);
    p = putU16be(out, p, request.ticketB);
    return putU8(out, p, xorSum(out, at, p)) - at;
  },
  encodeCommand(command: Command, key: number, _state: ToyState, out: Bytes, at: number): number {
    let p = putAscii(out, at, 'TC');
    p = putU32be(out, p, key);
    p = putAscii(out, p, command.type === 'custom' ? String(command.parameters['text']) : `I${command.parameters['seconds']}`);
    return putU8(out, p, xorSum(out, at, p)) - at;
  },
};

/** Each: time s u32 · latitude, longitude 1e-7° i32 · speed u8 · course u16 · satellites u8 · event u8 · battery % u8. */
function decodeFixes(bytes: Bytes, body: number, last: number, state: ToyState, out: FrameResult): void {
  const count = body < last ? bytes[body]! : 0;
  if (last - body - 1 !== count * FIX_BYTES) {
    out.malformed('BAD_COUNT');
    return;
  }
  out.kind = FrameKind.Records;
  out.name = 'fixes';
  for (let p = body + 1; p < last; p += FIX_BYTES) {
    const latitude = i32be(bytes, p + 4) / 1e7;
    const longitude = i32be(bytes, p + 8) / 1e7;
    if (Math.abs(latitude) > 90 || Math.abs(longitude) > 180) {
      out.malformed('BAD_PLACE');
      return;
    }
    const r = out.row();
    out.from[r] = p;
    out.to[r] = p + FIX_BYTES;
    out.time[r] = u32be(bytes, p) * 1000;
    out.latitude[r] = latitude;
    out.longitude[r] = longitude;
    out.speedKmh[r] = bytes[p + 12]! * (state.knots ? KMH_PER_KNOT : 1);
    const course = u16be(bytes, p + 13);
    if (course <= 360) out.courseDeg[r] = course;
    out.satellites[r] = bytes[p + 15]!;
    out.valid[r] = 1;
    const code = bytes[p + 16]!;
    out.event[r] = code === 0 ? 0 : code === 1 ? SOS : unknownEvent(code);
    out.attr(1, bytes[p + 17]!);
  }
}

/** battery mV u16 · mcc u16 · mnc u8 · lac u16 · cell u32 · signal i8 · mac 6 · signal i8 · version ascii. */
function decodeStatus(bytes: Bytes, body: number, last: number, out: FrameResult): void {
  if (last - body < STATUS_BYTES) {
    out.malformed('TOO_SHORT');
    return;
  }
  out.kind = FrameKind.Status;
  out.name = 'status';
  out.row();
  out.attr(2, u16be(bytes, body));
  out.cell(u16be(bytes, body + 2), bytes[body + 4]!, u16be(bytes, body + 5), u32be(bytes, body + 7), -(i8(bytes, body + 11) & 0x7f));
  const mac = Array.from({ length: 6 }, (_, i) => hex(bytes, body + 12 + i, body + 13 + i)).join(':');
  out.wifi(mac, -(i8(bytes, body + 18) & 0x7f));
  out.attrText(3, ascii(bytes, body + 19, last));
}

const SOS = eventIndex('sos');

/** For tests that change one part of the toy. */
export const toyDefinition: CodecDefinition<ToyState, ToyState> = {
  name: 'toy',
  about: 'a protocol of nobody',
  maxFrameBytes: 1024,
  maxAnswerBytes: 6,
  replies: 'echoed',
  options: { integrity: { type: 'string', fallback: 'verify', about: 'what a wrong check costs', oneOf: ['verify', 'count'] } },
  attributes: new Map([
    [1, { name: 'battery_pct', type: 'number' }],
    [2, { name: 'battery_v', type: 'number', scale: 0.001 }],
    [3, { name: 'firmware', type: 'text' }],
  ]),
  commands: [
    {
      type: 'set_interval',
      about: 'seconds between fixes',
      parameters: { seconds: { type: 'number', about: 'seconds', min: 1, max: 65535 } },
    },
    { type: 'custom', about: 'text as it is', parameters: { text: { type: 'string', about: 'the text' } } },
  ],
  messages: ['login', 'fixes', 'alive', 'reply', 'status', 'unknown'],
  reasons: ['TOO_SHORT', 'BAD_CHECK', 'BAD_COUNT', 'BAD_ID', 'BAD_PLACE'],
  recognise(bytes: Bytes, start: number, end: number): boolean | undefined {
    if (bytes[start] !== 0x54) return false;
    return end - start < 2 ? undefined : bytes[start + 1] === 0x59;
  },
  tcp: toyDialect,
  udp: toyDialect,
};

/** Writes the checksum, and the length if asked, that a damaged frame needs to be looked at. */
export function toyReseal(bytes: Uint8Array, _transport: Transport, length: boolean): void {
  if (bytes.length <= HEAD) return;
  if (length) putU16be(bytes, 6, bytes.length);
  bytes[bytes.length - 1] = xorSum(bytes, 0, bytes.length - 1);
}

export function toyFrame(type: number, flags: number, serial: number, body: Bytes): Uint8Array {
  const frame = new Uint8Array(HEAD + body.length + 1);
  let p = putAscii(frame, 0, 'TY');
  p = putU8(frame, p, type);
  p = putU8(frame, p, flags);
  p = putU16be(frame, p, serial);
  frame.set(body, p + 2);
  toyReseal(frame, 'tcp', true);
  return frame;
}

export function toyLogin(id: string, knots: boolean): Uint8Array {
  const body = new Uint8Array(id.length);
  putAscii(body, 0, id);
  return toyFrame(LOGIN, knots ? 1 : 0, 1, body);
}

export function toyFixes(serial: number, count: number): Uint8Array {
  const body = new Uint8Array(1 + count * FIX_BYTES);
  let p = putU8(body, 0, count);
  for (let i = 0; i < count; i++) {
    p = putU32be(body, p, 1793491200 - 10 * (count - i));
    p = putU32be(body, p, 515000000 + i * 1000);
    p = putU32be(body, p, -1270000 + i * 1000);
    p = putU8(body, p, 40 + i);
    p = putU16be(body, p, 90 + i);
    p = putU8(body, p, 9);
    p = putU8(body, p, i === 1 ? 1 : i === 2 ? 77 : 0);
    p = putU8(body, p, 80 - i);
  }
  return toyFrame(FIXES, 0, serial, body);
}

export function toyAlive(serial: number): Uint8Array {
  return toyFrame(ALIVE, 0, serial, new Uint8Array(0));
}

export function toyReply(serial: number, key: number, text: string): Uint8Array {
  const body = new Uint8Array(4 + text.length);
  putAscii(body, putU32be(body, 0, key), text);
  return toyFrame(REPLY, 0, serial, body);
}

export function toyStatus(serial: number): Uint8Array {
  const body = new Uint8Array(STATUS_BYTES + 2);
  let p = putU16be(body, 0, 4012);
  p = putU16be(body, p, 262);
  p = putU8(body, p, 2);
  p = putU16be(body, p, 4711);
  p = putU32be(body, p, 268435455);
  p = putU8(body, p, 0x51);
  body.set([0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f], p);
  p = putU8(body, p + 6, 0x42);
  putAscii(body, p, '1.2');
  return toyFrame(STATUS, 0, serial, body);
}

export default defineCodec(toyDefinition);
