import { readFileSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { attack } from '../helpers/hostile.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, pause } from '../support/wait.ts';

const SECONDS = rounds(5, 60);
const SEED = 20261101;

let server: Server | undefined;
afterEach(async () => {
  await server?.stop();
});

function residentMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024, 0);
}

async function closesAndAccepts(from: Server): Promise<{ closes: Map<string, number>; accepts: number; open: number }> {
  const text = await (await from.http('/metrics')).text();
  const closes = new Map<string, number>();
  for (const [, reason = '', value] of text.matchAll(/^fixgate_closes_total\{reason="([^"]+)"\} (\d+)/gm))
    closes.set(reason, Number(value));
  const sum = (name: RegExp): number => [...text.matchAll(name)].reduce((total, match) => total + Number(match[1]), 0);
  return {
    closes,
    accepts: sum(/^fixgate_accepts_total\{[^}]*transport="tcp"\} (\d+)/gm),
    open: sum(/^fixgate_connections\{[^}]*\} (\d+)/gm),
  };
}

it('promise 6: garbage on every port costs counters, not a device', async () => {
  server = await Server.start();
  const ports = await Promise.all([...['teltonika', 'gt06', 'h02', 'auto'].map((codec) => server?.port(codec) ?? 0)]);
  const device = await TcpDevice.connect(ports[0] ?? 0);
  device.send(Buffer.from('000f333536333037303432343431303133', 'hex'));
  await device.until((d) => d.received.length === 1);
  await attack(ports, 2000, SEED);
  const workers = server.children('worker');
  const before = residentMb(workers);

  let isOver = false;
  const attacking = attack(ports, SECONDS * 1000, SEED + 1).finally(() => {
    isOver = true;
  });
  const packet = Buffer.from(
    '00000000000000280801000001972b5cee00000ac50cb0235ceec8001c005a0b0036000302ef011504014235e80000010000900f',
    'hex',
  );
  let answered = 0;
  for (; !isOver || answered <= SECONDS; answered++) {
    device.send(packet);
    await device.until((d) => d.received.length === 5 + 4 * answered || d.ended);
    expect(device.ended).toBe(false);
    await pause(50);
  }
  const made = await attacking;
  expect(made).toBeGreaterThan(100);
  expect(device.received.subarray(1).toString('hex')).toBe('00000001'.repeat(answered));

  // Nobody died, memory is where it was, and every connection ended with one reason.
  expect(server.children('worker')).toEqual(workers);
  expect(residentMb(workers) - before).toBeLessThan(60);
  device.close();
  await eventually(async () => {
    if (server === undefined) return;
    const { closes, accepts, open } = await closesAndAccepts(server);
    expect(open).toBe(0);
    expect([...closes.values()].reduce((a, b) => a + b, 0)).toBe(accepts);
    for (const reason of ['http', 'tls', 'device']) expect(closes.get(reason)).toBeGreaterThan(0);
  });
  expect(server.log.filter((line) => line.level >= 50)).toEqual([]);
  expect(server.stderr).toBe('');
});
