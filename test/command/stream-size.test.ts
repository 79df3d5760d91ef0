import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { SecretUrl } from '../../src/base/secret.ts';
import { CommandStream } from '../../src/fleet/command/stream.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually } from '../support/wait.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());

it('an oversized command is refused with an event that fits, and a line of the log', async () => {
  const events: object[] = [];
  const logged: object[] = [];
  const stream = new CommandStream({
    url: new SecretUrl(redis.url),
    prefix: 'fixgate:',
    instance: 'test',
    commandIntake: {
      submit: () => {
        throw new Error('it must not come so far');
      },
    },
    store: { get: async () => undefined, write: async () => true },
    allows: [],
    record: (device, event) => events.push({ device, ...event }),
    log: { ...silentLog, warn: (fields) => void logged.push(fields) },
  });
  const client = redis.client();
  const big = 'x'.repeat(2_000_000);
  await client.xadd('fixgate:commands', '*', 'device', 'd-01', 'type', big, 'ref', big, big, '1');
  const many = Array.from({ length: 3_000 }, (_, n) => [`field${n}`, '1']).flat();
  await client.xadd('fixgate:commands', '*', 'device', 'd-01', ...many);
  client.disconnect();
  stream.start();
  await eventually(() => expect(events).toHaveLength(2));
  await stream.stop();
  expect(events).toEqual([
    expect.objectContaining({
      device: 'd-01',
      problems: [{ field: 'entry', problem: expect.stringContaining('a command has 65536 at most') }],
    }),
    expect.objectContaining({ device: 'd-01', type: 'command_refused' }),
  ]);
  for (const event of events) expect(JSON.stringify(event).length).toBeLessThan(16_384);
  expect(logged).toHaveLength(1);
});
