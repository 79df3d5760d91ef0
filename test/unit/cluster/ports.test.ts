import { fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { claimPorts } from '../../../src/cluster/ports.ts';

const listener = { codec: 'gt06', transport: 'tcp', host: '127.0.0.1', port: 0, idleMs: 1000 } as const;

const CHILD = join(import.meta.dirname, 'claim-child.ts');

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

  it('are not the same in two claims of a server: what is found is not held yet', async () => {
    const [[first], [second]] = [await claimPorts([listener]), await claimPorts([listener])];
    expect(first?.port).not.toBe(second?.port);
  });

  it('are not the same for servers that start at the same time', async () => {
    const [servers, each] = [16, 30];
    const children = Array.from({ length: servers }, () => fork(CHILD, [String(each)]));
    const found = await Promise.all(
      children.map(async (child) => z.tuple([z.array(z.int())]).parse((await once(child, 'message')).slice(0, 1))[0]),
    );
    expect(new Set(found.flat()).size).toBe(servers * each);
  });

  it('on an address of another machine are refused', async () => {
    await expect(claimPorts([{ ...listener, host: '192.0.2.1' }])).rejects.toMatchObject({ code: 'PORT_DENIED' });
  });
});
