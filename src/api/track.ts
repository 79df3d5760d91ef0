import { Readable } from 'node:stream';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { TrackRow } from '../out/sink/clickhouse/past.ts';
import { problem } from './problem.ts';
import { NO_BODY, type Route, route } from './route.ts';

const DAY_MS = 86_400_000;
const LONGEST_MS = 31 * DAY_MS;
/** A track is drawn in pieces where nothing came for so long. */
const GAP_MS = 600_000;

const COLUMNS = ['time', 'lat', 'lon', 'speed_kmh', 'course_deg', 'altitude_m', 'event', 'flags'] as const;
const MEDIA = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
  geojson: 'application/geo+json',
  gpx: 'application/gpx+xml',
} as const;

const time = z.coerce.number().int().min(0).max(8.64e15);
const track = z
  .object({
    device: z.string(),
    columns: z.array(z.string()),
    rows: z
      .array(z.array(z.union([z.string(), z.number(), z.null(), z.array(z.string())])))
      .describe('in the order of `columns` and of time; times in epoch ms'),
    total: z.int().describe('how many positions there are'),
    thinned: z.boolean().describe('not all of them are in `rows`'),
  })
  .meta({ id: 'track' });
const example = {
  device: '356307042441013',
  columns: [...COLUMNS],
  rows: [[1_796_083_199_000, 59.3293, 18.0686, 44, 90, 12, 'sos', ['buffered']]],
  total: 1,
  thinned: false,
};

/** Where a device was (docs/http.md). */
export const TRACK_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/devices/{id}/positions',
    scope: 'locations',
    limits: 'periods',
    audits: 'read',
    about:
      'Where a device was: its valid positions, from ClickHouse. `json` has about `points` rows, with every event, both ends of each gap and the fastest; the other formats have all.',
    params: z.strictObject({ id: deviceId }),
    query: z.strictObject({
      from: time.optional().describe('epoch ms; default: 24 hours before `to`'),
      to: time.optional().describe('epoch ms; default: now. At most 31 days behind `from`'),
      points: z.coerce.number().int().min(1).max(20_000).default(2_000).describe('of `json`'),
      format: z.enum(['json', 'ndjson', 'csv', 'geojson', 'gpx']).default('json'),
      after: time.optional().describe('only what is later, epoch ms: to go on where an answer broke off; not with `json`'),
    }),
    body: NO_BODY,
    answers: {
      200: { about: 'the positions', schema: track, example, media: Object.values(MEDIA) },
      503: { about: 'ClickHouse does not answer' },
    },
    async run({ params, query, token, share, office, reply }) {
      const { format, points, after, to = systemClock.now(), from = Math.max(0, to - DAY_MS) } = query;
      if (from > to || to - from > LONGEST_MS)
        return problem(reply, 400, 'invalid request', [{ field: 'from', problem: 'must be before `to`, by 31 days at most' }]);
      if (after !== undefined && format === 'json')
        return problem(reply, 400, 'invalid request', [{ field: 'after', problem: 'is not for `json`' }]);
      const id = share?.device ?? (await office.deviceRecords.idOf(params.id));
      const isRelay = (await office.deviceRecords.get(id))?.privacy === 'relay';
      office.views.note(id, 'track', token.name, token.accounts?.[0]);
      if (format === 'json') {
        const { rows, total } = isRelay ? { rows: [], total: 0 } : await office.past.track(id, from, to, points, share);
        return { device: id, columns: COLUMNS, rows, total, thinned: rows.length < total };
      }
      const all = isRelay ? none() : office.past.rows(id, after === undefined ? from : Math.max(from, after + 1), to, share);
      // Before the head of the answer is sent, so that a database that is away is 503.
      const first = await all.next();
      const text = FORMATS[format](id, pages(first, all));
      return reply
        .type(`${MEDIA[format]}; charset=utf-8`)
        .header('content-disposition', `attachment; filename="${id.replace(/[^\w.-]/g, '_')}.${format}"`)
        .send(Readable.from(text));
    },
  }),
];

type Pages = AsyncGenerator<readonly TrackRow[]>;

async function* none(): Pages {}

async function* pages(first: IteratorResult<readonly TrackRow[]>, rest: Pages): Pages {
  if (first.done !== true) yield first.value;
  yield* rest;
}

const FORMATS: Readonly<Record<'ndjson' | 'csv' | 'geojson' | 'gpx', (device: string, all: Pages) => AsyncGenerator<string>>> = {
  async *ndjson(_device, all) {
    for await (const rows of all) yield rows.map((row) => `${JSON.stringify(named(row))}\n`).join('');
  },
  async *csv(_device, all) {
    yield `${COLUMNS.join(',')}\r\n`;
    for await (const rows of all)
      yield rows.map((row) => `${row.map((cell) => (Array.isArray(cell) ? cell.join(' ') : (cell ?? ''))).join(',')}\r\n`).join('');
  },
  async *geojson(device, all) {
    yield '{"type":"FeatureCollection","features":[';
    let comma = '';
    for await (const rows of all)
      for (const row of rows) {
        const [, lat, lon, , , altitude] = row;
        const { lat: _lat, lon: _lon, altitude_m: _altitude, ...properties } = named(row);
        const coordinates = altitude === null ? [lon, lat] : [lon, lat, altitude];
        yield `${comma}${JSON.stringify({ type: 'Feature', geometry: { type: 'Point', coordinates }, properties: { device, ...properties } })}`;
        comma = ',\n';
      }
    yield ']}\n';
  },
  async *gpx(device, all) {
    yield `<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="Fixgate" xmlns="http://www.topografix.com/GPX/1/1">\n<trk><name>${xml(device)}</name>\n<trkseg>\n`;
    let last = 0;
    for await (const rows of all)
      for (const [at, lat, lon, , , altitude] of rows) {
        const cut = last > 0 && at - last > GAP_MS ? '</trkseg>\n<trkseg>\n' : '';
        last = at;
        const ele = altitude === null ? '' : `<ele>${altitude}</ele>`;
        yield `${cut}<trkpt lat="${lat}" lon="${lon}">${ele}<time>${new Date(at).toISOString()}</time></trkpt>\n`;
      }
    yield '</trkseg>\n</trk>\n</gpx>\n';
  },
};

/** A row by the names of its columns, without what is absent. */
function named(row: TrackRow): Record<string, unknown> {
  return Object.fromEntries(
    COLUMNS.flatMap((name, i) => {
      const cell = row[i];
      return cell === null || cell === '' || (Array.isArray(cell) && cell.length === 0) ? [] : [[name, cell]];
    }),
  );
}

function xml(plain: string): string {
  return plain.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
