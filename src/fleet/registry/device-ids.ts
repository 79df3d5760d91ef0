import { imeiOf, withZero } from '../../base/wire/index.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { DEVICES, type Device } from './device.ts';
import type { FieldProblem } from './field-problem.ts';
import { e164 } from './phone.ts';

/** The ids of a device: its own, its aliases, that of its unit, and its telephone number. Each stands for one device (`device-records.ts`, invariant 2). */

/** What ids are before a write that may have them: records by id, and aliases. The write depends on it. */
export interface There {
  readonly devices: ReadonlyMap<string, string>;
  readonly aliases: ReadonlyMap<string, string>;
}
const NOTHING: There = { devices: new Map(), aliases: new Map() };

/** What is wrong with the ids. `own` gets aliases that are the device's already though its record does not say so. */
export async function wrongIds(
  store: Pick<StateStore, 'get'>,
  before: Device | undefined,
  after: Device,
  own: Set<string>,
  there: There = NOTHING,
): Promise<FieldProblem[]> {
  const problems: FieldProblem[] = [];
  const main = before === undefined ? await store.get('aliases', after.id) : undefined;
  if (main !== undefined) problems.push({ field: 'id', problem: await wrongHolder(store, main, after.id) });
  const same = before === undefined ? sameImei(after.id) : '';
  if (same !== '' && (await store.get('devices', same)) !== undefined)
    problems.push({ field: 'id', problem: `is the IMEI of device ${same}; give it as an alias there` });
  const others = othersOf(after);
  for (const [i, other] of others.entries()) {
    const field = fieldOf(after, other, i);
    if (other === after.id) problems.push({ field, problem: 'must not be the id itself' });
    else if (others.indexOf(other) < i) problems.push({ field, problem: 'is there twice' });
    if (othersOf(before).includes(other)) continue;
    const holder = await store.get('aliases', other);
    if (holder === after.id) own.add(other);
    if (holder !== undefined && holder !== after.id && there.aliases.get(other) !== holder)
      problems.push({ field, problem: await wrongHolder(store, holder, other) });
    else if (other !== after.id && !there.devices.has(other) && (await store.get('devices', other)) !== undefined)
      problems.push({ field, problem: `is a device of its own; remove device ${other} first` });
  }
  return problems;
}

/** The field that holds the id, which is number `i` of the others. */
function fieldOf({ unit, phone }: Device, other: string, i: number): string {
  if (other === phone) return 'phone';
  if (unit === undefined) return `aliases.${i}`;
  return i === 0 ? 'unit' : `aliases.${i - 1}`;
}

/** Why an id that stands for the device `holder` cannot stand for another. */
export async function wrongHolder(store: Pick<StateStore, 'get'>, holder: string, id: string): Promise<string> {
  const device = DEVICES.read(await store.get('devices', holder));
  return device?.unit === id
    ? `is the unit of device ${holder}; put another one in there first`
    : device?.phone === id
      ? `is the number of device ${holder}; remove it there first`
      : `is an alias of ${holder}; remove it there first`;
}

/** Does no line speak of what another one does? */
export function isApart(rows: readonly { readonly id: string; readonly patch: Readonly<Record<string, unknown>> }[]): boolean {
  const seen = new Set<string>();
  for (const { id, patch } of rows) {
    const aliases = Array.isArray(patch['aliases']) ? patch['aliases'] : [];
    const { unit, phone } = patch;
    const number = typeof phone === 'string' ? e164(phone) : undefined;
    for (const name of [
      id,
      ...aliases.map(String),
      ...(unit === undefined ? [] : [String(unit)]),
      ...(number === undefined ? [] : [number]),
    ]) {
      if (seen.has(name)) return false;
      seen.add(name);
    }
  }
  return true;
}

/** The record and its aliases; fails if an alias belongs to another device by now. */
export function idOps(
  [text, before, after]: readonly [string | undefined, Device | undefined, Device],
  own: ReadonlySet<string>,
  there: There = NOTHING,
): Op[] {
  const { id } = after;
  const ops: Op[] = [
    { table: 'devices', key: id, expect: text },
    { table: 'devices', key: id, put: JSON.stringify(after) },
  ];
  if (before === undefined) ops.push({ table: 'aliases', key: id, expect: undefined });
  const same = before === undefined ? sameImei(id) : '';
  if (same !== '') ops.push({ table: 'devices', key: same, expect: undefined });
  for (const key of newIds(before, after))
    if (key !== id)
      ops.push(
        { table: 'aliases', key, expect: there.aliases.get(key) ?? (own.has(key) ? id : undefined) },
        { table: 'devices', key, expect: there.devices.get(key) },
        { table: 'aliases', key, put: id },
      );
  const has = othersOf(after);
  for (const key of othersOf(before)) if (!has.includes(key)) ops.push({ table: 'aliases', key, remove: true });
  return ops;
}

/** The other form of an IMEI, with a zero in front or without; '' if there is none. */
function sameImei(id: string): string {
  const imei = imeiOf(id);
  return imei === id ? withZero(id) : imei;
}

/** Ids that the device has not had before. */
export function newIds(before: Device | undefined, after: Device): string[] {
  const had = othersOf(before);
  return [...(before === undefined ? [after.id] : []), ...othersOf(after).filter((id) => !had.includes(id))];
}

/** Beside its own: of its unit, its aliases, and its telephone number. */
export function othersOf(device: Device | undefined): readonly string[] {
  if (device?.unit === undefined && device?.phone === undefined) return device?.aliases ?? [];
  const { unit, aliases, phone } = device;
  return [...(unit === undefined ? [] : [unit]), ...aliases, ...(phone === undefined ? [] : [phone])];
}

export interface DeviceFilter {
  readonly account?: string | undefined;
  readonly plan?: string | undefined;
  readonly state?: string | undefined;
  /** Part of the id, of an alias or of the account, in capitals or not. */
  readonly q?: string | undefined;
}

export function isMatch(device: Device, filter: DeviceFilter): boolean {
  return (
    (filter.account === undefined || device.account === filter.account) &&
    (filter.plan === undefined || device.plan === filter.plan) &&
    (filter.state === undefined || device.state === filter.state) &&
    (filter.q === undefined ||
      [device.id, device.account ?? '', device.name ?? '', ...othersOf(device)].some((text) => holds(text, filter.q)))
  );
}

function holds(text: string, part = ''): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}
