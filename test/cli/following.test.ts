import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually, until } from '../support/wait.ts';
import { BIN, cleanEnvironment, fixgate } from './command.ts';

/** Commands that follow a server until Ctrl-C, when it ends and comes back. */

const IMEI = '356307042441013';
/** Without ClickHouse, whose start these tests do not need. */
const ENV = { FIXGATE_WORKERS: '1', FIXGATE_CLICKHOUSE_URL: 'http://127.0.0.1:9', FIXGATE_DRAIN_MS: '500' };
let server: ApiServer;
const children: ChildProcess[] = [];
const devices: TcpDevice[] = [];
beforeAll(async () => {
  server = await ApiServer.start(ENV);
});
afterAll(async () => {
  for (const device of devices) device.close();
  for (const child of children) child.kill('SIGKILL');
  await server.running.stop();
  await server.running.removeData();
});

interface Following {
  readonly said: () => string;
  readonly written: () => string;
  /** Ctrl-C, and what it ends with. */
  stop(): Promise<unknown>;
}

function follow(program: string, ...args: string[]): Following {
  const child = spawn(program, args, { env: cleanEnvironment(server.env) });
  children.push(child);
  let [said, written] = ['', ''];
  child.stdout.on('data', (chunk) => {
    written += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    said += String(chunk);
  });
  const ended = once(child, 'exit');
  return {
    said: () => said,
    written: () => written,
    stop: async () => {
      child.kill('SIGINT');
      return (await ended)[1];
    },
  };
}

/** It sends a record now and then, until it is closed. */
async function report(): Promise<void> {
  const device = await TcpDevice.connect(await server.running.port('teltonika'));
  devices.push(device);
  device.send(handshake(IMEI));
  device.send(packet(Date.now()));
  await device.until(({ received }) => received.length >= 5);
}

async function kill(signal: NodeJS.Signals): Promise<void> {
  server.running.signal(signal);
  await server.running.exited;
}

/** On the same port, with the same data. */
async function startAgain(): Promise<void> {
  const { dataDir } = server.running;
  server = await ApiServer.start({ ...ENV, FIXGATE_HTTP_PORT: new URL(server.url).port }, { dataDir, known: server.token });
}

/** Why it is away depends on how far it has come with ending. */
const AWAY =
  /(no server answers at \S+ \(.*\); start it, or use --url|the server is starting or stopping; retry); it is asked again every second/;
const away = (text: string): number => text.split('\n').filter((line) => line.startsWith('fixgate: ') && AWAY.test(line)).length;
const back = (text: string): number => text.split('fixgate: the server is back\n').length - 1;

describe('a server that ends by SIGTERM or by SIGKILL and comes back', () => {
  it('is said once each time by tail, trace and top, which go on; on standard error, and on a terminal in the first line of top', async () => {
    const all = [
      ['tail', '--json'],
      ['trace', IMEI, '--json'],
      ['top', '--json'],
    ].map((args) => follow(process.execPath, BIN, ...args));
    const [tail, trace, top] = all;
    const look = `stty rows 40 cols 200; exec '${process.execPath}' '${BIN}' top`;
    const terminal = follow('script', '-qfec', look, '/dev/null');
    const drawn = (): string[] => terminal.written().split('\u001b[H').slice(1);
    await eventually(() => expect(drawn()[0]).toContain('loudest devices'));
    await eventually(async () => {
      await report();
      for (const one of [tail, trace]) expect(one?.written()).toContain(IMEI.slice(1));
      expect(top?.written()).toContain('"degraded"');
    });
    for (const [round, signal] of (['SIGTERM', 'SIGKILL'] as const).entries()) {
      const times = round + 1;
      await kill(signal);
      await eventually(() => expect(all.map(({ said }) => away(said()))).toEqual([times, times, times]));
      // Over what was there before.
      await eventually(() => expect(drawn().at(-1)).toMatch(new RegExp(`^${AWAY.source}\u001b\\[K\r\ndevices `)));
      const before = all.map(({ written }) => written().length);
      await startAgain();
      await eventually(() => expect(all.map(({ said }) => back(said()))).toEqual([times, times, times]));
      await eventually(() => expect(drawn().at(-1)).toMatch(/^fixgate \S+ {2}\w+/));
      expect(trace?.said().split('the trace goes on; what came meanwhile is not in it\n')).toHaveLength(times + 1);
      await eventually(async () => {
        await report();
        const since = all.map(({ written }, i) => written().slice(before[i]));
        expect(since).toEqual([
          expect.stringContaining('"device"'),
          expect.stringContaining('"frame"'),
          expect.stringContaining('"degraded"'),
        ]);
      });
      expect(all.map(({ said }) => [away(said()), back(said())])).toEqual(all.map(() => [times, times]));
    }
    await terminal.stop();
    for (const one of all) {
      for (const line of one.written().split('\n').slice(0, -1)) expect(() => JSON.parse(line)).not.toThrow();
      expect(await one.stop()).toBe('SIGINT');
    }
  });
});

describe('a server that is away', () => {
  it('has answered 503 as long as it could be asked', async () => {
    const statuses = new Set<number>();
    server.running.signal('SIGTERM');
    await until(async () => {
      const asked = await server.fetch('/v1/usage').catch(() => undefined);
      if (asked !== undefined) statuses.add(asked.status);
      await asked?.text().catch(() => '');
      return asked === undefined;
    });
    await server.running.exited;
    expect([...statuses].filter((status) => status !== 200 && status !== 503)).toEqual([]);
  });

  it('is an error of a command that has not found it', async () => {
    for (const args of [['tail'], ['trace', IMEI], ['top']]) {
      const { code, error } = await fixgate(args, '', server.env);
      expect([code, error]).toEqual([69, expect.stringContaining(`no server answers at ${server.url}`)]);
    }
  });
});
