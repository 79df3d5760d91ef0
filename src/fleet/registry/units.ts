import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { jsonOf } from '../../base/json.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';
import { DEVICES, type Device, deviceId, deviceSchema, isOut } from './device.ts';
import { type There, wrongHolder } from './device-ids.ts';
import type { FieldProblem } from './field-problem.ts';
import { QUARANTINE } from './unknown-device.ts';

/**
 * Which hardware was in a device, and when (docs/registry.md): the table `units`, by device id; and where hardware was that is in none now:
 * `former_units`, by its id. Times in epoch ms.
 *
 * 1. Another unit changes what is known of the hardware and nothing else: id, account, plan, history, aims of the settings stay.
 * 2. What was taken out is a stranger (`device-cache.ts`, invariant 7) from the moment of the write on.
 * 3. What a unit measured before it left the device where it was last is not of the next one.
 * 4. Periods are added at the end, and the last one is closed; nothing else of them changes.
 */
export const unitPeriodSchema = z
  .strictObject({
    unit: z.string().describe('id of the hardware'),
    from: z.int().meta({ format: 'epoch-ms' }).describe('0: since it is known'),
    to: z.int().meta({ format: 'epoch-ms' }).optional().describe('absent: it is there'),
    by: z.string().optional().describe('the token that put it in'),
    reason: z.string().optional(),
  })
  .describe('a time in which a unit was in the device');
export type UnitPeriod = z.infer<typeof unitPeriodSchema>;

const settled = z.object({ sent: z.array(z.string()), refused: z.array(z.object({ field: z.string(), problem: z.string() })) });
const unitsSchema = z.object({
  periods: z.array(unitPeriodSchema).min(1),
  /** Settings that were wanted are still to be asked of the new unit, at its first contact. */
  fresh: z.boolean().optional(),
  settled: settled.optional(),
});
export type Units = z.infer<typeof unitsSchema>;

export const UNITS = new TypedTable<Units>({ name: 'units', key: byId, parse: rowsOf(unitsSchema) });
const formerSchema = z.object({ device: z.string(), until: z.number() });
const FORMER = new TypedTable<z.infer<typeof formerSchema>>({ name: 'former_units', key: byId, parse: rowsOf(formerSchema) });

/** The unit that is to be put in. */
export const wantedUnitSchema = z.strictObject({
  unit: deviceId.describe('id under which the hardware reports'),
  protocol: z.string().max(32).optional().describe('its codec, if it has not been heard yet'),
  options: z
    .record(z.string().max(64), z.union([z.string().max(200), z.number(), z.boolean()]))
    .optional()
    .describe('of its codec; absent: those of the unit before, if it speaks the same protocol'),
  since: z
    .int()
    .min(0)
    .meta({ format: 'epoch-ms' })
    .optional()
    .describe('what it measured before is not of this device; absent: when it left the device where it was last'),
  reason: z.string().min(1).max(200).optional(),
});
export type Wanted = z.infer<typeof wantedUnitSchema>;

/** What putting a unit in comes to. */
export interface Swap {
  readonly device: unknown;
  /** The record of the unit itself, which was served as a device of its own until now: it is removed. */
  readonly gone: Device | undefined;
  readonly there: There;
  readonly ops: readonly Op[];
}

type Reader = Pick<StateStore, 'get' | 'list'>;

export async function swapOf(
  store: Reader,
  before: Device,
  wanted: Wanted,
  by: string,
  now: number,
): Promise<Swap | { readonly problems: readonly FieldProblem[] }> {
  const { id } = before;
  const { unit } = wanted;
  const current = before.unit ?? id;
  const wrong = (problem: string): { problems: FieldProblem[] } => ({ problems: [{ field: 'unit', problem }] });
  if (unit === current) return wrong('is in the device already');
  const found = await placeOf(store, unit, id);
  if (found.problem !== '') return wrong(found.problem);
  const { gone, there } = found;
  const former = await FORMER.get(store, unit);
  const since = wanted.since ?? former?.until ?? (gone === undefined ? undefined : now);
  const protocol = wanted.protocol ?? gone?.protocol ?? QUARANTINE.read(await store.get('quarantine', unit))?.protocol;
  const isSame = protocol !== undefined && protocol === before.protocol;
  // What was learned of the unit before, or said of it, goes.
  const { unit: _, unit_since: _since, protocol: _protocol, phone: _phone, transport, options, ...others_ } = before;
  const { model: _model, serial: _serial, iccid: _iccid, ...rest } = others_;
  const kept = wanted.options ?? (isSame ? options : undefined);
  const others = gone === undefined ? [] : [gone.id, ...gone.aliases].filter((other) => other !== unit);
  const device = {
    ...rest,
    aliases: others,
    ...(unit === id ? {} : { unit }),
    ...(since === undefined ? {} : { unit_since: since }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(kept === undefined ? {} : { options: kept }),
  };
  const ops: Op[] = [
    ...(await periodOps(store, before, { unit, from: now, by, ...(wanted.reason === undefined ? {} : { reason: wanted.reason }) })),
    FORMER.put({ device: id, until: now }, current),
    FORMER.remove(unit),
    { table: 'standing', key: id, remove: true },
    { table: 'unit_facts', key: id, remove: true },
  ];
  if (unit === id) ops.push({ table: 'aliases', key: id, expect: undefined });
  if (gone !== undefined) ops.push({ table: 'devices', key: gone.id, expect: there.devices.get(gone.id) }, DEVICES.remove(gone.id));
  return { device, gone, there, ops };
}

/** Where the unit is now, beside the device `into`. */
async function placeOf(
  store: Reader,
  unit: string,
  into: string,
): Promise<{ readonly problem: string; readonly gone: Device | undefined; readonly there: There }> {
  const there = { devices: new Map<string, string>(), aliases: new Map<string, string>() };
  const none = { problem: '', gone: undefined, there };
  const holder = await store.get('aliases', unit);
  const key = holder === undefined ? unit : holder;
  const text = key === into ? undefined : await store.get('devices', key);
  const other = DEVICES.parse(key, text);
  if (unit === into && holder !== undefined) return { ...none, problem: await wrongHolder(store, holder, unit) };
  if (other === undefined || text === undefined) {
    return none;
  }
  if (holder === undefined && isOut(other, unit)) {
    there.devices.set(key, text);
    return none;
  }
  if (other.unit !== undefined || !(await isBare(store, other)))
    return { ...none, problem: other.unit === unit ? await wrongHolder(store, other.id, unit) : ownDevice(other.id) };
  there.devices.set(key, text);
  for (const alias of other.aliases) there.aliases.set(alias, other.id);
  return { problem: '', gone: other, there };
}

function ownDevice(id: string): string {
  return `is device ${id}, which is more than a first contact has made; remove that device, or put another unit in there, first`;
}

/** What a record says by itself. */
const { aliases: _aliases, state: _state, ...BLANK } = deviceSchema.omit({ id: true }).parse({});

/** Is the record no more than a contact makes, so that nothing is lost with it? */
async function isBare(store: Reader, device: Device): Promise<boolean> {
  const { id, aliases, protocol, transport, first_seen, provisional, state, ...said } = device;
  if ((state !== 'active' && state !== 'pending') || !isDeepStrictEqual(said, BLANK)) return false;
  if ((await store.get('holds', id)) !== undefined) return false;
  return (await store.list('commands', { prefix: `${id} `, limit: 1 })).length === 0;
}

/** Invariant 4; and settings that the device before had reported are not the new one's. */
async function periodOps(store: Reader, before: Device, next: UnitPeriod): Promise<Op[]> {
  const { id } = before;
  const text = await store.get('units', id);
  const settings = await store.get('settings', id);
  const value: unknown = jsonOf(settings);
  const desired: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'desired') : undefined;
  const isFresh = typeof desired === 'object' && desired !== null && Object.keys(desired).length > 0;
  const periods = [...closed(unitsOf(UNITS.parse(id, text), before), next.from), next];
  const ops: Op[] = [UNITS.expect(text, id), UNITS.put({ periods, ...(isFresh ? { fresh: true } : {}) }, id)];
  if (settings === undefined) return ops;
  const put = JSON.stringify({ desired: desired ?? {}, reported: {}, pending: {} });
  return [...ops, { table: 'settings', key: id, expect: settings }, { table: 'settings', key: id, put }];
}

/** The record is removed: its unit is in no device. */
export async function removedOps(store: Reader, before: Device | undefined, now: number): Promise<Op[]> {
  if (before === undefined) return [];
  const text = await store.get('units', before.id);
  const units = UNITS.parse(before.id, text);
  if (units === undefined && before.unit === undefined) return [];
  const periods = closed(unitsOf(units, before), now);
  return [
    UNITS.expect(text, before.id),
    UNITS.put({ periods }, before.id),
    FORMER.put({ device: before.id, until: now }, before.unit ?? before.id),
  ];
}

function closed(periods: readonly UnitPeriod[], now: number): UnitPeriod[] {
  return periods.map((period) => (period.to === undefined ? { ...period, to: Math.max(period.from, now) } : period));
}

/** Oldest first. A device whose unit was never replaced has had the one. */
export function unitsOf(units: Units | undefined, device: Device): readonly UnitPeriod[] {
  const periods = units?.periods ?? [];
  const last = periods.at(-1);
  const unit = device.unit ?? device.id;
  if (last !== undefined && last.to === undefined && last.unit === unit) return periods;
  return [...periods, { unit, from: Math.max(device.first_seen ?? 0, last?.to ?? 0) }];
}
