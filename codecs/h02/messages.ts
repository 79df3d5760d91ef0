/** The messages of protocol.md section 4: numbers of ours, the vendor's names, and how each is answered (protocol.md section 8.2). */

/** How a message is answered: always echoed, confirmed with V4, as a position of its own kind, as device state, or never. */
export const Duty = { Never: 0, Echo: 1, Confirm: 2, Position: 3, State: 4 } as const;
export type Duty = (typeof Duty)[keyof typeof Duty];
const { Never, Echo, Confirm, Position, State } = Duty;

/** From 0 on without a gap: positions in `MESSAGES` and `DUTIES`. */
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

const ROWS: Readonly<Record<Message, readonly [name: string, duty: Duty]>> = {
  [Message.Empty]: ['empty', Never],
  [Message.Unknown]: ['unknown', Never],
  [Message.Downlink]: ['downlink', Never],
  [Message.Binary]: ['$', Position],
  [Message.BinaryX]: ['X', Never],
  [Message.V0]: ['V0', Echo],
  [Message.V1]: ['V1', Confirm],
  [Message.V2]: ['V2', Position],
  [Message.V3]: ['V3', Position],
  [Message.V4]: ['V4', Never],
  [Message.V5]: ['V5', Position],
  [Message.V6]: ['V6', Position],
  [Message.V8]: ['V8', Position],
  [Message.V19]: ['V19', Position],
  [Message.VI1]: ['VI1', Position],
  [Message.VP1]: ['VP1', Position],
  [Message.NBR]: ['NBR', Confirm],
  [Message.LINK]: ['LINK', State],
  [Message.HTBT]: ['HTBT', Echo],
  [Message.XT]: ['XT', Echo],
  [Message.SMS]: ['SMS', State],
  [Message.ICCID]: ['ICCID', Echo],
  [Message.BS]: ['BS', Position],
  [Message.BASE]: ['BASE', Position],
  [Message.ALRM]: ['ALRM', Position],
  [Message.BC]: ['BC', Position],
};

/** Names as `out.name` carries them, by Message. */
export const MESSAGES: readonly string[] = Object.values(ROWS).map(([name]) => name);
/** By Message. */
export const DUTIES: readonly Duty[] = Object.values(ROWS).map(([, duty]) => duty);

/** Up to six characters of a message type as one number, for a table; -1 for a longer one. */
export function typeNumber(text: string): number {
  if (text.length > 6) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) value = value * 256 + text.charCodeAt(i);
  return value;
}

/** Types that only a server sends (protocol.md section 4.13): ignored. */
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
