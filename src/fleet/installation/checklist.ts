/**
 * The checklist of an installation test (docs/commands.md): what a new unit has to show, and what of that is seen. Pure: no clock, no I/O.
 *
 * 1. An item passes as soon as it is shown, and stays passed: a test ends when all have. What is not shown until the end has failed.
 * 2. What a protocol does not tell (a voltage, a signal) is skipped, but only once enough records without it have come; what the wiring
 *    of a profile is for is never skipped.
 * 3. A measurement is said of every item, passed or not, in words that name the fault.
 */
export const ITEMS = [
  'contact',
  'identity',
  'gnss',
  'place',
  'time',
  'ignition',
  'power',
  'signal',
  'interval',
  'command',
  'relay',
] as const;
export type ItemName = (typeof ITEMS)[number];

export const ITEM_STATES = ['waiting', 'passed', 'failed', 'skipped'] as const;
export interface Item {
  readonly name: ItemName;
  readonly state: (typeof ITEM_STATES)[number];
  /** What was measured, for people. */
  readonly measured: string;
}

/** What of the list a kind of installation needs. */
export const PROFILES = {
  basic: ['contact', 'identity', 'gnss', 'place', 'time', 'ignition', 'power', 'signal', 'interval', 'command'],
  immobiliser: ITEMS,
  /** It has a battery of its own, and no wires to the vehicle. */
  asset: ['contact', 'identity', 'gnss', 'place', 'time', 'signal', 'interval', 'command'],
} as const satisfies Readonly<Record<string, readonly ItemName[]>>;
export type Profile = keyof typeof PROFILES;

interface Spot {
  readonly lat: number;
  readonly lon: number;
  readonly radius_m: number;
}

export interface Wanted {
  readonly profile: Profile;
  /** Where the vehicle stands; absent: the item is left out. */
  readonly at?: Spot | undefined;
  /** Programmed interval; absent: any that is kept. */
  readonly interval_s?: number | undefined;
}

/** A record of the device, as far as it matters here. Times in epoch ms. */
export interface Shown {
  readonly received: number;
  /** The time that the device gives it, after what the server corrects; absent: none that can be believed. */
  readonly time?: number | undefined;
  readonly fix: boolean;
  readonly valid: boolean;
  readonly lat?: number | undefined;
  readonly lon?: number | undefined;
  readonly satellites?: number | undefined;
  readonly hdop?: number | undefined;
  readonly event?: string | undefined;
  readonly attrs: Readonly<Record<string, unknown>>;
}

/** The command that is sent to see whether the device obeys. */
export interface Sent {
  readonly type: string;
  /** Of the ledger; '' while it is not there. */
  readonly state: string;
  readonly reply: string;
  /** Why it could not be handed in, or how it ended. */
  readonly note: string;
}

/** What has been seen since the test began. */
export interface Evidence {
  /** Of its frames. */
  readonly frames: number;
  readonly protocol: string;
  readonly transport: string;
  /** The registry knows it. */
  readonly known: boolean;
  readonly firmware: string;
  /** In the order of receipt, at most MOST_RECORDS. */
  readonly records: readonly Shown[];
  readonly command: Sent | undefined;
  /** A stop and then a resume. */
  readonly relay: readonly Sent[];
}

export const MOST_RECORDS = 200;
/** Records without a value after which it is taken that the device does not tell it. */
const ENOUGH = 6;
const LEAST_SATELLITES = 5;
const MOST_HDOP = 5;
/** The network, and what a device may be off. */
const TIME_MS = 120_000;
const QUARTER_MS = 900_000;
/** Successive intervals that must be as programmed. */
const GAPS = 4;
/** Share of the interval, and at least, that a gap may differ. */
const GAP_SHARE = 0.2;
const GAP_MS = 1_000;
/** Supplies of 12 V and of 24 V, engine off or charging. */
const SUPPLIES = [
  [11, 16],
  [21, 32],
] as const;
const LEAST_LEVEL = 2;
const LEAST_CSQ = 6;
const LEAST_DBM = -103;

type Finding = Omit<Item, 'name'>;

/** `before`: the items as they were last. */
export function evaluate(wanted: Wanted, seen: Evidence, before: readonly Item[] = []): Item[] {
  const listed = PROFILES[wanted.profile].filter((name) => name !== 'place' || wanted.at !== undefined);
  return listed.map((name) => {
    const known = before.find((item) => item.name === name);
    const found: Item = { name, ...FINDINGS[name](seen, wanted) };
    return known?.state === 'passed' && found.state !== 'passed' ? known : found;
  });
}

/** Nothing is waited for. */
export function isComplete(items: readonly Item[]): boolean {
  return items.every(({ state }) => state === 'passed' || state === 'skipped');
}

/** The items when the time is over (1). */
export function concluded(items: readonly Item[]): Item[] {
  return items.map((item) => (item.state === 'waiting' ? { ...item, state: 'failed' } : item));
}

const FINDINGS: Readonly<Record<ItemName, (seen: Evidence, wanted: Wanted) => Finding>> = {
  contact: ({ frames, protocol, transport }) =>
    frames > 0 ? passed(`${protocol} over ${transport}`) : waiting('nothing has come from it since the test began'),
  identity({ frames, known, firmware }) {
    if (frames === 0) return waiting('');
    if (!known) return waiting('the registry does not know it; create the device, or adopt it from quarantine');
    return passed(firmware === '' ? 'known; it does not tell its firmware' : `firmware ${firmware}`);
  },
  gnss({ records }) {
    const fix = records.findLast((record) => record.fix);
    if (fix === undefined) return waiting('no position has come');
    const { valid, satellites, hdop } = fix;
    const how = [
      ...(satellites === undefined ? [] : [`${satellites} satellites`]),
      ...(hdop === undefined ? [] : [`HDOP ${hdop}`]),
      ...(valid ? [] : ['no valid fix']),
    ].join(', ');
    const isGood = valid && (satellites ?? LEAST_SATELLITES) >= LEAST_SATELLITES && (hdop ?? 0) <= MOST_HDOP;
    return isGood ? passed(how === '' ? 'a valid fix' : how) : waiting(how);
  },
  place({ records }, { at }) {
    const fix = records.findLast((record) => record.fix && record.valid);
    if (fix?.lat === undefined || fix.lon === undefined || at === undefined) return waiting('no valid position has come');
    const metres = Math.round(distance(fix.lat, fix.lon, at.lat, at.lon));
    const text = `${metres} m away, at most ${at.radius_m} m wanted`;
    return metres <= at.radius_m ? passed(text) : waiting(text);
  },
  time({ records }) {
    const last = records.at(-1);
    if (last === undefined) return waiting('no record has come');
    if (last.time === undefined) return waiting('its records have no time that can be believed');
    const ahead = last.time - last.received;
    if (Math.abs(ahead) <= TIME_MS) return passed(`${seconds(ahead)} s ${ahead < 0 ? 'behind' : 'ahead'}`);
    return waiting(offText(ahead));
  },
  ignition({ records }) {
    const values = records.map(ignitionOf).filter((value) => value !== undefined);
    const changes = values.filter((value, i) => i > 0 && value !== values[i - 1]).length;
    const [now] = values.slice(-1);
    if (now === undefined) return waiting('it has not told of an ignition');
    const text = `${now ? 'on' : 'off'} now, changed ${changes} times`;
    return values.includes(true) && values.includes(false) ? passed(text) : waiting(`${text}; turn it ${now ? 'off' : 'on'}`);
  },
  power({ records }) {
    const { told, value } = lastOf(records, ({ attrs }) => numberOf(attrs['external_v']));
    if (value !== undefined) {
      const isPlausible = SUPPLIES.some(([least, most]) => value >= least && value <= most);
      return isPlausible ? passed(`${value} V`) : waiting(`${value} V is not a supply of 12 V or 24 V`);
    }
    if (records.some(({ attrs }) => attrs['charging'] === true)) return passed('external power is connected');
    if (records.some(({ attrs }) => attrs['charging'] === false)) return waiting('external power is not connected');
    return unsaid(told, 'it does not tell its supply voltage');
  },
  signal({ records }) {
    const { told, value } = lastOf(records, signalOf);
    if (value === undefined) return unsaid(told, 'it does not tell its signal');
    return value.enough ? passed(value.text) : waiting(`${value.text} is too weak`);
  },
  interval: ({ records }, { interval_s }) => intervalOf(records, interval_s),
  command({ command, protocol, frames }) {
    if (frames === 0) return waiting('');
    if (command === undefined) return protocol === '' ? waiting('') : skipped('the protocol has no command that only asks');
    return sentOf(command);
  },
  relay({ relay }) {
    const open = relay.find(({ state }) => state !== 'answered');
    const text = relay.map((one) => `${one.type} ${one.state || one.note}`).join(', ');
    return relay.length === 2 && open === undefined ? passed(text) : waiting(text);
  },
};

function passed(measured: string): Finding {
  return { state: 'passed', measured };
}

function waiting(measured: string): Finding {
  return { state: 'waiting', measured };
}

function skipped(measured: string): Finding {
  return { state: 'skipped', measured };
}

/** Invariant 2. */
function unsaid(told: number, measured: string): Finding {
  return told >= ENOUGH ? skipped(measured) : waiting('');
}

/** The last value, and how many records there are. */
function lastOf<T>(records: readonly Shown[], of: (record: Shown) => T | undefined): { told: number; value: T | undefined } {
  const values = records.map(of).filter((value) => value !== undefined);
  return { told: records.length, value: values.at(-1) };
}

function sentOf({ type, state, reply, note }: Sent): Finding {
  if (state === 'answered') return passed(reply === '' ? `${type} answered` : `${type}: ${reply.slice(0, 80)}`);
  return waiting([`${type} ${state}`.trim(), ...(note === '' ? [] : [note])].join(': '));
}

function ignitionOf({ attrs, event }: Shown): boolean | undefined {
  const { ignition } = attrs;
  if (typeof ignition === 'boolean') return ignition;
  return event === 'ignition_on' ? true : event === 'ignition_off' ? false : undefined;
}

function signalOf({ attrs }: Shown): { readonly text: string; readonly enough: boolean } | undefined {
  const [level, csq, dbm] = [numberOf(attrs['gsm_level']), numberOf(attrs['gsm_csq']), numberOf(attrs['gsm_dbm'])];
  if (level !== undefined) return { text: `${level} of 5`, enough: level >= LEAST_LEVEL };
  if (csq !== undefined) return { text: `CSQ ${csq}`, enough: csq >= LEAST_CSQ && csq !== 99 };
  return dbm === undefined ? undefined : { text: `${dbm} dBm`, enough: dbm >= LEAST_DBM };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** An event may come between two records of the interval, or in place of one: either series will do. */
function intervalOf(records: readonly Shown[], wanted: number | undefined): Finding {
  const fixes = records.filter(({ fix, time }) => fix && time !== undefined);
  const series = [fixes, fixes.filter(({ event }) => event === undefined)].map(gapsOf);
  const expected = wanted === undefined ? undefined : 1000 * wanted;
  const isKept = series.some((gaps) => gaps.some((_, i) => i + GAPS <= gaps.length && areEven(gaps.slice(i, i + GAPS), expected)));
  const [all = []] = series;
  if (all.length === 0) return waiting('fewer than two positions have come');
  const text = `${all.slice(-8).map(seconds).join(', ')} s between positions${wanted === undefined ? '' : `, ${wanted} s programmed`}`;
  return isKept ? passed(text) : waiting(text);
}

function gapsOf(records: readonly Shown[]): number[] {
  const times = records.flatMap(({ time }) => (time === undefined ? [] : [time]));
  return times.flatMap((time, i) => (i === 0 ? [] : [time - (times[i - 1] ?? time)]));
}

function areEven(gaps: readonly number[], expected: number | undefined): boolean {
  const middle = expected ?? gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0;
  // A record that comes again has the same time.
  return gaps.every((gap) => gap > 0 && Math.abs(gap - middle) <= Math.max(GAP_MS, GAP_SHARE * middle));
}

/** A whole number of quarter hours is a zone. */
function offText(ahead: number): string {
  const side = ahead < 0 ? 'behind' : 'ahead';
  const quarters = Math.round(ahead / QUARTER_MS);
  if (Math.abs(ahead) > 15 * 3_600_000 || Math.abs(ahead - quarters * QUARTER_MS) > TIME_MS) return `${seconds(ahead)} s ${side}`;
  return `${Math.abs(quarters) / 4} h ${side}: a wrong time zone`;
}

function seconds(ms: number): number {
  return Math.round(Math.abs(ms) / 100) / 10;
}

/** Metres, on a sphere. */
function distance(lat: number, lon: number, toLat: number, toLon: number): number {
  const rad = Math.PI / 180;
  const [half, across] = [((toLat - lat) * rad) / 2, ((toLon - lon) * rad) / 2];
  const a = Math.sin(half) ** 2 + Math.cos(lat * rad) * Math.cos(toLat * rad) * Math.sin(across) ** 2;
  return 2 * 6_371_008 * Math.asin(Math.min(1, Math.sqrt(a)));
}
