import { defineCodec, FrameKind, Settled } from 'fixgate/codec';
import { ascii, decimal, i32be, indexOf, putU8, u16be, u32be, xorSum } from 'fixgate/wire';

/**
 * A codec of somebody else: plain JavaScript that knows Fixgate only by its public names. One frame:
 *
 * ```
 *  0  1  sync    b0
 *  1  1  length  of the whole frame, 5 to 64
 *  2  1  type    1 login · 2 place
 *  3  …  body    login: id, ASCII digits
 *                place: time s u32 · latitude, longitude 1e-7° i32 · water temperature 0.01 °C u16
 * -1  1  check   exclusive or of everything before
 * ```
 * The answer is b1, the number of places that are stored, and the exclusive or of both.
 */
const SYNC = 0xb0;
const LOGIN = 1;
const PLACE = 2;
const SHORTEST = 5;
const LONGEST = 64;
const PLACE_BYTES = 14;

const dialect = {
  open: () => ({}),
  frame(bytes, start, end) {
    if (bytes[start] !== SYNC) {
      const sync = indexOf(bytes, start, end, SYNC);
      return start - (sync < 0 ? end : sync);
    }
    if (end - start < 2) return 0;
    const length = bytes[start + 1];
    return length < SHORTEST || length > LONGEST ? -1 : length;
  },
  decode(bytes, start, end, _state, out) {
    const last = end - 1;
    const body = start + 3;
    // A datagram comes as it is, whatever length it names.
    if (end - start < SHORTEST || bytes[start] !== SYNC || bytes[start + 1] !== end - start) return out.malformed('BAD_LENGTH');
    if (xorSum(bytes, start, last) !== bytes[last]) return out.malformed('BAD_CHECK');
    switch (bytes[start + 2]) {
      case LOGIN:
        if (decimal(bytes, body, last) < 0) return out.malformed('BAD_ID');
        out.kind = FrameKind.Login;
        out.name = 'login';
        out.deviceId = ascii(bytes, body, last);
        return;
      case PLACE: {
        if (last - body !== PLACE_BYTES) return out.malformed('BAD_LENGTH');
        const latitude = i32be(bytes, body + 4) / 1e7;
        const longitude = i32be(bytes, body + 8) / 1e7;
        if (Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return out.malformed('BAD_PLACE');
        out.kind = FrameKind.Records;
        out.name = 'place';
        const r = out.row();
        out.from[r] = body;
        out.to[r] = last;
        out.time[r] = u32be(bytes, body) * 1000;
        out.latitude[r] = latitude;
        out.longitude[r] = longitude;
        out.valid[r] = 1;
        out.attr(1, u16be(bytes, body + 12));
        return;
      }
      default:
        out.name = 'unknown';
    }
  },
  encodeAck(request, _state, out, at) {
    if (request.settled !== Settled.Stored || request.kind === FrameKind.Ignored) return 0;
    const p = putU8(out, putU8(out, at, 0xb1), request.accepted);
    return putU8(out, p, xorSum(out, at, p)) - at;
  },
};

/** Type and body as a frame. */
function framed(type, body) {
  const frame = Uint8Array.of(SYNC, body.length + 4, type, ...body, 0);
  frame[frame.length - 1] = xorSum(frame, 0, frame.length - 1);
  return frame;
}

const answered = (places) => Uint8Array.of(0xb1, places, 0xb1 ^ places);

/** For `fixgate simulate`. A datagram does not say whose it is. */
function simulated(n, transport) {
  if (transport === 'udp') return undefined;
  const id = String(7_000_000 + n);
  return {
    id,
    hello: () => ({ bytes: framed(LOGIN, new TextEncoder().encode(id)), answer: answered(0) }),
    report({ time, latitude, longitude }) {
      const body = new Uint8Array(PLACE_BYTES);
      const view = new DataView(body.buffer);
      view.setUint32(0, time / 1000);
      view.setInt32(4, Math.round(latitude * 1e7));
      view.setInt32(8, Math.round(longitude * 1e7));
      view.setUint16(12, 1850);
      const bytes = framed(PLACE, body);
      return { bytes, answer: answered(1), record: [3, bytes.length - 1] };
    },
  };
}

export default defineCodec({
  name: 'buoy',
  about: 'weather buoys of a small harbour',
  maxFrameBytes: LONGEST,
  maxAnswerBytes: 3,
  attributes: new Map([[1, { name: 'temperature_c_1', type: 'number', scale: 0.01 }]]),
  messages: ['login', 'place', 'unknown'],
  reasons: ['BAD_LENGTH', 'BAD_CHECK', 'BAD_ID', 'BAD_PLACE'],
  recognise: (bytes, start) => bytes[start] === SYNC,
  tcp: dialect,
  udp: dialect,
  simulated,
});
