import net, { type AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { CommandStream } from '../../src/command/stream.ts';
import { silentLog } from '../../src/log.ts';
import { SecretUrl } from '../../src/secret.ts';

/** What becomes of a connection attempt. */
const AWAY = { refused: undefined, silent: (): void => {}, cut: (socket: net.Socket): void => void socket.destroy() } as const;

function streamFrom(port: number): CommandStream {
  const submit = (): never => {
    throw new Error('nothing comes from a Redis that is away');
  };
  return new CommandStream({
    url: new SecretUrl(`redis://127.0.0.1:${port}`),
    prefix: 'fixgate:',
    instance: 'test',
    desk: { submit },
    allows: [],
    record: () => {},
    log: silentLog,
  });
}

// Retries come at growing intervals: whatever it is doing when the server goes down, it must end.
it.each(Object.keys(AWAY) as (keyof typeof AWAY)[])(
  'ends at any moment while Redis is away: %s',
  async (how) => {
    const server = net.createServer(AWAY[how]);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    if (how === 'refused') server.close();
    else onTestFinished(() => void server.close());
    const ends = Array.from({ length: 40 }, async (_, index) => {
      const stream = streamFrom(port);
      stream.start();
      await new Promise((resolve) => setTimeout(resolve, 100 * index));
      await stream.stop();
      return 'ended';
    });
    expect(await Promise.all(ends)).toEqual(ends.map(() => 'ended'));
  },
  30_000,
);
