import net, { type AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { SecretUrl } from '../../src/base/secret.ts';
import { CommandStream } from '../../src/fleet/command/stream.ts';
import { Stores } from '../registry/stores.ts';
import { eventually, pause } from '../support/wait.ts';

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
    commandIntake: { submit },
    store: { get: async () => undefined, write: async () => true },
    allows: [],
    record: () => {},
    log: silentLog,
  });
}

// Retries come at growing intervals: whatever it is doing when the server goes down, it must end.
it.each(Object.keys(AWAY) as (keyof typeof AWAY)[])('ends at any moment while Redis is away: %s', async (how) => {
  const server = net.createServer(AWAY[how]);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  if (how === 'refused') server.close();
  else onTestFinished(() => void server.close());
  const ends = Array.from({ length: 40 }, async (_, index) => {
    const stream = streamFrom(port);
    stream.start();
    await pause(100 * index);
    await stream.stop();
    return 'ended';
  });
  expect(await Promise.all(ends)).toEqual(ends.map(() => 'ended'));
});

it('a lost consumer group does not give the commands of the past again', async () => {
  const stores = new Stores();
  await stores.start();
  onTestFinished(async () => {
    await stores.clear();
    await stores.stop();
  });
  const store = await stores.open('lmdb');
  const client = stores.redis?.client();
  if (stores.redis === undefined || client === undefined) throw new Error('no Redis');
  onTestFinished(() => client.disconnect());
  const taken: unknown[] = [];
  const warned: unknown[] = [];
  const reading = (): CommandStream => {
    const stream = new CommandStream({
      url: new SecretUrl(stores.redis?.url ?? ''),
      prefix: 'fixgate:',
      instance: 'test',
      commandIntake: {
        submit: async ({ ref }) => {
          taken.push(ref);
          return { refused: 'invalid', problems: [{ field: 'type', problem: 'not today' }] };
        },
      },
      store,
      allows: [],
      record: () => {},
      log: { ...silentLog, warn: (fields) => void warned.push(fields) },
    });
    stream.start();
    return stream;
  };
  const add = (ref: string): Promise<string | null> =>
    client.xadd('fixgate:commands', '*', 'device', '356307042440001', 'type', 'version', 'ref', ref);

  const entry = await add('before any group');
  const first = reading();
  await eventually(() => expect(taken).toEqual(['before any group']));
  // An operator finds the entry, and what is wrong with it.
  const problems = [{ field: 'type', problem: 'not today' }];
  await eventually(() => expect(warned).toEqual([{ stream: 'fixgate:commands', entry, problems }]));
  await add('second');
  await eventually(async () =>
    expect(await store.get('cursors', 'commands stream')).toBe((await client.xrevrange('fixgate:commands', '+', '-', 'COUNT', 1))[0]?.[0]),
  );
  await first.stop();
  await client.xgroup('DESTROY', 'fixgate:commands', 'fixgate');
  await add('third');
  const second = reading();
  await eventually(() => expect(taken).toEqual(['before any group', 'second', 'third']));
  await second.stop();
});
