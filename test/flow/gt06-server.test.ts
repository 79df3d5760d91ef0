import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { crc16X25, hex, putU16be } from '../../src/base/wire/index.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { eventually } from '../support/wait.ts';

/** What a GT06 device teaches over time, on a whole server: over a reconnect, and over a restart of the server. */

const lines = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
const fixture = (id: string): string => lines.get(id) ?? '';
const POWER_CUT = 0x50;

const data = mkdtempSync(join(tmpdir(), 'fixgate-server-'));
let server: Server;

afterAll(async () => {
  await server.stop();
  rmSync(data, { recursive: true });
});

async function start(): Promise<Server> {
  server = await Server.start({ FIXGATE_WORKERS: '1' }, data);
  return server;
}

/** The frame under this serial. */
function numbered(text: string, serial: number): string {
  const bytes = bytesOf(text);
  putU16be(bytes, bytes.length - 6, serial);
  putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
  return hex(bytes, 0, bytes.length);
}

const heartbeat = (term: number, serial: number): string =>
  numbered(`78780a13${term.toString(16)}0404000200000000 0d0a`.replace(' ', ''), serial);
const answerTo = (number: string, serial: number): string => numbered(`787805${number}000000000d0a`, serial);

class Unit {
  readonly #device: TcpDevice;
  #read = 0;

  private constructor(device: TcpDevice) {
    this.#device = device;
  }

  static async connect(login: string, answer: string): Promise<Unit> {
    const unit = new Unit(await TcpDevice.connect(await server.port('gt06')));
    await unit.expect([login], answer);
    return unit;
  }

  /** Sends the frames; exactly this comes back. */
  async expect(frames: readonly string[], answer: string): Promise<void> {
    this.#device.send(bytesOf(frames.join('')));
    const wanted = this.#read + answer.length / 2;
    await this.#device.until((device) => device.received.length >= wanted || device.ended);
    expect(this.#device.received.subarray(this.#read).toString('hex')).toBe(answer);
    this.#read = wanted;
  }

  close(): void {
    this.#device.close();
  }
}

const connect = (): Promise<Unit> => Unit.connect(fixture('login-utc'), answerTo('01', 1));

describe('a GT06 device on a whole server', () => {
  it('has an alarm once until it ends, and its repeated location answered, whatever is started again', async () => {
    const first = await start();
    const unit = await connect();
    await unit.expect([heartbeat(POWER_CUT, 3), heartbeat(POWER_CUT, 4)], answerTo('13', 3) + answerTo('13', 4));
    // The fourth time of a location is answered; the heartbeat behind each shows that the others were not.
    const fix = fixture('location-22-manual');
    for (let n = 0; n < 3; n++) await unit.expect([numbered(fix, 10 + n), heartbeat(POWER_CUT, 20 + n)], answerTo('13', 20 + n));
    await unit.expect([numbered(fix, 13), heartbeat(POWER_CUT, 23)], answerTo('22', 13) + answerTo('13', 23));
    unit.close();
    const again = await connect();
    await again.expect([heartbeat(POWER_CUT, 30), numbered(fix, 31)], answerTo('13', 30) + answerTo('22', 31));
    again.close();
    await first.stop();

    const second = await start();
    const third = await connect();
    await third.expect([heartbeat(POWER_CUT, 40), numbered(fix, 41)], answerTo('13', 40) + answerTo('22', 41));
    // It ends, and comes again.
    await third.expect([heartbeat(0x46, 42), heartbeat(POWER_CUT, 43)], answerTo('13', 42) + answerTo('13', 43));
    third.close();
    await eventually(async () =>
      expect(await second.query("SELECT countIf(event = 'power_cut'), countIf(event != '') FROM statuses")).toBe('2\t2\n'),
    );
    // However often it came, it is one position.
    expect(await second.query('SELECT count() FROM positions FINAL')).toBe('1\n');
  });

  it('of the Topin dialect has its status, its call for help and its long fix taken and answered', async () => {
    const unit = await Unit.connect(fixture('login-topin'), '787801010d0a');
    await unit.expect([fixture('topin-status-signal')], fixture('topin-status-signal'));
    await unit.expect(
      [fixture('topin-sos'), fixture('topin-fix-long'), fixture('topin-wifi-wide-cells')],
      '787801990d0a787800101a070f0c22380d0a7878001a2607151234560d0a',
    );
    unit.close();
    await eventually(async () =>
      expect(await server.query("SELECT count(), countIf(event = 'sos') FROM statuses WHERE device = '359339075005244'")).toBe('3\t1\n'),
    );
    expect(await server.query("SELECT count() FROM positions WHERE device = '359339075005244'")).toBe('1\n');
  });
});
