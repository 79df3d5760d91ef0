import { plainText } from '../base/wire/index.ts';
import { FrameKind } from './frame-kind.ts';

/** Bits of the `flags` column that a codec may set; the host adds others (docs/formats/tables.md). */
export const RowFlag = { Buffered: 1, Future: 2, Rollover: 4, NoTime: 8 } as const;
/** Names of the flag bits, by bit number. */
export const ROW_FLAG_NAMES = ['buffered', 'future', 'rollover', 'no_time'] as const;

const ROWS = 64;
const ITEMS = 1024;

const NO_ADDRESS = '00:00:00:00:00:00';

/**
 * Reused, column-wise result of one decode call; no object per record. A row is a fix when its latitude and longitude
 * are numbers, else a status. Absent is NaN, -1, 0 or '' as each column says.
 *
 * ```
 * rows   0        1        2            attrs  0 1 2 | 3 4 | 5
 * attrEnd[r]:     3        5        6   row 0 owns [0,3), row 1 [3,5), row 2 [5,6)
 * ```
 * `cellEnd` and `wifiEnd` work the same way. Attributes, cells and Wi-Fi are added to the row opened last.
 *
 * Texts are made plain as they come in (`plainText` in wire): whatever a device sends, every reader gets the same text.
 */
export class FrameResult {
  kind: FrameKind = FrameKind.Ignored;
  /** The vendor's name of the message; a static string of the codec's `messages`. */
  name = '';
  /** Static string of the codec's `reasons`; set when kind is Malformed. */
  reason = '';
  /** Accepted in spite of a failed integrity check (integrity=count): the static reason, else ''. */
  damaged = '';
  /** Device identity carried by this frame, or '' to keep the connection's. */
  deviceId = '';
  /** Three numbers that the codec wants back in encodeAck; opaque to the host. */
  ticketA = 0;
  ticketB = 0;
  ticketC = 0;
  /** Command key echoed by a Reply, or -1 when the protocol replies in order. */
  replyKey = -1;

  /** What the host has taken off the times, ms, for the device's clock is ahead; 0: nothing. */
  clockMs = 0;

  rows = 0;
  /** Bytes [from, to) of the record itself: what makes it the same record when sent again (no frame serial, no checksum). Defaults to the frame. */
  from = new Int32Array(ROWS);
  to = new Int32Array(ROWS);
  /** Epoch ms of the device's time, NaN when it gave none. */
  time = new Float64Array(ROWS);
  /** WGS84 degrees, NaN when absent. */
  latitude = new Float64Array(ROWS);
  longitude = new Float64Array(ROWS);
  altitudeM = new Float64Array(ROWS);
  speedKmh = new Float64Array(ROWS);
  courseDeg = new Float64Array(ROWS);
  hdop = new Float64Array(ROWS);
  /** -1 when absent. */
  satellites = new Int16Array(ROWS);
  /** The device says that this is a real GNSS fix: 1 yes, 0 no. */
  valid = new Uint8Array(ROWS);
  /** RowFlag bits. */
  flags = new Uint8Array(ROWS);
  /** See events.ts: 0 none, > 0 index, < 0 unknown code. */
  event = new Int32Array(ROWS);
  attrEnd = new Int32Array(ROWS);
  cellEnd = new Int32Array(ROWS);
  wifiEnd = new Int32Array(ROWS);

  attrs = 0;
  attrId = new Int32Array(ITEMS);
  /** Raw number; for a text attribute the index into `texts`. */
  attrNum = new Float64Array(ITEMS);
  texts: string[] = [];

  /** Network that serves the device, where the frame names it and no cell of it; -1 when absent. Of a cell it is in the cell. */
  networkMcc = -1;
  networkMnc = -1;

  cells = 0;
  cellMcc = new Int32Array(ROWS);
  cellMnc = new Int32Array(ROWS);
  cellLac = new Int32Array(ROWS);
  /** Up to 2^36: a 5G identity does not fit 32 bits. */
  cellCid = new Float64Array(ROWS);
  /** dBm, or 0 when absent. */
  cellRssiDbm = new Int16Array(ROWS);

  wifis = 0;
  /** `aa:bb:cc:dd:ee:ff` */
  wifiMac: string[] = [];
  /** dBm, or 0 when absent. */
  wifiRssiDbm = new Int16Array(ROWS);

  #replyText = '';
  #start = 0;
  #end = 0;

  get replyText(): string {
    return this.#replyText;
  }

  set replyText(text: string) {
    this.#replyText = plainText(text);
  }

  /** The host calls this before each decode with the frame's bounds. */
  reset(start: number, end: number): void {
    this.kind = FrameKind.Ignored;
    this.name = '';
    this.reason = '';
    this.damaged = '';
    this.deviceId = '';
    this.ticketA = 0;
    this.ticketB = 0;
    this.ticketC = 0;
    this.replyKey = -1;
    this.clockMs = 0;
    this.networkMcc = -1;
    this.networkMnc = -1;
    this.#replyText = '';
    this.#start = start;
    this.#end = end;
    this.#clearRows();
  }

  /** Does the answer to this frame say that something is stored? A heartbeat's does where it carries an event. */
  get promises(): boolean {
    if (this.kind === FrameKind.Login) return false;
    if (this.kind !== FrameKind.Heartbeat) return true;
    for (let r = 0; r < this.rows; r++) if (this.event[r] !== 0) return true;
    return false;
  }

  /** The host: the device's clock is so far ahead, ms. */
  correct(ms: number): void {
    this.clockMs = ms;
    for (let r = 0; r < this.rows; r++) this.time[r] = (this.time[r] ?? Number.NaN) - ms;
  }

  /** Opens a row with everything absent and returns its index. */
  row(): number {
    const r = this.rows;
    if (r === this.time.length) this.#growRows();
    this.rows = r + 1;
    this.from[r] = this.#start;
    this.to[r] = this.#end;
    this.time[r] = Number.NaN;
    this.latitude[r] = Number.NaN;
    this.longitude[r] = Number.NaN;
    this.altitudeM[r] = Number.NaN;
    this.speedKmh[r] = Number.NaN;
    this.courseDeg[r] = Number.NaN;
    this.hdop[r] = Number.NaN;
    this.satellites[r] = -1;
    this.valid[r] = 0;
    this.flags[r] = 0;
    this.event[r] = 0;
    this.attrEnd[r] = this.attrs;
    this.cellEnd[r] = this.cells;
    this.wifiEnd[r] = this.wifis;
    return r;
  }

  /**
   * An event that row `r` cannot carry, for it has one of its own: a status row of the same time, the `nth` (from 1) of that row. It is made of
   * fewer bytes, so that it is a record of its own. Nothing can be added to row `r` behind it.
   */
  beside(r: number, nth: number, event: number): void {
    const k = this.row();
    this.from[k] = (this.from[r] ?? 0) + 1 + ((nth - 1) & 15);
    this.to[k] = (this.to[r] ?? 0) - ((nth - 1) >> 4);
    this.time[k] = this.time[r] ?? Number.NaN;
    this.flags[k] = this.flags[r] ?? 0;
    this.event[k] = event;
  }

  /** Adds a number (or a boolean as 0 / 1) to the last row. The host applies the attribute's scale. */
  attr(id: number, value: number): void {
    const k = this.attrs;
    if (k === this.attrId.length) this.#growAttrs();
    this.attrs = k + 1;
    this.attrId[k] = id;
    this.attrNum[k] = value;
    this.attrEnd[this.rows - 1] = this.attrs;
  }

  /** Adds a text to the last row. */
  attrText(id: number, value: string): void {
    this.texts.push(plainText(value));
    this.attr(id, this.texts.length - 1);
  }

  /** Adds a cell to the last row; unknown numbers as -1, unknown signal as 0. */
  cell(mcc: number, mnc: number, lac: number, cid: number, rssiDbm: number): void {
    const k = this.cells;
    if (k === this.cellMcc.length) this.#growCells();
    this.cells = k + 1;
    this.cellMcc[k] = mcc;
    this.cellMnc[k] = mnc;
    this.cellLac[k] = lac;
    this.cellCid[k] = cid;
    this.cellRssiDbm[k] = rssiDbm;
    this.cellEnd[this.rows - 1] = this.cells;
  }

  /** Adds a Wi-Fi access point to the last row; unknown signal as 0. An address of zeros is an unused place of a list, and is left out. */
  wifi(mac: string, rssiDbm: number): void {
    if (mac === NO_ADDRESS) return;
    const k = this.wifis;
    if (k === this.wifiRssiDbm.length) this.wifiRssiDbm = grown(this.wifiRssiDbm, new Int16Array(k * 2));
    this.wifis = k + 1;
    this.wifiMac.push(plainText(mac));
    this.wifiRssiDbm[k] = rssiDbm;
    this.wifiEnd[this.rows - 1] = this.wifis;
  }

  /** Ends the decode: the frame is not readable. Rows filled so far are dropped. */
  malformed(reason: string): void {
    this.kind = FrameKind.Malformed;
    this.reason = reason;
    this.#clearRows();
  }

  #clearRows(): void {
    this.rows = 0;
    this.attrs = 0;
    this.cells = 0;
    this.wifis = 0;
    if (this.texts.length > 0) this.texts.length = 0;
    if (this.wifiMac.length > 0) this.wifiMac.length = 0;
  }

  #growRows(): void {
    const n = this.time.length * 2;
    this.from = grown(this.from, new Int32Array(n));
    this.to = grown(this.to, new Int32Array(n));
    this.time = grown(this.time, new Float64Array(n));
    this.latitude = grown(this.latitude, new Float64Array(n));
    this.longitude = grown(this.longitude, new Float64Array(n));
    this.altitudeM = grown(this.altitudeM, new Float64Array(n));
    this.speedKmh = grown(this.speedKmh, new Float64Array(n));
    this.courseDeg = grown(this.courseDeg, new Float64Array(n));
    this.hdop = grown(this.hdop, new Float64Array(n));
    this.satellites = grown(this.satellites, new Int16Array(n));
    this.valid = grown(this.valid, new Uint8Array(n));
    this.flags = grown(this.flags, new Uint8Array(n));
    this.event = grown(this.event, new Int32Array(n));
    this.attrEnd = grown(this.attrEnd, new Int32Array(n));
    this.cellEnd = grown(this.cellEnd, new Int32Array(n));
    this.wifiEnd = grown(this.wifiEnd, new Int32Array(n));
  }

  #growAttrs(): void {
    const n = this.attrId.length * 2;
    this.attrId = grown(this.attrId, new Int32Array(n));
    this.attrNum = grown(this.attrNum, new Float64Array(n));
  }

  #growCells(): void {
    const n = this.cellMcc.length * 2;
    this.cellMcc = grown(this.cellMcc, new Int32Array(n));
    this.cellMnc = grown(this.cellMnc, new Int32Array(n));
    this.cellLac = grown(this.cellLac, new Int32Array(n));
    this.cellCid = grown(this.cellCid, new Float64Array(n));
    this.cellRssiDbm = grown(this.cellRssiDbm, new Int16Array(n));
  }
}

/** Copies a column into its larger successor. */
export function grown<A extends { set(from: A): void }>(from: A, to: A): A {
  to.set(from);
  return to;
}
