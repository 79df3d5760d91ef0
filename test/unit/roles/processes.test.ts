import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { wholeBefore } from '../../../src/base/erased.ts';
import { Ownership } from '../../../src/base/lock/ownership.ts';
import { silentLog } from '../../../src/base/log.ts';
import { isMessage } from '../../../src/cluster/ipc.ts';
import type { FromChild, Start, ToChild } from '../../../src/cluster/messages.ts';
import { claimPorts } from '../../../src/cluster/ports.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { packConfig } from '../../../src/config/pack.ts';
import { TcpDevice } from '../../helpers/tcp-device.ts';
import { handshake, packet } from '../../helpers/teltonika.ts';

const ROLES = join(import.meta.dirname, '../../../src/roles');

/** A child of the server without a supervisor: the test says what the supervisor would. */
class Child {
  readonly #process: ChildProcess;
  readonly #heard: FromChild[] = [];
  #changed: () => void = () => {};

  constructor(module: string, start: Start) {
    this.#process = fork(join(ROLES, module), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
    onTestFinished(() => void this.#process.kill('SIGKILL'));
    this.#process.on('message', (message) => {
      if (isMessage<FromChild>(message)) this.#heard.push(message);
      this.#changed();
    });
    this.send(start);
  }

  send(message: ToChild): void {
    this.#process.send(message);
  }

  /** The first message of this type. */
  async heard(type: FromChild['type']): Promise<FromChild> {
    for (;;) {
      const found = this.#heard.find((message) => message.type === type || message.type === 'failed');
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  async drain(): Promise<unknown> {
    const ended = once(this.#process, 'exit');
    this.send({ type: 'drain', deadlineMs: 1_000 });
    const [code] = await ended;
    return code;
  }
}

it('a worker and the shipper do what their messages say, each as a process of its own', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fixgate-roles-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  const ownership = await Ownership.take(dataDir, { waitMs: 0, log: silentLog, lost: () => {} });
  onTestFinished(() => ownership.close());
  const env = { FIXGATE_DATA_DIR: dataDir, FIXGATE_LISTEN: 'teltonika@127.0.0.1:0', FIXGATE_CLICKHOUSE_URL: 'http://127.0.0.1:9' };
  const { config } = loadConfig({ file: undefined, env });
  const listeners = await claimPorts(config.listeners);
  const start: Start = {
    type: 'start',
    config: packConfig({ ...config, listeners }),
    instance: '0123456789abcdef',
    owner: ownership.random,
    slot: 0,
    successor: false,
    orderOffset: 0,
    stateDamage: '',
    clickhouse: { url: 'http://127.0.0.1:9', username: 'default', password: '', database: 'fixgate', embedded: '' },
  };

  const worker = new Child('worker-process.ts', start);
  expect(await worker.heard('ready')).toEqual({ type: 'ready' });
  const port = listeners.find(({ transport }) => transport === 'tcp')?.port ?? 0;
  const device = await TcpDevice.connect(port);
  device.send(handshake('356307042000001'));
  device.send(packet(Date.UTC(2026, 9, 1)));
  await device.until((d) => d.received.length === 5);
  expect(await worker.heard('sessions')).toMatchObject({ moves: [['356307042000001', [expect.anything()]]] });
  worker.send({ type: 'rotate', ticket: 7 });
  expect(await worker.heard('done')).toEqual({ type: 'done', ticket: 7, counts: {}, trouble: '' });
  expect(await worker.heard('report')).toMatchObject({ health: { 'worker-0': { state: 'up' } } });
  expect(await worker.drain()).toBe(0);
  await device.until((d) => d.ended);

  const shipper = new Child('shipper-process.ts', start);
  expect(await shipper.heard('ready')).toEqual({ type: 'ready' });
  expect(await shipper.heard('report')).toMatchObject({ health: { clickhouse: { state: 'degraded' } } });
  shipper.send({ type: 'erase', ticket: 8, part: 'journal', devices: [['356307042000001', [wholeBefore(Date.UTC(2100, 0, 1))]]] });
  expect(await shipper.heard('done')).toMatchObject({ ticket: 8, trouble: '', counts: { entries: expect.any(Number) } });
  expect(await shipper.drain()).toBe(0);
});
