import { ROW_FLAG_NAMES } from '../../../codec/index.ts';
import type { AttributeView } from '../../record/attribute-view.ts';
import { EVENT_VERSION } from '../../record/event.ts';
import type { Rows } from '../../record/rows.ts';
import type { EventRows, UsageRows } from '../sink.ts';
import { Dictionary, NativeWriter } from './native.ts';
import { CELLS_TYPE, FLAGS_TYPE, WIFI_TYPE } from './schema.ts';

/**
 * Rows as blocks in ClickHouse's Native format, one pass per column.
 *
 * The encoders are generators that yield between columns: a batch of 50 000 rows takes tens of milliseconds, and the
 * event loop must not wait that long at a time.
 */

/** Which rows of a table: row numbers `list[from, to)`. */
export interface Pick {
  readonly list: Int32Array;
  readonly from: number;
  readonly to: number;
}

const TIME = "DateTime64(3, 'UTC')";
/** What DateTime64 can hold: 1900 to 2299. */
const MIN_TIME = -2208988800000;
const MAX_TIME = 10413791999999;

/** Attributes with a column of their own. Those that do not fit their column stay in `attrs` or `texts`. */
const FLOATS = ['external_v', 'battery_v', 'battery_pct', 'fuel_pct', 'gsm_level'] as const;
const BOOLS = ['ignition', 'motion'] as const;
/** Places in the array of typed values. */
const TYPED = [...BOOLS, ...FLOATS, 'odometer_m'] as const;
const PLACES = new Map<string, number>(TYPED.map((name, place) => [name, place]));
const BOOL_COUNT = BOOLS.length;
const DRIVER = 'driver_id';

/** Where an attribute goes: a place in TYPED, or one of these. */
const TO_ATTRS = -1;
const TO_TEXTS = -2;
const TO_DRIVER = -3;

export class BlockEncoder {
  readonly writer = new NativeWriter();
  readonly #places = new WeakMap<AttributeView, number>();
  readonly #dictionary = new Dictionary();
  readonly #attrKeys = new Dictionary();
  readonly #textKeys = new Dictionary();
  #typed: Float64Array[] = TYPED.map(() => new Float64Array(0));
  #drivers: string[] = [];
  #attrEnds = new Uint32Array(0);
  #attrValues = new Float64Array(1024);
  #textEnds = new Uint32Array(0);
  #textValues: string[] = [];

  /** Rows with a place, for `positions`. */
  *positions(rows: Rows, pick: Pick): Generator<void> {
    yield* this.#records(rows, pick, true);
  }

  /** Rows without one, for `statuses`. */
  *statuses(rows: Rows, pick: Pick): Generator<void> {
    yield* this.#records(rows, pick, false);
  }

  *events(events: EventRows, pick: Pick): Generator<void> {
    const { writer } = this;
    const n = pick.to - pick.from;
    writer.clear();
    writer.block(9, n);
    this.#texts('device', events.device, pick);
    this.#identities(events, pick);
    this.#times('received', events.received, pick);
    yield;
    this.#lowCardinality('account', events.account, pick);
    this.#lowCardinality('protocol', events.protocol, pick);
    this.#lowCardinality('type', events.type, pick);
    this.#texts('data', events.data, pick);
    writer.column('version', 'UInt8');
    writer.reserve(n);
    for (let i = 0; i < n; i++) writer.u8(EVENT_VERSION);
  }

  /** `instance`: the installation whose journal they are from. */
  *usage(usage: UsageRows, instance: string, pick: Pick): Generator<void> {
    const { writer } = this;
    const n = pick.to - pick.from;
    writer.clear();
    writer.block(15, n);
    this.#texts('device', usage.device, pick);
    this.#identities(usage, pick);
    this.#lowCardinality('account', usage.account, pick);
    yield;
    this.#counts('bytes_in', usage.bytesIn, pick);
    this.#counts('bytes_out', usage.bytesOut, pick);
    this.#counts('segments', usage.segments, pick);
    this.#counts('datagrams', usage.datagrams, pick);
    this.#counts('records', usage.records, pick);
    const networks = Array.from(pick.list.subarray(pick.from, pick.to), (row) => usage.network[row]);
    for (const name of ['mcc', 'mnc'] as const) writer.smallNumbers(name, networks, (one) => one?.[name]);
    writer.bools('roaming', networks, (one) => one?.roaming);
    yield;
    writer.column('instance', 'LowCardinality(String)');
    writer.dictionaryVersion();
    writer.dictionary([instance], new Uint32Array(n), n);
    writer.column('slot', 'UInt32');
    writer.reserve(4 * n);
    for (let i = pick.from; i < pick.to; i++) writer.u32(Number(usage.slot[pick.list[i] ?? 0] ?? 0));
    this.#counts('sequence', usage.sequence, pick);
  }

  *#records(rows: Rows, pick: Pick, placed: boolean): Generator<void> {
    const { writer } = this;
    const { list, from, to } = pick;
    const n = to - from;
    writer.clear();
    writer.block(placed ? 34 : 31, n);

    this.#texts('device', rows.device, pick);
    yield;
    this.#times('time', rows.time, pick);
    writer.column('id', 'FixedString(16)');
    writer.reserve(16 * n);
    for (let i = from; i < to; i++) {
      const row = list[i] ?? 0;
      hex8(writer, rows.idHigh[row] ?? 0);
      hex8(writer, rows.idLow[row] ?? 0);
    }
    yield;
    this.#times('received', rows.received, pick);
    this.#deviceTimes(rows.deviceTime, pick);
    yield;
    this.#lowCardinality('account', rows.account, pick);
    this.#lowCardinality('protocol', rows.protocol, pick);
    this.#flags(rows.flags, pick);
    this.#lowCardinality('event', rows.event, pick);
    yield;
    if (placed) {
      writer.column('valid', 'Bool');
      writer.reserve(n);
      for (let i = from; i < to; i++) writer.u8(rows.valid[list[i] ?? 0] ?? 0);
      this.#doubles('lat', rows.latitude, pick);
      this.#doubles('lon', rows.longitude, pick);
      yield;
    }
    this.#floats('altitude_m', rows.altitudeM, pick);
    this.#floats('speed_kmh', rows.speedKmh, pick);
    this.#floats('course_deg', rows.courseDeg, pick);
    this.#satellites(rows.satellites, pick);
    this.#floats('hdop', rows.hdop, pick);
    yield;
    this.#sort(rows, pick);
    yield;
    this.#typedColumns(n);
    yield;
    this.#servingCell(rows, pick);
    this.#cells(rows, pick);
    yield;
    this.#wifi(rows, pick);
    yield;
    this.#attributeMaps(n);
  }

  #texts(name: string, values: readonly string[], { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column(name, 'String');
    for (let i = from; i < to; i++) writer.string(values[list[i] ?? 0] ?? '');
  }

  /** `time` and `id` of events and usage entries. */
  #identities({ time, id }: { readonly time: readonly number[]; readonly id: readonly string[] }, pick: Pick): void {
    const { writer } = this;
    const { list, from, to } = pick;
    this.#times('time', time, pick);
    writer.column('id', 'FixedString(16)');
    writer.reserve(16 * (to - from));
    for (let i = from; i < to; i++) {
      const text = id[list[i] ?? 0] ?? '';
      for (let k = 0; k < 16; k++) writer.u8(text.charCodeAt(k));
    }
  }

  #counts(name: string, values: readonly number[], { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column(name, 'UInt64');
    writer.reserve(8 * (to - from));
    for (let i = from; i < to; i++) writer.i64(values[list[i] ?? 0] ?? 0);
  }

  #times(name: string, values: Float64Array | readonly number[], { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column(name, TIME);
    writer.reserve(8 * (to - from));
    for (let i = from; i < to; i++) writer.i64(Math.round(values[list[i] ?? 0] ?? 0));
  }

  #deviceTimes(values: Float64Array, { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column('device_time', `Nullable(${TIME})`);
    writer.reserve(9 * (to - from));
    for (let i = from; i < to; i++) writer.u8(isTime(values[list[i] ?? 0]) ? 0 : 1);
    for (let i = from; i < to; i++) {
      const value = values[list[i] ?? 0] ?? 0;
      writer.i64(isTime(value) ? Math.round(value) : 0);
    }
  }

  #lowCardinality(name: string, values: readonly string[], { list, from, to }: Pick): void {
    const { writer } = this;
    const dictionary = this.#dictionary;
    dictionary.clear();
    for (let i = from; i < to; i++) dictionary.push(values[list[i] ?? 0] ?? '');
    writer.column(name, 'LowCardinality(String)');
    writer.dictionaryVersion();
    writer.dictionary(dictionary.keys, dictionary.indexes, dictionary.count);
  }

  #flags(values: Uint8Array, { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column('flags', FLAGS_TYPE);
    writer.reserve((8 + ROW_FLAG_NAMES.length) * (to - from));
    let end = 0;
    for (let i = from; i < to; i++) {
      for (let bits = values[list[i] ?? 0] ?? 0; bits !== 0; bits &= bits - 1) end++;
      writer.i64(end);
    }
    for (let i = from; i < to; i++) {
      const bits = values[list[i] ?? 0] ?? 0;
      for (let bit = 0; bit < ROW_FLAG_NAMES.length; bit++) if (((bits >> bit) & 1) === 1) writer.u8(bit + 1);
    }
  }

  #doubles(name: string, values: Float64Array, { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column(name, 'Float64');
    writer.reserve(8 * (to - from));
    for (let i = from; i < to; i++) writer.f64(values[list[i] ?? 0] ?? 0);
  }

  #floats(name: string, values: Float64Array, { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column(name, 'Nullable(Float32)');
    writer.reserve(5 * (to - from));
    for (let i = from; i < to; i++) writer.u8(Number.isNaN(values[list[i] ?? 0] ?? 0) ? 1 : 0);
    for (let i = from; i < to; i++) {
      const value = values[list[i] ?? 0] ?? 0;
      writer.f32(Number.isNaN(value) ? 0 : value);
    }
  }

  #satellites(values: Int16Array, { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column('satellites', 'Nullable(UInt8)');
    writer.reserve(2 * (to - from));
    for (let i = from; i < to; i++) writer.u8((values[list[i] ?? 0] ?? 0) < 0 ? 1 : 0);
    for (let i = from; i < to; i++) writer.u8(Math.min(255, Math.max(0, values[list[i] ?? 0] ?? 0)));
  }

  /** Sorts the attributes of all rows into typed columns, the driver, numbers and texts. */
  #sort(rows: Rows, { list, from, to }: Pick): void {
    const n = to - from;
    this.#clearAttributes(n);
    for (let i = from; i < to; i++) {
      this.#drivers.push('');
      this.#sortRow(rows, list[i] ?? 0, i - from);
      this.#attrEnds[i - from] = this.#attrKeys.count;
      this.#textEnds[i - from] = this.#textKeys.count;
    }
  }

  /** Sorts the attributes of one row, the `nth` of the block. */
  #sortRow(rows: Rows, row: number, nth: number): void {
    for (let k = row === 0 ? 0 : (rows.attrEnd[row - 1] ?? 0), end = rows.attrEnd[row] ?? 0; k < end; k++) {
      const view = rows.attrView[k];
      const value = rows.attrValue[k] ?? 0;
      if (view === undefined) continue;
      const place = this.#place(view);
      if (place >= 0) {
        const column = this.#typed[place];
        if (column !== undefined) column[nth] = value;
      } else if (place === TO_ATTRS) this.#number(view.name, value);
      else if (place === TO_DRIVER) this.#drivers[nth] = rows.texts[value] ?? '';
      else {
        this.#textKeys.push(view.name);
        this.#textValues.push(rows.texts[value] ?? '');
      }
    }
  }

  #clearAttributes(n: number): void {
    if (this.#attrEnds.length < n) {
      this.#typed = TYPED.map(() => new Float64Array(2 * n));
      this.#attrEnds = new Uint32Array(2 * n);
      this.#textEnds = new Uint32Array(2 * n);
    }
    for (const column of this.#typed) column.fill(Number.NaN, 0, n);
    this.#drivers.length = 0;
    this.#attrKeys.clear();
    this.#textKeys.clear();
    this.#textValues.length = 0;
  }

  #number(name: string, value: number): void {
    // The JSON says null: a map of numbers has no such thing.
    if (!Number.isFinite(value)) return;
    const at = this.#attrKeys.count;
    this.#attrKeys.push(name);
    if (at === this.#attrValues.length) {
      const larger = new Float64Array(2 * at);
      larger.set(this.#attrValues);
      this.#attrValues = larger;
    }
    this.#attrValues[at] = value;
  }

  #place(view: AttributeView): number {
    let place = this.#places.get(view);
    if (place === undefined) {
      place = placeOf(view);
      this.#places.set(view, place);
    }
    return place;
  }

  #typedColumns(n: number): void {
    const { writer } = this;
    TYPED.forEach((name, place) => {
      const values = this.#typed[place] ?? new Float64Array(0);
      const type = place < BOOL_COUNT ? 'Bool' : name === 'odometer_m' ? 'Float64' : 'Float32';
      writer.column(name, `Nullable(${type})`);
      writer.reserve(9 * n);
      for (let i = 0; i < n; i++) writer.u8(Number.isFinite(values[i] ?? 0) ? 0 : 1);
      for (let i = 0; i < n; i++) this.#known(type, values[i] ?? 0);
    });
    writer.column(DRIVER, 'String');
    for (const driver of this.#drivers) writer.string(driver);
  }

  /** A value, or the zero of one that is not known. */
  #known(type: 'Bool' | 'Float64' | 'Float32', value: number): void {
    const { writer } = this;
    const known = Number.isFinite(value) ? value : 0;
    if (type === 'Bool') writer.u8(known === 0 ? 0 : 1);
    else if (type === 'Float64') writer.f64(known);
    else writer.f32(known);
  }

  /** The first cell of each record. */
  #servingCell(rows: Rows, pick: Pick): void {
    this.#cellColumn('mcc', 'UInt16', rows, rows.cellMcc, pick, 0xffff);
    this.#cellColumn('mnc', 'UInt16', rows, rows.cellMnc, pick, 0xffff);
    this.#cellColumn('lac', 'UInt32', rows, rows.cellLac, pick, 0xffffffff);
    this.#cellColumn('cid', 'UInt64', rows, rows.cellCid, pick, Number.MAX_SAFE_INTEGER);
  }

  #cellColumn(
    name: string,
    type: 'UInt16' | 'UInt32' | 'UInt64',
    rows: Rows,
    values: Int32Array | Float64Array,
    { list, from, to }: Pick,
    max: number,
  ): void {
    const { writer } = this;
    writer.column(name, `Nullable(${type})`);
    writer.reserve(9 * (to - from));
    for (let i = from; i < to; i++) writer.u8(firstCell(rows, values, list[i] ?? 0, max) < 0 ? 1 : 0);
    for (let i = from; i < to; i++) {
      const value = Math.max(0, firstCell(rows, values, list[i] ?? 0, max));
      if (type === 'UInt16') writer.u16(value);
      else if (type === 'UInt32') writer.u32(value);
      else writer.i64(value);
    }
  }

  /** All cells of a record, where the serving cell's columns do not say it all. */
  #cells(rows: Rows, { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column('cells', CELLS_TYPE);
    writer.reserve(8 * (to - from));
    const kept: number[] = [];
    for (let i = from; i < to; i++) {
      const row = list[i] ?? 0;
      const first = row === 0 ? 0 : (rows.cellEnd[row - 1] ?? 0);
      const end = rows.cellEnd[row] ?? 0;
      if (end - first > 1 || (end > first && rows.cellRssiDbm[first] !== 0)) for (let k = first; k < end; k++) kept.push(k);
      writer.i64(kept.length);
    }
    writer.reserve(22 * kept.length);
    for (const k of kept) writer.u32(rows.cellMcc[k] ?? -1);
    for (const k of kept) writer.u32(rows.cellMnc[k] ?? -1);
    for (const k of kept) writer.u32(rows.cellLac[k] ?? -1);
    for (const k of kept) writer.i64(rows.cellCid[k] ?? -1);
    for (const k of kept) writer.u16(rows.cellRssiDbm[k] ?? 0);
  }

  #wifi(rows: Rows, { list, from, to }: Pick): void {
    const { writer } = this;
    writer.column('wifi', WIFI_TYPE);
    writer.reserve(8 * (to - from));
    const kept: number[] = [];
    for (let i = from; i < to; i++) {
      const row = list[i] ?? 0;
      for (let k = row === 0 ? 0 : (rows.wifiEnd[row - 1] ?? 0); k < (rows.wifiEnd[row] ?? 0); k++) kept.push(k);
      writer.i64(kept.length);
    }
    for (const k of kept) writer.string(rows.wifiMac[k] ?? '');
    writer.reserve(2 * kept.length);
    for (const k of kept) writer.u16(rows.wifiRssiDbm[k] ?? 0);
  }

  #attributeMaps(n: number): void {
    const { writer } = this;
    const attrs = this.#attrKeys;
    writer.column('attrs', 'Map(LowCardinality(String), Float64)');
    writer.dictionaryVersion();
    writer.reserve(8 * n);
    for (let i = 0; i < n; i++) writer.i64(this.#attrEnds[i] ?? 0);
    writer.dictionary(attrs.keys, attrs.indexes, attrs.count);
    writer.reserve(8 * attrs.count);
    for (let k = 0; k < attrs.count; k++) writer.f64(this.#attrValues[k] ?? 0);

    const texts = this.#textKeys;
    writer.column('texts', 'Map(LowCardinality(String), String)');
    writer.dictionaryVersion();
    writer.reserve(8 * n);
    for (let i = 0; i < n; i++) writer.i64(this.#textEnds[i] ?? 0);
    writer.dictionary(texts.keys, texts.indexes, texts.count);
    for (const value of this.#textValues) writer.string(value);
  }
}

function placeOf(view: AttributeView): number {
  if (view.type === 'text') return view.name === DRIVER ? TO_DRIVER : TO_TEXTS;
  const place = PLACES.get(view.name) ?? TO_ATTRS;
  return place >= BOOL_COUNT === (view.type === 'number') ? place : TO_ATTRS;
}

/** -1 when the record has no cell, or the number does not fit. */
function firstCell(rows: Rows, values: Int32Array | Float64Array, row: number, max: number): number {
  const first = row === 0 ? 0 : (rows.cellEnd[row - 1] ?? 0);
  if (first === (rows.cellEnd[row] ?? 0)) return -1;
  const value = values[first] ?? -1;
  return value <= max ? value : -1;
}

export function isTime(value: number | undefined): boolean {
  return value !== undefined && value >= MIN_TIME && value <= MAX_TIME;
}

function hex8(writer: NativeWriter, value: number): void {
  for (let shift = 28; shift >= 0; shift -= 4) {
    const digit = (value >>> shift) & 15;
    writer.u8(digit < 10 ? 48 + digit : 87 + digit);
  }
}
