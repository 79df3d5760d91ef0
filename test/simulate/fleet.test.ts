import dgram from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { systemClock } from '../../src/base/clock.ts';
import { checkOptions, type Transport } from '../../src/codec/index.ts';
import { Transcript } from '../../src/explain/transcript.ts';
import { Fleet, type FleetSettings, type Protocol } from '../../src/simulate/fleet.ts';
import { Latency } from '../../src/simulate/latency.ts';
import { Random } from '../../src/simulate/random.ts';
import { Track } from '../../src/simulate/track.ts';
import { pause, until } from '../support/wait.ts';

/** Numbers quote the invariants at the top of src/simulate/device.ts. */

let directory = '';
let ledger = '';
const closing: (() => void)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-simulate-'));
  ledger = join(directory, 'ledger');
});

afterEach(() => {
  for (const close of closing.splice(0)) close();
  rmSync(directory, { recursive: true });
});

function fleetOf(protocol: Protocol, transport: Transport, port: number, more: Partial<FleetSettings> = {}): Fleet {
  return new Fleet({
    protocols: [protocol],
    transports: [transport],
    target: { host: '127.0.0.1', ports: { teltonika: port, gt06: port, h02: port, queclink: port, jt808: port } },
    devices: 1,
    intervalMs: 20,
    durationMs: Number.POSITIVE_INFINITY,
    graceMs: 10_000,
    timeoutMs: 10_000,
    window: 1,
    records: 1,
    seed: 1,
    ledger,
    clock: systemClock,
    ...more,
  });
}

/** Runs it until it has done enough: some records are acknowledged, unless it says otherwise. */
async function lived(fleet: Fleet, enough = (): boolean => fleet.total().acknowledged >= 5): Promise<void> {
  const ended = fleet.run();
  await until(enough);
  fleet.finish();
  await ended;
}

function ledgerLines(): string[] {
  return readFileSync(ledger, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}

/** A server whose connections are numbered; `chunk` gets what arrives. */
async function tcpServer(chunk: (socket: net.Socket, bytes: Buffer, connection: number) => void): Promise<number> {
  let connections = 0;
  const server = net.createServer((socket) => {
    const connection = connections++;
    socket.on('data', (bytes) => chunk(socket, bytes, connection));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function udpServer(datagram: (bytes: Buffer, from: dgram.RemoteInfo, reply: (bytes: Buffer) => void) => void): Promise<number> {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (bytes, from) => datagram(bytes, from, (answer) => socket.send(answer, from.port, from.address)));
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  closing.push(() => socket.close());
  return socket.address().port;
}

/** The data field of a Teltonika frame: the part that stays the same when it is sent again. Window 1: one frame a chunk. */
function dataField(bytes: Buffer): string {
  const start = bytes.indexOf('00000000', 0, 'hex');
  return bytes.subarray(start + 8, bytes.length - 4).toString('hex');
}

const isLogin = (bytes: Buffer): boolean => bytes[0] === 0 && bytes[1] === 15;
const one = Buffer.from([0, 0, 0, 1]);
const yes = Buffer.from([1]);

describe('a teltonika device over TCP', () => {
  it('lists in the ledger exactly what was acknowledged', async () => {
    const seen: string[] = [];
    const port = await tcpServer((socket, bytes) => {
      if (isLogin(bytes)) socket.write(yes);
      else {
        if (seen.push(dataField(bytes)) === 5) fleet.finish();
        socket.write(one);
      }
    });
    const fleet = fleetOf('teltonika', 'tcp', port);
    await fleet.run();
    const total = fleet.total();
    expect(total.sent).toBeGreaterThan(3);
    expect(total.acknowledged).toBe(total.sent);
    expect(seen).toHaveLength(total.sent);
    expect(total.wrongAnswers + total.reconnects + total.timeouts + total.resent + total.unsent).toBe(0);
    expect(total.latency.count).toBe(total.sent);
    // The time in the ledger is the first field of the record.
    const times = seen.map((field) => String(Number.parseInt(field.slice(4, 20), 16)));
    expect(ledgerLines().map((line) => line.split('\t')[1])).toEqual(times);
    for (const line of ledgerLines()) expect(line).toMatch(/^3520937\d{8}\t\d{13}\t[0-9a-f]{16}$/);
  });

  it('reports a wrong answer, connects again and sends the same record bytes (1, 3)', async () => {
    const seen: string[] = [];
    const port = await tcpServer((socket, bytes, connection) => {
      if (isLogin(bytes)) socket.write(yes);
      else {
        seen.push(dataField(bytes));
        socket.write(connection === 0 ? Buffer.from([0, 0, 0, 2]) : one);
      }
    });
    const fleet = fleetOf('teltonika', 'tcp', port);
    await lived(fleet);
    const total = fleet.total();
    expect(total.wrongAnswers).toBe(1);
    expect(fleet.wrong).toMatchObject([{ transport: 'tcp', expected: '00000001', got: '00000002' }]);
    expect(total.reconnects).toBe(1);
    expect(total.resent).toBe(1);
    expect(seen[1]).toBe(seen[0]);
    expect(new Set(seen).size).toBe(seen.length - 1);
    expect(total.acknowledged).toBe(total.sent);
    expect(new Set(ledgerLines()).size).toBe(total.sent);
  });

  it('takes bytes that nobody asked for as a wrong answer (1)', async () => {
    const port = await tcpServer((socket, bytes, connection) => {
      if (isLogin(bytes)) socket.write(yes);
      else socket.write(connection === 0 ? Buffer.from([0, 0, 0, 1, 0]) : one);
    });
    const fleet = fleetOf('teltonika', 'tcp', port);
    await lived(fleet);
    expect(fleet.total().wrongAnswers).toBe(1);
    expect(fleet.total().acknowledged).toBe(fleet.total().sent);
  });

  it('takes an answer that comes in pieces', async () => {
    const port = await tcpServer((socket, bytes) => {
      if (isLogin(bytes)) socket.write(yes);
      else {
        socket.write(one.subarray(0, 3));
        void pause(5).then(() => socket.write(one.subarray(3)));
      }
    });
    const fleet = fleetOf('teltonika', 'tcp', port);
    await lived(fleet);
    expect(fleet.total().wrongAnswers).toBe(0);
    expect(fleet.total().acknowledged).toBe(fleet.total().sent);
  });

  it('counts a connection that the server closes, and sends again what it had not answered (3)', async () => {
    const seen: string[] = [];
    const port = await tcpServer((socket, bytes, connection) => {
      if (isLogin(bytes)) socket.write(yes);
      else {
        seen.push(dataField(bytes));
        if (connection < 2) socket.destroy();
        else socket.write(one);
      }
    });
    const fleet = fleetOf('teltonika', 'tcp', port);
    await lived(fleet);
    expect(fleet.total().reconnects).toBe(2);
    expect(fleet.total().wrongAnswers).toBe(0);
    expect(seen.slice(0, 3)).toEqual([seen[0], seen[0], seen[0]]);
    expect(ledgerLines()).toHaveLength(fleet.total().sent);
  });

  it('loses patience with a server that says nothing, and asks again', async () => {
    const port = await tcpServer((socket, bytes, connection) => {
      if (connection === 0) return;
      socket.write(isLogin(bytes) ? yes : one);
    });
    const fleet = fleetOf('teltonika', 'tcp', port, { timeoutMs: 200 });
    await lived(fleet);
    expect(fleet.total().timeouts).toBeGreaterThan(0);
    expect(fleet.total().acknowledged).toBe(fleet.total().sent);
  });

  it('keeps what is never acknowledged out of the ledger, and says so', async () => {
    const port = await tcpServer((socket, bytes) => {
      if (isLogin(bytes)) socket.write(yes);
    });
    const fleet = fleetOf('teltonika', 'tcp', port, { graceMs: 100 });
    let since = Number.NaN;
    await lived(fleet, () => {
      if (fleet.total().sent > 0 && Number.isNaN(since)) since = fleet.sampledMs;
      return fleet.sampledMs > since + 200;
    });
    expect(fleet.total().sent).toBe(1);
    expect(fleet.total().acknowledged).toBe(0);
    expect(fleet.total().unsent).toBeGreaterThan(0);
    expect(ledgerLines()).toEqual([]);
  });

  it('takes a refusal as the protocol has it, not as a wrong answer', async () => {
    const port = await tcpServer((socket, bytes, connection) => {
      if (isLogin(bytes)) socket.write(connection === 0 ? Buffer.from([0]) : yes);
      else socket.write(connection === 1 ? Buffer.alloc(4) : one);
    });
    const fleet = fleetOf('teltonika', 'tcp', port);
    await lived(fleet);
    expect(fleet.total().refused).toBe(2);
    expect(fleet.total().wrongAnswers).toBe(0);
    expect(fleet.total().acknowledged).toBe(fleet.total().sent);
  });

  it('has as many packets on their way as the window allows, and packs records', async () => {
    let most = 0;
    let waiting = 0;
    const port = await tcpServer((socket, bytes) => {
      if (isLogin(bytes)) {
        socket.write(yes);
        return;
      }
      for (let p = 0; p < bytes.length; p += 12 + bytes.readUInt32BE(p + 4)) {
        if (bytes[p] === 255) p++;
        waiting++;
        void pause(50).then(() => {
          waiting--;
          socket.write(Buffer.from([0, 0, 0, 5]));
        });
      }
      most = Math.max(most, waiting);
    });
    const fleet = fleetOf('teltonika', 'tcp', port, { window: 3, records: 5, intervalMs: 10 });
    await lived(fleet, () => most === 3 || fleet.total().acknowledged > 1000);
    expect(most).toBe(3);
    expect(fleet.total().wrongAnswers).toBe(0);
    expect(ledgerLines()).toHaveLength(fleet.total().sent);
    expect(fleet.total().sent % 5).toBe(0);
  });
});

describe('a device over UDP', () => {
  it('sends an unanswered datagram again from a new port: the same records under a new packet id (3)', async () => {
    const seen: { port: number; id: number; data: string }[] = [];
    const port = await udpServer((bytes, from, reply) => {
      seen.push({ port: from.port, id: bytes[5] ?? -1, data: bytes.subarray(23).toString('hex') });
      if (seen.length > 1) reply(Buffer.from([0, 5, 0xca, 0xfe, 1, bytes[5] ?? 0, 1]));
    });
    const fleet = fleetOf('teltonika', 'udp', port, { timeoutMs: 200 });
    await lived(fleet);
    const [first, second] = seen;
    expect(second?.data).toBe(first?.data);
    expect(second?.id).not.toBe(first?.id);
    expect(second?.port).not.toBe(first?.port);
    expect(fleet.total().timeouts).toBeGreaterThan(0);
    expect(fleet.total().reconnects).toBe(0);
    expect(ledgerLines()).toHaveLength(fleet.total().sent);
  });

  it('reports the answer to another packet as wrong', async () => {
    let sent = 0;
    const port = await udpServer((bytes, _from, reply) => {
      const id = bytes[5] ?? 0;
      reply(Buffer.from([0, 5, 0xca, 0xfe, 1, sent++ === 0 ? id ^ 0x40 : id, 1]));
    });
    const fleet = fleetOf('teltonika', 'udp', port, { timeoutMs: 200 });
    await lived(fleet);
    expect(fleet.total().wrongAnswers).toBe(1);
    expect(fleet.total().acknowledged).toBe(fleet.total().sent);
  });
});

/** Answers every Teltonika packet with its own count, over both transports, and tells what came. */
interface Seen {
  /** Connection number or UDP port. */
  readonly from: number;
  readonly bytes: string;
  readonly records: number;
  /** Data field: the same when records are sent again. */
  readonly field: string;
}

async function honestServer(transport: Transport, seen: Seen[]): Promise<number> {
  const note = (from: number, bytes: Buffer, at: number, end: number): number => {
    const records = bytes[at + 1] ?? 0;
    seen.push({ from, bytes: bytes.toString('hex'), records, field: bytes.subarray(at, end).toString('hex') });
    return records;
  };
  if (transport === 'udp')
    return udpServer((bytes, from, reply) =>
      reply(Buffer.from([0, 5, 0xca, 0xfe, 1, bytes[5] ?? 0, note(from.port, bytes, 23, bytes.length)])),
    );
  return tcpServer((socket, bytes, connection) => {
    if (isLogin(bytes)) socket.write(yes);
    else socket.write(Buffer.from([0, 0, 0, note(connection, bytes, bytes.indexOf('00000000', 0, 'hex') + 8, bytes.length - 4)]));
  });
}

describe('what devices go through', () => {
  const LONG = { intervalMs: 1, durationMs: 3500, timeoutMs: 300 };

  it.each(['tcp', 'udp'] as const)('an answer that is lost: the same again over %s, once in the ledger (5)', async (transport) => {
    const seen: Seen[] = [];
    const port = await honestServer(transport, seen);
    const fleet = fleetOf('teltonika', transport, port, { ...LONG, devices: 6 });
    await fleet.run();
    const total = fleet.total();
    expect(total.lostAnswers).toBeGreaterThan(3);
    expect(total.wrongAnswers + total.timeouts + total.reconnects + total.unsent).toBe(0);
    // The device's records alone: over UDP the packet's head is in front of the field.
    const again = seen.flatMap((packet, k) =>
      seen
        .slice(0, k)
        .filter((earlier) => earlier.field === packet.field)
        .map((earlier) => ({ packet, earlier })),
    );
    expect(again.length).toBeGreaterThanOrEqual(total.lostAnswers);
    const here = again.filter(({ packet, earlier }) => packet.from === earlier.from);
    expect(here.length).toBeGreaterThan(0);
    for (const { packet, earlier } of here) expect(packet.bytes).toBe(earlier.bytes);
    // A stream may also be given up; a datagram always comes again from its port, with its packet id.
    if (transport === 'tcp') expect(here.length).toBeLessThan(again.length);
    expect(total.acknowledged).toBe(total.sent);
    expect(ledgerLines()).toHaveLength(total.sent);
    expect(new Set(ledgerLines()).size).toBe(total.sent);
    const records = new Map(seen.map((packet) => [packet.field, packet.records]));
    expect([...records.values()].reduce((sum, count) => sum + count, 0)).toBe(total.sent);
  });

  it('no coverage: what was kept comes in full packets, and every device in the order of time', async () => {
    const seen: Seen[] = [];
    const port = await honestServer('tcp', seen);
    const fleet = fleetOf('teltonika', 'tcp', port, { ...LONG, devices: 3 });
    await fleet.run();
    const total = fleet.total();
    expect(total.stored).toBeGreaterThan(20);
    expect(total.acknowledged).toBe(total.sent);
    expect(Math.max(...seen.map((packet) => packet.records))).toBeGreaterThan(3);
    const last = new Map<string, number>();
    for (const line of ledgerLines()) {
      const [device = '', time] = line.split('\t');
      expect(Number(time)).toBeGreaterThan(last.get(device) ?? 0);
      last.set(device, Number(time));
    }
    expect(last.size).toBe(3);
  });

  it('ends a time without coverage when nothing more is reported', async () => {
    const seen: Seen[] = [];
    const port = await honestServer('tcp', seen);
    // Wherever it ends, some of the devices have no coverage then.
    const fleet = fleetOf('teltonika', 'tcp', port, { ...LONG, durationMs: 1000, devices: 20 });
    await fleet.run();
    expect(fleet.total().stored).toBeGreaterThan(0);
    expect(fleet.total().unsent).toBe(0);
    expect(ledgerLines()).toHaveLength(fleet.total().sent);
  });

  it('is the same for the same seed, and another for another (6)', async () => {
    const story = async (seed: number): Promise<string> => {
      const seen: Seen[] = [];
      const port = await honestServer('tcp', seen);
      await fleetOf('teltonika', 'tcp', port, { ...LONG, seed }).run();
      return seen
        .slice(0, 60)
        .map(({ records, field }, k) => `${records}${seen[k - 1]?.field === field ? ' again' : ''}`)
        .join(', ');
    };
    const [first = '', same, other] = await Promise.all([story(1), story(1), story(2)]);
    expect(first).toContain('again');
    expect(first).toMatch(/ \d{2}/);
    expect(same).toBe(first);
    expect(other).not.toBe(first);
  });
});

describe('a device whose fixes have no answer of their own', () => {
  it('takes a fix for acknowledged when the heartbeat behind it is answered, not before, and sends all again otherwise (2, 3)', async () => {
    // The server is the codec itself, except that on the first connection it hangs up instead of answering a heartbeat.
    const seen: string[][] = [];
    const transcripts: Transcript[] = [];
    const options = checkOptions(gt06.options, {}, []);
    let acknowledgedBefore = -1;
    const port = await tcpServer((socket, bytes, connection) => {
      transcripts[connection] ??= new Transcript(gt06, 'tcp', { options, device: '', explain: false, now: () => systemClock.now() });
      seen[connection] ??= [];
      for (const message of transcripts[connection].push(bytes)) {
        const fixes = message.records.filter((record) => record['kind'] === 'fix');
        seen[connection].push(...fixes.map((fix) => `${fix['device']}\t${fix['time']}\t${fix['id']}`));
        if (message.name === 'heartbeat' && connection === 0) {
          acknowledgedBefore = ledgerLines().length;
          socket.destroy();
          return;
        }
        if (message.answer !== null) socket.write(Buffer.from(message.answer, 'hex'));
      }
    });
    const fleet = fleetOf('gt06', 'tcp', port);
    await lived(fleet);
    const [first = [], second = []] = seen;
    expect(acknowledgedBefore).toBe(0);
    expect(first.length).toBeGreaterThan(0);
    expect(second.slice(0, first.length)).toEqual(first);
    expect(new Set(second).size).toBe(second.length);
    expect(ledgerLines()).toEqual(second);
    expect(fleet.total().wrongAnswers).toBe(0);
    expect(fleet.total().reconnects).toBe(1);
    expect(fleet.total().acknowledged).toBe(fleet.total().sent);
  });
});

describe('the parts', () => {
  it('give the same track for the same seed, and never the same time twice', () => {
    const track = (seed: number): string => {
      const one = new Track(seed, 1000);
      return JSON.stringify(Array.from({ length: 50 }, (_, k) => one.at(1_793_491_200_000 + 100 * k)));
    };
    expect(track(1)).toBe(track(1));
    expect(track(1)).not.toBe(track(2));
    const one = new Track(3, 1000);
    const times = Array.from({ length: 50 }, (_, k) => one.at(1_793_491_200_000 + 100 * k).time);
    expect(new Set(times).size).toBe(50);
    expect(times.every((time) => time % 1000 === 0)).toBe(true);
  });

  it('tell percentiles to two in a hundred', () => {
    const latency = new Latency();
    const random = new Random(1);
    const values = Array.from({ length: 10_000 }, () => 0.05 * 10 ** (4 * random.next())).sort((a, b) => a - b);
    for (const value of values) latency.add(value);
    for (const share of [0.01, 0.5, 0.95, 0.99, 1]) {
      const exact = values[Math.ceil(share * values.length) - 1] ?? 0;
      expect(Math.abs(latency.percentile(share) / exact - 1)).toBeLessThan(0.025);
    }
    expect(new Latency().percentile(0.99)).toBe(0);
  });
});
