import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Latency } from '../../src/simulate/latency.ts';
import { isFromLoad, type LoadOrder, type LoadReport } from './messages.ts';

/** Device processes as one fleet. */
export interface LoadResult extends Omit<LoadReport, 'latency'> {
  readonly latency: Latency;
  /** Of the measured time. */
  readonly packetsPerS: number;
}

const MODULE = fileURLToPath(new URL('./device.ts', import.meta.url));

/** Runs `processes` of them on one order, whose devices and rate are shared out; resolves with the sum. */
export async function runLoad(order: LoadOrder, processes: number): Promise<LoadResult> {
  const reports = await Promise.all(
    Array.from({ length: processes }, (_, k) => {
      const devices = share(order.devices, processes, k);
      const first = order.first + k * Math.ceil(order.devices / processes);
      return report(start({ ...order, devices, first, rate: order.rate / processes }));
    }),
  );
  const latency = new Latency();
  let [packets, acknowledged, late, wrong, connected] = [0, 0, 0, 0, 0];
  for (const one of reports) {
    latency.merge(Latency.of(one.latency));
    packets += one.packets;
    acknowledged += one.acknowledged;
    late += one.late;
    wrong += one.wrong;
    connected += one.connected;
  }
  return { packets, acknowledged, late, wrong, connected, latency, packetsPerS: (1000 * packets) / order.runMs };
}

/** Opens connections that stay silent, for as long as `during` takes. */
export async function whileConnected<T>(
  port: number,
  first: number,
  devices: number,
  processes: number,
  during: () => Promise<T>,
): Promise<T> {
  const children: ChildProcess[] = [];
  try {
    await Promise.all(
      Array.from({ length: processes }, (_, k) => {
        const order = { port, first: first + k * Math.ceil(devices / processes), devices: share(devices, processes, k) };
        const child = start({ ...order, records: 0, rate: 0, warmMs: 0, runMs: 0 });
        children.push(child);
        return connected(child);
      }),
    );
    return await during();
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

function share(total: number, parts: number, index: number): number {
  const each = Math.ceil(total / parts);
  return Math.max(0, Math.min(each, total - index * each));
}

function start(order: LoadOrder): ChildProcess {
  const child = fork(MODULE);
  child.send(order);
  return child;
}

function connected(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (isFromLoad(message) && message.type === 'connected') resolve();
    });
    child.on('exit', (code) => reject(new Error(`a device process ended with code ${code} while connecting`)));
  });
}

function report(child: ChildProcess): Promise<LoadReport> {
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (isFromLoad(message) && message.type === 'done') resolve(message.report);
    });
    child.on('exit', (code) => reject(new Error(`a device process ended with code ${code}`)));
  });
}
