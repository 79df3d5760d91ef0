import { beforeEach, describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import { hex } from '../../src/base/wire/index.ts';
import { type Codec, defineCodec, FrameKind, type Transport } from '../../src/codec/index.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { bytesOf, frameLines, streamLines } from '../helpers/fixtures.ts';
import toy, { toyAlive, toyDefinition, toyDialect, toyFixes, toyFrame, toyLogin, toyStatus } from '../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

let journal: MemoryJournal;
const NO_OPTIONS = {};
let host: IntakeHost;
let clock: FakeClock;

beforeEach(() => {
  journal = new MemoryJournal();
  clock = new FakeClock();
  host = intakeHost({ journal, clock });
});

function connect(codec: Codec = toy, transport: Transport = 'tcp'): { intake: Intake; link: RecordedLink } {
  const link = new RecordedLink();
  return { intake: new Intake(host, codec, transport, '192.0.2.1:4000', link), link };
}

function durable(upTo: number): void {
  journal.durable = upTo;
  for (const intake of host.owing) intake.release(upTo);
}

const login = toyLogin('12345678', false);

describe('intake invariants', () => {
  it('1: a login is answered at once, a frame of records only when it is durable', () => {
    const { intake, link } = connect();
    intake.push(login);
    expect(link.sent).toHaveLength(1);
    intake.push(toyFixes(2, 3));
    expect(journal.frames).toMatchObject([{ device: '12345678', accepted: 3 }]);
    expect(link.sent).toHaveLength(1);
    durable(1);
    expect(link.sent).toHaveLength(1);
    durable(2);
    expect(link.sent).toHaveLength(2);
    expect(host.owing.size).toBe(0);
  });

  it('1: journals the raw frame, as it came, with the memo it was decoded under', () => {
    const { intake } = connect();
    const fixes = toyFixes(2, 1);
    intake.push(toyLogin('12345678', true));
    intake.push(fixes);
    expect(journal.frames).toMatchObject([{ payload: hex(fixes, 0, fixes.length), memo: 1 }]);
  });

  it('2: a heartbeat behind a frame that is not durable waits for its turn, and proves it', () => {
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 1));
    intake.push(toyAlive(3));
    expect(link.sent).toHaveLength(1);
    durable(2);
    // One write carries both answers, in the order of the frames.
    expect(link.sent).toHaveLength(2);
    expect(link.sent[1]).toMatch(/^5441010002..5441000003..$/);
  });

  it('1: a heartbeat with an event is answered when it is durable, one without as before', () => {
    let event = 0;
    const telling = defineCodec({
      ...toyDefinition,
      tcp: {
        ...toyDialect,
        decode(bytes, start, end, state, out) {
          toyDialect.decode(bytes, start, end, state, out);
          if (out.kind === FrameKind.Heartbeat) out.event[out.row()] = event;
        },
      },
    });
    const { intake, link } = connect(telling);
    intake.push(login);
    intake.push(toyAlive(2));
    expect([link.sent.length, journal.frames.length]).toEqual([2, 1]);
    event = 1;
    intake.push(toyAlive(3));
    expect([link.sent.length, journal.frames.length]).toEqual([2, 2]);
    durable(9);
    expect(link.sent).toHaveLength(3);
  });

  it('2: on UDP each answer is a datagram of its own', () => {
    const { intake, link } = connect(toy, 'udp');
    intake.push(Buffer.concat([login, toyFixes(2, 1), toyAlive(3)]));
    durable(2);
    expect(link.sent).toHaveLength(3);
  });

  it('3: a codec that throws costs one malformed frame, and the stream goes on', () => {
    let thrown = 0;
    const throwing = defineCodec({
      ...toyDefinition,
      tcp: {
        ...toyDialect,
        decode(bytes, start, end, state, out) {
          if (bytes[start + 2] === 5 && thrown++ === 0) throw new Error('defect');
          toyDialect.decode(bytes, start, end, state, out);
        },
      },
    });
    const { intake, link } = connect(throwing);
    intake.push(Buffer.concat([login, toyStatus(2), toyFixes(3, 1)]));
    expect(thrown).toBe(1);
    expect(journal.frames).toHaveLength(1);
    expect(link.closes).toEqual([]);
  });

  it('3: a framer that throws ends the connection, not the process', () => {
    const throwing = defineCodec({
      ...toyDefinition,
      tcp: {
        ...toyDialect,
        frame() {
          throw new Error('defect');
        },
      },
    });
    const { intake, link } = connect(throwing);
    intake.push(login);
    expect(link.closes).toEqual(['codec_error']);
  });

  it('4: while the journal refuses nothing is answered as stored, and heartbeats still are', () => {
    const { intake, link } = connect();
    intake.push(login);
    journal.accepting = false;
    intake.push(toyFixes(2, 1));
    intake.push(toyAlive(3));
    expect(link.sent).toHaveLength(2);
    expect(link.sent[1]).toMatch(/^5441000003/);
    journal.accepting = true;
    intake.push(toyFixes(2, 1));
    durable(9);
    expect(link.sent[2]).toMatch(/^5441010002/);
  });

  const unanswered = defineCodec({
    ...toyDefinition,
    tcp: {
      ...toyDialect,
      encodeAck: (request, state, out, at) => (request.kind === FrameKind.Records ? 0 : toyDialect.encodeAck(request, state, out, at)),
    },
  });
  it.each([
    ['without an answer of its own', unanswered],
    ['whose answer the codec only guesses', defineCodec({ ...toyDefinition, tcp: { ...toyDialect, guessesAcks: () => true } })],
  ])('6: a frame %s that was refused silences the connection, until the journal is back', (_, silent) => {
    const { intake, link } = connect(silent);
    intake.push(login);
    journal.accepting = false;
    // A heartbeat's answer behind it would tell the device that the records have arrived.
    intake.push(Buffer.concat([toyFixes(2, 1), toyAlive(3)]));
    intake.push(toyAlive(4));
    durable(9);
    expect(link.sent).toHaveLength(1);
    expect(link.closes).toEqual([]);
    journal.accepting = true;
    intake.push(toyAlive(5));
    expect(link.closes).toEqual(['journal_refused']);
    expect(link.sent).toHaveLength(1);
    expect(journal.frames).toEqual([]);
    // What came while nothing was looked at has come all the same.
    intake.closed('journal_refused');
    const bytes_in = login.length + toyFixes(2, 1).length + 3 * toyAlive(3).length;
    expect(journal.events.at(-1)).toMatchObject({ type: 'disconnected', bytes_in });
  });

  it('6: of a GT06 unit that has repeated a location no heartbeat is answered behind one that is refused', () => {
    const frames = new Map(frameLines('gt06').map((line) => [line.id, bytesOf(line.hex)]));
    const fixture = (id: string): Uint8Array => frames.get(id) ?? new Uint8Array();
    const { intake, link } = connect(gt06);
    intake.push(fixture('login-utc'));
    for (let n = 0; n < 4; n++) intake.push(fixture('22-1'));
    durable(9);
    // The login, and the location once it has come often.
    const answered = link.sent.length;
    expect(link.sent.join('')).toContain('78780522');
    journal.accepting = false;
    intake.push(fixture('22-1'));
    intake.push(fixture('13-1'));
    durable(9);
    expect(link.sent).toHaveLength(answered);
    journal.accepting = true;
    intake.push(fixture('13-1'));
    expect(link.closes).toEqual(['journal_refused']);
  });

  it('5: records of nobody are neither stored nor answered', () => {
    const { intake, link } = connect();
    intake.push(toyFixes(2, 1));
    durable(9);
    expect(journal.entries).toEqual([]);
    expect(link.sent).toEqual([]);
  });
});

describe('intake', () => {
  it('gives a peer that nobody knows no heartbeat answer behind records that were dropped', () => {
    const { intake, link } = connect(toy, 'udp');
    intake.push(toyAlive(1));
    expect(link.sent).toHaveLength(1);
    intake.push(Buffer.concat([toyFixes(2, 1), toyAlive(3)]));
    expect(link.sent).toHaveLength(1);
    intake.push(Buffer.concat([login, toyAlive(4)]));
    expect(link.sent).toHaveLength(3);
  });

  it('keeps a well framed message that it does not understand', () => {
    const { intake } = connect();
    intake.push(login);
    intake.push(toyFrame(99, 0, 5, new Uint8Array(4)));
    expect(journal.frames).toMatchObject([{ accepted: 0 }]);
  });

  it('does not answer a failed commit and asks for a new connection', () => {
    const { intake, link } = connect();
    const other = connect();
    intake.push(login);
    intake.push(toyFixes(2, 1));
    other.intake.push(toyLogin('87654321', false));
    for (const owing of host.owing) owing.failed(2, 2);
    expect(link.closes).toEqual(['journal_failed']);
    expect(other.link.closes).toEqual([]);
    intake.closed('journal_failed');
    durable(9);
    expect(link.sent).toHaveLength(1);
  });

  it('a peer that falls quiet may have sent a whole frame: it is taken, and no other is made of it', () => {
    const [first] = streamLines('h02').find(({ id }) => id === 'binary-open-until-quiet')?.steps ?? [];
    const { intake } = connect(h02);
    intake.quiet();
    intake.push(first !== undefined && 'in' in first ? bytesOf(first.in) : new Uint8Array(0));
    expect(journal.frames).toEqual([]);
    intake.quiet();
    intake.quiet();
    expect(journal.frames).toMatchObject([{ device: '1030731001', accepted: 1 }]);
  });

  it.each(['closed', 'finish'] as const)('a peer that falls quiet when its connection ends (%s) has sent nothing more', (end) => {
    const [first] = streamLines('h02').find(({ id }) => id === 'binary-open-until-quiet')?.steps ?? [];
    const { intake } = connect(h02);
    intake.push(first !== undefined && 'in' in first ? bytesOf(first.in) : new Uint8Array(0));
    expect(intake.pending).toBeGreaterThan(0);
    intake[end]('drain');
    intake.quiet();
    expect(journal.frames).toEqual([]);
  });

  it('tells the beginning and the end of a session as events, with bytes both ways', () => {
    const { intake } = connect();
    intake.push(login);
    intake.closed('device');
    intake.closed('device');
    expect(journal.events).toEqual([
      { device: '12345678', type: 'connected', transport: 'tcp', protocol: 'toy' },
      { device: '12345678', type: 'disconnected', reason: 'device', bytes_in: login.length, bytes_out: 6, frames: 1 },
    ]);
  });

  it('reads a device under the options of its own, from the frame that names it', () => {
    const lenient = { integrity: 'count' };
    host = { ...host, options: (_codec, device) => (device === '12345678' ? lenient : NO_OPTIONS) };
    const damaged = toyFixes(2, 1);
    damaged[damaged.length - 1] = (damaged[damaged.length - 1] ?? 0) ^ 1;
    const own = connect().intake;
    own.push(Buffer.concat([login, damaged]));
    expect(journal.frames).toHaveLength(1);
    const other = connect().intake;
    other.push(Buffer.concat([toyLogin('87654321', false), damaged]));
    expect(journal.frames).toHaveLength(1);
  });

  it('tells what it learned about a device, once', () => {
    for (const { intake } of [connect(), connect()]) {
      intake.push(toyLogin('12345678', true));
      intake.push(toyAlive(2));
      intake.closed('device');
    }
    expect(journal.events.filter((event) => event['type'] === 'profile')).toEqual([
      { device: '12345678', type: 'profile', protocol: 'toy', learned: { speed: 'knots' } },
    ]);
  });

  it('gives way to a newer connection of the same device', () => {
    const first = connect();
    const second = connect();
    first.intake.push(login);
    // Not heard for two intervals.
    clock.step(120_001);
    second.intake.push(login);
    expect(first.link.finishes).toEqual(['superseded']);
    expect(second.link.finishes).toEqual([]);
  });

  it('closes after too many bad frames, and forgives some', () => {
    // Each another one: the same three times would be read in spite of its damage.
    const bad = (i: number): Uint8Array => {
      const frame = toyAlive(i);
      frame[frame.length - 1] = (frame[frame.length - 1] ?? 0) ^ 1;
      return frame;
    };
    const { intake, link } = connect();
    intake.push(login);
    for (let i = 0; i < 100; i++) intake.push(i % 2 === 0 ? bad(i) : toyAlive(i));
    expect(link.closes).toEqual([]);
    for (let i = 0; i < 16; i++) intake.push(bad(i));
    expect(link.closes[0]).toBe('strikes');
  });

  it('counts the noise of datagrams, and is done with the sender on noise without end', async () => {
    const { intake, link } = connect(toy, 'udp');
    const counted = async (): Promise<number | undefined> => (await host.metrics.noiseBytes.get()).values[0]?.value;
    for (let i = 0; i < 3; i++) intake.push(bytesOf('2020'));
    expect([await counted(), link.closes]).toEqual([6, []]);
    for (let i = 0; i < 10; i++) intake.push(new Uint8Array(1000).fill(0x20));
    expect([await counted(), link.closes[0]]).toEqual([expect.any(Number), 'noise']);
  });

  it('closes on noise without end, and on a length beyond the limit', () => {
    const noisy = connect();
    for (let i = 0; i < 10; i++) noisy.intake.push(new Uint8Array(1000).fill(0x20));
    expect(noisy.link.closes[0]).toBe('noise');
    const between = connect();
    between.intake.push(login);
    const noise = new Uint8Array(1000).fill(0x20);
    between.intake.push(Buffer.concat(Array.from({ length: 20 }, (_, n) => [noise, toyAlive(n)]).flat()));
    expect(between.link.closes).toEqual([]);
    const long = connect();
    const header = toyAlive(1);
    header[6] = 0xff;
    long.intake.push(header);
    expect(long.link.closes).toEqual(['frame_too_long']);
  });

  it('gives the same journal and answers for every way to cut the stream', () => {
    const stream = Buffer.concat([login, toyFixes(2, 2), toyAlive(3), toyStatus(4), toyFrame(99, 0, 5, new Uint8Array(3))]);
    const run = (cuts: number[]): string => {
      journal = new MemoryJournal();
      host = intakeHost({ journal, clock });
      const { intake, link } = connect();
      let from = 0;
      for (const cut of [...cuts, stream.length]) {
        intake.push(stream.subarray(from, cut));
        from = cut;
      }
      durable(99);
      return JSON.stringify([journal.entries, link.sent.join('')]);
    };
    const whole = run([]);
    expect(JSON.parse(whole)[0]).toHaveLength(4);
    for (let cut = 1; cut < stream.length; cut++) expect(run([cut])).toBe(whole);
    expect(run(Array.from({ length: stream.length - 1 }, (_, i) => i + 1))).toBe(whole);
  });
});

it('a bad frame before anybody has said who it is is counted, and who says it then is served', async () => {
  const { intake, link } = connect();
  const bad = toyFixes(2, 1);
  bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;
  intake.push(bad);
  intake.push(login);
  expect([link.closes, link.sent.length, intake.session?.device]).toEqual([[], 1, '12345678']);
  expect((await host.metrics.malformed.get()).values).toMatchObject([{ labels: { codec: 'toy' }, value: 1 }]);
});

describe('a trace', () => {
  it('has the frames and answers of a connection from its first byte, and of a session once it is asked for', () => {
    const { traces } = host;
    const told = (): string[] => {
      const lines: string[] = [];
      traces.tick((key, frames) => lines.push(...frames.map(({ direction, device, bytes }) => `${key}: ${direction} ${device} ${bytes}`)));
      return lines;
    };
    const unseen = connect();
    unseen.intake.push(login);
    expect([unseen.intake.tap, told()]).toEqual([null, []]);
    traces.start('peer 192.0.2.1');
    const { intake } = connect();
    const second = toyLogin('22222222', false);
    intake.push(second);
    expect(told()).toEqual([`peer 192.0.2.1: in 22222222 ${second.length}`, 'peer 192.0.2.1: out  6']);
    traces.start('device 12345678');
    unseen.intake.session?.retrace();
    unseen.intake.push(toyAlive(2));
    expect(unseen.intake.tap).toBe(traces.of('12345678', ''));
    expect(told()).toEqual([`device 12345678: in 12345678 ${toyAlive(2).length}`, 'device 12345678: out  6']);
    unseen.intake.closed('device');
    expect(unseen.intake.tap).toBe(traces.of('', '192.0.2.1'));
  });
});
