import { beforeEach, describe, expect, it } from 'vitest';
import { putAscii, putU16be, u16be } from '../../src/base/wire/index.ts';
import { EVENTS } from '../../src/codec/events.ts';
import { defineCodec, FrameKind, type StreamDialect, type Transport } from '../../src/codec/index.ts';
import { isSignal } from '../../src/fleet/plan/evidence.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { Seen } from '../../src/fleet/plan/plan-cache.ts';
import { noteUnit } from '../../src/fleet/registry/unit-facts.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { Clones } from '../../src/in/session/clones.ts';
import type { EntrySink } from '../../src/in/session/entry-sink.ts';
import type { Session } from '../../src/in/session/session.ts';
import { type Sighting, Sightings } from '../../src/in/session/sightings.ts';
import { SessionTable } from '../../src/in/session/table.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { Random } from '../../src/simulate/random.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { NO_CAPS } from '../helpers/open-registry.ts';
import { toyDefinition } from '../helpers/toy-codec.ts';
import { type Act, honestDay, type Measured } from '../support/honest-day.ts';
import { intakeHost, RecordedLink } from '../support/intake-rig.ts';
import { rounds } from '../support/thorough.ts';

/** What is called evidence of a device: never of an honest one, always of one that is not (docs/evidence.md). */

/** Clocks are set back in Europe in the first hours. */
const START = Date.UTC(2026, 9, 25);
const DEVICES = rounds(60, 500);

interface Said {
  readonly id?: string;
  readonly name?: string;
  readonly texts?: Readonly<Record<string, string>>;
  readonly rows?: readonly Measured[];
}

/** Frames: 'E', length, JSON. */
const dialect: StreamDialect<object> = {
  open: () => ({}),
  frame: (bytes, start, end) => (end - start < 3 ? 0 : u16be(bytes, start + 1)),
  decode(bytes, start, end, _state, out) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start + 3, end - start - 3).toString();
    if (text.startsWith('!')) return out.malformed('BAD_ID');
    const { id = '', name = 'fixes', texts = {}, rows = [] }: Said = JSON.parse(text);
    out.kind = id === '' ? FrameKind.Records : FrameKind.Login;
    out.name = name;
    out.deviceId = id;
    for (const { time, lat, lon, speed, course, valid, event } of rows) {
      const row = out.row();
      out.time[row] = time;
      out.latitude[row] = valid ? lat : Number.NaN;
      out.longitude[row] = valid ? lon : Number.NaN;
      out.valid[row] = valid ? 1 : 0;
      out.speedKmh[row] = speed;
      out.courseDeg[row] = course;
      out.event[row] = NAMES.indexOf(event);
      out.cell(262, 1, 2, 3, 0);
    }
    if (Object.keys(texts).length > 0) {
      if (rows.length === 0) out.row();
      for (const [field, value] of Object.entries(texts)) out.attrText(ATTRIBUTES.indexOf(field), value);
    }
  },
  encodeAck: () => 0,
};
const NAMES: readonly string[] = EVENTS;
const ATTRIBUTES = ['', 'iccid', 'imsi', 'firmware', 'model'];
const codec = defineCodec({
  ...toyDefinition,
  maxFrameBytes: 8192,
  commands: [],
  tcp: dialect,
  udp: dialect,
  messages: ['fixes', 'login', 'info'],
  attributes: new Map(ATTRIBUTES.slice(1).map((name, k) => [k + 1, { name, type: 'text' as const }])),
});

function frameOf(said: Said | string): Uint8Array {
  const text = typeof said === 'string' ? said : JSON.stringify(said);
  const frame = new Uint8Array(3 + text.length);
  frame[0] = 0x45;
  putAscii(frame, putU16be(frame, 1, frame.length), text);
  return frame;
}

let clock: FakeClock;
let host: IntakeHost;
let events: { readonly device: string; readonly type: string; readonly [field: string]: unknown }[];

beforeEach(() => {
  clock = new FakeClock();
  clock.wall = START;
  events = [];
  const journal: EntrySink = {
    durable: Number.MAX_SAFE_INTEGER - 1,
    accepting: true,
    append({ device }, kind, _received, _memo, _accepted, bytes, start, end) {
      if (kind === EntryKind.Event) events.push({ device, ...JSON.parse(Buffer.from(bytes).toString('utf8', start, end)) });
      return 1;
    },
  };
  const seen = new Map<string, Seen>();
  const units = new Map<string, string | undefined>();
  const store = {
    update: async (_table: string, key: string, change: (text: string | undefined) => string | undefined) => {
      units.set(key, change(units.get(key)));
      return units.get(key);
    },
  };
  const plans = new Map(
    [60, 120, 300].map((interval_s) => [
      `every-${interval_s}`,
      planSchema.parse({ name: `every-${interval_s}`, interval_s, time_zone: 'Europe/Berlin', gnss_lost_after_s: 1_800 }),
    ]),
  );
  const plan = plans.get('every-60');
  if (plan === undefined) throw new Error('no plan');
  const clones = new Clones((device, event) => events.push({ device, ...event }));
  host = intakeHost({
    clock,
    journal,
    sightings: new Sightings(
      (sightings) => {
        for (const one of sightings) clones.saw(one);
      },
      (send) => send(),
    ),
    sessions: new SessionTable<Session>({ now: () => clock.elapsed() }),
    service: {
      ...NO_CAPS,
      plan: () => plan,
      programmed: (device) => intervalOf(Number(device) - 10_000_000),
      seen(device) {
        const found = seen.get(device) ?? new Seen();
        seen.set(device, found);
        return found;
      },
      said: (device, values, changed) => void noteUnit(Object.assign(store), device, values).then((news) => news.forEach(changed)),
    },
  });
});

const intervalOf = (number: number): number => [60, 60, 120, 300][number % 4] ?? 60;

/** A simulated device: what it does goes through an intake of its own for each connection. */
class Unit {
  readonly id: string;
  readonly transport: Transport;
  card: string;
  firmware = 'FW 1.2';
  address: string;
  /** The address of the next connection. */
  wanders: (() => string) | undefined;
  #port = 1_000;
  #intake: Intake | undefined;
  #abandoned: Intake[] = [];

  constructor(number: number, address = `10.${number >> 8}.${number & 255}.7`) {
    this.id = String(10_000_000 + number);
    this.transport = number % 5 === 4 ? 'udp' : 'tcp';
    this.card = `89490200001${this.id}`;
    this.address = address;
  }

  take(act: Act): void {
    switch (act.does) {
      case 'connect':
        this.connect();
        break;
      case 'vanish':
        if (this.#intake !== undefined) this.#abandoned.push(this.#intake);
        this.#intake = undefined;
        break;
      case 'close':
        this.#intake?.closed('peer');
        this.#intake = undefined;
        break;
      case 'noise':
        this.#intake?.push(frameOf('!AT+CSQ: 12,99'));
        break;
      case 'send':
        this.send({ rows: act.records });
    }
  }

  connect(): void {
    // The network gives another port, and now and then another address.
    this.#port += 1;
    if (this.wanders !== undefined) this.address = this.wanders();
    else if (this.#port % 7 === 6) this.address = this.address.replace(/\d+$/, String(1 + ((this.#port * 13) % 250)));
    this.#intake = new Intake(host, codec, this.transport, `${this.address}:${this.#port}`, new RecordedLink());
    const { id, card, firmware } = this;
    this.send({ id, name: 'login', texts: { iccid: card, firmware } });
    this.send({ name: 'info', texts: { iccid: `${card}F`, imsi: `26201${id}00`, firmware: `${firmware} (2026-01)`, model: 'X' } });
    // What the server closed is closed in the end.
    for (const one of this.#abandoned.splice(0, Math.max(0, this.#abandoned.length - 2))) one.closed('timeout');
  }

  close(): void {
    this.take({ at: 0, does: 'close' });
  }

  send(said: Said | string): void {
    this.#intake?.push(frameOf(said));
  }
}

async function play(days: readonly (readonly [Unit, readonly Act[]])[]): Promise<void> {
  const all = days.flatMap(([unit, acts]) => acts.map((act) => ({ unit, act })));
  all.sort((a, b) => a.act.at - b.act.at);
  for (const { unit, act } of all) {
    clock.step(Math.max(0, act.at - clock.wall));
    unit.take(act);
  }
  await new Promise((resolve) => setImmediate(resolve));
}

const told = (): unknown[] => events.filter((event) => isSignal(event.type, event));

describe(`${DEVICES} honest devices`, () => {
  it('in a day of tunnels, holes in the network, new addresses, resends and a change of clocks give no evidence', async () => {
    const days = Array.from({ length: DEVICES }, (_, n) => [new Unit(n), honestDay(7_000 + n, START, intervalOf(n))] as const);
    await play(days);
    expect(told()).toEqual([]);
    // They did speak, and break their connections.
    expect(events.filter(({ type }) => type === 'connected').length).toBeGreaterThan(3 * DEVICES);
  });

  it('that connect for each record, mostly from another network, and whose positions are wrong now and then, give none', async () => {
    const days = Array.from({ length: DEVICES / 10 }, (_, n) => {
      const unit = new Unit(n);
      const random = new Random(n);
      unit.wanders = () => `${random.int(3)}.${random.int(2)}.7.9`;
      // Its receiver is led astray, to the same place each time, for some hours.
      const astray = (act: Act): Act =>
        act.does !== 'send' || random.int(2) === 0
          ? act
          : { ...act, records: act.records.map((one) => ({ ...one, lat: 59.1, lon: 30.2, event: '' })) };
      const day = honestDay(9_000 + n, START, intervalOf(n)).filter(({ does }) => does === 'send');
      const hours = day.map((act) => (n % 4 === 0 && act.at - START < 4 * 3_600_000 ? astray(act) : act));
      return [unit, hours.flatMap((act): Act[] => [{ at: act.at, does: 'connect' }, act, { at: act.at + 100, does: 'close' }])] as const;
    });
    await play(days);
    expect(told().filter((event) => Object(event).type === 'clone')).toEqual([]);
    expect(events.filter(({ type }) => type === 'connected').length).toBeGreaterThan(10 * DEVICES);
  });
});

describe('a device that', () => {
  const bad = (): Unit => {
    const unit = new Unit(0);
    unit.connect();
    return unit;
  };
  /** Measured each so often, for so long, on the way from a place; sent as measured. */
  const drive = (unit: Unit, everyS: number, minutes: number, more: Partial<Measured> = {}): void => {
    for (let s = 0; s < 60 * minutes; s += everyS) {
      clock.step(1000 * everyS);
      unit.send({ rows: [{ time: clock.wall, lat: 52 + s / 1e4, lon: 13, speed: 40, course: 1, valid: true, event: '', ...more }] });
    }
  };
  const sighting = (who: string, k: number): Sighting => {
    const at = START + 60_000 * k;
    const place = who === 'a' ? { peer: '192.0.2.7:1', lat: 52, lon: 13 } : { peer: '198.51.100.9:1', lat: 48, lon: 2 };
    return { device: '1', account: '', time: at, received: at, mostKmh: 1_000, ...place };
  };
  /** Addresses of the events. */
  const said = (sightings: readonly Sighting[]): unknown[] => {
    const found: unknown[] = [];
    const clones = new Clones((_device, { addresses }) => found.push(addresses));
    for (const one of sightings) clones.saw(one);
    return found;
  };
  const types = async (): Promise<string[]> => {
    await new Promise((resolve) => setImmediate(resolve));
    return told().map((event) => String(Object(event).type));
  };

  it('measures more often than it is to', async () => {
    drive(bad(), 10, 130);
    expect(await types()).toEqual(['tamper_rate', 'tamper_rate']);
  });

  it('does so while honest ones speak', async () => {
    const unit = new Unit(DEVICES);
    const often = Array.from({ length: 1_000 }, (_, k): Act => {
      const at = START + 3_600_000 + 10_000 * k;
      return { at, does: 'send', records: [{ time: at, lat: 52, lon: 13 + k / 1e4, speed: 30, course: 90, valid: true, event: '' }] };
    });
    const days = Array.from({ length: 20 }, (_, n) => [new Unit(n), honestDay(100_000 + n, START, intervalOf(n))] as const);
    await play([...days, [unit, [{ at: START + 1, does: 'connect' }, ...often]]]);
    expect(new Set(told().map((event) => Object(event).device))).toEqual(new Set([unit.id]));
  });

  it('uses its connection for something else', async () => {
    const unit = bad();
    const random = new Random(1);
    for (let k = 0; k < 40; k++) {
      clock.step(30_000);
      unit.send(`!${'x'.repeat(400 + random.int(200))}`);
      drive(unit, 30, 0.5, { lat: 52 + k / 1e4 });
    }
    expect(await types()).toEqual(['other_bytes']);
    expect(told()).toEqual([expect.objectContaining({ allowed: 16_384, window_s: 3_600, since: START + 30_000 })]);
  });

  it('is two, on connections from two places', async () => {
    const [one, other] = [new Unit(0, '192.0.2.7'), new Unit(0, '198.51.100.9')];
    one.connect();
    other.connect();
    for (let k = 0; k < 10; k++) {
      drive(one, 30, 0.5);
      drive(other, 30, 0.5, { lat: 48, lon: 2 });
    }
    expect(await types()).toEqual(['clone']);
    const [event] = told();
    expect(event).toMatchObject({ addresses: [expect.stringContaining('192.0.2.7:'), expect.stringContaining('198.51.100.9:')] });
    expect(Object(event).distance_km).toBeGreaterThan(800);
    expect(Object(event).speed_kmh).toBeGreaterThan(10_000);
    // No coordinates.
    expect(JSON.stringify(event)).not.toMatch(/"lat|"lon/);
  });

  it('is two, on two workers', async () => {
    // What one of them tells late says nothing.
    expect(said(['a', 'b', 'a', 'b', 'a', 'b'].map((who, k) => sighting(who, k)))).toEqual([['192.0.2.7:1', '198.51.100.9:1']]);
    expect(said([sighting('a', 0), sighting('b', 1), sighting('a', 2), sighting('b', 1), sighting('a', 3)])).toEqual([]);
    // The time of another account is not its own.
    const passedOn = ['a', 'b', 'a', 'b'].map((who, k) => ({ ...sighting(who, k), account: k < 2 ? 'acme' : 'bolt' }));
    expect(said(passedOn)).toEqual([]);
  });

  it('is two that connect for each record, and never at once', async () => {
    const [one, other] = [new Unit(0, '192.0.2.7'), new Unit(0, '198.51.100.9')];
    for (let k = 0; k < 5; k++)
      for (const [unit, more] of [
        [one, { lat: 52 + k / 1e3 }],
        [other, { lat: 48 + k / 1e3, lon: 2 }],
      ] as const) {
        unit.connect();
        drive(unit, 30, 0.5, more);
        unit.close();
      }
    expect(await types()).toEqual(['clone']);
    expect(told()[0]).toMatchObject({ addresses: [expect.stringContaining('192.0.2.'), expect.stringContaining('198.51.100.')] });
  });

  it('is two, of which one stays connected', async () => {
    const [one, other] = [new Unit(0, '192.0.2.7'), new Unit(0, '198.51.100.9')];
    one.connect();
    for (let k = 0; k < 5; k++) {
      drive(one, 30, 0.5);
      other.connect();
      drive(other, 30, 0.5, { lat: 48, lon: 2 });
      other.close();
    }
    expect(await types()).toEqual(['clone']);
  });

  it('is told of only when networks tell them apart, where connections are short', () => {
    const by = (...networks: string[]): Sighting[] =>
      networks.map((network, k) => ({ ...sighting(k % 2 === 0 ? 'a' : 'b', k), peer: `${network}.7.${k}:${k}` }));
    const turns = (a: string, b: string, times: number): string[] => Array.from({ length: times }, (_, k) => (k % 2 === 0 ? a : b));
    expect(said(by(...turns('10.1', '10.2', 8)))).toEqual([['10.1.7.6:6', '10.2.7.7:7']]);
    expect(said(by(...turns('10.1', '10.2', 7)))).toEqual([]);
    // All behind one gateway.
    expect(said(by(...turns('10.1', '10.1', 40)))).toEqual([]);
    // One of them came from elsewhere, and begins anew half a day later.
    expect(said(by('10.1', '10.2', '10.1', '10.3', ...turns('10.1', '10.2', 40)))).toEqual([]);
    const later = by(...turns('10.1', '10.2', 8)).map((one) => ({
      ...one,
      time: one.time + 86_400_000,
      received: one.received + 86_400_000,
    }));
    expect(said([...by('10.3', '10.2', '10.1'), ...later])).toHaveLength(1);
  });

  it('has one wrong position on a new address is one', async () => {
    const [one, other] = [new Unit(0, '192.0.2.7'), new Unit(0, '198.51.100.9')];
    one.connect();
    drive(one, 30, 5);
    other.connect();
    drive(other, 30, 0.5, { lat: 48, lon: 2 });
    drive(other, 30, 5);
    drive(one, 30, 1);
    expect(await types()).toEqual([]);
  });

  it('has another card, and another firmware', async () => {
    const unit = bad();
    drive(unit, 60, 2);
    const before = unit.card;
    unit.card = '8949020000299999999';
    unit.firmware = 'FW 9';
    unit.connect();
    await types();
    unit.connect();
    unit.card = before;
    unit.connect();
    expect((await types()).sort()).toEqual(['sim_changed', 'sim_changed', 'unit_changed', 'unit_changed']);
    expect(told()).toContainEqual({
      device: unit.id,
      type: 'sim_changed',
      what: 'iccid',
      before,
      value: unit.card === before ? '8949020000299999999' : '',
    });
    expect(told()).toContainEqual({ device: unit.id, type: 'unit_changed', what: 'firmware', before: 'FW 1.2', value: 'FW 9' });
  });

  it('starts again and again', async () => {
    drive(bad(), 300, 60, { event: 'power_on' });
    expect(await types()).toEqual(['reboot_storm']);
    expect(told()).toEqual([expect.objectContaining({ seen: 7, allowed: 6, since: START + 300_000 })]);
  });

  it('says the same place while it moves', async () => {
    drive(bad(), 60, 40, { lat: 52 });
    expect(await types()).toEqual(['gnss_lost']);
    expect(told()).toEqual([expect.objectContaining({ reason: 'stuck' })]);
  });
});
