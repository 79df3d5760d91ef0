import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Clock, testClock } from '../../src/base/clock.ts';
import type { Counters } from '../../src/fleet/plan/overhead.ts';
import { fixgate, fixgateProcess } from '../cli/command.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually, pause, until } from '../support/wait.ts';
import { PROTOCOLS, settled, Unit } from './month-unit.ts';

/** A device of the month: an account's, with one unit after the other in it. */
export interface Place {
  readonly number: number;
  readonly id: string;
  readonly account: 'acme' | 'bolt';
  unit: Unit;
  /** What passed the sockets of units that are out of it. */
  readonly before: { in: number; out: number };
}

export interface Counted {
  readonly bytes_in: number;
  readonly bytes_out: number;
}

export interface Row extends Counters {
  readonly device: string;
  readonly account: string;
  readonly start: number;
  readonly end: number;
  readonly provisional: boolean;
  readonly hash?: string;
  readonly [field: string]: unknown;
}

/** How long what a process has read of the test clock may hold, ms, generously. */
const REREAD_MS = 60;
const OFF_MS = 180_000;

/** A whole server on a clock that is moved, and the devices of two accounts. */
export class World {
  readonly clock: Clock;
  readonly dataDir: string;
  readonly places: readonly Place[];
  server: ApiServer;
  readonly #directory: string;
  readonly #file: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(directory: string, file: string, env: Readonly<Record<string, string>>, server: ApiServer, devices: number) {
    this.#directory = directory;
    this.#file = file;
    this.#env = env;
    this.clock = testClock(file);
    this.server = server;
    this.dataDir = server.running.dataDir;
    this.places = Array.from({ length: devices }, (_, number) => {
      const unit = new Unit(number, PROTOCOLS[number % PROTOCOLS.length] ?? 'teltonika', number % 5 === 4 ? 'udp' : 'tcp', this.clock);
      return { number, id: unit.id, account: number % 2 === 0 ? 'acme' : 'bolt', unit, before: { in: 0, out: 0 } };
    });
  }

  static async start(devices: number, at: number, more: Readonly<Record<string, string>> = {}): Promise<World> {
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-month-'));
    const file = join(directory, 'clock');
    writeFileSync(file, String(at - Date.now()));
    const env = { FIXGATE_TEST_CLOCK: file, FIXGATE_WORKERS: '2', ...more };
    const server = await ApiServer.start(env, { dataDir: join(directory, 'data') });
    return new World(directory, file, env, server, devices);
  }

  async close(): Promise<void> {
    for (const { unit } of this.places) unit.off();
    await this.server.running.stop();
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  place(number: number): Place {
    const found = this.places[number];
    if (found === undefined) throw new Error(`there is no device ${number}`);
    return found;
  }

  of(account: Place['account']): readonly Place[] {
    return this.places.filter((place) => place.account === account);
  }

  /** Moves the clock forward; every process has it when this resolves. */
  async at(moment: number): Promise<void> {
    expect(moment).toBeGreaterThan(this.clock.now());
    writeFileSync(this.#file, String(moment - Date.now()));
    const since = this.clock.elapsed();
    await until(() => this.clock.elapsed() - since > REREAD_MS);
    expect(this.clock.now()).toBeGreaterThanOrEqual(moment);
  }

  /** Each unit reports, and some of them stay connected. */
  async report(units: readonly Unit[] = this.places.map(({ unit }) => unit), positions = 3, overMs = OFF_MS): Promise<void> {
    for (const unit of units) {
      unit.on({ host: '127.0.0.1', port: await this.server.running.port(unit.protocol, unit.transport) });
      unit.report(positions, overMs);
    }
    await settled(units);
    for (const [k, unit] of units.entries()) if (k % 4 > 1) unit.off();
  }

  off(): void {
    for (const { unit } of this.places) unit.off();
  }

  counted({ unit, before }: Place): Counted {
    return { bytes_in: before.in + unit.tally.bytesSent, bytes_out: before.out + unit.tally.bytesReceived };
  }

  counts(): Map<string, Counted> {
    return new Map(this.places.map((place) => [place.id, this.counted(place)]));
  }

  /** Until ClickHouse has what the units counted, to the byte. */
  async quiet(): Promise<Map<string, Counted>> {
    await eventually(async () => {
      const rows = await this.select<Counted & { device: string }>(
        'SELECT device, toUInt32(sum(bytes_in)) AS bytes_in, toUInt32(sum(bytes_out)) AS bytes_out FROM usage FINAL GROUP BY device',
      );
      const stored = new Map(rows.map(({ device, ...counted }) => [device, counted]));
      const wrong = this.places.filter((place) => JSON.stringify(stored.get(place.id)) !== JSON.stringify(this.counted(place)));
      // Usage is noted every few seconds.
      if (wrong.length > 0) await pause(1_000);
      expect(wrong.map((place) => [place.number, stored.get(place.id), this.counted(place)])).toEqual([]);
    });
    return this.counts();
  }

  async select<T>(sql: string): Promise<T[]> {
    const text = await this.server.running.query(`${sql} FORMAT JSONEachRow`);
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  /** Types of events of a device, or of none (''), in their order, without a second telling. */
  async events(device: string, prefix: string): Promise<string[]> {
    const [found = []] = await this.eventsOf([device], prefix);
    return found;
  }

  /** The same of several devices. */
  async eventsOf(devices: readonly string[], prefix: string): Promise<string[][]> {
    const rows = await this.select<{ device: string; type: string; data: string }>(
      `SELECT device, type, data FROM events FINAL WHERE device IN (${devices.map((device) => `'${device}'`).join(', ')})
       AND match(type, '^(${prefix})') ORDER BY time, startsWith(type, 'device_'), id`,
    );
    const seen = new Set<string>();
    const told = rows.flatMap(({ device, type, data }) => {
      const { effective, action = '', version = '', reason = '' } = JSON.parse(data);
      const key = `${device} ${type} ${effective} ${action} ${version}`;
      if (seen.has(key) && effective !== undefined) return [];
      seen.add(key);
      return [{ device, text: [type, action, version, reason].filter((part) => part !== '').join(' ') }];
    });
    return devices.map((id) => told.filter(({ device }) => device === id).map(({ text }) => text));
  }

  /** The unit is refused, on every worker: until then what it says is the device's. */
  async refused({ before }: Place, unit: Unit): Promise<void> {
    const port = await this.server.running.port(unit.protocol);
    const login = handshake(unit.id);
    for (let refusals = 0; refusals < 20; ) {
      const device = await TcpDevice.connect(port);
      device.send(login);
      await device.until(({ received, ended }) => received.length > 0 || ended);
      if (device.received[0] === 1) {
        before.in += login.length;
        before.out += 1;
        refusals = 0;
      } else refusals++;
      device.close();
    }
  }

  async call(method: string, path: string, body?: object, status = 200): Promise<Record<string, unknown>> {
    const answer = await this.server.call(method, path, body);
    expect([answer.status, status === answer.status ? '' : answer.body]).toEqual([status, '']);
    return answer.body;
  }

  /** The statements of an account whose cycles begin in the month, once all are frozen. */
  async frozen(account: string, month: string): Promise<readonly Row[]> {
    return eventually(async () => {
      const { statements } = await this.call('GET', `/v1/accounts/${account}/statements/${month}`);
      const rows: readonly Row[] = Object(statements);
      // Those that are not frozen are computed anew at each look.
      if (rows.some(({ provisional }) => provisional)) await pause(1_000);
      expect(rows.filter(({ provisional }) => provisional).map(({ device }) => device)).toEqual([]);
      expect(rows.length).toBeGreaterThan(0);
      return rows;
    });
  }

  /** `fixgate statement verify`. */
  async verify(): Promise<{ readonly code: number | null; readonly out: string }> {
    const { code, out, error } = await fixgate(['statement', 'verify'], '', this.server.running.stores);
    expect(error).toBe('');
    return { code, out };
  }

  fixgate(...args: string[]): ReturnType<typeof fixgateProcess> {
    return fixgateProcess(args, '', { ...this.server.running.stores, FIXGATE_TEST_CLOCK: this.#file });
  }

  /** SIGKILL to the supervisor, and the same data again. */
  async killed(): Promise<void> {
    this.server.running.signal('SIGKILL');
    await this.server.running.exited;
    this.server = await ApiServer.start(this.#env, { dataDir: this.dataDir, known: this.server.token });
  }

  /** SIGKILL to each process of a role, until others are up in their places. */
  async killedEach(role: 'worker' | 'shipper' | 'clickhouse'): Promise<void> {
    const before = this.server.running.children(role);
    expect(before.length).toBeGreaterThan(0);
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await eventually(async () => {
      const { processes } = await this.call('GET', '/v1/status');
      const all: readonly { readonly pid: number; readonly state: string }[] = Object(processes);
      const up = all.filter(({ state }) => state === 'up').map(({ pid }) => pid);
      const now = this.server.running.children(role).filter((pid) => !before.includes(pid) && up.includes(pid));
      expect(now).toHaveLength(before.length);
    });
  }
}
