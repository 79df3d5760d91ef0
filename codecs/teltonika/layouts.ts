import { defineLayout, type Field, type Layout } from '../../src/codec/index.ts';

/** Fixed blocks of the messages, in the vendor's field names (protocol document; sections at each). */

const degrees = { scale: 1e-7, unit: '°' } as const;
const utc = (raw: number): string => new Date(raw * 1000).toISOString();

export const IMEI_HEAD = defineLayout('IMEI packet', 'protocol.md section 1.2', [{ name: 'length', type: 'u16' }]);

export const FRAME_HEAD = defineLayout('TCP frame head', 'protocol.md section 2', [
  { name: 'preamble', type: 'u32' },
  { name: 'data field length', type: 'u32', unit: 'bytes' },
]);
export const DATA_HEAD = defineLayout('data field head', 'protocol.md section 2', [
  { name: 'codec id', type: 'u8', show: (raw) => `0x${raw.toString(16).padStart(2, '0')}` },
  { name: 'number of data 1', type: 'u8' },
]);
export const DATA_TAIL = defineLayout('data field tail', 'protocol.md section 2', [{ name: 'number of data 2', type: 'u8' }]);
export const FRAME_TAIL = defineLayout('TCP frame tail', 'protocol.md section 2', [
  { name: 'CRC-16', type: 'u32', show: (raw) => `0x${raw.toString(16).padStart(4, '0')}` },
]);

export const UDP_HEAD = defineLayout('UDP channel head', 'protocol.md section 9.1', [
  { name: 'length', type: 'u16', unit: 'bytes' },
  { name: 'packet id', type: 'u16' },
  { name: 'not usable byte', type: 'u8' },
  { name: 'AVL packet id', type: 'u8' },
  { name: 'IMEI length', type: 'u16' },
]);

export const AVL_HEAD = defineLayout('AVL record head', 'protocol.md section 3.1', [
  { name: 'timestamp', type: 'u64' },
  { name: 'priority', type: 'u8', show: (raw) => ['low', 'high', 'panic', 'security'][raw] ?? 'unknown' },
  { name: 'longitude', type: 'i32', ...degrees },
  { name: 'latitude', type: 'i32', ...degrees },
  { name: 'altitude', type: 'i16', unit: 'm' },
  { name: 'angle', type: 'u16', unit: '°' },
  { name: 'satellites', type: 'u8' },
  { name: 'speed', type: 'u16', unit: 'km/h' },
]);

const wide = (name: string): Field => ({ name, type: 'u16' });
const narrow = (name: string): Field => ({ name, type: 'u8' });

export const IO_HEAD_8 = defineLayout('I/O element head, codec 8', 'protocol.md section 3.4', [narrow('event I/O id'), narrow('N total')]);
export const IO_HEAD_8E = defineLayout('I/O element head, codec 8E', 'protocol.md section 3.5', [wide('event I/O id'), wide('N total')]);
export const IO_HEAD_16 = defineLayout('I/O element head, codec 16', 'protocol.md section 3.6', [
  wide('event I/O id'),
  {
    name: 'generation type',
    type: 'u8',
    show: (raw) => ['on exit', 'on entrance', 'on both', 'reserved', 'hysteresis', 'on change', 'eventual', 'periodical'][raw] ?? 'unknown',
  },
  narrow('N total'),
]);
export const COUNT_1 = defineLayout('count of elements, codecs 8 and 16', 'protocol.md sections 3.4, 3.6', [narrow('count')]);
export const COUNT_2 = defineLayout('count of elements, codec 8E', 'protocol.md section 3.5', [wide('count')]);

/** Elements by width of the value: 1, 2, 4, 8 bytes. */
const element = (idType: 'u8' | 'u16', valueType: 'u8' | 'u16' | 'u32' | 'u64'): Layout =>
  defineLayout(`element ${idType} ${valueType}`, 'protocol.md sections 3.4 to 3.6', [
    { name: 'id', type: idType },
    { name: 'value', type: valueType },
  ]);
export const ELEMENTS_8 = [element('u8', 'u8'), element('u8', 'u16'), element('u8', 'u32'), element('u8', 'u64')] as const;
export const ELEMENTS_WIDE = [element('u16', 'u8'), element('u16', 'u16'), element('u16', 'u32'), element('u16', 'u64')] as const;
export const VARIABLE = defineLayout('variable-length element head, codec 8E', 'protocol.md section 3.5', [wide('id'), wide('length')]);

export const CODEC_7_HEAD = defineLayout('record head, codec 7', 'protocol.md section 5', [
  {
    name: 'priority and timestamp',
    type: 'u32',
    show: (raw) => `${['', 'periodical', 'alarm', ''][raw >>> 30]} ${utc(1_167_609_600 + (raw & 0x3fffffff))}`,
  },
  { name: 'global mask', type: 'u8', show: (raw) => raw.toString(2).padStart(4, '0') },
]);
export const CODEC_7_MASK = defineLayout('GPS element mask, codec 7', 'protocol.md section 5', [
  { name: 'GPS mask', type: 'u8', show: (raw) => raw.toString(2).padStart(8, '0') },
]);
/** Fields of the GPS element by bit of its mask. */
export const CODEC_7_GPS: readonly Layout[] = (
  [
    [
      { name: 'latitude', type: 'f32', unit: '°' },
      { name: 'longitude', type: 'f32', unit: '°' },
    ],
    [{ name: 'altitude', type: 'i16', unit: 'm' }],
    [{ name: 'angle', type: 'u8', scale: 360 / 256, unit: '°' }],
    [{ name: 'speed', type: 'u8', unit: 'km/h' }],
    [{ name: 'satellites', type: 'u8' }],
    [
      { name: 'LAC', type: 'u16' },
      { name: 'cell id', type: 'u16' },
    ],
    [{ name: 'signal quality', type: 'u8' }],
    [{ name: 'operator code', type: 'u32' }],
  ] satisfies Field[][]
).map((fields, bit) => defineLayout(`GPS element bit ${bit}, codec 7`, 'protocol.md section 5', fields));

const type: Field = {
  name: 'type',
  type: 'u8',
  show: (raw) =>
    new Map([
      [0x05, 'command'],
      [0x06, 'response'],
      [0x0d, 'serial camera'],
      [0x11, 'nACK'],
    ]).get(raw) ?? 'serial data',
};
const size: Field = { name: 'size', type: 'u32', unit: 'bytes' };
const timestamp: Field = { name: 'timestamp', type: 'u32', show: utc };
const imei: Field = { name: 'IMEI', type: 'bytes', length: 8 };
export const MESSAGE_12 = defineLayout('message head, codec 12', 'protocol.md section 6.1', [type, size]);
export const MESSAGE_13 = defineLayout('message head, codec 13', 'protocol.md section 6.1', [type, size, timestamp]);
export const MESSAGE_14 = defineLayout('message head, codec 14', 'protocol.md section 6.1', [type, size, imei]);
export const MESSAGE_15 = defineLayout('message head, codec 15', 'protocol.md section 6.1', [type, size, timestamp, imei]);

export const LAYOUTS: readonly Layout[] = [
  IMEI_HEAD,
  FRAME_HEAD,
  DATA_HEAD,
  DATA_TAIL,
  FRAME_TAIL,
  UDP_HEAD,
  AVL_HEAD,
  IO_HEAD_8,
  IO_HEAD_8E,
  IO_HEAD_16,
  COUNT_1,
  COUNT_2,
  ...ELEMENTS_8,
  ...ELEMENTS_WIDE,
  VARIABLE,
  CODEC_7_HEAD,
  CODEC_7_MASK,
  ...CODEC_7_GPS,
  MESSAGE_12,
  MESSAGE_13,
  MESSAGE_14,
  MESSAGE_15,
];
