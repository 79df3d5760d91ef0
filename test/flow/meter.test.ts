import { beforeEach, describe, expect, it } from 'vitest';
import { type Codec, defineCodec, type Transport } from '../../src/codec/index.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost, Link } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { Meter, Meters } from '../../src/in/session/meter.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { encodeUsage, parseUsage } from '../../src/journal/usage.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import toy, { toyAlive, toyDefinition, toyDialect, toyFixes, toyLogin, toyStatus } from '../helpers/toy-codec.ts';
import { type Entry, intakeHost, MemoryJournal } from '../support/intake-rig.ts';

/** Keeps the usage entries apart. */
class UsageJournal extends MemoryJournal {
  readonly used: Entry[] = [];

  override append(...entry: Parameters<MemoryJournal['append']>): number {
    const sequence = super.append(...entry);
    const last = this.entries.at(-1);
    if (sequence >= 0 && last?.kind === EntryKind.Usage) this.used.push(last);
    return sequence;
  }

  /** Sum of a device's usage entries. */
  sum(device: string): Record<string, number> {
    const sum = { in: 0, out: 0, segments: 0, datagrams: 0, records: 0 };
    for (const entry of this.used) {
      const traffic = parseUsage(entry.payload);
      if (entry.device !== device || traffic === undefined) continue;
      for (const name of ['in', 'out', 'segments', 'datagrams', 'records'] as const) sum[name] += traffic[name];
    }
    return sum;
  }
}

class CountingLink implements Link {
  bytes = 0;
  writes = 0;
  readonly intake: Intake;

  constructor(transport: Transport, codec: Codec) {
    this.intake = new Intake(host, codec, transport, '192.0.2.1:4000', this);
  }
  send(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    this.writes++;
  }
  close(): void {}
  finish(): void {}
  drained(): void {}
}

const A = '11111111';
const B = '22222222';
const C = '33333333';

let journal: UsageJournal;
let clock: FakeClock;
let meters: Meters;
let host: IntakeHost;

beforeEach(() => {
  journal = new UsageJournal();
  clock = new FakeClock();
  meters = new Meters(journal, clock);
  host = intakeHost({ journal, clock, meters });
});

function connect(transport: Transport = 'tcp', codec: Codec = toy): { intake: Intake; link: CountingLink } {
  const link = new CountingLink(transport, codec);
  return { intake: link.intake, link };
}

function settle(): void {
  journal.durable = journal.entries.length;
  meters.durable(journal.durable);
  for (const intake of host.owing) intake.release(journal.durable);
}

async function unidentified(transport: Transport): Promise<number> {
  const { values } = await host.metrics.unidentifiedBytes.get();
  return values.find(({ labels }) => labels.transport === transport)?.value ?? 0;
}

describe('what passes the socket of a device', () => {
  it('is counted both ways, with what came before it was known, and garbage', () => {
    const { intake, link } = connect();
    const chunks = [toyFixes(1, 1), Buffer.from('garbage'), toyLogin(A, false), toyFixes(2, 3), toyAlive(3).subarray(0, 5)];
    for (const chunk of chunks) {
      intake.push(chunk);
      settle();
    }
    intake.closed('device');
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    expect(link.writes).toBe(2);
    expect(journal.sum(A)).toEqual({ in: bytes, out: link.bytes, segments: chunks.length + link.writes, datagrams: 0, records: 3 });
  });

  it('is counted in datagrams on UDP', () => {
    const { intake, link } = connect('udp');
    for (const chunk of [toyLogin(A, false), toyFixes(2, 3), Buffer.from('garbage')]) intake.push(chunk);
    settle();
    intake.passed(11, 1);
    intake.closed('idle');
    const bytes = toyLogin(A, false).length + toyFixes(2, 3).length + 7 + 11;
    expect(journal.sum(A)).toEqual({ in: bytes, out: link.bytes, segments: 0, datagrams: 4 + link.writes, records: 3 });
  });

  it('is counted while the connection is muted, and when it is about to be closed', () => {
    const silent = defineCodec({ ...toyDefinition, tcp: { ...toyDialect, encodeAck: () => 0 } });
    const { intake } = connect('tcp', silent);
    intake.push(toyLogin(A, false));
    journal.accepting = false;
    intake.push(toyFixes(2, 1));
    intake.push(toyFixes(3, 1));
    journal.accepting = true;
    intake.push(toyFixes(4, 1));
    intake.push(toyFixes(5, 1));
    intake.closed('journal_refused');
    expect(journal.sum(A)).toMatchObject({ in: toyLogin(A, false).length + 4 * toyFixes(2, 1).length, segments: 5, records: 0 });
  });

  it('is nobody’s when nobody said who it is', async () => {
    const { intake } = connect();
    intake.push(toyFixes(1, 1));
    intake.closed('identify_timeout');
    clock.step(10_000);
    meters.tick();
    expect(journal.used).toEqual([]);
    expect(await unidentified('tcp')).toBe(toyFixes(1, 1).length);
    expect(await unidentified('udp')).toBe(0);
  });
});

describe('what a registry that answers late, or refuses, has to do with it', () => {
  it('is counted for the device, also when nobody speaks any more', () => {
    const owed: (() => void)[] = [];
    const late = (id: string, found: (known: DeviceLookup) => void): void => {
      owed.push(() => found(new DeviceLookup(id, undefined, false, false)));
    };
    host = { ...host, registry: { ...host.registry, lookup: late } };
    for (const transport of ['tcp', 'udp'] as const) {
      const { intake } = connect(transport);
      for (const device of [A, B]) {
        intake.push(Buffer.concat([toyLogin(device, false), toyFixes(2, 3)]));
        expect(journal.used).toEqual([]);
        for (const answer of owed.splice(0)) answer();
      }
      settle();
      clock.step(5000);
      meters.tick();
      for (const device of [A, B])
        expect(journal.sum(device)).toMatchObject({ in: toyLogin(A, false).length + toyFixes(2, 3).length, records: 3 });
      intake.closed('device');
      journal.used.length = 0;
    }
  });

  it('is nobody’s when the device is refused, and not the next one’s', async () => {
    const refusing = (id: string, found: (known: DeviceLookup) => void): void => found(new DeviceLookup(id, undefined, id === B, false));
    host = { ...host, registry: { ...host.registry, lookup: refusing } };
    const { intake, link } = connect();
    for (const device of [A, B, A]) intake.push(Buffer.concat([toyLogin(device, false), toyFixes(2, 3)]));
    settle();
    intake.closed('device');
    const each = toyLogin(A, false).length + toyFixes(2, 3).length;
    expect(journal.sum(A)).toMatchObject({ in: 2 * each, records: 6 });
    expect(journal.sum(B)).toMatchObject({ in: 0 });
    expect((await unidentified('tcp')) + Number(journal.sum(A)['out'])).toBe(each + link.bytes);
  });

  it('is the device’s when it is turned away by its state: that costs as much', async () => {
    const terminated = deviceSchema.parse({ id: B, state: 'terminated' });
    const lookup = (id: string, found: (known: DeviceLookup) => void): void =>
      found(new DeviceLookup(id, id === B ? terminated : undefined, false, false));
    host = { ...host, registry: { ...host.registry, lookup } };
    const { intake } = connect('udp');
    intake.push(toyLogin(B, false));
    intake.closed('terminated');
    clock.step(5000);
    meters.tick();
    expect(journal.sum(B)).toMatchObject({ in: toyLogin(B, false).length, records: 0 });
    const shared = connect();
    for (const device of [A, B, A]) shared.intake.push(toyLogin(device, false));
    shared.intake.closed('device');
    meters.flush();
    expect(journal.sum(A)).toMatchObject({ in: 2 * toyLogin(A, false).length });
    expect(journal.sum(B)).toMatchObject({ in: 2 * toyLogin(B, false).length });
    expect(await unidentified('udp')).toBe(0);
  });
});

describe('a connection that switches', () => {
  it('leaves each device its frames, and the answers to them', () => {
    const { intake, link } = connect();
    const [first, second, third] = [toyLogin(A, false), toyLogin(B, false), toyLogin(C, false)];
    // In one chunk the answers of all three are owed when the next has taken over.
    intake.push(
      Buffer.concat([first, toyFixes(2, 2), second, toyFixes(4, 3), Buffer.from('xx'), third, toyFixes(6, 1), toyAlive(7).subarray(0, 4)]),
    );
    settle();
    intake.push(toyAlive(7).subarray(4));
    intake.closed('device');
    meters.flush();
    const answer = link.bytes / 7;
    expect(Number.isInteger(answer)).toBe(true);
    expect(journal.sum(A)).toMatchObject({ in: first.length + toyFixes(2, 2).length, out: 2 * answer, records: 2 });
    expect(journal.sum(B)).toMatchObject({ in: second.length + toyFixes(4, 3).length + 2, out: 2 * answer, records: 3 });
    expect(journal.sum(C)).toMatchObject({ in: third.length + toyFixes(6, 1).length + toyAlive(7).length, out: 3 * answer, records: 1 });
    const segments = [A, B, C].reduce((sum, device) => sum + (journal.sum(device)['segments'] ?? 0), 0);
    expect(segments).toBe(2 + link.writes);
  });

  it('gives a device the chunk that is its own', () => {
    const { intake } = connect('udp');
    for (const device of [A, B]) {
      intake.push(toyLogin(device, false));
      settle();
    }
    intake.closed('idle');
    meters.flush();
    for (const device of [A, B]) expect(journal.sum(device)).toMatchObject({ in: toyLogin(device, false).length, datagrams: 2 });
  });

  it('does not take back what is journaled', () => {
    const { intake } = connect();
    const second = toyLogin(B, false);
    intake.push(toyLogin(A, false));
    intake.push(second.subarray(0, 6));
    clock.step(5000);
    meters.tick();
    intake.push(second.subarray(6));
    intake.closed('device');
    meters.flush();
    expect(Number(journal.sum(A)['in']) + Number(journal.sum(B)['in'])).toBe(toyLogin(A, false).length + second.length);
    expect(journal.sum(B)['in']).toBe(second.length - 6);
  });

  it.each<[what: string, before: Uint8Array, isDurable: boolean]>([
    ['noise', Buffer.from('xxxxx'), true],
    ['a bad frame', Buffer.concat([toyFixes(2, 3).subarray(0, -1), Buffer.from([0])]), true],
    ['a frame that is answered later', toyFixes(2, 3), true],
    ['a frame that is never answered', toyFixes(2, 3), false],
  ])('1: is not lost when %s comes with the login of another, and all from before is journaled', (_what, before, isDurable) => {
    const { intake } = connect();
    const [first, second] = [toyLogin(A, false), toyLogin(B, false)];
    intake.push(first);
    settle();
    meters.flush();
    intake.push(Buffer.concat([before, second]));
    if (isDurable) settle();
    intake.closed('device');
    meters.flush();
    expect(journal.sum(A)['in']).toBe(first.length + before.length);
    expect(journal.sum(B)['in']).toBe(second.length);
  });

  it('costs a device that comes back within seconds no entry of its own', () => {
    const { intake } = connect();
    for (let turn = 0; turn < 100; turn++) intake.push(toyLogin(turn % 2 === 0 ? A : B, false));
    settle();
    expect(journal.used).toEqual([]);
    clock.step(5000);
    meters.tick();
    expect(journal.used.map(({ device }) => device)).toEqual([A, B]);
    expect(journal.sum(A)).toMatchObject({ in: 50 * toyLogin(A, false).length });
    expect(journal.sum(B)).toMatchObject({ in: 50 * toyLogin(B, false).length });
  });
});

describe('usage entries', () => {
  it('are made when 16 KiB have gathered, and 5 s after the first byte at the latest', () => {
    const { intake } = connect();
    intake.push(toyLogin(A, false));
    for (let sent = 0; sent < 16_384; sent += toyFixes(2, 20).length) {
      expect(journal.used).toHaveLength(0);
      intake.push(toyFixes(2, 20));
    }
    expect(journal.used).toHaveLength(1);
    settle();
    for (let ms = 0; ms < 5000 && journal.used.length === 1; ms += 1000) {
      clock.step(1000);
      meters.tick();
    }
    expect(journal.used).toHaveLength(2);
    // Nothing more passed: nothing more is said.
    clock.step(60_000);
    meters.tick();
    expect(journal.used).toHaveLength(2);
  });

  it('1: of which only some are lost are made again, those and no other', () => {
    const sessions = [A, B, C].map((device) => {
      const { intake } = connect();
      intake.push(toyLogin(device, false));
      return intake;
    });
    meters.flush();
    const [, second] = journal.used;
    expect(journal.used.map(({ device }) => device)).toEqual([A, B, C]);
    meters.failed(second?.sequence ?? 0, second?.sequence ?? 0);
    meters.flush();
    expect(journal.used.map(({ device }) => device)).toEqual([A, B, C, B]);
    // The others are durable: nothing of them is left to be made again.
    meters.durable(journal.used[3]?.sequence ?? 0);
    meters.failed(0, Number.MAX_SAFE_INTEGER);
    meters.flush();
    expect(journal.used).toHaveLength(4);
    for (const intake of sessions) intake.closed('device');
  });

  it('are read back as written, and nothing else is one', () => {
    const { intake } = connect();
    intake.push(toyLogin(A, false));
    intake.closed('device');
    expect(journal.used[0]?.payload).toMatch(/^\{"in":\d+,"out":\d+,"segments":2,"datagrams":0,"records":0\}$/);
    for (const text of [
      '',
      '{}',
      '[]',
      '{"in":1,"out":1,"segments":1,"datagrams":1}',
      '{"in":-1,"out":1,"segments":1,"datagrams":1,"records":0}',
    ])
      expect(parseUsage(text)).toBeUndefined();
    const traffic = { in: 1, out: 2, segments: 3, datagrams: 4, records: 5 };
    for (const network of [undefined, { mcc: 240, mnc: 1, roaming: true }, { mcc: 240, mnc: -1, roaming: false }])
      expect(parseUsage(Buffer.from(encodeUsage({ ...traffic, network })).toString())).toEqual(
        network === undefined ? traffic : { ...traffic, network },
      );
  });

  it('name the network: of what gathered before it was known, too, and no two in one', () => {
    const { intake } = connect();
    intake.push(toyLogin(A, false));
    intake.push(toyStatus(2));
    expect(journal.used).toEqual([]);
    meters.roam(intake.session?.meter ?? new Meter(undefined), { mcc: 228, mnc: -1, roaming: true });
    intake.push(toyFixes(3, 1));
    intake.closed('device');
    expect(journal.used.map(({ payload }) => parseUsage(payload)?.network)).toEqual([
      { mcc: 262, mnc: 2, roaming: false },
      { mcc: 228, mnc: -1, roaming: true },
    ]);
    expect(journal.sum(A)).toMatchObject({ in: toyLogin(A, false).length + toyStatus(2).length + toyFixes(3, 1).length, records: 2 });
  });

  it('2: that are refused are tried again, also when the device has gone', () => {
    const { intake, link } = connect();
    intake.push(toyLogin(A, false));
    journal.accepting = false;
    clock.step(5000);
    meters.tick();
    for (let n = 0; n < 10; n++) {
      intake.push(toyAlive(n));
      clock.step(5000);
      meters.tick();
    }
    intake.closed('device');
    expect(journal.used).toEqual([]);
    journal.accepting = true;
    meters.tick();
    expect(journal.used).toHaveLength(1);
    expect(journal.sum(A)).toMatchObject({ in: toyLogin(A, false).length + 10 * toyAlive(0).length, out: link.bytes });
  });

  it('1: that a commit lost are made again, into what the device has gathered since', () => {
    const first = connect();
    first.intake.push(toyLogin(A, false));
    first.intake.closed('device');
    const [lost] = journal.used.splice(0);
    meters.failed(lost?.sequence ?? 0, lost?.sequence ?? 0);
    const again = connect();
    again.intake.push(toyLogin(A, false));
    again.intake.closed('device');
    expect(journal.used).toHaveLength(1);
    expect(journal.sum(A)).toMatchObject({ in: 2 * toyLogin(A, false).length, out: first.link.bytes + again.link.bytes });
    settle();
    meters.failed(1, 100);
    meters.flush();
    expect(journal.used).toHaveLength(1);
  });
});
