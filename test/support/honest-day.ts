import { Random } from '../../src/simulate/random.ts';

/** One record as an honest device measures it. */
export interface Measured {
  /** Of the device's clock, epoch ms. */
  readonly time: number;
  readonly lat: number;
  readonly lon: number;
  readonly speed: number;
  readonly course: number;
  readonly valid: boolean;
  /** Name of an event, or ''. */
  readonly event: string;
}

/** What an honest device does at some moment, epoch ms. */
export type Act =
  | { readonly at: number; readonly does: 'connect' }
  /** The connection is gone, and the server does not hear of it. */
  | { readonly at: number; readonly does: 'vanish' }
  | { readonly at: number; readonly does: 'close' }
  | { readonly at: number; readonly does: 'send'; readonly records: readonly Measured[] }
  /** Bytes of a modem that are no frame. */
  | { readonly at: number; readonly does: 'noise' };

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const FRAME = 20;
/** Metres in a degree of latitude. */
const DEGREE_M = 111_000;

interface Trip {
  readonly from: number;
  readonly to: number;
  readonly isTown: boolean;
}

/**
 * The day of one device, by its seed: trips in towns and on motorways with bends and stops, tunnels, holes in the network after which
 * its memory is sent, connections that break, addresses that change, frames sent again, a wrong position now and then, a start,
 * alarms, and, of some, a clock that shows local time and is set back in the night.
 */
export function honestDay(seed: number, start: number, intervalS: number): Act[] {
  const random = new Random(seed);
  const measured = measure(random, start, intervalS);
  const acts: Act[] = [];
  const holes = Array.from({ length: random.int(4) }, () => {
    const from = start + random.int(DAY);
    return [from, from + MINUTE * (1 + random.int(90))] as const;
  });
  const isBad = random.int(10) === 0;
  let isConnected = false;
  let memory: Measured[] = [];
  const send = (at: number, records: readonly Measured[]): void => {
    for (let k = 0; k < records.length; k += FRAME)
      acts.push({ at: at + 200 * (k / FRAME), does: 'send', records: records.slice(k, k + FRAME) });
  };
  for (const { at, record } of measured) {
    memory.push(record);
    if (holes.some(([from, to]) => at >= from && at < to)) {
      if (isConnected) acts.push({ at: at - 500, does: random.int(3) === 0 ? 'close' : 'vanish' });
      isConnected = false;
      continue;
    }
    // In a bad network connections break each few minutes; in any, now and then.
    if (isConnected && random.int(isBad ? 8 : 400) === 0) {
      acts.push({ at: at - 400, does: random.int(2) === 0 ? 'close' : 'vanish' });
      isConnected = false;
    }
    if (!isConnected) acts.push({ at: at + 100, does: 'connect' });
    isConnected = true;
    send(at + 300 + random.int(2_000), memory);
    // Without an answer in time it is sent again.
    if (random.int(100) === 0) send(at + 9_000, memory);
    if (random.int(700) === 0) acts.push({ at: at + 5_000, does: 'noise' });
    memory = [];
  }
  return acts;
}

/** What it measures in a day, and when. */
function measure(random: Random, start: number, intervalS: number): { readonly at: number; readonly record: Measured }[] {
  const found: { at: number; record: Measured }[] = [];
  const trips = tripsOf(random, start);
  const tunnels = trips
    .filter(() => random.int(3) === 0)
    .map(({ from, to }) => [from + (to - from) / 3, from + (to - from) / 3 + MINUTE * (1 + random.int(9))] as const);
  const setBackAt = random.int(20) === 0 ? start + HOUR : Number.POSITIVE_INFINITY;
  const parkedS = random.int(2) === 0 ? intervalS : 600;
  const sticks = random.int(2) === 0;
  let [lat, lon, course, last] = [random.between(47, 55), random.between(7, 14), random.between(0, 360), start];
  let wasDriving = false;
  for (let at = start + random.int(intervalS * 1000); at < start + DAY; ) {
    const trip = trips.find(({ from, to }) => at >= from && at < to);
    const isTunnel = tunnels.some(([from, to]) => at >= from && at < to);
    const stops = trip?.isTown === true && random.int(6) === 0;
    const speed = trip === undefined || stops ? 0 : trip.isTown ? random.between(10, 60) : random.between(80, 140);
    const event =
      (trip !== undefined) === wasDriving
        ? random.int(300) === 0
          ? 'harsh_braking'
          : ''
        : trip === undefined
          ? 'ignition_off'
          : 'ignition_on';
    wasDriving = trip !== undefined;
    const metres = (speed / 3.6) * ((at - last) / 1000);
    last = at;
    lat += (metres * Math.cos((course * Math.PI) / 180)) / DEGREE_M;
    lon += (metres * Math.sin((course * Math.PI) / 180)) / DEGREE_M / Math.cos((lat * Math.PI) / 180);
    const isWild = random.int(2_000) === 0;
    const time = Math.round(at / 1000) * 1000 - (at >= setBackAt ? HOUR : 0);
    // Receivers repeat the last position in a tunnel, some of them as if it were one.
    const place = isTunnel && sticks ? found.findLast(({ record }) => record.valid)?.record : undefined;
    found.push({
      at,
      record: {
        time,
        lat: place?.lat ?? lat + (isWild ? random.between(-1, 1) : random.between(-1e-4, 1e-4)),
        lon: place?.lon ?? lon + (isWild ? random.between(-1, 1) : random.between(-1e-4, 1e-4)),
        speed,
        course: speed === 0 ? random.between(0, 360) : course,
        valid: !isTunnel || place !== undefined,
        event,
      },
    });
    const isBend = trip !== undefined && random.next() < (trip.isTown ? 0.6 : 0.1);
    if (isBend) course = (course + random.between(12, 90) * (random.int(2) === 0 ? 1 : -1) + 360) % 360;
    const everyS = trip === undefined ? parkedS : intervalS;
    at += isBend ? 1000 * random.between(5, Math.min(25, intervalS)) : 1000 * everyS + random.int(900);
  }
  const startAt = random.int(found.length - 1);
  const first = found[startAt];
  if (first !== undefined) found[startAt] = { at: first.at, record: { ...first.record, event: 'power_on' } };
  return found;
}

function tripsOf(random: Random, start: number): Trip[] {
  let at = start + random.int(6 * HOUR);
  return Array.from({ length: 1 + random.int(4) }, () => {
    const from = at + random.int(3 * HOUR);
    const to = from + MINUTE * (10 + random.int(110));
    at = to;
    return { from, to, isTown: random.int(3) > 0 };
  });
}
