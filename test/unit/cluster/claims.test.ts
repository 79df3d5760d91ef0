import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../../src/cluster/lock.ts';
import { claimPorts } from '../../../src/cluster/ports.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-claims-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const listener = { codec: 'gt06', transport: 'tcp', host: '127.0.0.1', port: 0, idleMs: 1000 } as const;

describe('the lock of a directory', () => {
  it('has one holder, and says how to go on', async () => {
    const held = await lockDirectory(directory, 0);
    await expect(lockDirectory(directory, 100)).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: expect.stringContaining('in use by another fixgate; stop it or set FIXGATE_DATA_DIR'),
    });
    held.close();
    (await lockDirectory(directory, 1000)).close();
  });

  it('is free again when its holder was killed', async () => {
    const script = `import(${JSON.stringify(join(import.meta.dirname, '../../../src/cluster/lock.ts'))}).then(async (m) => { await m.lockDirectory(process.argv[1], 0); console.log('held'); setInterval(() => {}, 1000); });`;
    const holder = spawn(process.execPath, ['-e', script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    await expect(lockDirectory(directory, 0)).rejects.toThrow(/in use/);
    holder.kill('SIGKILL');
    (await lockDirectory(directory, 5000)).close();
  });
});

describe('ports', () => {
  it('become real ones, the same for TCP and UDP of a codec', async () => {
    const [tcp, udp] = await claimPorts([listener, { ...listener, transport: 'udp' }]);
    expect(tcp?.port).toBeGreaterThan(0);
    expect(udp?.port).toBe(tcp?.port);
  });

  it('held by another program are an error that names the port and the remedy, even when shared', async () => {
    const other = net.createServer();
    await new Promise<void>((resolve) => other.listen({ port: 0, host: '127.0.0.1', reusePort: true }, resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(claimPorts([{ ...listener, port }])).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringMatching(`TCP 127.0.0.1:${port} \\(gt06\\) is held by another program; stop it, or set FIXGATE_LISTEN`),
    });
    other.close();
  });

  it('on an address of another machine are refused', async () => {
    await expect(claimPorts([{ ...listener, host: '192.0.2.1' }])).rejects.toMatchObject({ code: 'PORT_DENIED' });
  });
});
