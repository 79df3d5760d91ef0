import { AppError } from '../base/errors.ts';
import type { Codec, DatagramDialect, OptionRule, StreamDialect } from './contract.ts';

/** Minutes that a device's clock is ahead, as the host has learned it: among the options that frames are read under. */
export const CLOCK_OFFSET = 'clock_offset';
const REPLY_MS = 60_000;
/** Names of options that would better not be stored with every frame. */
const LOOKS_SECRET = /pass|secret|token|credential|pin$|key/i;

type Defaulted =
  | 'highestKey'
  | 'options'
  | 'zoneOption'
  | 'attributePrefix'
  | 'commands'
  | 'layouts'
  | 'replies'
  | 'replyMs'
  | 'readReply'
  | 'simulated';

/** What an author writes: everything that has an obvious default may be left out. */
export type CodecDefinition<T extends object, U extends object> = Omit<Codec, 'api' | 'tcp' | 'udp' | 'sms' | Defaulted> &
  Partial<Pick<Codec, Defaulted>> & {
    readonly tcp?: StreamDialect<T>;
    readonly udp?: DatagramDialect<U>;
    readonly sms?: DatagramDialect<T>;
  };

/** The last second of a day. */
const HIGHEST_KEY = 86_399;
/** A reply is looked for by its key for twelve hours. */
const LEAST_KEYS = 43_200;

/**
 * Checks a codec's shape, fixes its property order (so that calls through it stay monomorphic) and freezes it.
 * Throws AppError CODEC_INVALID that names the codec, the field and the remedy.
 */
export function defineCodec<T extends object = object, U extends object = T>(d: CodecDefinition<T, U>): Codec {
  const wrong: Wrong = (field, remedy) => new AppError('CODEC_INVALID', `codec "${d.name}": ${field} ${remedy}`);
  checkShape(d, wrong);
  checkDialects(d, wrong);
  checkRules(d, wrong);
  checkLists(d, wrong);
  return Object.freeze({
    api: 1,
    name: d.name,
    about: d.about,
    maxFrameBytes: d.maxFrameBytes,
    maxAnswerBytes: d.maxAnswerBytes,
    replies: d.replies ?? 'none',
    highestKey: d.highestKey ?? HIGHEST_KEY,
    options: d.options ?? {},
    zoneOption: d.zoneOption ?? '',
    attributes: d.attributes,
    attributePrefix: d.attributePrefix ?? 'attr_',
    commands: d.commands ?? [],
    replyMs: d.replyMs ?? REPLY_MS,
    readReply: d.readReply,
    layouts: d.layouts ?? [],
    messages: d.messages,
    reasons: d.reasons,
    recognise: d.recognise,
    // The state type is private to the codec and widened here: sound, because the host only ever hands a dialect the
    // object that its own `open` returned.
    tcp: d.tcp === undefined ? undefined : Object.freeze(d.tcp),
    udp: d.udp === undefined ? undefined : Object.freeze(d.udp),
    sms: d.sms === undefined ? undefined : Object.freeze(d.sms),
    simulated: d.simulated,
  });
}

type Wrong = (field: string, remedy: string) => AppError;

function checkShape<T extends object, U extends object>(d: CodecDefinition<T, U>, wrong: Wrong): void {
  if (typeof d.name !== 'string' || !/^[a-z][a-z0-9-]{0,15}$/.test(d.name))
    throw wrong('name', 'must be 1 to 16 lower-case letters, digits or dashes, beginning with a letter');
  if (!Number.isInteger(d.maxFrameBytes) || d.maxFrameBytes < 1 || d.maxFrameBytes > 1 << 20)
    throw wrong('maxFrameBytes', 'must be a whole number from 1 to 1048576');
  if (!Number.isInteger(d.maxAnswerBytes) || d.maxAnswerBytes < 0 || d.maxAnswerBytes > 4096)
    throw wrong('maxAnswerBytes', 'must be a whole number from 0 to 4096');
  if (d.highestKey !== undefined && !(Number.isInteger(d.highestKey) && d.highestKey >= LEAST_KEYS && d.highestKey <= HIGHEST_KEY))
    throw wrong('highestKey', `must be a whole number from ${LEAST_KEYS} to ${HIGHEST_KEY}`);
  if (d.tcp === undefined && d.udp === undefined) throw wrong('tcp, udp', 'must hold at least one dialect');
  if (d.simulated !== undefined && typeof d.simulated !== 'function') throw wrong('simulated', 'must be a function of (n, transport)');
  if (typeof d.recognise !== 'function') throw wrong('recognise', 'must be a function of (bytes, start, end)');
}

function checkDialects<T extends object, U extends object>(d: CodecDefinition<T, U>, wrong: Wrong): void {
  if (d.tcp !== undefined && typeof d.tcp.frame !== 'function') throw wrong('tcp.frame', 'must be a function: a stream needs frames');
  for (const [transport, dialect] of [
    ['tcp', d.tcp],
    ['udp', d.udp],
    ['sms', d.sms],
  ] as const) {
    if (dialect === undefined) continue;
    for (const call of ['open', 'decode', 'encodeAck'] as const)
      if (typeof dialect[call] !== 'function') throw wrong(`${transport}.${call}`, 'must be a function');
    for (const call of ['adopt', 'describeMemo'] as const)
      if (dialect[call] !== undefined && dialect.memo === undefined) throw wrong(`${transport}.${call}`, 'needs memo beside it');
  }
}

function checkRules<T extends object, U extends object>(d: CodecDefinition<T, U>, wrong: Wrong): void {
  for (const [key, rule] of Object.entries(d.options ?? {})) {
    if (!fits(rule)) throw wrong(`options.${key}.fallback`, `must be given and be a ${rule.type}`);
    if (rule.secret === undefined && LOOKS_SECRET.test(key))
      throw wrong(`options.${key}.secret`, 'must be given for a name like this: true keeps its value out of the journal');
  }
  if (Object.hasOwn(d.options ?? {}, CLOCK_OFFSET)) throw wrong(`options.${CLOCK_OFFSET}`, 'is a name of the host; take another');
  if (d.zoneOption !== undefined && d.zoneOption !== '' && !Object.hasOwn(d.options ?? {}, d.zoneOption))
    throw wrong('zoneOption', 'must name one of the options');
}

function checkLists<T extends object, U extends object>(d: CodecDefinition<T, U>, wrong: Wrong): void {
  if (!(d.attributes instanceof Map)) throw wrong('attributes', 'must be a Map of ids to { name, type, … }');
  for (const [id, attribute] of d.attributes)
    if (!/^[a-z][a-z0-9_]*$/.test(attribute.name)) throw wrong(`attributes ${id}`, `name "${attribute.name}" must be snake_case`);
  for (const list of ['messages', 'reasons'] as const)
    if (!Array.isArray(d[list])) throw wrong(list, 'must list the strings that decode uses');
  if (d.replyMs !== undefined && !(d.replyMs >= 1000 && d.replyMs <= 600_000)) throw wrong('replyMs', 'must be from 1000 to 600000');
  const encodes = d.tcp?.encodeCommand !== undefined || d.udp?.encodeCommand !== undefined;
  if (encodes !== (d.commands ?? []).length > 0) throw wrong('commands', 'must list exactly what encodeCommand can encode');
}

function fits(rule: OptionRule): boolean {
  return typeof rule.fallback === rule.type;
}
