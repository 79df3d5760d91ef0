import { isErased, type Stretch } from '../../base/erased.ts';
import { type Bytes, HASH, hash64 } from '../../base/wire/index.ts';
import { type Codec, eventName, type FrameResult, grown, ROW_FLAG_NAMES, RowFlag } from '../../codec/index.ts';
import { type AttributeView, attributeView, viewsOf } from './attribute-view.ts';
import { asciiBytes, JsonWriter } from './json-writer.ts';
import { JUDGED, judgeTime } from './time-rules.ts';

const NONE_ERASED: readonly Stretch[] = [];

/** A codec of another version may set others. */
const KNOWN_FLAGS = (1 << ROW_FLAG_NAMES.length) - 1;

const TEXTS = new JsonWriter();

/** Pieces of a record in JSON, up to the value that follows. */
const KEYS = {
  fix: asciiBytes('{"kind":"fix","id":"'),
  status: asciiBytes('{"kind":"status","id":"'),
  device: asciiBytes('","device":'),
  account: asciiBytes(',"account":'),
  protocol: asciiBytes(',"protocol":'),
  time: asciiBytes(',"time":'),
  received: asciiBytes(',"received":'),
  deviceTime: asciiBytes(',"device_time":'),
  flags: asciiBytes(',"flags":'),
  valid: asciiBytes(',"valid":true,"lat":'),
  invalid: asciiBytes(',"valid":false,"lat":'),
  lon: asciiBytes(',"lon":'),
  altitude: asciiBytes(',"altitude_m":'),
  speed: asciiBytes(',"speed_kmh":'),
  course: asciiBytes(',"course_deg":'),
  satellites: asciiBytes(',"satellites":'),
  hdop: asciiBytes(',"hdop":'),
  event: asciiBytes(',"event":'),
  attrs: asciiBytes(',"attrs":{'),
  cells: asciiBytes(',"cells":['),
  next: asciiBytes(','),
  mcc: asciiBytes(',"mcc":'),
  mnc: asciiBytes(',"mnc":'),
  lac: asciiBytes(',"lac":'),
  cid: asciiBytes(',"cid":'),
  rssi: asciiBytes(',"rssi_dbm":'),
  wifi: asciiBytes(',"wifi":[{"mac":'),
  nextMac: asciiBytes(',{"mac":'),
};
const OPENING = 0x7b;
/** Lists of names in JSON, by their bits. */
const FLAGS: readonly Uint8Array[] = Array.from({ length: KNOWN_FLAGS + 1 }, (_, bits) => asciiBytes(JSON.stringify(namesOf(bits))));

/**
 * Records (docs/formats/tables.md) of many frames as columns: what sinks, the CLI and the live feed read.
 *
 * 1. Names, units and scales of attributes and the rules about time are applied here, once, for every reader.
 * 2. The same journal entry gives the same rows, whenever it is read.
 * 3. A name stands once in a record: the last value wins.
 * 4. A record with a usable time of its own is named by its device and bytes, wherever and however often it comes. One without is
 *    named by its place in the journal: two equal ones are two.
 */
export class Rows {
  count = 0;
  device: string[] = [];
  /** Whose device it was when the record came; '' for none. */
  account: string[] = [];
  protocol: string[] = [];
  idHigh = new Uint32Array(256);
  idLow = new Uint32Array(256);
  /** Epoch ms. */
  time = new Float64Array(256);
  received = new Float64Array(256);
  /** The device's own time where it was unusable or has been corrected, else NaN. */
  deviceTime = new Float64Array(256);
  /** RowFlag bits. */
  flags = new Uint8Array(256);
  valid = new Uint8Array(256);
  latitude = new Float64Array(256);
  longitude = new Float64Array(256);
  altitudeM = new Float64Array(256);
  speedKmh = new Float64Array(256);
  courseDeg = new Float64Array(256);
  hdop = new Float64Array(256);
  satellites = new Int16Array(256);
  event: string[] = [];

  attrEnd = new Int32Array(256);
  /** Of the first `attrs`; what is behind them is of before. Never made empty: it would give its memory back and grow again for each batch. */
  attrView: AttributeView[] = [];
  /** In the unit of the name; a boolean as 0 or 1; for a text the index into `texts`. */
  attrValue = new Float64Array(1024);
  attrs = 0;
  /** Name number → the attribute that had it last. */
  #lastOfName = new Int32Array(1024);
  texts: string[] = [];

  cellEnd = new Int32Array(256);
  cellMcc = new Int32Array(256);
  cellMnc = new Int32Array(256);
  cellLac = new Int32Array(256);
  cellCid = new Float64Array(256);
  cellRssiDbm = new Int16Array(256);
  cells = 0;

  /** Rows that were not added because they are from before the device was erased. */
  erased = 0;

  wifiEnd = new Int32Array(256);
  wifiMac: string[] = [];
  wifiRssiDbm = new Int16Array(256);
  wifis = 0;

  clear(): void {
    this.count = 0;
    this.attrs = 0;
    this.cells = 0;
    this.wifis = 0;
    this.erased = 0;
    this.device.length = 0;
    this.account.length = 0;
    this.protocol.length = 0;
    this.event.length = 0;
    this.texts.length = 0;
    this.wifiMac.length = 0;
  }

  /** A row is a fix when it has a place. */
  isFix(row: number): boolean {
    return !Number.isNaN(this.latitude[row] ?? Number.NaN);
  }

  /**
   * Adds the leading `accepted` rows of a decoded frame and returns how many the frame has of them. `bytes` is what was decoded;
   * see invariant 4. With `keepAt`, a bit of `bytes` from there on says of each row whether it is added. Rows of
   * `erased` are not. `slot` and `sequence` are the frame's place in the journal; sequence 0: it has none, and bytes name
   * every record.
   */
  append(
    frame: FrameResult,
    codec: Codec,
    device: string,
    received: number,
    accepted: number,
    bytes: Bytes,
    keepAt = -1,
    erased: readonly Stretch[] = NONE_ERASED,
    slot = '',
    sequence = 0,
    account = '',
  ): number {
    const views = viewsOf(codec);
    const rows = Math.min(accepted, frame.rows);
    for (let r = 0; r < rows; r++) {
      if (keepAt >= 0 && (((bytes[keepAt + (r >> 3)] ?? 0) >> (r & 7)) & 1) === 0) continue;
      judgeTime(frame.time[r] ?? Number.NaN, received, frame.flags[r] ?? 0);
      if (erased.length > 0 && isErased(erased, account, received, JUDGED.time)) {
        this.erased++;
        continue;
      }
      const i = this.#open();
      if (sequence > 0 && !hasOwnTime()) hash64(`${slot} ${sequence} ${r} ${device}`, bytes, 0, 0);
      else hash64(device, bytes, frame.from[r] ?? 0, frame.to[r] ?? 0);
      this.idHigh[i] = HASH.high;
      this.idLow[i] = HASH.low;
      this.device.push(device);
      this.account.push(account);
      this.protocol.push(codec.name);
      this.received[i] = received;
      this.time[i] = JUDGED.time;
      this.deviceTime[i] = rawTime(frame.time[r] ?? Number.NaN, frame.clockMs);
      this.flags[i] = JUDGED.flags & KNOWN_FLAGS;
      this.#measured(frame, r, i);
      this.#said(frame, r, i, codec, views);
    }
    return rows;
  }

  /** Where row `i` was and how it moved: frame row `r`. */
  #measured(frame: FrameResult, r: number, i: number): void {
    this.valid[i] = frame.valid[r] ?? 0;
    const latitude = frame.latitude[r] ?? Number.NaN;
    const longitude = frame.longitude[r] ?? Number.NaN;
    const placed = Number.isFinite(latitude) && Number.isFinite(longitude);
    this.latitude[i] = placed ? latitude : Number.NaN;
    this.longitude[i] = placed ? longitude : Number.NaN;
    this.altitudeM[i] = frame.altitudeM[r] ?? Number.NaN;
    this.speedKmh[i] = hundredths(frame.speedKmh[r] ?? Number.NaN);
    this.courseDeg[i] = hundredths(frame.courseDeg[r] ?? Number.NaN);
    this.hdop[i] = frame.hdop[r] ?? Number.NaN;
    this.satellites[i] = frame.satellites[r] ?? -1;
  }

  /** What else row `i` says: the event, attributes, cells and WiFi of frame row `r`. */
  #said(frame: FrameResult, r: number, i: number, codec: Codec, views: ReturnType<typeof viewsOf>): void {
    this.event.push(eventName(frame.event[r] ?? 0));
    const first = this.attrs;
    for (let k = r === 0 ? 0 : (frame.attrEnd[r - 1] ?? 0), end = frame.attrEnd[r] ?? 0; k < end; k++)
      this.#attribute(first, attributeView(codec, views, frame.attrId[k] ?? 0), frame.attrNum[k] ?? Number.NaN, frame.texts);
    this.attrEnd[i] = this.attrs;
    for (let k = r === 0 ? 0 : (frame.cellEnd[r - 1] ?? 0), end = frame.cellEnd[r] ?? 0; k < end; k++) this.#cell(frame, k);
    this.cellEnd[i] = this.cells;
    for (let k = r === 0 ? 0 : (frame.wifiEnd[r - 1] ?? 0), end = frame.wifiEnd[r] ?? 0; k < end; k++) this.#wifi(frame, k);
    this.wifiEnd[i] = this.wifis;
  }

  /** 16 hex digits. */
  id(row: number): string {
    return hex8(this.idHigh[row] ?? 0) + hex8(this.idLow[row] ?? 0);
  }

  flagNames(row: number): string[] {
    return namesOf(this.flags[row] ?? 0);
  }

  /** The record as one JSON object, in the field order of docs/formats/tables.md. */
  json(row: number): string {
    TEXTS.at = 0;
    this.writeJson(row, TEXTS);
    return TEXTS.textFrom(0);
  }

  /** The same as bytes. */
  writeJson(row: number, out: JsonWriter): void {
    const fix = this.isFix(row);
    out.raw(fix ? KEYS.fix : KEYS.status);
    out.hex8(this.idHigh[row] ?? 0);
    out.hex8(this.idLow[row] ?? 0);
    out.raw(KEYS.device);
    out.text(this.device[row] ?? '');
    out.raw(KEYS.account);
    out.text(this.account[row] ?? '');
    out.raw(KEYS.protocol);
    out.text(this.protocol[row] ?? '');
    out.raw(KEYS.time);
    out.number(this.time[row] ?? 0);
    out.raw(KEYS.received);
    out.number(this.received[row] ?? 0);
    number(out, KEYS.deviceTime, this.deviceTime[row]);
    const flags = this.flags[row] ?? 0;
    const names = FLAGS[flags];
    if (flags !== 0 && names !== undefined) {
      out.raw(KEYS.flags);
      out.raw(names);
    }
    if (fix) {
      out.raw(this.valid[row] === 1 ? KEYS.valid : KEYS.invalid);
      out.number(this.latitude[row] ?? 0);
      out.raw(KEYS.lon);
      out.number(this.longitude[row] ?? 0);
    }
    number(out, KEYS.altitude, this.altitudeM[row]);
    number(out, KEYS.speed, this.speedKmh[row]);
    number(out, KEYS.course, this.courseDeg[row]);
    const satellites = this.satellites[row] ?? -1;
    if (satellites >= 0) number(out, KEYS.satellites, satellites);
    number(out, KEYS.hdop, this.hdop[row]);
    const event = this.event[row] ?? '';
    if (event !== '') {
      out.raw(KEYS.event);
      out.text(event);
    }
    this.#writeCells(row, out);
    this.#writeWifis(row, out);
    this.#writeAttributes(row, out);
  }

  #writeAttributes(row: number, out: JsonWriter): void {
    out.raw(KEYS.attrs);
    const first = row === 0 ? 0 : (this.attrEnd[row - 1] ?? 0);
    for (let k = first, end = this.attrEnd[row] ?? 0; k < end; k++) {
      const view = this.attrView[k];
      const value = this.attrValue[k] ?? 0;
      if (view === undefined) continue;
      out.raw(k === first ? view.firstKey : view.key);
      if (view.type === 'text') out.text(this.texts[value] ?? '');
      else if (view.type === 'boolean') out.ascii(value === 0 ? 'false' : 'true');
      else if (Number.isFinite(value)) out.number(value);
      else out.ascii('null');
    }
    out.ascii('}}');
  }

  #writeCells(row: number, out: JsonWriter): void {
    const from = row === 0 ? 0 : (this.cellEnd[row - 1] ?? 0);
    const to = this.cellEnd[row] ?? 0;
    if (from === to) return;
    for (let k = from; k < to; k++) {
      out.raw(k === from ? KEYS.cells : KEYS.next);
      const start = out.at;
      known(out, KEYS.mcc, this.cellMcc[k] ?? -1);
      known(out, KEYS.mnc, this.cellMnc[k] ?? -1);
      known(out, KEYS.lac, this.cellLac[k] ?? -1);
      known(out, KEYS.cid, this.cellCid[k] ?? -1);
      if (this.cellRssiDbm[k] !== 0) number(out, KEYS.rssi, this.cellRssiDbm[k]);
      if (out.at === start) out.ascii('{');
      else out.bytes[start] = OPENING;
      out.ascii('}');
    }
    out.ascii(']');
  }

  #writeWifis(row: number, out: JsonWriter): void {
    const from = row === 0 ? 0 : (this.wifiEnd[row - 1] ?? 0);
    const to = this.wifiEnd[row] ?? 0;
    if (from === to) return;
    for (let k = from; k < to; k++) {
      out.raw(k === from ? KEYS.wifi : KEYS.nextMac);
      out.text(this.wifiMac[k] ?? '');
      if (this.wifiRssiDbm[k] !== 0) number(out, KEYS.rssi, this.wifiRssiDbm[k]);
      out.ascii('}');
    }
    out.ascii(']');
  }

  #attribute(first: number, view: AttributeView, raw: number, texts: readonly string[]): void {
    let value = raw;
    if (view.type === 'number') value = (raw * view.multiply) / view.divide + view.offset;
    else if (view.type === 'text') {
      this.texts.push(texts[raw] ?? '');
      value = this.texts.length - 1;
    }
    const there = this.#named(first, view);
    if (there >= 0) {
      this.attrView[there] = view;
      this.attrValue[there] = value;
      return;
    }
    const k = this.attrs++;
    if (k === this.attrValue.length) this.attrValue = grown(this.attrValue, new Float64Array(2 * k));
    this.attrView[k] = view;
    this.attrValue[k] = value;
    this.#remember(view.nameNumber, k);
  }

  /** Place of the attribute of that name among those of the row that begins at `first`, or -1. */
  #named(first: number, { nameNumber, name }: AttributeView): number {
    if (nameNumber >= 0) {
      // It may be of an earlier row, or of one before `clear`.
      const k = this.#lastOfName[nameNumber] ?? -1;
      return k >= first && k < this.attrs && this.attrView[k]?.nameNumber === nameNumber ? k : -1;
    }
    for (let k = first; k < this.attrs; k++) if (this.attrView[k]?.name === name) return k;
    return -1;
  }

  #remember(nameNumber: number, k: number): void {
    if (nameNumber < 0) return;
    if (nameNumber >= this.#lastOfName.length) this.#lastOfName = grown(this.#lastOfName, new Int32Array(2 * nameNumber + 2));
    this.#lastOfName[nameNumber] = k;
  }

  #cell(frame: FrameResult, from: number): void {
    const k = this.cells++;
    if (k === this.cellMcc.length) {
      this.cellMcc = grown(this.cellMcc, new Int32Array(2 * k));
      this.cellMnc = grown(this.cellMnc, new Int32Array(2 * k));
      this.cellLac = grown(this.cellLac, new Int32Array(2 * k));
      this.cellCid = grown(this.cellCid, new Float64Array(2 * k));
      this.cellRssiDbm = grown(this.cellRssiDbm, new Int16Array(2 * k));
    }
    this.cellMcc[k] = frame.cellMcc[from] ?? -1;
    this.cellMnc[k] = frame.cellMnc[from] ?? -1;
    this.cellLac[k] = frame.cellLac[from] ?? -1;
    this.cellCid[k] = frame.cellCid[from] ?? -1;
    this.cellRssiDbm[k] = frame.cellRssiDbm[from] ?? 0;
  }

  #wifi(frame: FrameResult, from: number): void {
    const k = this.wifis++;
    if (k === this.wifiRssiDbm.length) this.wifiRssiDbm = grown(this.wifiRssiDbm, new Int16Array(2 * k));
    this.wifiMac.push(frame.wifiMac[from] ?? '');
    this.wifiRssiDbm[k] = frame.wifiRssiDbm[from] ?? 0;
  }

  #open(): number {
    const i = this.count++;
    if (i === this.time.length) {
      const n = 2 * i;
      this.idHigh = grown(this.idHigh, new Uint32Array(n));
      this.idLow = grown(this.idLow, new Uint32Array(n));
      this.time = grown(this.time, new Float64Array(n));
      this.received = grown(this.received, new Float64Array(n));
      this.deviceTime = grown(this.deviceTime, new Float64Array(n));
      this.flags = grown(this.flags, new Uint8Array(n));
      this.valid = grown(this.valid, new Uint8Array(n));
      this.latitude = grown(this.latitude, new Float64Array(n));
      this.longitude = grown(this.longitude, new Float64Array(n));
      this.altitudeM = grown(this.altitudeM, new Float64Array(n));
      this.speedKmh = grown(this.speedKmh, new Float64Array(n));
      this.courseDeg = grown(this.courseDeg, new Float64Array(n));
      this.hdop = grown(this.hdop, new Float64Array(n));
      this.satellites = grown(this.satellites, new Int16Array(n));
      this.attrEnd = grown(this.attrEnd, new Int32Array(n));
      this.cellEnd = grown(this.cellEnd, new Int32Array(n));
      this.wifiEnd = grown(this.wifiEnd, new Int32Array(n));
    }
    return i;
  }
}

/** Is the time judged last the device's own? */
function hasOwnTime(): boolean {
  return (JUDGED.flags & RowFlag.NoTime) === 0 && Number.isNaN(JUDGED.deviceTime);
}

/** The device's own time, when the time judged last is another one: `read`, `clockMs` behind what the device said. */
function rawTime(read: number, clockMs: number): number {
  return clockMs === 0 ? JUDGED.deviceTime : read + clockMs;
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

function number(out: JsonWriter, key: Uint8Array, value: number | undefined): void {
  if (value === undefined || !Number.isFinite(value)) return;
  out.raw(key);
  out.number(value);
}

/** The same for one that is negative when it is not known. */
function known(out: JsonWriter, key: Uint8Array, value: number): void {
  if (value < 0) return;
  out.raw(key);
  out.number(value);
}

function namesOf(flags: number): string[] {
  return ROW_FLAG_NAMES.filter((_, bit) => (flags >> bit) & 1);
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, '0');
}
