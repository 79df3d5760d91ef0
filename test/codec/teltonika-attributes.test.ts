import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  ATTRIBUTES,
  bluetooth,
  bluetoothField,
  FAMILIES,
  familyOf,
  GH,
  isMeasurement,
  LIMITS,
  own,
  Role,
  Width,
} from '../../codecs/teltonika/attributes.ts';
import { ELEMENTS } from '../../codecs/teltonika/elements.ts';
import { EVENT_RULES, UNNAMED_EVENTS } from '../../codecs/teltonika/event-rules.ts';
import { VOCABULARY } from '../../codecs/vocabulary.ts';
import { elementsSource, snakeCase, UNCLEAR_UNITS, UNITS, valuesSource } from '../../tools/teltonika/generate.ts';

const ROOT = new URL('../../', import.meta.url);

const dictionaryLine = z.object({
  id: z.number(),
  definitions: z.array(
    z.object({
      name: z.string(),
      unit: z.string().optional(),
      scale: z.number().optional(),
      rawRange: z.array(z.number()).optional(),
      values: z.record(z.string(), z.string()).optional(),
    }),
  ),
});
/** The lines behind the first, which has the families. */
const DICTIONARY = readFileSync(new URL('tools/teltonika/elements.jsonl', ROOT), 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => dictionaryLine.parse(JSON.parse(line)));

/** Units of one quantity, and how many of the first one they have. */
const SIZE: Readonly<Record<string, string>> = { mA: 'A', mV: 'V', mg: 'g', mAh: 'Ah', '%RH': '%', min: 's', h: 's', km: 'm' };
const SIZE_OF: Readonly<Record<string, number>> = { mA: 0.001, mV: 0.001, mg: 0.001, mAh: 0.001, min: 60, h: 3600, km: 1000 };

/** By attribute id: the limits of elements.ts. */
const RANGES = new Map(
  ELEMENTS.trim()
    .split('\n')
    .reduce<[number, { low: number | undefined; high: number | undefined }][]>((all, line) => {
      const [id = '', , , , , , range = ''] = line.split(' ');
      const nth = all.filter(([attribute]) => (attribute & 0xffff) === Number(id)).length;
      const [low, high] = range.startsWith('-!') || range === '-' ? [] : range.replace('!', '').split(':').map(Number);
      all.push([(nth << 16) | Number(id), { low, high }]);
      return all;
    }, []),
);

function named(family: string, width: keyof typeof Width, id: number): string {
  const index = FAMILIES.findIndex(([name]) => name === family);
  const entry = familyOf(index).table[Width[width] | id] ?? 0;
  return ATTRIBUTES.get(entry & 0xfffff)?.name ?? `io_${id}`;
}

describe('teltonika elements', () => {
  it('are what the generator makes of the dictionary', () => {
    const dictionary = readFileSync(new URL('tools/teltonika/elements.jsonl', ROOT), 'utf8');
    const checkedIn = (file: string): string => readFileSync(new URL(`codecs/teltonika/${file}`, ROOT), 'utf8');
    expect(elementsSource(dictionary) === checkedIn('elements.ts'), 'elements.ts').toBe(true);
    expect(valuesSource(dictionary) === checkedIn('values.ts'), 'values.ts').toBe(true);
  });

  it('are 2026 ids in 2505 definitions', () => {
    const lines = ELEMENTS.trim().split('\n');
    expect(lines.length).toBe(2505);
    expect(new Set(lines.map((line) => line.split(' ')[0])).size).toBe(2026);
  });

  it('use a standard name with the type that the vocabulary gives it', () => {
    const terms = VOCABULARY.map((term) => ({ ...term, pattern: new RegExp(`^${term.name.replace('<n>', '\\d+')}$`) }));
    const wrong: string[] = [];
    let standard = 0;
    for (const [id, attribute] of ATTRIBUTES) {
      const term = terms.find(({ pattern }) => pattern.test(attribute.name));
      if (term === undefined) continue;
      standard++;
      // The operator's number is put into words by decode, from its own attribute.
      if (term.type !== attribute.type && attribute.name !== 'operator') wrong.push(`${id} ${attribute.name} is ${attribute.type}`);
    }
    expect(wrong).toEqual([]);
    expect(standard).toBeGreaterThan(100);
  });

  it('say their unit in the name, and one name has one unit', () => {
    const definitions = DICTIONARY.flatMap((line) => line.definitions);
    const lines = ELEMENTS.trim()
      .split('\n')
      .map((line) => line.split(' '));
    expect(lines.length).toBe(definitions.length);
    const standard = VOCABULARY.map((term) => new RegExp(`^${term.name.replace('<n>', '\\d+')}$`));
    const wrong: string[] = [];
    const units = new Map<string, Set<string>>();
    definitions.forEach(({ unit, scale }, i) => {
      const [id = '', name = '', role = '', factor = ''] = lines[i] ?? [];
      if (unit === undefined || UNCLEAR_UNITS.has(unit) || role.startsWith('near_') || role === 'hdop') return;
      if (!standard.some((pattern) => pattern.test(name)) && !name.endsWith(`_${UNITS[unit]?.[0]}`)) wrong.push(`${id} ${name} [${unit}]`);
      // What one unit of the name is in units of the dictionary's first definition of it.
      const all = units.get(name) ?? new Set();
      units.set(name, all.add(`${SIZE[unit] ?? unit} ${Number((Number(factor) / (scale ?? 1) / (SIZE_OF[unit] ?? 1)).toPrecision(3))}`));
    });
    expect(wrong).toEqual([]);
    expect([...units].filter(([, all]) => all.size > 1).map(([name, all]) => `${name}: ${[...all].join(', ')}`)).toEqual([]);
  });

  it('have no name that is a field of the record', () => {
    const fields = new Set([
      'time',
      'received',
      'lat',
      'lon',
      'valid',
      'altitude_m',
      'speed_kmh',
      'course_deg',
      'satellites',
      'hdop',
      'event',
    ]);
    expect([...ATTRIBUTES.values()].map(({ name }) => name).filter((name) => fields.has(name))).toEqual([]);
  });

  it('have limits that leave "not available" out (808 elements once showed it as a number)', () => {
    const shown: string[] = [];
    FAMILIES.forEach(([family], index) => {
      familyOf(index).table.forEach((entry, at) => {
        const role = entry >>> 20;
        const bytes = [1, 2, 4, 8][at >> 16] ?? 0;
        const line = RANGES.get(entry & 0xfffff);
        if (bytes === 0 || line === undefined || line.low === undefined) return;
        const ones = 256 ** bytes - 1;
        if (ones <= (line.high ?? ones) || (role !== Role.Uint && role < Role.Limited)) return;
        const limits = LIMITS[role - Role.Limited];
        // Minus one is all ones, too, and may be a temperature.
        const isValue = limits?.signed === true && line.low <= -1 && (line.high ?? 0) >= -1;
        if (limits === undefined || (isMeasurement(limits, limits.signed ? -1 : ones, ones) && !isValue))
          shown.push(`${family} ${at & 0xffff} in ${bytes} bytes`);
      });
    });
    expect(shown).toEqual([]);
  });

  it('take every value that the dictionary names, unless it names it "not available" or "unknown"', () => {
    const outside = DICTIONARY.flatMap(({ id, definitions }) =>
      definitions.flatMap(({ name, values, rawRange }) =>
        Object.entries(values ?? {})
          .filter(
            ([raw, meaning]) => rawRange !== undefined && Number(raw) > (rawRange[1] ?? 0) && !/^(not available|unknown)$/.test(meaning),
          )
          .map(([raw]) => `${id} ${name} ${raw}`),
      ),
    );
    expect(outside).toEqual([]);
  });

  it('have an event rule only where there is an element', () => {
    const names = new Set(ELEMENTS.split('\n').map((line) => line.split(' ')[1]));
    const rules = [...EVENT_RULES.keys(), ...UNNAMED_EVENTS].filter((name) => name !== 'geofence_zone');
    expect(rules.filter((name) => !names.has(name))).toEqual([]);
  });

  it('are named in the vendor’s words, snake_case, otherwise', () => {
    expect(
      ['geofenceZone06', 'canSecurityStateFlagsP4', 'tpmsTire1Temperature', 'geofenceZone51Io10236', 'com2DsmSpeed'].map(snakeCase),
    ).toEqual(['geofence_zone_06', 'can_security_state_flags_p4', 'tpms_tire_1_temperature', 'geofence_zone_51', 'com_2_dsm_speed']);
  });
});

describe('teltonika families (codecs/teltonika/protocol.md section 8.3)', () => {
  it.each([
    ['fm', 'Two', 9, 'analog_v_1'],
    ['fm', 'Two', 6, 'analog_v_2'],
    ['fmx6', 'Two', 10, 'analog_v_2'],
    ['fmx6', 'Two', 11, 'analog_v_3'],
    ['fm', 'Four', 16, 'odometer_m'],
    ['fmx6', 'Four', 16, 'can_total_mileage_counted_m'],
    ['fmx6', 'Four', 216, 'odometer_m'],
    ['fm', 'One', 216, 'geofence_zone_35'],
    ['fm', 'One', 69, 'gnss_status'],
    ['fmx6', 'One', 71, 'gnss_status'],
    ['fm', 'One', 113, 'battery_pct'],
    ['fmx6', 'Four', 113, 'fms_service_distance_km'],
    ['fm', 'One', 252, 'unplug'],
    ['fmx6', 'One', 252, 'authorized_driving'],
    ['fm', 'One', 30, 'obd_number_of_dtc'],
    ['fmx6', 'One', 30, 'obd_speed_kmh'],
    ['asset', 'One', 242, 'man_down'],
    ['fm11', 'Two', 255, 'over_speeding_kmh'],
    // A family without a meaning of its own takes the default one.
    ['tft', 'Two', 66, 'external_v'],
    ['gh', 'One', 1, 'battery_pct'],
    // Codec 7 has an id space of its own: nothing is borrowed.
    ['gh', 'One', 239, 'io_239'],
  ] as const)('%s %s bytes, %i: %s', (family, width, id, name) => {
    expect(named(family, width, id)).toBe(name);
  });

  it('takes another family’s definition when only that one has the width on the wire', () => {
    expect(named('fm', 'Two', 11)).toBe('analog_v_3');
    expect(named('fm', 'Eight', 5)).toBe('dallas_temperature_id_5');
    expect(named('fm', 'Four', 200)).toBe('deep_sleep');
  });

  it('gives no meaning to a width that no definition has (codecs/teltonika/protocol.md section 3.8)', () => {
    expect(named('fm', 'Four', 66)).toBe('io_66');
    expect(named('fm', 'Two', 239)).toBe('io_239');
    expect(named('fm', 'Eight', 105)).toBe('io_105');
    expect(named('fm', 'Two', 256)).toBe('io_256');
    expect(named('fm', 'Variable', 66)).toBe('io_66');
  });

  it('leaves unknown ids to the prefix, bytes to a text of that name', () => {
    const { table } = familyOf(0);
    expect(table[Width.Two | 64000]).toBe(64000);
    expect(ATTRIBUTES.get(64000)).toBeUndefined();
    const entry = table[Width.Variable | 64000] ?? 0;
    expect([entry >>> 20, ATTRIBUTES.get(entry & 0xfffff)]).toEqual([Role.Hex, { name: 'io_64000', type: 'text' }]);
  });

  it('never puts two meanings of one id into one attribute', () => {
    const wrong: string[] = [];
    const readsText = (role: number): boolean => role >= Role.Hex && role !== Role.Bool;
    FAMILIES.forEach(([family], index) => {
      familyOf(index).table.forEach((entry, at) => {
        const attribute = ATTRIBUTES.get(entry & 0xfffff);
        if (attribute?.type === 'text' && !readsText(entry >>> 20)) wrong.push(`${family} ${at & 0xffff} ${attribute.name}`);
        if (attribute?.type === 'boolean' && entry >>> 20 !== Role.Bool) wrong.push(`${family} ${at & 0xffff} ${attribute.name}`);
      });
    });
    expect(wrong).toEqual([]);
    expect(GH).toBe(FAMILIES.length - 1);
  });
});

describe('teltonika attributes of its own', () => {
  it('name the fields of any beacon and tag', () => {
    expect(ATTRIBUTES.get(bluetooth(1) + bluetoothField('beacon_#_id'))).toMatchObject({ name: 'beacon_1_id', type: 'text' });
    expect(ATTRIBUTES.get(bluetooth(255) + bluetoothField('tag_#_battery_v'))).toEqual({
      name: 'tag_255_battery_v',
      type: 'number',
      scale: 0.001,
    });
    expect(ATTRIBUTES.get(bluetooth(40) + bluetoothField('tag_#_temperature_c'))).toEqual({
      name: 'tag_40_temperature_c',
      type: 'number',
      scale: 0.01,
    });
  });

  it('stay clear of element ids', () => {
    expect(own('priority')).toBeGreaterThanOrEqual(15 << 16);
    expect(own('priority')).toBeLessThan(1 << 20);
  });
});
