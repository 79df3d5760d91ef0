/**
 * Message numbers with the vendor's names (protocol.md section 5), and whether the message is answered plainly.
 *
 * | answer | |
 * |---|---|
 * | 0 | none |
 * | 1 | short frame, same number, same serial, no content |
 * | 2 | the same as a long frame |
 * | 3 | only when the option `acknowledge` is `all`: short |
 */
export const Plain = { None: 0, Short: 1, Long: 2, Optional: 3 } as const;
export type Plain = (typeof Plain)[keyof typeof Plain];

const ROWS: ReadonlyArray<readonly [number: number, name: string, short: Plain, long: Plain]> = [
  [0x01, 'login', 1, 0],
  [0x08, 'keep-alive', 1, 0],
  [0x10, 'gps', 3, 0],
  [0x11, 'lbs', 3, 0],
  [0x12, 'location', 3, 0],
  [0x13, 'heartbeat', 1, 2],
  [0x14, 'satellites', 0, 0],
  [0x15, 'command-reply', 0, 0],
  [0x16, 'alarm', 1, 2],
  [0x17, 'address-request-lbs', 0, 0],
  [0x18, 'lbs-multi', 3, 0],
  [0x19, 'lbs-alarm', 1, 2],
  [0x1a, 'address-request', 0, 0],
  [0x1b, 'lbs-query', 1, 0],
  [0x1e, 'gps-lbs-multi', 1, 0],
  [0x1f, 'unknown-1f', 1, 0],
  [0x21, 'command-reply', 0, 0],
  [0x22, 'location', 3, 0],
  [0x23, 'heartbeat', 1, 2],
  [0x24, 'lbs-or-power', 1, 0],
  [0x25, 'location-driver', 1, 0],
  [0x26, 'alarm', 1, 2],
  [0x27, 'alarm-fence', 1, 2],
  [0x28, 'lbs-multi', 3, 0],
  [0x29, 'heartbeat', 1, 2],
  [0x2a, 'address-request', 0, 0],
  [0x2c, 'lbs-wifi', 3, 0],
  [0x2d, 'location', 1, 2],
  [0x2e, 'lbs-multi', 1, 2],
  [0x31, 'location', 1, 0],
  [0x32, 'location', 1, 2],
  [0x33, 'alarm', 1, 2],
  [0x34, 'location', 1, 0],
  [0x35, 'photo-info', 0, 0],
  [0x36, 'heartbeat', 1, 2],
  [0x37, 'location-modules', 1, 0],
  [0x38, 'location-modules', 1, 1],
  [0x39, 'alarm-modules', 1, 1],
  [0x40, 'battery', 1, 1],
  [0x41, 'multimedia', 1, 2],
  [0x57, 'settings', 0, 0],
  [0x61, 'ibutton', 1, 0],
  [0x65, 'obd-trouble', 1, 0],
  [0x66, 'obd-data', 1, 0],
  [0x69, 'wifi', 1, 0],
  [0x70, 'modular', 0, 0],
  [0x80, 'command', 0, 0],
  [0x81, 'command-reply', 0, 0],
  [0x82, 'command', 0, 0],
  [0x84, 'empty', 0, 0],
  [0x8a, 'time-request', 0, 0],
  [0x8b, 'agps-request', 0, 0],
  [0x8c, 'obd', 1, 0],
  [0x8d, 'file', 1, 0],
  [0x8e, 'obd', 1, 0],
  [0x90, 'file', 0, 0],
  [0x94, 'information', 0, 0],
  [0x95, 'camera-event', 1, 0],
  [0x98, 'device-information', 0, 0],
  [0x9b, 'external-device', 0, 0],
  [0x9c, 'external-module', 0, 0],
  [0xa0, 'location-4g', 3, 0],
  [0xa1, 'lbs-multi-4g', 3, 0],
  [0xa2, 'lbs-wifi-4g', 3, 0],
  [0xa3, 'alarm-4g', 1, 2],
  [0xa4, 'alarm-fence-4g', 1, 2],
  [0xa5, 'lbs-alarm-4g', 1, 2],
  [0xa7, 'address-request-4g', 0, 0],
  [0xa9, 'wifi-alarm', 1, 1],
  [0xb0, 'attendance', 1, 0],
  [0xb2, 'beacon', 1, 0],
  [0xc3, 'wifi', 1, 0],
  [0xf1, 'device-status', 1, 1],
  [0xf2, 'peripherals', 1, 1],
  [0xf3, 'wifi', 1, 0],
  [0xfd, 'version', 0, 0],
];

/** Names by number; '' for a number that the document does not list. */
export const NAMES: readonly string[] = Array.from({ length: 256 }, (_, n) => ROWS.find((row) => row[0] === n)?.[1] ?? '');
/** Plain answers by number. A number that is not listed: short frames are answered, long ones are not. */
export const SHORT: Uint8Array = Uint8Array.from({ length: 256 }, (_, n) => ROWS.find((row) => row[0] === n)?.[2] ?? Plain.Short);
export const LONG: Uint8Array = Uint8Array.from({ length: 256 }, (_, n) => ROWS.find((row) => row[0] === n)?.[3] ?? Plain.None);

export const TEXT_MESSAGE = 'text_message';

export const MESSAGES: readonly string[] = [
  TEXT_MESSAGE,
  ...new Set([...ROWS.map((row) => row[1]), 'photo-data', 'wifi', 'gps-fix', 'status', 'unknown']),
];
