import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ATTRIBUTES, bluetooth, bluetoothField, FAMILIES, familyOf, GH, own, Role, Width } from '../../codecs/teltonika/attributes.ts';
import { ELEMENTS } from '../../codecs/teltonika/elements.ts';
import { VOCABULARY } from '../../codecs/vocabulary.ts';
import { elementsSource, snakeCase, valuesSource } from '../../tools/teltonika/generate.ts';

const ROOT = new URL('../../', import.meta.url);

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
    ['fmx6', 'Four', 16, 'can_total_mileage_counted'],
    ['fmx6', 'Four', 216, 'odometer_m'],
    ['fm', 'One', 216, 'geofence_zone_35'],
    ['fm', 'One', 69, 'gnss_status'],
    ['fmx6', 'One', 71, 'gnss_status'],
    ['fm', 'One', 113, 'battery_pct'],
    ['fmx6', 'Four', 113, 'fms_service_distance'],
    ['fm', 'One', 252, 'unplug'],
    ['fmx6', 'One', 252, 'authorized_driving'],
    ['fm', 'One', 30, 'obd_number_of_dtc'],
    ['fmx6', 'One', 30, 'obd_speed_kmh'],
    ['asset', 'One', 242, 'man_down'],
    ['fm11', 'Two', 255, 'over_speeding'],
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

  it('keeps a number’s meaning in a width that is not listed, and a text’s not', () => {
    expect(named('fm', 'Four', 66)).toBe('external_v');
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
