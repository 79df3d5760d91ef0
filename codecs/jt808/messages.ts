import { Form } from './answer.ts';

/** Messages that devices send (protocol.md section 5.2): name, and what answers them. */
const ROWS: ReadonlyArray<readonly [id: number, name: string, form: Form]> = [
  [0x0001, 'universal-reply', Form.None],
  [0x0002, 'heartbeat', Form.Universal],
  [0x0003, 'logout', Form.Universal],
  [0x0004, 'time-request', Form.Time],
  [0x0005, 'packages-wanted', Form.None],
  [0x0100, 'register', Form.Register],
  [0x0102, 'authenticate', Form.Universal],
  [0x0104, 'parameters', Form.Universal],
  [0x0107, 'attributes', Form.Universal],
  [0x0108, 'upgrade-result', Form.Universal],
  [0x0109, 'time-request-vendor', Form.TimeVendor],
  [0x0200, 'location', Form.Universal],
  [0x0201, 'location-reply', Form.Universal],
  [0x0210, 'batch-vendor', Form.Universal],
  [0x0301, 'event-report', Form.Universal],
  [0x0302, 'answer-report', Form.Universal],
  [0x0303, 'information-request', Form.Universal],
  [0x0500, 'vehicle-reply', Form.Universal],
  [0x0506, 'heartbeat-vendor', Form.Universal],
  [0x0700, 'recorder-data', Form.Universal],
  [0x0701, 'waybill', Form.Universal],
  [0x0702, 'driver-card', Form.Universal],
  [0x0704, 'batch', Form.Universal],
  [0x0705, 'can-data', Form.Universal],
  [0x0800, 'media-event', Form.Universal],
  [0x0801, 'media', Form.Universal],
  [0x0802, 'media-search', Form.Universal],
  [0x0805, 'photograph-reply', Form.Universal],
  [0x0900, 'pass-through', Form.Universal],
  [0x0901, 'compressed', Form.Universal],
  [0x1007, 'zone-sync', Form.Universal],
  [0x1300, 'text-reply-utf16', Form.Universal],
  [0x2070, 'acceleration', Form.Universal],
  [0x5501, 'lock-location', Form.None],
  [0x5502, 'lock-blind-area', Form.None],
  [0x6006, 'text-reply', Form.Universal],
  [0x8888, 'keep-alive', Form.Universal],
];

/** By id: the row, + 1. */
const ROW_OF = new Uint8Array(0x10000);
ROWS.forEach(([id], k) => {
  ROW_OF[id] = k + 1;
});

export function nameOf(id: number): string {
  return ROWS[ROW_OF[id]! - 1]?.[1] ?? 'unknown';
}

/** Every message of a device is answered, known or not: it is stored. Echoes of messages of ours are not. */
export function formOf(id: number): Form {
  return ROWS[ROW_OF[id]! - 1]?.[2] ?? (id < 0x8000 || (id >= 0xe000 && id <= 0xefff) ? Form.Unknown : Form.None);
}

export const MESSAGES: readonly string[] = [...new Set([...ROWS.map((row) => row[1]), 'fragment', 'sentence', 'unknown'])];
