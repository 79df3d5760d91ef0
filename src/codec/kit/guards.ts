import { messageOf } from '../../base/errors.ts';
import type { Bytes } from '../../base/wire/bytes.ts';
import {
  AckRequest,
  type Codec,
  type Command,
  type DatagramDialect,
  type Dialect,
  FRAME_KIND_NAMES,
  FrameKind,
  type FrameResult,
  type OptionRule,
  type OptionValue,
  Settled,
  type StreamDialect,
  type Transport,
} from '../index.ts';
import { COMMAND_ROOM, KIT_NOW, kitOptions } from './feed.ts';

/** A codec whose verdicts are checked against the contract, room that shows what leaves it, and commands at the edges of their rules. */

const GUARD = 64;

export interface Watch {
  problem: string;
}

/** The codec with its frame and salvage verdicts checked against the contract. */
export function watched(codec: Codec, watch: Watch): Codec {
  const { tcp, udp, sms } = codec;
  return {
    ...codec,
    tcp: tcp && watchedStream(tcp, watch),
    udp: udp && watchedDatagram(udp, watch),
    sms: sms && watchedDatagram(sms, watch),
  };
}

function watchedStream(dialect: StreamDialect, watch: Watch): StreamDialect {
  return {
    ...watchedCalls(dialect),
    frame: (bytes, start, end, state) => judged(dialect.frame(bytes, start, end, state), end - start, watch),
    salvage: (bytes, start, end, state) => {
      const n = dialect.salvage?.(bytes, start, end, state) ?? 0;
      if (!Number.isInteger(n) || n < 0 || n > end - start) watch.problem = `salvage gives ${n} of ${end - start} bytes`;
      return n;
    },
  };
}

function watchedDatagram(dialect: DatagramDialect, watch: Watch): DatagramDialect {
  const { frame } = dialect;
  if (frame === undefined) return dialect;
  return {
    ...watchedCalls(dialect),
    frame: (bytes, start, end, state) => judged(frame.call(dialect, bytes, start, end, state), end - start, watch),
  };
}

function watchedCalls(dialect: Dialect): Dialect {
  return {
    open: (options, memo) => dialect.open(options, memo),
    memo: (state) => dialect.memo?.(state) ?? 0,
    decode: (bytes, start, end, state, out) => dialect.decode(bytes, start, end, state, out),
    encodeAck: (request, state, out, at) => dialect.encodeAck(request, state, out, at),
  };
}

function judged(n: number, available: number, watch: Watch): number {
  if (!Number.isInteger(n)) watch.problem = `frame gives ${n}`;
  else if (-n > available) watch.problem = `frame drops ${-n} bytes of ${available}`;
  return n;
}

/** A command stays inside its room whatever the key is, and what can be said with one key can be with each up to the highest. */
export function carriageProblem(codec: Codec, dialect: Dialect, command: Command): string {
  const lengths: number[] = [];
  for (const key of [1, codec.highestKey, 0x7fffffff]) {
    const state = dialect.open(kitOptions(codec, undefined), 0);
    const problem = outside(COMMAND_ROOM, (bytes, at) => {
      const length = dialect.encodeCommand?.(command, key, state, bytes, at, KIT_NOW) ?? 0;
      lengths.push(length);
      return length;
    });
    if (problem !== '') return problem;
  }
  const [first = 0, highest = 0] = lengths;
  return first > 0 && highest === 0 ? `cannot carry the key ${codec.highestKey}, the highestKey` : '';
}

/** Writes into guarded room; says what left it. Twice with different guards, so that a write of the guard's own value shows. */
function outside(room: number, encode: (bytes: Bytes, at: number) => number): string {
  for (const guard of [0xc7, 0x38]) {
    const bytes = new Uint8Array(GUARD + room + GUARD).fill(guard);
    let n: number;
    try {
      n = encode(bytes, GUARD);
    } catch (error) {
      return `throws: ${messageOf(error)}`;
    }
    if (!Number.isInteger(n) || n < 0) return `length ${n}`;
    if (n > room) return `${n} bytes where ${room} fit`;
    for (let p = 0; p < bytes.length; p++)
      if ((p < GUARD || p >= GUARD + room) && bytes[p] !== guard) return `writes at ${p - GUARD} of ${room}`;
  }
  return '';
}

/** Parameters at the edges of their rules, one varied at a time. */
export function commandsOf(type: string, rules: Readonly<Record<string, OptionRule>>): Command[] {
  const values = Object.entries(rules).map(([name, rule]) => ({ name, values: edgesOf(rule) }));
  const plain: Record<string, OptionValue> = {};
  for (const { name, values: edges } of values) plain[name] = edges[0] ?? '';
  const commands: Command[] = [{ type, parameters: plain }];
  for (const { name, values: edges } of values)
    for (const value of edges.slice(1)) commands.push({ type, parameters: { ...plain, [name]: value } });
  return commands;
}

function edgesOf(rule: OptionRule): OptionValue[] {
  const first = rule.fallback === undefined ? [] : [rule.fallback];
  if (rule.type === 'boolean') return [...first, false, true];
  if (rule.type === 'number') return [...first, rule.min ?? 0, rule.max ?? 0x7fffffff];
  return [...first, ...(rule.oneOf ?? ['A', 'A'.repeat(200)])];
}

/** The answer to one decoded frame, settled in every way; '' when all stay in their room. */
export function unfitAnswer(codec: Codec, transport: Transport, out: FrameResult, state: object): string {
  const dialect: Dialect | undefined = codec[transport];
  if (dialect === undefined || out.kind === FrameKind.Malformed) return '';
  const room = codec.maxAnswerBytes;
  const request = new AckRequest();
  for (const [how, settled, accepted] of [
    ['stored', Settled.Stored, out.rows],
    ['stored in part', Settled.Stored, out.rows >> 1],
    ['refused', Settled.Refused, 0],
    ['failed', Settled.Failed, 0],
  ] as const) {
    request.settled = settled;
    request.kind = out.kind;
    request.rows = out.rows;
    request.accepted = accepted;
    request.ticketA = out.ticketA;
    request.ticketB = out.ticketB;
    request.ticketC = out.ticketC;
    request.now = KIT_NOW;
    const problem = outside(room, (bytes, at) => dialect.encodeAck(request, state, bytes, at));
    if (problem !== '') return `answer to ${FRAME_KIND_NAMES[out.kind]} ${out.name}, ${how}: ${problem}`;
  }
  return '';
}
