import dgram from 'node:dgram';
import { mkdtempSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { cycleOf } from '../../src/fleet/plan/cycle.ts';
import { type Counters, NOTHING } from '../../src/fleet/plan/overhead.ts';
import { UNLIMITED } from '../../src/fleet/plan/plan.ts';
import { countersOf } from '../../src/fleet/plan/usage.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { JournalReader } from '../../src/journal/reader.ts';
import { parseUsage } from '../../src/journal/usage.ts';
import { Random } from '../../src/simulate/random.ts';
import { openState } from '../../src/state/open.ts';
import { fixgate } from '../cli/command.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { Server } from '../helpers/server.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { RedisServer } from '../ship/rig.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, moment, pause, until } from '../support/wait.ts';

/** Promise 8 on whole servers: what a device's own socket has counted is what it is billed for. */

/** What a killed worker may have taken with it of one device (docs/plans.md): 16 KiB, and a few of these devices' packets. */
const LOST_AT_A_KILL = 16_384 + 4_096;

/** A TCP device that counts what its socket does. */
class Client {
  sent = 0;
  received = 0;
  socket: net.Socket | undefined;
  #changed: () => void = () => {};

  async connect(port: number): Promise<void> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket = socket;
    for (const event of ['close', 'error']) socket.on(event, () => this.#changed());
    socket.on('data', (chunk) => {
      this.received += chunk.length;
      this.#changed();
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
  }

  /** Sends, and waits for so many bytes of answer; false when the connection ends before. */
  async ask(bytes: Uint8Array, answer: number): Promise<boolean> {
    const wanted = this.received + answer;
    this.sent += bytes.length;
    this.socket?.write(bytes);
    while (this.received < wanted && this.socket?.destroyed === false)
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    return this.received >= wanted;
  }

  close(): void {
    this.socket?.destroy();
  }
}

type Sums = Map<string, Counters>;

async function inStore(of: Server, redisUrl = ''): Promise<Sums> {
  const store = await openState({ url: secretUrl(redisUrl), prefix: 'fixgate:', directory: join(of.dataDir, 'state'), log: silentLog });
  try {
    const { start } = cycleOf(UNLIMITED, Date.now());
    const found = (await store.list('usage', { limit: 1000 })).filter(({ key }) => key.endsWith(` ${start}`));
    return new Map(found.map(({ key, value }) => [key.slice(0, key.indexOf(' ')), countersOf(value)]));
  } finally {
    await store.close();
  }
}

async function inJournal(of: Server): Promise<Sums> {
  const sums: Sums = new Map();
  for (const slot of await nodeStorage.list(join(of.dataDir, 'journal'))) {
    if (!/^\d+$/.test(slot)) continue;
    const reader = new JournalReader(join(of.dataDir, 'journal', slot), nodeStorage, 1);
    for (; await reader.fill(); reader.advance()) {
      const entry = reader.peek();
      if (entry?.kind !== EntryKind.Usage) continue;
      const traffic = parseUsage(entry.bytes.toString('utf8', entry.start, entry.end));
      const sum = sums.get(entry.device) ?? NOTHING;
      sums.set(entry.device, {
        bytes_in: sum.bytes_in + (traffic?.in ?? Number.NaN),
        bytes_out: sum.bytes_out + (traffic?.out ?? Number.NaN),
        segments: sum.segments + (traffic?.segments ?? Number.NaN),
        datagrams: sum.datagrams + (traffic?.datagrams ?? Number.NaN),
        records: sum.records + (traffic?.records ?? Number.NaN),
      });
    }
    await reader.close();
  }
  return sums;
}

async function inClickHouse(of: Server): Promise<Sums> {
  const text = await of.query(
    'SELECT device, sum(bytes_in), sum(bytes_out), sum(segments), sum(datagrams), sum(records) FROM usage FINAL GROUP BY device FORMAT TSV',
  );
  const sums: Sums = new Map();
  for (const line of text.split('\n').filter(Boolean)) {
    const [device = '', ...rest] = line.split('\t');
    const [bytes_in = 0, bytes_out = 0, segments = 0, datagrams = 0, records = 0] = rest.map(Number);
    sums.set(device, { bytes_in, bytes_out, segments, datagrams, records });
  }
  return sums;
}

const sorted = (sums: Sums) => [...sums].sort(([a], [b]) => (a < b ? -1 : 1));

/** Whether the peer, on this machine, has read all that was written. Its queue is a column of the kernel's table: proc(5), `/proc/net/tcp`. */
function isReadUp(socket: net.Socket | undefined): boolean {
  const port = (number = 0): string => `:${number.toString(16).padStart(4, '0').toUpperCase()}`;
  const [ours, theirs] = [port(socket?.localPort), port(socket?.remotePort)];
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const peer = lines.map((line) => line.trim().split(/\s+/)).find(([, local, remote]) => local?.endsWith(theirs) && remote?.endsWith(ours));
  return socket?.writableLength === 0 && peer?.[4]?.endsWith(':00000000') === true;
}

/** Waits until journal, state store and ClickHouse say the same, and returns it. */
async function agreed(of: Server, redisUrl = ''): Promise<Sums> {
  return eventually(async () => {
    const journal = await inJournal(of);
    expect(sorted(await inStore(of, redisUrl))).toEqual(sorted(journal));
    expect(sorted(await inClickHouse(of))).toEqual(sorted(journal));
    return journal;
  });
}

/** A position report of H02 (fixture `t1`) with this id, ten digits. */
function h02(device: string): Buffer {
  const line = frameLines('h02').find(({ id }) => id === 't1');
  return Buffer.from(
    Buffer.from(bytesOf(line?.hex ?? ''))
      .toString('latin1')
      .replace(/\d{10}/, device),
    'latin1',
  );
}

/** Kills workers and the shipper of a server whose devices report, and makes of history what the sums were. */
async function throughKills(running: Server, stateUrl = ''): Promise<void> {
  const port = await running.port('teltonika');
  let over = false;
  const clients = Array.from({ length: 4 }, () => new Client());
  const devices = clients.map(async (client, index) => {
    for (let n = 0; !over; ) {
      try {
        await client.connect(port);
      } catch {
        await pause(50);
        continue;
      }
      let good = await client.ask(handshake(String(356307042441000 + index)), 1);
      while (good && !over) {
        good = await client.ask(packet(Date.UTC(2026, 9, 1) + 1000 * n++), 4);
        await pause(10);
      }
      client.close();
    }
  });
  /** Every device has got some more answers. */
  const going = async (): Promise<void> => {
    const before = clients.map(({ received }) => received);
    await until(() => clients.every(({ received }, index) => received > (before[index] ?? 0) + 40));
  };
  const random = new Random(8);
  let kills = 0;
  for (let round = 0; round < rounds(2, 12); round++) {
    await going();
    await moment(random, 0, 500);
    const role = round % 2 === 0 ? 'worker' : 'shipper';
    await until(() => running.children(role).length > 0);
    const pids = running.children(role);
    process.kill(pids[round % pids.length] ?? 0, 'SIGKILL');
    if (role === 'worker') kills++;
  }
  await going();
  over = true;
  await Promise.all(devices);
  // What was not noted when the devices went is noted in 5 s.
  const sums = await eventually(async () => {
    const found = await agreed(running, stateUrl);
    clients.forEach((client, index) => {
      const sum = found.get(String(356307042441000 + index)) ?? NOTHING;
      const [lostIn, lostOut] = [client.sent - sum.bytes_in, client.received - sum.bytes_out];
      expect(lostIn).toBeGreaterThanOrEqual(0);
      // A killed worker may have written an answer that never arrived.
      expect(lostOut).toBeGreaterThanOrEqual(-4 * 2 * kills);
      expect(lostIn + lostOut).toBeLessThanOrEqual(kills * LOST_AT_A_KILL);
      expect(sum.bytes_in).toBeGreaterThan(0);
    });
    return found;
  });
  const env = {
    ...running.stores,
    ...(stateUrl === '' ? {} : { FIXGATE_STATE_URL: stateUrl }),
  };
  const rebuild = (...args: string[]) => fixgate(['usage', 'rebuild', ...args, '--json'], '', env);
  expect(await rebuild('--all', '--dry-run')).toMatchObject({ code: 0, out: '' });
  // And when a sum is wrong, it is found and set right.
  const store = await openState({
    url: secretUrl(stateUrl),
    prefix: 'fixgate:',
    directory: join(running.dataDir, 'state'),
    log: silentLog,
  });
  const key = `356307042441000 ${cycleOf(UNLIMITED, Date.now()).start}`;
  await store.write([{ table: 'usage', key, add: { bytes_in: 12_345 } }]);
  expect(await rebuild('--device', '356307042441000', '--dry-run')).toMatchObject({ code: 1 });
  const done = await rebuild('--all');
  expect([done.code, done.lines.length]).toEqual([0, 1]);
  expect(countersOf(await store.get('usage', key))).toEqual(sums.get('356307042441000'));
  await store.close();
}

describe('a whole server meters', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-metering-'));
  let running: Server;
  beforeAll(async () => {
    running = await Server.start({ FIXGATE_WORKERS: '2' }, dataDir);
  });
  afterAll(async () => {
    await running.stop();
    await running.removeData();
  });

  it('to the byte what passed the sockets of devices on TCP and UDP, garbage included, and what a switch divides', async () => {
    const [tcp, auto, switching] = [new Client(), new Client(), new Client()];
    await tcp.connect(await running.port('teltonika'));
    expect(await tcp.ask(handshake('356307042441013'), 1)).toBe(true);
    for (let n = 0; n < 500; n++) expect(await tcp.ask(packet(Date.UTC(2026, 9, 1) + 1000 * n), 4)).toBe(true);
    const half = packet(Date.UTC(2026, 9, 2)).subarray(0, 20);
    tcp.sent += half.length;
    tcp.socket?.write(half);

    await auto.connect(await running.port('auto'));
    const shake = handshake('356307042441021');
    for (const byte of shake.subarray(0, shake.length - 1)) {
      auto.sent++;
      auto.socket?.write(Uint8Array.of(byte));
      await until(() => isReadUp(auto.socket));
    }
    expect(await auto.ask(shake.subarray(shake.length - 1), 1)).toBe(true);

    await switching.connect(await running.port('h02'));
    const [a, b] = ['4209951296', '4209951297'];
    let out = 0;
    const answers: number[] = [];
    for (const device of [a, b, b, a]) {
      const before = switching.received;
      switching.sent += h02(device).length;
      switching.socket?.write(h02(device));
      await until(() => switching.received > before);
      answers.push(switching.received - before);
      out += switching.received - before;
    }

    const udp = dgram.createSocket('udp4');
    let datagrams = 0;
    let udpIn = 0;
    udp.on('message', (datagram) => {
      datagrams++;
      udpIn += datagram.length;
    });
    const udpPort = await running.port('h02', 'udp');
    for (const bytes of [h02('4209951298'), Buffer.from('garbage'), h02('4209951298')]) {
      await new Promise<void>((resolve) => udp.send(bytes, udpPort, '127.0.0.1', () => resolve()));
      await pause(100);
    }
    auto.close();

    const sums = await eventually(async () => {
      const found = await agreed(running);
      expect(found.get('356307042441013')?.bytes_in).toBe(tcp.sent);
      expect(found.size).toBe(5);
      return found;
    });
    expect(sums.get('356307042441013')).toMatchObject({ bytes_in: tcp.sent, bytes_out: tcp.received, datagrams: 0, records: 500 });
    expect(sums.get('356307042441021')).toMatchObject({ bytes_in: shake.length, bytes_out: 1, records: 0 });
    // Each byte was read before the next was sent.
    expect(sums.get('356307042441021')?.segments).toBeGreaterThanOrEqual(shake.length);
    expect(sums.get(a)).toMatchObject({ bytes_in: 2 * h02(a).length, bytes_out: (answers[0] ?? 0) + (answers[3] ?? 0), records: 2 });
    expect(sums.get(b)).toMatchObject({ bytes_in: 2 * h02(b).length, bytes_out: (answers[1] ?? 0) + (answers[2] ?? 0), records: 2 });
    expect(Number(sums.get(a)?.bytes_out) + Number(sums.get(b)?.bytes_out)).toBe(out);
    expect(sums.get('4209951298')).toEqual({
      bytes_in: 2 * h02(a).length + 7,
      bytes_out: udpIn,
      segments: 0,
      datagrams: 3 + datagrams,
      records: 2,
    });
    for (const client of [tcp, switching]) client.close();
    udp.close();
  });

  it('through kill -9 of workers and the shipper, with the sums in lmdb; and history rebuilds the same', () => throughKills(running));

  it('what drains with it: nothing is lost on SIGTERM', async () => {
    const client = new Client();
    await client.connect(await running.port('teltonika'));
    await client.ask(handshake('356307042441039'), 1);
    for (let n = 0; n < 10; n++) await client.ask(packet(Date.UTC(2026, 9, 1) + 1000 * n), 4);
    running.signal('SIGTERM');
    expect(await running.exited).toBe(0);
    expect((await inStore(running)).get('356307042441039')).toMatchObject({
      bytes_in: client.sent,
      bytes_out: client.received,
      records: 10,
    });
  });
});

describe('a whole server whose state store is a Redis meters', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-metering-'));
  let redis: RedisServer;
  let env: Readonly<Record<string, string>>;
  let running: Server;
  beforeAll(async () => {
    redis = await RedisServer.start('--appendonly', 'yes');
    env = { FIXGATE_WORKERS: '1', FIXGATE_STATE_URL: redis.url, FIXGATE_DRAIN_MS: '2000' };
    running = await Server.start(env, dataDir);
  });
  afterAll(async () => {
    await running.stop();
    await running.removeData();
    await redis.stop();
  });

  it('while the state store is away: the other sinks go on, and it gets what it has missed', async () => {
    await redis.kill();
    const client = new Client();
    await client.connect(await running.port('teltonika'));
    expect(await client.ask(handshake('356307042441013'), 1)).toBe(true);
    for (let n = 0; n < 10; n++) expect(await client.ask(packet(Date.UTC(2026, 9, 1) + 1000 * n), 4)).toBe(true);
    client.close();
    await eventually(async () =>
      expect((await inClickHouse(running)).get('356307042441013')).toMatchObject({ bytes_in: client.sent, records: 10 }),
    );
    await eventually(async () =>
      expect(await (await running.http('/readyz')).json()).toMatchObject({
        parts: { state: { state: 'degraded' }, clickhouse: { state: 'up' } },
      }),
    );
    running.signal('SIGTERM');
    expect(await running.exited).toBe(0);
    await redis.up('--appendonly', 'yes');
    running = await Server.start(env, running.dataDir);
    const sums = await agreed(running, redis.url);
    expect(sums.get('356307042441013')).toMatchObject({ bytes_in: client.sent, bytes_out: client.received, records: 10 });
  });

  // The same code over both stores; in the short form over the one above.
  if (rounds(0, 1) > 0)
    it('through kill -9 of workers and the shipper; and history rebuilds the same', () => throughKills(running, redis.url));
});
