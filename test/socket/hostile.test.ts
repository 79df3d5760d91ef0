import { readFileSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { attack } from '../helpers/hostile.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';

/** The acceptance run sets 60. */
const SECONDS = Number(process.env['HOSTILE_SECONDS'] ?? 8);
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

it(
  `promise 6: ${SECONDS} s of garbage on every port cost counters, not a device`,
  async () => {
    server = await Server.start();
    const ports = await Promise.all([...['teltonika', 'gt06', 'h02', 'auto'].map((codec) => server?.port(codec) ?? 0)]);
    const device = await TcpDevice.connect(ports[0] ?? 0);
    device.send(Buffer.from('000f333536333037303432343431303133', 'hex'));
    await device.until((d) => d.received.length === 1);
    await attack(ports, 2000, SEED);
    const workers = server.children('worker');
    const before = residentMb(workers);

    const attacking = attack(ports, SECONDS * 1000, SEED + 1);
    const packet = Buffer.from(
      '00000000000000280801000001972b5cee00000ac50cb0235ceec8001c005a0b0036000302ef011504014235e80000010000900f',
      'hex',
    );
    let answered = 0;
    for (const until = performance.now() + SECONDS * 1000; performance.now() < until; answered++) {
      device.send(packet);
      await device.until((d) => d.received.length === 5 + 4 * answered || d.ended);
      expect(device.ended).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const made = await attacking;
    expect(made).toBeGreaterThan(100);
    expect(answered).toBeGreaterThan(SECONDS);
    expect(device.received.subarray(1).toString('hex')).toBe('00000001'.repeat(answered));

    // Nobody died, memory is where it was, and every connection ended with one reason.
    expect(server.children('worker')).toEqual(workers);
    expect(residentMb(workers) - before).toBeLessThan(60);
    device.close();
    await vi.waitFor(
      async () => {
        if (server === undefined) return;
        const { closes, accepts, open } = await closesAndAccepts(server);
        expect(open).toBe(0);
        expect([...closes.values()].reduce((a, b) => a + b, 0)).toBe(accepts);
        for (const reason of ['http', 'tls', 'device']) expect(closes.get(reason)).toBeGreaterThan(0);
      },
      { timeout: 20_000, interval: 500 },
    );
    expect(server.log.filter((line) => line.level >= 50)).toEqual([]);
    expect(server.stderr).toBe('');
  },
  SECONDS * 1000 + 60_000,
);
