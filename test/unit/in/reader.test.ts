import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { AckRequest, defineCodec, FrameKind, FrameResult, Settled } from '../../../src/codec/index.ts';
import { Reader } from '../../../src/in/session/reader.ts';
import toy, { toyDefinition, toyDialect, toyFixes } from '../../helpers/toy-codec.ts';

/** 3, in src/in/session/reader.ts. */

let logged: object[];
const log = { ...silentLog, error: (fields: object) => void logged.push(fields) };
beforeEach(() => {
  logged = [];
});

const broken = (): never => {
  throw new Error('a defect of a codec');
};
const throwing = defineCodec({
  ...toyDefinition,
  tcp: {
    ...toyDialect,
    decode: broken,
    encodeAck: broken,
    encodeCommand: broken,
    adopt: broken,
    reopen: broken,
    describeMemo: broken,
    guessesAcks: broken,
  },
});
const { open, frame, decode, encodeAck } = toyDialect;
/** What a dialect must have. */
const plain = defineCodec({ ...toyDefinition, tcp: { open, frame, decode, encodeAck } });
const ROOM = new Uint8Array(100);
const LOGIN = Object.assign(new AckRequest(), { kind: FrameKind.Login, settled: Settled.Stored });

const ASKED: readonly (readonly [what: string, ask: (reader: Reader) => unknown, whenItThrows: unknown, whenItHasNone: unknown])[] = [
  ['an answer', (reader) => reader.encodeAck(LOGIN, ROOM, 0), 0, 6],
  ['a command', (reader) => reader.encodeCommand('locate', {}, 1, ROOM, 0), 0, 0],
  ['whether it takes up a memo', (reader) => reader.adopt(1), false, true],
  ['what lasts of a memo', (reader) => reader.durablePart(1), undefined, 0],
  ['what a memo means', (reader) => reader.describe(1), undefined, undefined],
  ['whether a device may not wait', (reader) => reader.guessesAcks, true, false],
  ['whether it adopts', (reader) => reader.adopts, true, false],
  [
    'to go on under other options',
    (reader) => reader.reopened({ integrity: 'count' }).options,
    { integrity: 'count' },
    { integrity: 'count' },
  ],
];

describe('of a codec that throws, or that has no more than it must,', () => {
  it.each(ASKED)('%s is asked', (what, ask, whenItThrows, whenItHasNone) => {
    expect(ask(new Reader(throwing, 'tcp', {}, log))).toEqual(whenItThrows);
    expect(logged).toEqual(what === 'whether it adopts' ? [] : [{ codec: 'toy', stack: expect.stringContaining('a defect of a codec') }]);
    expect(ask(new Reader(plain, 'tcp', {}, log))).toEqual(whenItHasNone);
    expect(logged).toHaveLength(what === 'whether it adopts' ? 0 : 1);
  });

  it('a frame is malformed, and nothing is left of the one before', () => {
    const out = new FrameResult();
    const bytes = toyFixes(2, 3);
    new Reader(toy, 'tcp', {}, log).decode(bytes, 0, bytes.length, out);
    expect([out.kind, out.rows]).toEqual([FrameKind.Records, 3]);
    new Reader(throwing, 'tcp', {}, log).decode(bytes, 0, bytes.length, out);
    expect([out.kind, out.rows, out.reason]).toEqual([FrameKind.Malformed, 0, 'codec_error']);
  });

  it('a memo of nothing is not taken up', () => {
    expect(new Reader(throwing, 'tcp', {}, log).adopt(0)).toBe(true);
    expect(logged).toEqual([]);
  });
});

describe('a reader', () => {
  it('goes on under other options with what it has learned, and is wound back to a memo', () => {
    const reader = new Reader(toy, 'tcp', {}, log);
    expect([reader.adopt(1), reader.memo()]).toEqual([true, 1]);
    const next = reader.reopened({ integrity: 'count' });
    expect([next.memo(), next.state]).toEqual([1, expect.objectContaining({ count: true })]);
    next.rewind(0);
    expect([next.memo(), reader.memo()]).toEqual([0, 1]);
    const reopening = defineCodec({ ...toyDefinition, tcp: { ...toyDialect, reopen: (options) => open(options, 0) } });
    const fresh = new Reader(reopening, 'tcp', {}, log);
    fresh.adopt(1);
    expect(fresh.reopened({}).memo()).toBe(0);
  });

  it('is none where the codec does not speak the transport', () => {
    expect(() => new Reader(plain, 'sms', {}, log)).toThrow('codec toy does not speak sms');
  });
});
