/** Models by the prefix of the protocol version (protocol.md section 2.4), and how their reports are laid out. */
export interface Model {
  /** Vendor's name, '' for an unknown one. */
  readonly name: string;
  /** Personal units (`gl`, `gl5`) take other commands and end their reports otherwise than vehicle units; '' is read by what the fields hold. */
  readonly family: 'gl' | 'gl5' | 'gv' | '';
  /** The VIN stands in front of the name. */
  readonly vin: boolean;
  /** GV200: analogue inputs, then digital inputs and outputs, no status word. */
  readonly gv200: boolean;
  /** CV100, CV200: status of two digits. */
  readonly cv: boolean;
}

type Row = readonly [prefixes: string, name: string, family: Model['family'], special?: 'vin' | 'gv200' | 'cv'];

const ROWS: readonly Row[] = [
  ['02 21', 'GL200', 'gl'],
  ['1A 30', 'GL300', 'gl'],
  ['2C', 'GL300W', 'gl'],
  ['28', 'GL300VC', 'gl'],
  ['F5', 'GL300M', 'gl'],
  ['C3', 'GL320M', 'gl5'],
  ['52', 'GL50', 'gl5'],
  ['55', 'GL50B', 'gl5'],
  ['11 40', 'GL500', 'gl5'],
  ['44', 'GL530', 'gl5'],
  ['DE', 'GL500M', 'gl5'],
  ['2E', '', 'gl5'],
  ['42', 'GT501', 'gl'],
  ['08 3F', 'GMT100', 'gv'],
  ['0F 2F', 'GV55', 'gv'],
  ['10', 'GV55Lite', 'gv'],
  ['50', 'GV55W', 'gv'],
  ['4F', 'GV56', 'gv'],
  ['09', 'GV50P', 'gv'],
  ['31', 'GV65', 'gv'],
  ['38', 'GV65+', 'gv'],
  ['41', 'GV75W', 'gv'],
  ['04 35', 'GV200', 'gv', 'gv200'],
  ['06 25', 'GV300', 'gv'],
  ['27', 'GV300W', 'gv'],
  ['4B', 'GV300CAN', 'gv'],
  ['1F 36', 'GV500', 'gv', 'vin'],
  ['2D', 'GV500VC', 'gv', 'vin'],
  ['5E', 'GV500MAP', 'gv', 'vin'],
  ['45', 'GB100', 'gv'],
  ['6E', 'GV310LAU', 'gv'],
  ['74', 'GV350CEU', 'gv'],
  ['F1', 'GV350M', 'gv'],
  ['C2', 'GV600M', 'gv'],
  ['DC', 'GV600MG', 'gv'],
  ['F8', 'GV800W', 'gv'],
  ['FC', 'GV600W', 'gv'],
  ['BD', 'CV200', 'gv', 'cv'],
  ['DF', 'CV100LG', 'gv', 'cv'],
  ['802004', 'GV58LAU', 'gv'],
  ['802005', 'GV355CEU', 'gv'],
  ['802006', 'GV57CG', 'gv'],
  ['80201E', 'GV30CEU', 'gv'],
  ['8203', 'GV500CNA', 'gv'],
];

export const UNKNOWN: Model = { name: '', family: '', vin: false, gv200: false, cv: false };

const BY_PREFIX = new Map<string, Model>();
const BY_NAME = new Map<string, Model>();
for (const [prefixes, name, family, special] of ROWS) {
  const model = { name, family, vin: special === 'vin', gv200: special === 'gv200', cv: special === 'cv' };
  for (const prefix of prefixes.split(' ')) BY_PREFIX.set(prefix, model);
  if (name !== '') BY_NAME.set(name.toLowerCase(), model);
}

/** Version: type of 2, 4 or 6 characters, then major and minor. */
export function modelOf(version: string): Model {
  const type = version.slice(0, -4).toUpperCase();
  return BY_PREFIX.get(type) ?? BY_PREFIX.get(type.slice(0, 6)) ?? UNKNOWN;
}

/** By its name in any case; an unknown one has the family that it begins with. */
export function modelNamed(text: string): Model {
  const name = text.toLowerCase();
  const known = BY_NAME.get(name);
  if (known !== undefined || name === '') return known ?? UNKNOWN;
  const family = /^g[lt]5/.test(name) ? 'gl5' : /^gl/.test(name) ? 'gl' : /^(gv|gmt|gb|cv)/.test(name) ? 'gv' : '';
  return { ...UNKNOWN, name: text, family };
}

/** Of a binary frame: one byte, or two that begin with 82. */
export function modelByCode(code: number): Model {
  return (
    BY_PREFIX.get(
      code
        .toString(16)
        .toUpperCase()
        .padStart(code > 255 ? 4 : 2, '0'),
    ) ?? UNKNOWN
  );
}
