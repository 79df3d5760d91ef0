import { z } from 'zod';
import { isSignal, SIGNALS, windowOf } from '../fleet/plan/evidence.ts';
import { canonical, statementSchema } from '../fleet/plan/statement.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { Share } from '../fleet/registry/owners.ts';
import type { FrameHash, Instance } from '../out/sink/clickhouse/evidence.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { NO_BODY, type Route, route } from './route.ts';
import { day, dayOf, statementsOf } from './statements.ts';

const frame = z.object({
  received: z.int().describe('epoch ms'),
  bytes: z.int(),
  sha256: z.string().describe('of the frame as it arrived; its bytes are in the table `raw`'),
});
const instance = z.object({
  id: z.string().describe('of the event'),
  type: z.enum(SIGNALS),
  time: z.int().describe('epoch ms'),
  figures: z.record(z.string(), z.unknown()).describe('own fields of the event'),
  frames: z.array(frame).optional().describe('what it rests on, as far as it is kept; absent: it rests on no single frames'),
});
const used = statementSchema.omit({ networks: true, steps: true, commands: true, days: true, evidence: true });
const evidence = used
  .extend({
    counts: z.partialRecord(z.enum(SIGNALS), z.int()).describe('instances of each kind'),
    instances: z.array(instance).describe('by time'),
  })
  .meta({ id: 'evidence' });
type Report = z.infer<typeof evidence>;

const example: Report = {
  device: '356307042441013',
  account: 'acme',
  plan: 'basic',
  plan_version: 3,
  time_zone: 'Europe/Berlin',
  start: 1_793_487_600_000,
  end: 1_796_079_600_000,
  bytes_in: 81_920,
  bytes_out: 4_096,
  segments: 2_400,
  datagrams: 0,
  records: 1_200,
  overhead: { segment_bytes: 0, datagram_bytes: 0, round_bytes: 1 },
  overhead_bytes: 0,
  billed_bytes: 86_016,
  bytes_cap: 80_000,
  over_bytes: 6_016,
  counts: { tamper_rate: 1 },
  instances: [
    {
      id: '5f0c8a1e9b7d2c43',
      type: 'tamper_rate',
      time: 1_793_500_000_000,
      figures: { interval_s: 5, programmed_s: 60, window_s: 3600, seen: 241, allowed: 240, bytes: 12_291, since: 1_793_498_795_000 },
      frames: [{ received: 1_793_498_795_000, bytes: 60, sha256: 'a3f1c2e49b0d5c6f7e8a9b0c1d2e3f405162738495a6b7c8d9eaf0b1c2d3e4f5' }],
    },
  ],
};

/** What evidence there is of a device in a billing cycle (docs/evidence.md). */
export const EVIDENCE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/devices/{id}/evidence',
    scope: 'read',
    limits: 'periods',
    audits: 'read',
    about:
      'Evidence of a billing cycle: what the plan allows, what was used, and each instance of what a device should not do, with its figures and the hashes of its frames. The same data gives the same bytes.',
    params: z.strictObject({ id: deviceId }),
    query: z.strictObject({ cycle: day.optional().describe('month or day on which the cycle begins; default: the newest') }),
    body: NO_BODY,
    answers: {
      200: { about: 'the report', schema: evidence, example },
      404: { about: 'no usage in a cycle that begins then' },
      503: { about: 'ClickHouse does not answer' },
    },
    async run({ params, query: { cycle = '' }, share, office, reply }) {
      const id = share?.device ?? (await office.deviceRecords.idOf(params.id));
      const found = (await statementsOf(office, id, share)).find((one) => dayOf(one).startsWith(cycle));
      if (found === undefined || !isWithin(share, found.start, found.end))
        return problem(reply, 404, `device ${id} has no usage in a cycle that begins ${cycle === '' ? 'at any time' : `in ${cycle}`}`);
      const instances = await instancesOf(office, id, found.start, found.end);
      const counts: Report['counts'] = {};
      for (const { type } of instances) counts[type] = (counts[type] ?? 0) + 1;
      return reply.type('application/json; charset=utf-8').send(`${canonical({ ...used.parse(found), counts, instances })}\n`);
    },
  }),
];

/** The cycle in which a device was passed on is shown to none of both. */
function isWithin(share: Share | undefined, start: number, end: number): boolean {
  return share === undefined || share.spans.some((span) => (span.measured === 0 || span.from <= start) && end <= span.to);
}

async function instancesOf(
  { evidence: stored, deviceRecords }: ApiOffice,
  id: string,
  start: number,
  end: number,
): Promise<Report['instances']> {
  const devices = [id, ...((await deviceRecords.get(id))?.aliases ?? [])];
  const instances = (await stored.instances(devices, start, end)).filter(({ type, figures }) => isSignal(type, figures));
  const windows = instances.map(({ type, figures, time }) => windowOf(type, figures, time));
  const from = Math.min(...windows.flatMap((window) => (window === undefined ? [] : [window.from])));
  const hashes = Number.isFinite(from) ? await stored.hashes(devices, from, end) : [];
  return instances.map((one, at) => shown(one, windows[at], hashes));
}

function shown(
  { id, type, time, figures }: Instance,
  window: ReturnType<typeof windowOf>,
  hashes: readonly FrameHash[],
): Report['instances'][number] {
  const frames = hashes.filter(({ received }) => window !== undefined && received >= window.from && received <= window.to);
  return {
    id,
    type,
    time,
    figures,
    ...(window === undefined ? {} : { frames: frames.map(({ received, bytes, sha256 }) => ({ received, bytes, sha256 })) }),
  };
}
