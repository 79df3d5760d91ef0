import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Bytes } from '../../src/base/wire/index.ts';
import { fromHex, hex } from '../../src/base/wire/index.ts';
import { AckRequest, type Codec, checkOptions, FrameKind, type FrameResult, Settled, type Transport } from '../../src/codec/index.ts';
import { Feed, type FeedSettings, type FrameSnapshot, KIT_NOW } from '../../src/codec/kit/feed.ts';
import { Rows } from '../../src/out/record/rows.ts';

/**
 * Loads fixtures/<codec>/*.jsonl and registers one test a line. Unknown keys in a line are refused.
 *
 * frames.jsonl    one frame: hex (or the `text` of a text message), and the `FrameSnapshot` it must give; the received time is KIT_NOW unless the line says otherwise
 * streams.jsonl   a conversation: {"in"} bytes arrive, {"durable"} all so far is on disk, {"quiet"} the peer fell quiet,
 *                 {"out"} exactly these bytes have left since the last "out"
 * answers.jsonl   how a frame was settled, and the answer's bytes
 * commands.jsonl  a command and its bytes, and the device's reply with what it must mean
 * hostile.jsonl   chunks that once broke something; they join the kit's samples (test/codec/kit.test.ts)
 */

const transport = z.enum(['tcp', 'udp', 'sms']);
const options = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
const record = z.record(z.string(), z.unknown());
const hexText = z.string().refine((text) => fromHex(text) !== undefined, 'must be hex');

const frameLine = z.strictObject({
  id: z.string(),
  transport,
  source: z.string(),
  hex: hexText,
  needs: z.array(z.string()).optional(),
  device: z.string().optional(),
  options: options.optional(),
  received: z.number().optional(),
  expect: z.strictObject({
    type: z.enum(['login', 'records', 'heartbeat', 'reply', 'status', 'ignored', 'malformed']),
    name: z.string().optional(),
    /** The connection's identity behind this frame; not looked at when left out. */
    device: z.string().nullable().optional(),
    /** Left out: the frame must carry none. */
    records: z.array(record).optional(),
    answer: hexText.nullable(),
    reply: z.string().optional(),
    replyKey: z.number().optional(),
    reason: z.string().optional(),
    damaged: z.string().optional(),
  }),
});
export type FrameLine = z.infer<typeof frameLine>;

const streamLine = z.strictObject({
  id: z.string(),
  transport,
  source: z.string().optional(),
  options: options.optional(),
  device: z.string().optional(),
  received: z.number().optional(),
  steps: z.array(
    z.union([
      z.strictObject({ in: hexText }),
      z.strictObject({ out: hexText }),
      z.strictObject({ durable: z.literal(true) }),
      z.strictObject({ quiet: z.literal(true) }),
    ]),
  ),
});

export type StreamLine = z.infer<typeof streamLine>;

const answerLine = z.strictObject({
  id: z.string(),
  transport,
  source: z.string(),
  options: options.optional(),
  /** Frames that come first on the same connection, where the answer depends on its state. */
  needs: z.array(z.string()).optional(),
  kind: z.enum(['ignored', 'records', 'login', 'heartbeat', 'reply', 'status']),
  settled: z.enum(['stored', 'refused', 'failed']),
  rows: z.number(),
  accepted: z.number(),
  tickets: z.tuple([z.number(), z.number(), z.number()]),
  now: z.number().optional(),
  answer: hexText.nullable(),
});

const commandLine = z.strictObject({
  id: z.string(),
  transport,
  source: z.string(),
  options: options.optional(),
  needs: z.array(z.string()).optional(),
  type: z.string(),
  parameters: options,
  key: z.number(),
  now: z.number().optional(),
  /** null: this state has no such command. */
  hex: hexText.nullable(),
  reply: z.strictObject({ hex: hexText, key: z.number().optional(), text: z.string() }).optional(),
});

const hostileLine = z.strictObject({
  id: z.string(),
  transport,
  about: z.string(),
  options: options.optional(),
  chunks: z.array(hexText),
});
export type HostileLine = z.infer<typeof hostileLine>;

const ROOT = new URL('../../', import.meta.url);

/** The JSON values of a .jsonl file below the repository root, or undefined when there is no such file. */
export function readLines(path: string): unknown[] | undefined {
  const url = new URL(path, ROOT);
  if (!existsSync(url)) return undefined;
  return readFileSync(url, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line): unknown => asHex(JSON.parse(line)));
}

/** A text message is written as text, and its bytes are those of UTF-8. */
function asHex(line: unknown): unknown {
  if (typeof line !== 'object' || line === null || !('text' in line) || typeof line.text !== 'string' || !('expect' in line)) return line;
  const { text, ...rest } = line;
  return { ...rest, hex: Buffer.from(text).toString('hex') };
}

function load<T>(codec: string, file: string, schema: z.ZodType<T>): T[] {
  return (readLines(`fixtures/${codec}/${file}.jsonl`) ?? []).map((line, i) => {
    const parsed = schema.safeParse(line);
    if (!parsed.success) throw new Error(`fixtures/${codec}/${file}.jsonl line ${i + 1}: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  });
}

export function frameLines(codec: string): FrameLine[] {
  return load(codec, 'frames', frameLine);
}

export function streamLines(codec: string): StreamLine[] {
  return load(codec, 'streams', streamLine);
}

export function answerLines(codec: string): z.infer<typeof answerLine>[] {
  return load(codec, 'answers', answerLine);
}

export function commandLines(codec: string): z.infer<typeof commandLine>[] {
  return load(codec, 'commands', commandLine);
}

export function hostileLines(codec: string): HostileLine[] {
  return load(codec, 'hostile', hostileLine);
}

export function bytesOf(text: string): Bytes {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error(`not hex: ${text}`);
  return bytes;
}

/** As in the shipper, one for all: their columns are large, and nothing of a frame may be left in the next. */
const rows = new Rows();

/** A connection that also keeps the records of every frame, built as the shipper builds them. */
export class RecordFeed {
  readonly feed: Feed;
  readonly records: Record<string, unknown>[][] = [];

  constructor(codec: Codec, transport: Transport, settings: FeedSettings, received = KIT_NOW) {
    const onDecoded = (out: FrameResult, bytes: Bytes): void => {
      rows.clear();
      rows.append(out, codec, this.feed.device, received, out.rows, bytes);
      this.records.push(Array.from({ length: rows.count }, (_, row) => record.parse(JSON.parse(rows.json(row)))));
    };
    this.feed = new Feed(codec, transport, { ...settings, now: received, onDecoded });
  }
}

/** Compares a record field by field. `id`, `received` and `account` depend on the host and are left out; numbers may differ by 1e-7. */
function compareRecord(actual: Readonly<Record<string, unknown>>, expected: Readonly<Record<string, unknown>>): void {
  const problems: string[] = [];
  compareFields(strip(actual), strip(expected), '', problems);
  expect(problems, 'fields that differ').toEqual([]);
}

function strip(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { id: _id, received: _received, account: _account, ...rest } = fields;
  return rest;
}

function compareFields(actual: unknown, expected: unknown, path: string, problems: string[]): void {
  if (Object.is(actual, expected)) return;
  if (typeof actual === 'number' && typeof expected === 'number' && Math.abs(actual - expected) <= 1e-7) return;
  if (typeof actual !== 'object' || typeof expected !== 'object' || actual === null || expected === null) {
    problems.push(`${path}: got ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
    return;
  }
  const left = new Map(Object.entries(actual));
  const right = new Map(Object.entries(expected));
  for (const key of new Set([...left.keys(), ...right.keys()]))
    compareFields(left.get(key), right.get(key), path === '' ? key : `${path}.${key}`, problems);
}

/** A connection on which the frames that this line needs have come. */
export function opened(
  codec: Codec,
  byId: ReadonlyMap<string, FrameLine>,
  line: { id: string; transport: Transport; needs?: readonly string[] | undefined },
  settings: FeedSettings,
  received?: number,
): RecordFeed {
  const connection = new RecordFeed(codec, line.transport, settings, received);
  for (const id of line.needs ?? []) {
    const needed = byId.get(id);
    if (needed === undefined) throw new Error(`${line.id} needs ${id}, which is not in frames.jsonl`);
    connection.feed.push(bytesOf(needed.hex));
    connection.feed.quiet();
  }
  return connection;
}

/** Where answers and commands are encoded to: an offset is no length. */
const PLACE = 1500;

/** Registers the tests of every fixture file of a codec that exists. frames.jsonl must. */
export function fixtureTests(codec: Codec): void {
  const frames = frameLines(codec.name);
  const byId = new Map(frames.map((line) => [line.id, line]));

  describe(`${codec.name} fixtures: frames`, () => {
    it('has frames, each with an id of its own', () => {
      expect(frames.length).toBeGreaterThan(0);
      expect(byId.size).toBe(frames.length);
    });
    it.each(frames)('$id ($source)', (line) => {
      const connection = opened(codec, byId, line, settingsOf(line), line.received);
      const bytes = bytesOf(line.hex);
      const noise = connection.feed.noise;
      const got = connection.feed.push(bytes);
      // A protocol without lengths may know the end of its last frame only when nothing follows.
      if (got.length === 0) got.push(...connection.feed.quiet());
      expect(
        got.map((frame) => frame.length),
        'one frame of all the bytes',
      ).toEqual([bytes.length]);
      expect([connection.feed.pending, connection.feed.noise - noise], 'pending and noise').toEqual([0, 0]);
      const frame = got[0];
      if (frame !== undefined) checkFrame(frame, connection.records.at(-1) ?? [], line.expect);
    });
  });

  const streams = streamLines(codec.name);
  describe(`${codec.name} fixtures: streams`, () => {
    it.each(streams)('$id', (line) => {
      const connection = new RecordFeed(codec, line.transport, settingsOf(line), line.received);
      const owed: { answer: string; waits: boolean }[] = [];
      const owe = (frames: readonly FrameSnapshot[]): void => {
        for (const frame of frames)
          if (frame.answer !== null) owed.push({ answer: frame.answer, waits: frame.kind !== 'login' && frame.kind !== 'heartbeat' });
      };
      let left = '';
      line.steps.forEach((step, i) => {
        if ('in' in step) owe(connection.feed.push(bytesOf(step.in)));
        else if ('quiet' in step) owe(connection.feed.quiet());
        else if ('durable' in step) for (const answer of owed) answer.waits = false;
        while (owed[0]?.waits === false) left += owed.shift()?.answer;
        if ('out' in step) {
          expect(left, `step ${i + 1}`).toBe(hexOf(step.out));
          left = '';
        }
      });
      expect(left, 'bytes that no "out" step asked for').toBe('');
    });
  });

  const answers = answerLines(codec.name);
  describe(`${codec.name} fixtures: answers`, () => {
    it.each(answers)('$id ($source)', (line) => {
      const { feed } = opened(codec, byId, line, settingsOf(line));
      const request = new AckRequest();
      request.settled = { stored: Settled.Stored, refused: Settled.Refused, failed: Settled.Failed }[line.settled];
      request.kind = {
        ignored: FrameKind.Ignored,
        records: FrameKind.Records,
        login: FrameKind.Login,
        heartbeat: FrameKind.Heartbeat,
        reply: FrameKind.Reply,
        status: FrameKind.Status,
      }[line.kind];
      request.rows = line.rows;
      request.accepted = line.accepted;
      [request.ticketA, request.ticketB, request.ticketC] = line.tickets;
      request.now = line.now ?? KIT_NOW;
      const out = new Uint8Array(PLACE + codec.maxAnswerBytes);
      const n = codec[line.transport]?.encodeAck(request, feed.state, out, PLACE) ?? 0;
      expect(n === 0 ? null : hex(out, PLACE, PLACE + n)).toBe(line.answer === null ? null : hexOf(line.answer));
    });
  });

  const commands = commandLines(codec.name);
  describe(`${codec.name} fixtures: commands`, () => {
    it.each(commands)('$id ($source)', (line) => {
      const { feed } = opened(codec, byId, line, settingsOf(line));
      const rule = codec.commands.find((candidate) => candidate.type === line.type);
      if (rule === undefined) throw new Error(`the codec has no command ${line.type}`);
      const problems: string[] = [];
      const parameters = checkOptions(rule.parameters, line.parameters, problems);
      expect(problems, 'parameters').toEqual([]);
      const out = new Uint8Array(4096);
      const n =
        codec[line.transport]?.encodeCommand?.({ type: line.type, parameters }, line.key, feed.state, out, PLACE, line.now ?? KIT_NOW) ?? 0;
      expect(n === 0 ? null : hex(out, PLACE, PLACE + n)).toBe(line.hex === null ? null : hexOf(line.hex));
      // What can be said with one key can be with the highest.
      const command = { type: line.type, parameters };
      const highest =
        codec[line.transport]?.encodeCommand?.(command, codec.highestKey, feed.state, new Uint8Array(4096), 0, line.now ?? KIT_NOW) ?? 0;
      if (line.hex !== null) expect(highest).toBeGreaterThan(0);
      if (line.reply === undefined) return;
      const [reply] = feed.push(bytesOf(line.reply.hex));
      expect(reply?.kind).toBe('reply');
      expect(reply?.replyText).toBe(line.reply.text);
      expect(reply?.replyKey).toBe(line.reply.key ?? -1);
    });
  });
}

function checkFrame(frame: FrameSnapshot, records: readonly Record<string, unknown>[], expected: FrameLine['expect']): void {
  expect(frame.kind === 'malformed' ? `malformed ${frame.reason}` : frame.kind).toBe(
    expected.type === 'malformed' ? `malformed ${expected.reason ?? ''}` : expected.type,
  );
  if (expected.name !== undefined) expect(frame.name).toBe(expected.name);
  if (expected.device !== undefined) expect(frame.device === '' ? null : frame.device).toBe(expected.device);
  expect(records.length, 'records').toBe(expected.records?.length ?? 0);
  expected.records?.forEach((fields, i) => {
    compareRecord(records[i] ?? {}, fields);
  });
  expect(frame.answer).toBe(expected.answer === null ? null : hexOf(expected.answer));
  expect(frame.replyText).toBe(expected.reply ?? '');
  if (expected.replyKey !== undefined) expect(frame.replyKey).toBe(expected.replyKey);
  expect(frame.damaged).toBe(expected.damaged ?? '');
}

/** Settings of a line, as the feed takes them. */
export function settingsOf(line: { options?: FeedSettings['options'] | undefined; device?: string | undefined }): FeedSettings {
  return { options: line.options ?? {}, device: line.device ?? '' };
}

/** Lower case without spaces, as snapshots write it. */
function hexOf(text: string): string {
  const bytes = bytesOf(text);
  return hex(bytes, 0, bytes.length);
}
