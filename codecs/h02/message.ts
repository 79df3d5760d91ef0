/**
 * The messages of protocol.md section 4, each with its vendor's name and how it is answered (protocol.md section 8.2). `Message` values are
 * positions in `MESSAGES`.
 */

/** How a message is answered: always echoed, confirmed with V4, as a position of its own kind, as device state, or never. */
export const Duty = { Never: 0, Echo: 1, Confirm: 2, Position: 3, State: 4 } as const;
export type Duty = (typeof Duty)[keyof typeof Duty];

export const Message = {
  Empty: 0,
  Unknown: 1,
  Downlink: 2,
  Binary: 3,
  BinaryX: 4,
  V0: 5,
  V1: 6,
  V2: 7,
  V3: 8,
  V4: 9,
  V5: 10,
  V6: 11,
  V8: 12,
  V19: 13,
  VI1: 14,
  VP1: 15,
  NBR: 16,
  LINK: 17,
  HTBT: 18,
  XT: 19,
  SMS: 20,
  ICCID: 21,
  BS: 22,
  BASE: 23,
  ALRM: 24,
  BC: 25,
} as const;
export type Message = (typeof Message)[keyof typeof Message];

/** Names as `out.name` carries them, by Message. */
export const MESSAGES: readonly string[] = [
  'empty',
  'unknown',
  'downlink',
  '$',
  'X',
  'V0',
  'V1',
  'V2',
  'V3',
  'V4',
  'V5',
  'V6',
  'V8',
  'V19',
  'VI1',
  'VP1',
  'NBR',
  'LINK',
  'HTBT',
  'XT',
  'SMS',
  'ICCID',
  'BS',
  'BASE',
  'ALRM',
  'BC',
];

const { Never, Echo, Confirm, Position, State } = Duty;
/** By Message. */
export const DUTIES: readonly Duty[] = [
  Never,
  Never,
  Never,
  Position,
  Never,
  Echo,
  Confirm,
  Position,
  Position,
  Never,
  Position,
  Position,
  Position,
  Position,
  Position,
  Position,
  Confirm,
  State,
  Echo,
  Echo,
  State,
  Echo,
  Position,
  Position,
  Position,
  Position,
];

/** Up to six characters of a message type as one number, for a table; -1 for a longer one. */
export function typeNumber(text: string): number {
  if (text.length > 6) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) value = value * 256 + text.charCodeAt(i);
  return value;
}

/** Types that only a server sends, and uplink types of which no sample is known (protocol.md section 4.13): kept, not read. */
const DOWNLINK = ['I1', 'I0', 'VI', 'R12', 'TG'];

const BY_TYPE = new Map<number, Message>([
  [0, Message.Empty],
  ...DOWNLINK.map((type): [number, Message] => [typeNumber(type), Message.Downlink]),
  ...Object.values(Message)
    .filter((message) => message >= Message.V0)
    .map((message): [number, Message] => [typeNumber(MESSAGES[message] ?? ''), message]),
]);

export function messageOf(type: number): Message {
  return BY_TYPE.get(type) ?? Message.Unknown;
}
