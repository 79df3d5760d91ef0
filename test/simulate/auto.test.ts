import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixgate } from '../cli/command.ts';
import { Server } from '../helpers/server.ts';

let server: Server;
beforeAll(async () => {
  server = await Server.start({ FIXGATE_WORKERS: '1' });
});
afterAll(async () => {
  await server.stop();
});

it.each(['tcp', 'udp'] as const)(
  'devices of several protocols at one port of the codec auto, %s: each record is acknowledged',
  async (transport) => {
    const target = `127.0.0.1:${await server.port('auto', transport)}`;
    const how = [
      '--target',
      target,
      '--transport',
      transport,
      '--devices',
      '15',
      '--interval',
      '200ms',
      '--duration',
      '1s',
      '--grace',
      '60s',
      '--json',
    ];
    const { code, out } = await fixgate(['simulate', '--protocol', 'teltonika,gt06,h02,queclink,jt808', ...how]);
    const { unacknowledged, wrong_answers, protocols } = JSON.parse(out);
    expect([code, unacknowledged, wrong_answers, Object.keys(protocols).sort()]).toEqual([
      0,
      0,
      0,
      ['gt06', 'h02', 'jt808', 'queclink', 'teltonika'],
    ]);
    for (const tally of Object.values(protocols)) expect(Reflect.get(Object(tally), 'acknowledged')).toBeGreaterThan(0);
  },
);
