import { readFile } from 'node:fs/promises';
import { AppError, messageOf } from '../../../base/errors.ts';
import { jsonOf } from '../../../base/json.ts';
import { Secret, type SecretUrl } from '../../../base/secret.ts';
import { RowFlag } from '../../../codec/index.ts';
import type { Rows } from '../../record/rows.ts';
import { type Adapter, type Answer, type Registered, type Subject, TooMany } from './adapter.ts';

/**
 * The form of the Thai Department of Land Transport, as docs/dlt.md has it: experimental.
 *
 * 1. What is known to be refused is not sent: a batch is refused whole for one bad record.
 * 2. User and password are in no error.
 */
export interface DltOptions {
  readonly url: SecretUrl;
  /** Files that hold them. */
  readonly userFile: string;
  readonly passwordFile: string;
  /** Of the vendor of the units, three digits. */
  readonly vendor: number;
}

const TIMEOUT_MS = 30_000;
/** Calls are refused for so long where the answer does not say. */
const REST_MS = 20_000;
const MOST_MESSAGE = 200;
/** These say that the call was at fault and not what it held, or that the authority is not there. */
const NOT_THE_RECORDS = new Set([401, 403, 404, 405, 407, 408, 425]);
const LABEL = 'dlt';

/** Attribute → its name there. */
const NUMBERS: readonly (readonly [name: string, theirs: string])[] = [
  ['gsm_dbm', 'gsm_rssi'],
  ['odometer_m', 'mileage'],
  ['external_v', 'ext_power'],
];
/** Master data: their name, label, and whether it is a number there. */
const MASTER: readonly (readonly [theirs: string, label: string, isNumber: boolean])[] = [
  ['vehicle_id', 'dlt_vehicle_id', false],
  ['vehicle_type', 'dlt_vehicle_type', false],
  ['vehicle_chassis_no', 'dlt_chassis_no', false],
  ['vehicle_register_type', 'dlt_register_type', true],
  ['card_reader', 'dlt_card_reader', true],
  ['province_code', 'dlt_province_code', true],
];

export class Dlt implements Adapter {
  readonly name = 'dlt';
  readonly most = 1_000;
  readonly #o: DltOptions;

  #authorization = new Secret('');

  constructor(options: DltOptions) {
    this.#o = options;
  }

  async open(): Promise<void> {
    const [user, password] = await Promise.all([readSecret(this.#o.userFile), readSecret(this.#o.passwordFile)]);
    this.#authorization = new Secret(`Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`);
  }

  subject({ id, unit: hardware, labels }: Registered): Subject | undefined {
    const model = labels?.[LABEL];
    const imei = labels?.['dlt_imei'] ?? hardware ?? id;
    if (model === undefined || !/^\d{1,4}$/.test(model) || !/^\d{1,20}$/.test(imei)) return undefined;
    const unit = `${String(this.#o.vendor).padStart(3, '0')}${model.padStart(4, '0')}${imei.padStart(20, '0')}`;
    const master: Record<string, string | number> = { vender_id: this.#o.vendor, unit_id: unit };
    for (const [theirs, label, isNumber] of MASTER) {
      const text = labels?.[label] ?? '';
      master[theirs] = isNumber ? Number(text) || 0 : text;
    }
    return { unit, master };
  }

  record(rows: Rows, row: number, { unit }: Subject, number: number): object | string {
    const [lat, lon] = [rows.latitude[row] ?? Number.NaN, rows.longitude[row] ?? Number.NaN];
    const [time, received] = [rows.time[row] ?? 0, rows.received[row] ?? 0];
    const flags = rows.flags[row] ?? 0;
    if (!(Math.abs(lat) <= 90 && Math.abs(lon) <= 180)) return 'not a place';
    if ((flags & (RowFlag.NoTime | RowFlag.Future)) !== 0) return 'no time of its own, or one that is ahead';
    const attrs = Object(Reflect.get(Object(jsonOf(rows.json(row))), 'attrs'));
    const measured = (value: number | undefined): number => (value !== undefined && Number.isFinite(value) ? value : 0);
    const of = (name: string): number => (typeof attrs[name] === 'number' ? attrs[name] : 0);
    const at = rows.cellEnd[row - 1] ?? 0;
    const hasCell = (rows.cellEnd[row] ?? 0) > at;
    return {
      driver_id: typeof attrs['driver_id'] === 'string' ? attrs['driver_id'] : '',
      unit_id: unit,
      seq: number,
      utc_ts: new Date(time).toISOString(),
      recv_utc_ts: new Date(received).toISOString(),
      lat,
      lon,
      alt: measured(rows.altitudeM[row]),
      speed: measured(rows.speedKmh[row]),
      engine_status: attrs['ignition'] === true ? 1 : 0,
      fix: rows.valid[row] === 1 ? 1 : 0,
      license: '',
      course: measured(rows.courseDeg[row]),
      hdop: measured(rows.hdop[row]),
      num_sats: Math.max(0, rows.satellites[row] ?? 0),
      gsm_cell: hasCell ? Math.max(0, rows.cellCid[at] ?? 0) : 0,
      gsm_loc: hasCell ? Math.max(0, rows.cellLac[at] ?? 0) : 0,
      ...Object.fromEntries(NUMBERS.map(([name, theirs]) => [theirs, of(name)])),
      ext_power_status: of('external_v') > 0 ? 1 : 0,
      high_acc_count: 0,
      high_de_acc_count: 0,
      over_speed_count: 0,
      max_speed: measured(rows.speedKmh[row]),
    };
  }

  send(records: readonly object[]): Promise<Answer> {
    return this.#call('/gps/add/locations', { vender_id: this.#o.vendor, locations_count: records.length, locations: records });
  }

  register({ master }: Subject): Promise<Answer> {
    return this.#call('/masterfile/add', master);
  }

  unregister(unit: string): Promise<Answer> {
    return this.#call(`/masterfile/rmvByUnit/${unit}`, {});
  }

  async #call(path: string, body: object): Promise<Answer> {
    const response = await fetch(`${this.#o.url.reveal().replace(/\/$/, '')}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: this.#authorization.reveal(),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: 'error',
    });
    const text = await response.text();
    const { status } = response;
    if (status === 429) {
      const after = Number(response.headers.get('retry-after'));
      throw new TooMany(after > 0 ? 1000 * after : REST_MS);
    }
    if (status >= 500 || NOT_THE_RECORDS.has(status)) throw new Error(`status ${status}`);
    const { code, message, received_records: received } = Object(jsonOf(text));
    // A proxy in between that says something else has taken nothing.
    if (typeof code !== 'number' && response.ok) throw new Error('not an answer of this interface');
    return {
      taken: response.ok && code === 1,
      code: typeof code === 'number' ? code : status,
      message: String(message ?? '').slice(0, MOST_MESSAGE),
      ...(typeof received === 'number' ? { received } : {}),
    };
  }
}

async function readSecret(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new AppError('CONFIG_INVALID', `the file of dlt.userFile or dlt.passwordFile cannot be read: ${messageOf(error)}`);
  }
}
