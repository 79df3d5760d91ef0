import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { type AckRequest, defineCodec, FrameKind, FrameResult, Settled, type Transport } from '../../../src/codec/index.ts';
import { NEVER, type Owing, Settle } from '../../../src/in/ack/settle.ts';
import type { IntakeHost } from '../../../src/in/intake/host.ts';
import { Meter } from '../../../src/in/session/meter.ts';
import { Reader } from '../../../src/in/session/reader.ts';
import { Definition } from '../../../src/journal/definition.ts';
import { Origin } from '../../../src/journal/entry.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import toy, { toyDefinition, toyDialect } from '../../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../../support/intake-rig.ts';

/** Numbers quote the invariants of src/in/ack/settle.ts. */

let host: IntakeHost;
let journal: MemoryJournal;
let link: RecordedLink;
beforeEach(() => {
  journal = new MemoryJournal();
  host = intakeHost({ journal });
  link = new RecordedLink();
});

const OWNER: Owing = { release: () => {}, failed: () => {} };
/** Its answers have three bytes: this one, and the ticket twice; those to ticket 0 none. */
function readerOf(first: number, guesses = false): Reader {
  const encodeAck = (request: AckRequest, _state: object, out: Uint8Array, at: number): number => {
    if (request.ticketA === 0) return 0;
    out.set([first, request.ticketA, request.ticketA], at);
    return 3;
  };
  const dialect = { ...toyDialect, encodeAck, guessesAcks: () => guesses };
  return new Reader(defineCodec({ ...toyDefinition, tcp: dialect, udp: dialect }), 'tcp', {}, silentLog);
}
const [A, B, C] = [readerOf(0xa), readerOf(0xb), readerOf(0xc)];

const settleOf = (transport: Transport = 'tcp'): Settle => new Settle(host, host.counters(toy), toy, transport, link, OWNER, A);

function owe(settle: Settle, sequence: number, ticket = sequence): void {
  const frame = new FrameResult();
  frame.reset(0, 0);
  frame.kind = FrameKind.Records;
  frame.ticketA = ticket;
  settle.owe(sequence, Settled.Stored, 1, 0, frame, 10);
}

const meterOf = (device: string): Meter => host.meters.open(new Origin(new Definition('toy', 'tcp'), device, ''));
const unidentified = async (): Promise<unknown[]> => {
  const { values } = await host.metrics.unidentifiedBytes.get();
  return values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.transport, value]);
};

describe('answers', () => {
  it.each<[Transport, string[]]>([
    ['tcp', ['0a01010a0202', '0a0303']],
    ['udp', ['0a0101', '0a0202', '0a0303']],
  ])('that may leave, leave over %s together or each alone, and are counted', async (transport, sent) => {
    const settle = settleOf(transport);
    owe(settle, 1);
    owe(settle, 2, 0);
    owe(settle, 2);
    owe(settle, 3);
    owe(settle, NEVER, 9);
    settle.release(0);
    expect([link.sent, host.owing.has(OWNER)]).toEqual([[], true]);
    settle.release(2);
    settle.release(3);
    expect([link.sent, settle.bytesOut, settle.outbox.count]).toEqual([sent, 9, 1]);
    expect((await host.metrics.answers.get()).values).toMatchObject([{ value: 3 }]);
    expect(host.owing.has(OWNER)).toBe(true);
    settle.release(NEVER);
    expect([link.sent.length, host.owing.has(OWNER)]).toEqual([sent.length + 1, false]);
  });

  it('leave in as many writes as the room takes', () => {
    const settle = settleOf();
    const most = Math.ceil((host.scratch.answers.length - toy.maxAnswerBytes + 1) / 3);
    for (let n = 0; n <= most; n++) owe(settle, 1);
    settle.release(1);
    expect(link.sent.map((text) => text.length / 6)).toEqual([most, 1]);
  });

  it('are timed from the receipt of their frames', async () => {
    const clock = new FakeClock();
    host = intakeHost({ journal, clock });
    const settle = settleOf();
    const frame = new FrameResult();
    frame.reset(0, 0);
    frame.ticketA = 1;
    const received = clock.elapsed();
    clock.step(1500);
    settle.owe(1, Settled.Stored, 1, received, frame, 10);
    settle.release(1);
    const { values } = await host.metrics.answerSeconds.get();
    expect(values.find(({ metricName }) => metricName?.endsWith('_sum'))?.value).toBe(1.5);
  });

  it('are none once all that was owed is forgotten', () => {
    const settle = settleOf();
    owe(settle, 1);
    settle.clear();
    expect(host.owing.has(OWNER)).toBe(false);
    settle.release(9);
    expect(link.sent).toEqual([]);
  });

  it('are encoded by the reader of the turn that earned them, and metered there, also when another has the turn (2, 10)', () => {
    const settle = settleOf();
    const [first, second] = [meterOf('d1'), meterOf('d2')];
    settle.inherit(A, first);
    owe(settle, 1);
    settle.reread(B);
    owe(settle, 2);
    settle.turn(C, second, 0, 10);
    owe(settle, 3);
    settle.release(1);
    settle.release(3);
    expect([link.sent, first.out, second.out]).toEqual([['0a0101', '0b02020c0303'], 6, 3]);
    // The first turn is over: no turn holds its meter.
    host.meters.flush();
    expect([meterOf('d1') === first, meterOf('d2') === second]).toEqual([false, true]);
  });
});

describe('what came', () => {
  it('before the first device is known is its own (10)', () => {
    const settle = settleOf();
    settle.count(30, 2);
    owe(settle, 1);
    const meter = meterOf('d1');
    settle.inherit(B, meter);
    settle.release(1);
    expect([settle.meter, meter]).toMatchObject([{ in: 30 }, { in: 30, out: 3, segments: 3, datagrams: 0 }]);
    expect(link.sent).toEqual(['0b0101']);
  });

  it.each<[what: string, transport: Transport, rest: number, before: object, after: object]>([
    ['a frame in the middle of a chunk', 'tcp', 8, { in: 32, segments: 2 }, { in: 8, segments: 0 }],
    ['a chunk', 'tcp', 20, { in: 20, segments: 1 }, { in: 20, segments: 1 }],
    ['a datagram', 'udp', 20, { in: 20, datagrams: 1 }, { in: 20, datagrams: 1 }],
    ['more than is not journaled yet', 'tcp', 99, { in: 0, segments: 1 }, { in: 40, segments: 1 }],
  ])('with %s that begins a turn is of that turn (10)', (_what, transport, rest, before, after) => {
    const settle = settleOf(transport);
    const [first, second] = [meterOf('d1'), meterOf('d2')];
    settle.inherit(A, first);
    settle.count(20, 1);
    settle.count(20, 1);
    settle.turn(B, second, rest, 20);
    expect([first, second]).toMatchObject([before, after]);
  });

  it('of no device is counted as that, with the answers, when its turn or the connection ends (10)', async () => {
    const settle = settleOf('udp');
    settle.count(30, 1);
    settle.turn(B, new Meter(undefined), 10, 30);
    expect(await unidentified()).toEqual([['udp', 20]]);
    owe(settle, 1);
    settle.release(1);
    settle.close(true);
    expect(await unidentified()).toEqual([['udp', 33]]);
    expect(journal.entries).toEqual([]);
  });

  it.each([true, false])('of a device is journaled when its connection ends, now or by the timer: %s', (now) => {
    const settle = settleOf();
    const meter = meterOf('d1');
    settle.inherit(A, meter);
    settle.count(30, 1);
    owe(settle, 1);
    settle.turn(B, meterOf('d2'), 0, 30);
    settle.count(5, 1);
    settle.close(now);
    expect(journal.usage.map(({ device, in: bytes }) => [device, bytes])).toEqual(now ? [['d2', 5]] : []);
    host.meters.flush();
    expect(journal.usage.map(({ device, in: bytes }) => [device, bytes])).toContainEqual(['d1', 30]);
    settle.release(9);
    expect(link.sent).toEqual([]);
  });
});

it.each([
  ['that has an answer', 1, A, false],
  ['that has none', 0, A, true],
  ['of a device that may not wait for it', 1, readerOf(1, true), true],
])('a frame %s is silent or not', (_what, ticket, reader, silent) => {
  const settle = settleOf();
  settle.inherit(reader, meterOf('d1'));
  const frame = new FrameResult();
  frame.reset(0, 0);
  frame.kind = FrameKind.Records;
  frame.ticketA = ticket;
  expect(settle.isSilent(frame, 0)).toBe(silent);
});
