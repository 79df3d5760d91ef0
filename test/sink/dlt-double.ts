import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

/** Answers as docs/dlt.md says: a batch with one bad record is refused whole. */

const record = z.strictObject({
  driver_id: z.string(),
  unit_id: z.string().regex(/^\d{27}$/),
  seq: z.int().min(1),
  utc_ts: z.iso.datetime(),
  recv_utc_ts: z.iso.datetime(),
  lat: z.number().min(-90).max(90),
  lon: z.number().min(-180).max(180),
  alt: z.number(),
  speed: z.number(),
  engine_status: z.union([z.literal(0), z.literal(1)]),
  fix: z.union([z.literal(0), z.literal(1)]),
  license: z.string(),
  course: z.number(),
  hdop: z.number(),
  num_sats: z.int(),
  gsm_cell: z.int(),
  gsm_loc: z.int(),
  gsm_rssi: z.number(),
  mileage: z.number(),
  ext_power_status: z.union([z.literal(0), z.literal(1)]),
  ext_power: z.number(),
  high_acc_count: z.int(),
  high_de_acc_count: z.int(),
  over_speed_count: z.int(),
  max_speed: z.number(),
});
const locations = z.strictObject({ vender_id: z.int(), locations_count: z.int(), locations: z.array(record) });
const master = z.strictObject({
  vender_id: z.int(),
  unit_id: z.string().regex(/^\d{27}$/),
  vehicle_id: z.string(),
  vehicle_type: z.string(),
  vehicle_chassis_no: z.string(),
  vehicle_register_type: z.int(),
  card_reader: z.int(),
  province_code: z.int(),
});

export type Taken = z.infer<typeof record>;

/** What becomes of a call: answered as it should be, answered with a status and nothing done, or cut before or after it is done. */
export type Fate = 'answer' | 'cut_before' | 'cut_after' | number;

export class DltDouble {
  readonly #server: Server;
  /** Each record as often as it was taken, in order. */
  readonly taken: Taken[] = [];
  readonly masters = new Map<string, z.infer<typeof master>>();
  /** Records of calls that were answered. */
  readonly sizes: number[] = [];
  calls = 0;
  fate: (path: string) => Fate = () => 'answer';
  /** Does the authority refuse it? */
  isBad: (one: Taken) => boolean = () => false;
  password = 'geheim';

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<DltDouble> {
    const server = createServer((request, response) => void double.#serve(request, response));
    const double = new DltDouble(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return double;
  }

  get url(): string {
    const address: AddressInfo | string | null = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/base`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      // The caller is gone.
      return;
    }
    this.calls++;
    const fate = this.fate(request.url ?? '');
    if (fate === 'cut_before') return void request.socket.destroy();
    if (typeof fate === 'number') return void response.writeHead(fate, fate === 429 ? { 'retry-after': '1' } : {}).end('sorry');
    if (request.headers.authorization !== `Basic ${Buffer.from(`vendor:${this.password}`).toString('base64')}`)
      return void response.writeHead(401).end();
    const answer = this.#answer(request.url ?? '', JSON.parse(Buffer.concat(chunks).toString('utf8')));
    if (fate === 'cut_after') return void request.socket.destroy();
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  #answer(path: string, body: unknown): object {
    if (path === '/base/gps/add/locations') {
      const found = locations.safeParse(body);
      if (!found.success) return { code: 0, message: found.error.issues[0]?.message };
      const bad = found.data.locations.find((one) => this.isBad(one));
      if (bad !== undefined) return { code: 0, message: `bad record ${bad.seq}` };
      if (found.data.locations_count !== found.data.locations.length) return { code: 0, message: 'count' };
      this.taken.push(...found.data.locations);
      this.sizes.push(found.data.locations.length);
      return { code: 1, message: 'success', received_records: found.data.locations.length };
    }
    if (path === '/base/masterfile/add') {
      const found = master.safeParse(body);
      if (!found.success) return { code: 0, message: found.error.issues[0]?.message };
      this.masters.set(found.data.unit_id, found.data);
      return { code: 1, message: 'success' };
    }
    const unit = /^\/base\/masterfile\/rmvByUnit\/(\d+)$/.exec(path)?.[1];
    return unit !== undefined && this.masters.delete(unit) ? { code: 1, message: 'success' } : { code: 0, message: 'unknown' };
  }
}
