import { describe, expect, it } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import { i32be, putU8, putU16be, putU32be, u16be } from '../../src/base/wire/index.ts';
import { defineCodec, FrameKind, type Options, type StreamDialect } from '../../src/codec/index.ts';
import { Random } from '../../src/codec/kit/mutate.ts';
import { type Plan, planSchema } from '../../src/fleet/plan/plan.ts';
import { Seen } from '../../src/fleet/plan/plan-cache.ts';
import type { Policy } from '../../src/fleet/plan/steps.ts';
import { Territory } from '../../src/fleet/plan/territory.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { MemoryProfiles } from '../helpers/memory-profiles.ts';
import { NO_CAPS } from '../helpers/open-registry.ts';
import { toyDefinition } from '../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** What must not matter on the way in: how many rows share a frame (12), and which devices share a connection (9, 10, 11). */

const WALL = Date.UTC(2026, 10, 1, 12, 0, 5);
const DEVICE = '12345678';
const ROW_BYTES = 8;

interface Row {
  /** Seconds before the receipt. */
  readonly ago: number;
  readonly event: number;
  /** 0: the row names no cell. */
  readonly mcc: number;
  readonly isFix: boolean;
}

/** Rows of a frame: 'T', how many, and for each seconds ago, event, MCC, fix. No rows: a login. */
const rows: StreamDialect<object> = {
  open: () => ({}),
  frame: (bytes, start, end) => (end - start < 2 ? 0 : 2 + (bytes[start + 1] ?? 0) * ROW_BYTES),
  decode(bytes, start, end, _state, out) {
    out.kind = end - start === 2 ? FrameKind.Login : FrameKind.Records;
    out.deviceId = out.kind === FrameKind.Login ? DEVICE : '';
    for (let p = start + 2; p < end; p += ROW_BYTES) {
      const row = out.row();
      out.time[row] = WALL - 1000 * i32be(bytes, p);
      out.event[row] = bytes[p + 4] ?? 0;
      const mcc = u16be(bytes, p + 5);
      if (mcc > 0) out.cell(mcc, 1, 2, 3, 0);
      if (bytes[p + 7] !== 1) continue;
      out.latitude[row] = 52;
      out.longitude[row] = 13;
      out.valid[row] = 1;
      out.speedKmh[row] = out.event[row] ?? 0;
    }
  },
  encodeAck: () => 0,
};
const codec = defineCodec({ ...toyDefinition, commands: [], tcp: rows, udp: rows });

function frameOf(some: readonly Row[]): Uint8Array {
  const bytes = new Uint8Array(2 + some.length * ROW_BYTES);
  let p = putU8(bytes, putU8(bytes, 0, 0x54), some.length);
  for (const { ago, event, mcc, isFix } of some)
    p = putU8(bytes, putU16be(bytes, putU8(bytes, putU32be(bytes, p, ago), event), mcc), isFix ? 1 : 0);
  return bytes;
}

interface Case {
  readonly device: Device;
  readonly plan: Plan;
  readonly policy: Policy | undefined;
  readonly alarmsPass: boolean;
  readonly rows: readonly Row[];
}

function draw(random: Random): Case {
  const one = <T>(values: readonly T[]): T => {
    const value = values[random.below(values.length)];
    if (value === undefined) throw new Error('nothing to draw from');
    return value;
  };
  const steps = one([[], [{ action: 'discard', at_pct: 1 }], [{ action: 'decimate', at_pct: 1, keep_every_s: one([15, 60]) }]]);
  const plan = planSchema.parse({ name: 'drawn', exempt_events: one([[], ['sos'], ['ignition_on', 'ignition_off']]), steps });
  const device = deviceSchema.parse({
    id: DEVICE,
    ...one([{}, { state: 'suspended' }, { privacy: 'relay' }, { expires_at: 1 }]),
    ...one([{}, { home_networks: [262] }, { home_networks: [262, 228] }]),
    ...one([{}, { interval_s: 600 }]),
  });
  const held = { cycle: 0, cycle_end: Number.MAX_SAFE_INTEGER, used_pct: 100, held: plan.steps, news: [] };
  let ago = 4000;
  const drawn = Array.from({ length: 1 + random.below(60) }, (): Row => {
    ago = Math.max(0, ago - one([0, 5, 10, 30, 30, 90]));
    return { ago, event: one([0, 0, 0, 1, 5, 12, 25]), mcc: one([0, 262, 262, 310, 310, 228]), isFix: random.below(3) > 0 };
  });
  return { device, plan, policy: plan.steps.length > 0 ? held : undefined, alarmsPass: random.below(2) === 0, rows: drawn };
}

/** Which rows are kept, and what else comes of them, when they are sent in these frames. */
async function outcome(drawn: Case, frames: readonly (readonly Row[])[]): Promise<unknown> {
  const journal = new MemoryJournal(Number.MAX_SAFE_INTEGER - 1);
  const clock = new FakeClock();
  clock.wall = WALL;
  const seen = new Seen();
  seen.territory = new Territory(false);
  const roams: boolean[] = [];
  const host = intakeHost({
    journal,
    clock,
    registry: { lookup: (id, found) => found(new DeviceLookup(id, drawn.device, true, false)), seen: () => {} },
    service: {
      ...NO_CAPS,
      plan: () => drawn.plan,
      policy: () => drawn.policy,
      seen: () => seen,
      roams: (_device, roaming) => roams.push(roaming),
      alarmsPass: drawn.alarmsPass,
    },
  });
  const intake = new Intake(host, codec, 'tcp', '192.0.2.1:4000', new RecordedLink());
  intake.push(Uint8Array.of(0x54, 0));
  for (const frame of frames) intake.push(frameOf(frame));
  const kept = journal.frames.flatMap(({ bytes, accepted, keep, relay }) =>
    Array.from({ length: accepted }, (_, row) => ({ row, isKept: keep === 'all' || isSet(keep, row) }))
      .filter(({ isKept }) => isKept)
      .map(({ row }) => [...bytes.subarray(2 + row * ROW_BYTES, 2 + (row + 1) * ROW_BYTES), relay]),
  );
  const { session } = intake;
  const counted = await Promise.all([host.metrics.withheld.get(), host.metrics.alarmsPassed.get()]);
  return {
    kept,
    events: journal.events,
    roams,
    moving: session?.moving,
    records: session?.meter.records,
    counted: counted.map(({ values }) => values),
  };
}

function isSet(mask: string, row: number): boolean {
  const byte = Number.parseInt(mask.slice(2 * (row >> 3), 2 * (row >> 3) + 2), 16);
  return (byte & (1 << (row & 7))) !== 0;
}

describe('12: a frame of many rows', () => {
  it.each(Array.from({ length: 200 }, (_, seed) => seed + 1))('is admitted as a frame for each of them: seed %s', async (seed) => {
    const drawn = draw(new Random(seed));
    const each = await outcome(
      drawn,
      drawn.rows.map((row) => [row]),
    );
    expect(await outcome(drawn, [drawn.rows])).toEqual(each);
  });
});

const IDS = ['4106011660', '4106011661', '4106011662'] as const;
/** How the registry, or a plan, treats a device. */
const TREATMENTS: Readonly<Record<string, object | undefined>> = {
  served: {},
  unknown: undefined,
  'from elsewhere': { networks: ['10.0.0.0/8'] },
  terminated: { state: 'terminated' },
  suspended: { state: 'suspended' },
};
const OPTIONS: Readonly<Record<string, Options>> = { [IDS[1]]: { status: 'sinotrack', maker: 'TH' } };
const PLAIN: Options = { status: 'sinotrack' };

/** A device's turn: a position with its id, and one without, as H02 sends it; alarm bits raised in the first. */
function turn(id: string, n: number): Uint8Array[] {
  const position = (name: string, second: number, status: string): Uint8Array =>
    Buffer.from(`*HQ,${name},V1,1200${String(second % 60).padStart(2, '0')},A,5133.8290,N,00000.0000,E,010.00,090.00,011126,${status}#`);
  return [position(id, 2 * n, n % 2 === 0 ? 'FFFFFFFD' : 'FFFFFFFF'), position('', 2 * n + 1, 'FFFFFFFD')];
}

/** What is left when the devices take turns, on one connection or each on its own. */
function left(order: readonly string[], devices: ReadonlyMap<string, Device>, isShared: boolean, late: boolean): unknown {
  const journal = new MemoryJournal(Number.MAX_SAFE_INTEGER - 1);
  const clock = new FakeClock();
  clock.wall = WALL;
  const profiles = new MemoryProfiles();
  const asked: (() => void)[] = [];
  const host: IntakeHost = intakeHost({
    journal,
    clock,
    profiles,
    registry: {
      lookup(id, found) {
        const answer = (): void => found(new DeviceLookup(id, devices.get(id), true, false));
        if (late) asked.push(answer);
        else answer();
      },
      seen: () => {},
    },
    options: (_codec, device) => OPTIONS[device] ?? PLAIN,
  });
  const connect = (): Intake => new Intake(host, h02, 'tcp', '192.0.2.1:4000', new RecordedLink());
  let intake = connect();
  for (const [n, id] of order.entries()) {
    if (!isShared && n > 0) {
      intake.closed('device');
      intake = connect();
    }
    for (const frame of turn(id, n)) {
      intake.push(frame);
      for (const answer of asked.splice(0)) answer();
    }
  }
  intake.closed('device');
  host.meters.flush();
  const used = new Map<string, number[]>();
  for (const { device, in: bytes, records } of journal.usage) {
    const [sumBytes = 0, sumRecords = 0] = used.get(String(device)) ?? [];
    used.set(String(device), [sumBytes + Number(bytes), sumRecords + Number(records)]);
  }
  return {
    frames: journal.frames.map(({ device, account, options, memo, payload }) => [device, account, options, memo, payload]),
    profiles: [...profiles.kept],
    used: [...used].sort(),
  };
}

describe('9, 10, 11: three devices on one connection, in every order and treated in every way, leave what each leaves alone', () => {
  const orders = [0, 1, 2].flatMap((a) => [0, 1, 2].flatMap((b) => [0, 1, 2].flatMap((c) => [0, 1, 2].map((d) => [a, b, c, d]))));
  const ways = Object.keys(TREATMENTS);

  it.each(ways.flatMap((b) => ways.map((c) => [b, c] as const)))('the second %s, the third %s', (second, third) => {
    const devices = new Map<string, Device>();
    for (const [n, way] of ['served', second, third].entries()) {
      const more = TREATMENTS[way];
      const id = IDS[n] ?? '';
      if (more !== undefined) devices.set(id, deviceSchema.parse({ id, account: `account-${n}`, ...more }));
    }
    for (const order of orders) {
      // A connection whose first device is refused ends: no other can follow. Twice the same device is one turn.
      if (order[0] !== 0 || order.some((n, at) => n === order[at + 1])) continue;
      const ids = order.map((n) => IDS[n] ?? '');
      for (const late of [false, true]) expect(left(ids, devices, true, late), `${order} ${late}`).toEqual(left(ids, devices, false, late));
    }
  });
});
