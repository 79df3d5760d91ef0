import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { claimPorts } from '../../../src/cluster/ports.ts';

const listener = { codec: 'gt06', transport: 'tcp', host: '127.0.0.1', port: 0, idleMs: 1000 } as const;

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
