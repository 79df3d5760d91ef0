import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { eventually } from '../support/wait.ts';

/** What devices do over several frames and connections, on a whole server: refused bytes, latched alarms, repeated text. */

let server: Server;

beforeAll(async () => {
  // Each worker counts for itself, and learns from another what that has learned a little later.
  server = await Server.start({ FIXGATE_WORKERS: '1' });
});

afterAll(async () => {
  await server?.stop();
});

async function connect(codec: string): Promise<TcpDevice> {
  const device = await TcpDevice.connect(await server.port(codec));
  onTestFinished(() => device.close());
  return device;
}

const lines = (sql: string): Promise<string[]> => server.query(sql).then((text) => text.split('\n').filter(Boolean));

describe('a Teltonika device', () => {
  const frames = new Map(frameLines('teltonika').map((line) => [line.id, line.hex]));
  const frame = (id: string): Uint8Array => bytesOf(frames.get(id) ?? '');

  it('that repeats a refused frame over connections is told of the third time, and goes on', async () => {
    // What each connection has come to: logged in, then the number of records of each frame that is answered.
    const received: string[] = [];
    for (const bytes of [5, 5, 9]) {
      const device = await connect('teltonika');
      device.send(frame('imei'));
      device.send(frame('bad-checksum'));
      device.send(frame('codec-8-smallest'));
      await device.until((one) => one.received.length >= bytes);
      received.push(device.received.toString('hex'));
      device.close();
    }
    expect(received).toEqual(['0100000001', '0100000001', '010000000100000001']);
    await eventually(async () =>
      expect(await lines(`SELECT device, JSONExtractString(data, 'reason') FROM events FINAL WHERE type = 'device_stuck'`)).toContain(
        '356307042441013\tchecksum',
      ),
    );
  });
});

describe('an H02 device', () => {
  it('has each alarm of one status word once, also when it connects again', async () => {
    // SOS and power cut: bits 1 and 20.
    const fix = (second: number): Buffer =>
      Buffer.from(`*HQ,4106011661,V1,2130${second},A,2229.8284,N,11355.2480,E,000.00,000,221026,FFEFFFFD#`);
    const first = await connect('h02');
    first.send(fix(10));
    await first.until(({ received }) => received.length > 0);
    const events = (): Promise<string[]> =>
      lines(
        `SELECT event FROM (SELECT event FROM positions FINAL WHERE device = '4106011661' UNION ALL
         SELECT event FROM statuses FINAL WHERE device = '4106011661') WHERE event != '' ORDER BY event`,
      );
    await eventually(async () => expect(await events()).toEqual(['power_cut', 'sos']));
    first.close();
    for (let n = 11; n < 17; n++) {
      const again = await connect('h02');
      again.send(fix(n));
      await again.until(({ received }) => received.length > 0);
      again.close();
    }
    await eventually(async () => expect(await lines(`SELECT time FROM positions FINAL WHERE device = '4106011661'`)).toHaveLength(7));
    expect(await events()).toEqual(['power_cut', 'sos']);
  });

  it('that repeats its text is answered with R12 from then on', async () => {
    const v8 = Buffer.from('*HQ,9001000002,V8,213945,A,3542.2043,N,38.6508,W,0.00,170,221026,FBFFF9FF,0,0,0,0,22,31,126,0#');
    const device = await connect('h02');
    for (let n = 0; n < 4; n++) device.send(v8);
    await device.until(({ received }) => received.length > 0);
    expect(device.received.toString()).toMatch(/^\*HQ,9001000002,R12,\d{6}#$/);
  });
});
