import { describe, expect, it } from 'vitest';
import { Form as Gt06Form } from '../../codecs/gt06/answer.ts';
import { LONG, NAMES, Plain } from '../../codecs/gt06/messages.ts';
import { BINARY_LENGTHS } from '../../codecs/h02/state.ts';
import { Form as Jt808Form } from '../../codecs/jt808/answer.ts';
import { nameOf } from '../../codecs/jt808/messages.ts';
import { EVT_GB100, EVT_OTHERS, RSP } from '../../codecs/queclink/binary.ts';
import type { Bytes } from '../../src/base/wire/index.ts';
import { BUILTIN_CODECS } from '../../src/codec/builtin.ts';
import type { Codec, Transport } from '../../src/codec/index.ts';
import type { FrameSnapshot } from '../../src/codec/kit/index.ts';
import { answerLines, bytesOf, commandLines, type FrameLine, frameLines, opened, settingsOf, streamLines } from '../helpers/fixtures.ts';

/**
 * fixtures/ alone holds what each codec can do: every message, every dialect and every kind of answer that a codec lists has a frame there.
 * Reading the frames is the business of fixtureTests; here is only counted what they are.
 */

interface Seen {
  readonly line: FrameLine;
  readonly bytes: Bytes;
  readonly frame: FrameSnapshot;
  /** What the connection has learned behind the frame. */
  readonly learned: Readonly<Record<string, string>>;
}

/** One list of a codec: its entries, the entry or entries that a frame stands for, and those of a ticket. */
interface List {
  readonly about: string;
  readonly listed: readonly string[];
  readonly of?: (seen: Seen) => readonly string[];
  readonly ofTicket?: (ticketA: number) => readonly string[];
  /** A frame that is refused counts, too. */
  readonly refused?: boolean;
}

const hex = (n: number, width: number): string => n.toString(16).toUpperCase().padStart(width, '0');
const numbersTo = (n: number): number[] => Array.from({ length: n }, (_, number) => number);

/** Names of the entries of a table of numbers. */
function formName(forms: Readonly<Record<string, number>>, value: number): string[] {
  return Object.keys(forms).filter((name) => forms[name] === value);
}

/** What answers are, by how they look. A line of answers.jsonl counts as well as a frame. */
const ANSWERS: Readonly<Record<string, ReadonlyArray<readonly [kind: string, transport: Transport, form: RegExp]>>> = {
  teltonika: [
    ['login accepted', 'tcp', /^01$/],
    ['login refused', 'tcp', /^00$/],
    ['count of records', 'tcp', /^0000(?!0000)....$/],
    ['no record accepted', 'tcp', /^00000000$/],
    ['count of records by datagram', 'udp', /^0005....01....$/],
    ['the same with an acknowledgement of the channel', 'udp', /^0005....01....0003....02$/],
  ],
  h02: [
    ['echo', 'tcp', /^2a(..)+2c(5630|48544254|585[34]|4943434944)23$/],
    ['V4', 'tcp', /^2a(..)+2c56342c(..)+23$/],
    ['R12', 'tcp', /^2a(..)+2c5231322c(..)+23$/],
  ],
  queclink: [
    ['receipt', 'tcp', /^2b5341434b3a(..){4}24$/],
    ['heartbeat', 'tcp', /^2b5341434b3a47544842442c(..)+2c(..){4}24$/],
    ['heartbeat without a version', 'tcp', /^2b5341434b3a47544842442c2c(..){4}24$/],
  ],
};

/** The lists that only one protocol has. */
const OWN: Readonly<Record<string, readonly List[]>> = {
  gt06: [
    {
      about: 'message number',
      listed: numbersTo(256).flatMap((n) => (NAMES[n] === '' ? [] : [hex(n, 2)])),
      of: ({ bytes }) => (bytes[0] === 0x78 || bytes[0] === 0x79 ? [hex(gt06Number(bytes), 2)] : []),
    },
    {
      about: 'message number answered in a long frame',
      listed: numbersTo(256).flatMap((n) => (LONG[n] === Plain.None || NAMES[n] === '' ? [] : [hex(n, 2)])),
      of: ({ bytes }) => (bytes[0] === 0x79 ? [hex(gt06Number(bytes), 2)] : []),
    },
    {
      about: 'form of an answer',
      listed: Object.keys(Gt06Form),
      ofTicket: (ticketA) => formName(Gt06Form, Math.floor(ticketA / 0x1000000)),
    },
    { about: 'dialect', listed: ['topin'], of: ({ learned }) => [learned['dialect'] ?? ''] },
  ],
  jt808: [
    {
      about: 'message id',
      listed: numbersTo(0x10000).flatMap((id) => (nameOf(id) === 'unknown' ? [] : [hex(id, 4)])),
      of: ({ bytes }) => [hex(((bytes[1] ?? 0) << 8) | (bytes[2] ?? 0), 4)],
    },
    {
      about: 'form of an answer',
      listed: Object.keys(Jt808Form),
      ofTicket: (ticketA) => formName(Jt808Form, Math.floor(ticketA / 0x40000000000)),
    },
    {
      about: 'header',
      listed: ['2013', '2019', 'E7', 'sentence'],
      of: ({ bytes }) => [bytes[0] === 0x28 ? 'sentence' : bytes[0] === 0xe7 ? 'E7' : ((bytes[3] ?? 0) & 0x40) !== 0 ? '2019' : '2013'],
    },
  ],
  h02: [
    {
      about: 'bytes of a binary frame',
      listed: [...BINARY_LENGTHS, 42].map(String),
      of: ({ bytes, frame }) => (bytes[0] === 0x24 && frame.kind !== 'malformed' ? [String(bytes.length)] : []),
    },
  ],
  queclink: [
    { about: 'binary report', listed: Object.keys(RSP), of: ({ bytes }) => binaryTypes(bytes, '+RSP') },
    {
      about: 'binary event of a GB100',
      listed: Object.keys(EVT_GB100).filter((type) => !(type in EVT_OTHERS)),
      of: ({ bytes }) => (bytes[11] === 0x45 ? binaryTypes(bytes, '+EVT') : []),
    },
    { about: 'binary event', listed: Object.keys(EVT_OTHERS), of: ({ bytes }) => binaryTypes(bytes, '+EVT') },
  ],
};

function binaryTypes(bytes: Bytes, header: string): string[] {
  return Buffer.from(bytes.subarray(0, 4)).toString('latin1') === header ? [String(bytes[4])] : [];
}

function gt06Number(bytes: Bytes): number {
  return bytes[bytes[0] === 0x79 ? 4 : 3] ?? 0;
}

/** Reasons of frames that no `frame` and no datagram gives: stored bytes that are none. */
const NEVER_CUT: ReadonlySet<string> = new Set(['h02 bad_header', 'queclink no_frame']);

/** The lists that every codec has. */
function common(codec: Codec): List[] {
  return [
    { about: 'message', listed: codec.messages, of: ({ frame }) => [frame.name] },
    {
      about: 'reason',
      listed: codec.reasons.filter((reason) => !NEVER_CUT.has(`${codec.name} ${reason}`)),
      of: ({ frame }) => [frame.reason, frame.damaged],
      refused: true,
    },
    {
      about: 'transport',
      listed: (['tcp', 'udp', 'sms'] as const).filter((transport) => codec[transport] !== undefined),
      of: ({ line }) => [line.transport],
    },
    // Values of an option are dialects: of what devices say, given or learned.
    ...Object.entries(codec.options).flatMap(([name, { oneOf = [], fallback, decodes }]): List[] =>
      oneOf.length === 0 || decodes === false
        ? []
        : [
            {
              about: `option ${name}`,
              listed: oneOf,
              of: ({ line, learned }) => [String(line.options?.[name] ?? learned[name] ?? fallback)],
              refused: true,
            },
          ],
    ),
  ];
}

function seenOf(codec: Codec): Seen[] {
  const lines = frameLines(codec.name);
  const byId = new Map(lines.map((line) => [line.id, line]));
  return lines.flatMap((line) => {
    const { feed } = opened(codec, byId, line, settingsOf(line), line.received);
    const bytes = bytesOf(line.hex);
    const frames = feed.push(bytes);
    if (frames.length === 0) frames.push(...feed.quiet());
    const dialect = codec[line.transport];
    const learned = dialect?.describeMemo?.(dialect.memo?.(feed.state) ?? 0) ?? {};
    return frames.map((frame) => ({ line, bytes, frame, learned }));
  });
}

describe('fixtures are complete', () => {
  it.each(BUILTIN_CODECS.map((codec) => [codec.name, codec] as const))('of %s', (name, codec) => {
    const seen = seenOf(codec);
    const tickets = [...seen.map(({ frame }) => frame.tickets[0]), ...answerLines(name).map((line) => line.tickets[0])];
    const read = seen.filter(({ frame }) => frame.kind !== 'malformed');
    const missing = [...common(codec), ...(OWN[name] ?? [])].flatMap(({ about, listed, of, ofTicket, refused }) => {
      const found = new Set(of === undefined ? [] : (refused === true ? seen : read).flatMap(of));
      if (ofTicket !== undefined) for (const ticket of tickets) for (const entry of ofTicket(ticket)) found.add(entry);
      return listed.filter((entry) => !found.has(entry)).map((entry) => `${about} ${entry}`);
    });
    expect(
      missing,
      `fixtures/${name}/frames.jsonl has no line of these (an answer that needs a command before it: answers.jsonl); see fixtures/README.md`,
    ).toEqual([]);
  });

  it('every codec has its kinds of answers listed here', () => {
    const without = BUILTIN_CODECS.filter(({ name }) => !(name in ANSWERS) && !OWN[name]?.some(({ ofTicket }) => ofTicket !== undefined));
    expect(without.map(({ name }) => name)).toEqual([]);
  });

  it.each(Object.entries(ANSWERS))('kinds of answers of %s', (name, kinds) => {
    const given = [...answerLines(name), ...frameLines(name).map((line) => ({ transport: line.transport, answer: line.expect.answer }))];
    const missing = kinds.filter(([, on, form]) => !given.some(({ transport, answer }) => transport === on && form.test(answer ?? '')));
    expect(
      missing.map(([kind]) => kind),
      `fixtures/${name}/answers.jsonl and frames.jsonl have no such answer`,
    ).toEqual([]);
  });

  it.each(BUILTIN_CODECS.map((codec) => [codec.name, codec] as const))('settings of answers and commands of %s', (name, codec) => {
    const lines = [...frameLines(name), ...answerLines(name), ...streamLines(name), ...commandLines(name)];
    const missing = Object.entries(codec.options).flatMap(([option, { oneOf, type, fallback, decodes }]) => {
      if (decodes !== false) return [];
      const given = new Set(lines.map((line) => String(line.options?.[option] ?? fallback)));
      const values = oneOf ?? (type === 'boolean' ? ['true', 'false'] : []);
      return values.filter((value) => !given.has(value)).map((value) => `${option}: ${value}`);
    });
    expect(missing, `no line of fixtures/${name}/ has these options`).toEqual([]);
  });
});
