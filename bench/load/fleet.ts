import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { descriptorLimit } from '../../src/base/descriptors.ts';
import { Latency } from '../../src/simulate/latency.ts';
import { type FleetOrder, type FromLoad, isFromLoad, type RunReport, type ToLoad } from './messages.ts';

/** Device processes as one fleet. */
export interface RunResult extends Omit<RunReport, 'latency'> {
  readonly latency: Latency;
  readonly packetsPerS: number;
}

export type FleetSettings = Omit<FleetOrder, 'type'>;

const MODULE = fileURLToPath(new URL('./device.ts', import.meta.url));

export class LoadFleet {
  readonly pids: readonly number[];
  /** Number of the first device. */
  readonly first: number;
  /** Until the last device was logged in, ms. */
  readonly connectMs: number;
  /** Connections that were lost before the login. */
  readonly lost: number;
  readonly #children: readonly ChildProcess[];

  private constructor(children: readonly ChildProcess[], first: number, connectMs: number, lost: number) {
    this.#children = children;
    this.first = first;
    this.pids = children.map((child) => child.pid ?? 0);
    this.connectMs = connectMs;
    this.lost = lost;
  }

  /** Connects and logs in the devices, shared out over so many processes, or as many as have descriptors enough. */
  static async connect(settings: FleetSettings, least: number): Promise<LoadFleet> {
    const processes = Math.max(least, Math.ceil((2 * settings.devices) / descriptorLimit()));
    const each = Math.ceil(settings.devices / processes);
    const children = Array.from({ length: processes }, () => fork(MODULE));
    const said = await Promise.all(
      children.map((child, k) => {
        const devices = Math.max(0, Math.min(each, settings.devices - k * each));
        return ask(child, { ...settings, type: 'connect', first: settings.first + k * each, devices });
      }),
    );
    let [tookMs, lost] = [0, 0];
    for (const message of said)
      if (message.type === 'connected') {
        tookMs = Math.max(tookMs, message.tookMs);
        lost += message.lost;
      }
    return new LoadFleet(children, settings.first, tookMs, lost);
  }

  /** `rate`: packets per second of the whole fleet; 0: as fast as the answers come. */
  async run(rate: number, runMs: number): Promise<RunResult> {
    const share = rate / this.#children.length;
    const said = await Promise.all(this.#children.map((child) => ask(child, { type: 'run', rate: share, runMs })));
    const latency = new Latency();
    let [packets, records, tookMs, unsent, wrong, lost] = [0, 0, 0, 0, 0, 0];
    for (const message of said) {
      if (message.type !== 'done') continue;
      const { report } = message;
      latency.merge(Latency.of(report.latency));
      packets += report.packets;
      records += report.records;
      tookMs = Math.max(tookMs, report.tookMs);
      unsent += report.unsent;
      wrong += report.wrong;
      lost += report.lost;
    }
    if (wrong > 0) throw new Error(`${wrong} wrong answers`);
    return { packets, records, latency, tookMs, unsent, wrong, lost, packetsPerS: (1000 * packets) / Math.max(1, tookMs) };
  }

  /** Ends the processes, and with them the connections. */
  async close(): Promise<void> {
    await Promise.all(
      this.#children.map(
        (child) =>
          new Promise<void>((resolve) => {
            if (child.exitCode !== null || child.signalCode !== null) return resolve();
            child.once('exit', () => resolve());
            child.kill('SIGKILL');
          }),
      ),
    );
  }
}

function ask(child: ChildProcess, order: ToLoad): Promise<FromLoad> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a process of devices ended with code ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      if (isFromLoad(message)) resolve(message);
      else reject(new Error('a process of devices said something else'));
    });
    child.send(order);
  });
}
