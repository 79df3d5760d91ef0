/** Public subpath `/codec`: everything an author of a codec needs (codecs/README.md). */
export { AckRequest } from './ack-request.ts';
export type {
  Attribute,
  Codec,
  Command,
  CommandRule,
  DatagramDialect,
  Dialect,
  Note,
  OptionRule,
  Options,
  OptionValue,
  Reading,
  StreamDialect,
  Switching,
  Transport,
} from './contract.ts';
export { type CodecDefinition, defineCodec } from './define-codec.ts';
export { EVENTS, type EventName, eventIndex, eventName, isPersonalAlarm, unknownEvent } from './events.ts';
export { FRAME_KIND_NAMES, FrameKind, Settled } from './frame-kind.ts';
export { FrameResult, grown, ROW_FLAG_NAMES, RowFlag } from './frame-result.ts';
export { defineLayout, type Field, type Layout } from './layout.ts';
export { checkOptions, parseOption } from './options.ts';
export { readPosition, type TextPosition } from './position-text.ts';
export type { SimulatedDevice, SimulatedMessage, SimulatedPlace, SimulatedReport } from './simulated.ts';
export { MOST_OF_A_MESSAGE, readTextMessage, SMS, type TextMessage } from './text-message.ts';
