import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { BIN, cleanEnvironment, fixgate, fixgateProcess } from './command.ts';

/** Numbers quote the invariants at the top of src/cli/index.ts. */

const directory = mkdtempSync(join(tmpdir(), 'fixgate-cli-'));
afterAll(() => rmSync(directory, { recursive: true }));

function configFile(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe('bin/fixgate.js', () => {
  /** The runtime says that it is another version before the program is read. */
  const asVersion = (version: string) => {
    const pretend = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`;
    return spawnSync(process.execPath, ['--import', pretend, BIN, '--version'], { encoding: 'utf8', env: cleanEnvironment() });
  };

  it.each(['12.22.12', '20.20.2', '23.11.0'])('says in one line that Node %s is too old', (version) => {
    const { status, stdout, stderr } = asVersion(version);
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^[^\n]+\n$/);
    for (const part of [version, 'Node 24', 'npm start']) expect(stderr).toContain(part);
  });

  it.each(['24.0.0', '25.1.0', '100.0.0'])('runs on Node %s', (version) => {
    expect(asVersion(version).status).toBe(0);
  });

  it('reads on a runtime that knows modules and little else', () => {
    const text = readFileSync(BIN, 'utf8');
    expect(text).not.toMatch(/\?\.|\?\?|node:|\bawait\b|^\s*#[a-z]/m);
  });
});

describe('the command line', () => {
  it('takes its time from the file of a test clock, says so, and starts nothing without one', async () => {
    const file = join(directory, 'clock');
    const missing = await fixgateProcess(['serve'], '', { FIXGATE_TEST_CLOCK: file });
    expect(missing).toMatchObject({ code: 2, out: '', error: `fixgate: FIXGATE_TEST_CLOCK: cannot read ${file} (ENOENT)\n` });
    writeFileSync(file, String(40 * 365 * 86_400_000));
    const set = await fixgateProcess(['codecs'], '', { FIXGATE_TEST_CLOCK: file });
    expect(set.code).toBe(0);
    expect(set.error).toMatch(/^fixgate: FIXGATE_TEST_CLOCK is set: the time is 20[6-9]\d-.*, for tests only\n$/);
  });

  it('lists commands, exit codes and the way on', async () => {
    const { code, out, error } = await fixgate(['--help']);
    expect([code, error]).toEqual([0, '']);
    for (const part of ['serve', 'decode', 'simulate', 'codecs', 'check-config', 'Exit codes', '78']) expect(out).toContain(part);
  });

  it('tells its version', async () => {
    const text = await fixgate(['--version']);
    expect(text.out).toMatch(/^fixgate \d+\.\d+\.\d+\n$/);
    const json: unknown = JSON.parse((await fixgate(['--version', '--json'])).out);
    expect(json).toMatchObject({ version: text.out.trim().split(' ')[1], node: process.versions.node });
  });

  it.each([
    [['simulat'], 'unknown command "simulat"; did you mean simulate?'],
    [['frobnicate'], 'unknown command "frobnicate"; try fixgate --help'],
    [['--versoin'], 'unknown option "--versoin"; did you mean --version?'],
    [['serve', '--confg', 'x'], 'unknown option --confg; did you mean --config?'],
    [['simulate', '--device', '3'], 'unknown option --device; did you mean --devices?'],
  ])('names the nearest known one for %j (2)', async (args, message) => {
    const { code, out, error } = await fixgate(args);
    expect([code, out, error]).toEqual([2, '', `fixgate: ${message}\n`]);
  });

  it('without a command prints the help and fails', async () => {
    const { code, out, error } = await fixgate([]);
    expect([code, out]).toEqual([2, '']);
    expect(error).toContain('Commands');
  });

  it('has help for every command, which names every option (3)', async () => {
    const files = readdirSync(new URL('../../src/cli/', import.meta.url));
    const { out } = await fixgate(['--help']);
    const commands = [...out.matchAll(/^ {2}([a-z-]+) {2,}/gm)]
      .map((match) => match[1] ?? '')
      .filter((name) => files.includes(`${name}.ts`));
    expect(commands.length).toBeGreaterThanOrEqual(6);
    const check = async (command: string): Promise<void> => {
      const own = readFileSync(new URL(`../../src/cli/${command}.ts`, import.meta.url), 'utf8');
      const source = own.includes('API_OPTIONS') ? own + readFileSync(new URL('../../src/cli/api.ts', import.meta.url), 'utf8') : own;
      const options = [...source.matchAll(/['\s{]([a-z-]+)'?: \{ type: '(?:string|boolean)'/g)].map((match) => `--${match[1]}`);
      expect([command, options.length > 0]).toEqual([command, own.includes('parseArgs(')]);
      const help = await fixgate([command, '--help']);
      expect([help.code, help.error]).toEqual([0, '']);
      for (const option of options) expect(help.out).toContain(option);
    };
    await Promise.all(commands.map(check));
  });

  it('is in a process of its own what the other tests run in theirs', async () => {
    for (const [args, input] of [
      [['--version', '--json'], ''],
      [['check-config', '--config', '/nowhere.yaml'], ''],
      [['decode', '--protocol', 'teltonika'], '000f333536333037303432343431303133\n'],
    ] as const)
      expect(await fixgateProcess(args, input)).toEqual(await fixgate(args, input));
  });

  it.each([
    [['state', 'load', '/nowhere/file'], 'cannot read'],
    [['devices', 'import', '/nowhere/file'], 'cannot read'],
    [['trace', '356307042441013', '--save', '/nowhere/file'], 'cannot write'],
  ])('names a file that it cannot use: %j', async (args, problem) => {
    const { code, error } = await fixgate(args, '', { FIXGATE_URL: 'http://127.0.0.1:9' });
    expect({ code, error }).toEqual({ code: 2, error: expect.stringMatching(`^fixgate: ${problem} /nowhere/file: ENOENT.*\n$`) });
  });

  it('survives a reader that has seen enough', () => {
    const { stderr, status } = spawnSync('sh', ['-c', `"${process.execPath}" "${BIN}" codecs teltonika --json | head -c 10`], {
      encoding: 'utf8',
      env: cleanEnvironment(),
    });
    expect([status, stderr]).toEqual([0, '']);
  });
});

describe('codecs', () => {
  it('lists the shipped protocols and the details of one', async () => {
    const { out } = await fixgate(['codecs']);
    for (const name of ['teltonika', 'gt06', 'h02', 'jt808', 'queclink']) expect(out).toContain(name);
    expect(JSON.parse((await fixgate(['codecs', '--json'])).out)).toMatchObject([
      { name: 'teltonika' },
      { name: 'gt06' },
      { name: 'h02' },
      { name: 'jt808' },
      { name: 'queclink' },
    ]);
    const page = await fixgate(['codecs', 'h02']);
    for (const part of ['answers', 'V1', 'tcp, udp']) expect(page.out).toContain(part);
    expect((await fixgate(['codecs', 'h20'])).error).toContain('did you mean h02?');
  });
});

describe('check-config', () => {
  it('shows every option with its origin, secrets masked', async () => {
    const file = configFile('good.yaml', 'workers: 3\nclickhouse:\n  url: http://example.test:8123\n  password: hush-hush\n');
    const { code, out } = await fixgate(['check-config', '--config', file], '', { FIXGATE_DATA_DIR: join(directory, 'somewhere') });
    expect(code).toBe(0);
    expect(out).not.toContain('hush-hush');
    expect(out).toMatch(new RegExp(`^workers\\s+3\\s+file ${file}$`, 'm'));
    expect(out).toMatch(/^dataDir\s+\S+somewhere\s+FIXGATE_DATA_DIR$/m);
    expect(out).toMatch(/^drainMs\s+\d+\s+default$/m);
    const json: unknown = JSON.parse((await fixgate(['check-config', '--config', file, '--json'])).out);
    expect(json).toContainEqual({ key: 'clickhouse.password', value: '***', origin: `file ${file}` });
  });

  it('names all problems at once', async () => {
    const file = configFile('bad.yaml', 'worker: 3\nlisteners:\n  - { codec: gt06, transport: tcp, port: 99999 }\n');
    const { code, out, error } = await fixgate(['check-config', '--config', file], '', { FIXGATE_WORKERZ: '2' });
    expect([code, out]).toEqual([78, '']);
    expect(error).toMatch(/^fixgate: [^\n]+\n$/);
    for (const part of ['worker', 'did you mean workers?', 'listeners.0.port', 'FIXGATE_WORKERS']) expect(error).toContain(part);
  });

  it('knows the codecs and their options', async () => {
    const file = configFile(
      'codec.yaml',
      'codecs: { options: { gt06: { integrity: perhaps } } }\nlisteners: [{ codec: gt60, transport: tcp, port: 1 }]\n',
    );
    const { code, error } = await fixgate(['check-config', '--config', file]);
    expect(code).toBe(78);
    for (const part of ['gt60', 'did you mean gt06?', 'integrity']) expect(error).toContain(part);
  });
});

describe('encode', () => {
  it('gives the bytes and the text of a command', async () => {
    const { code, lines } = await fixgate(['encode', '--protocol', 'h02', '--type', 'reboot', '--device', '9170000123', '--json']);
    const { hex, text }: { hex: string; text: string } = JSON.parse(lines[0] ?? '');
    expect(code).toBe(0);
    expect(text).toContain('9170000123');
    expect(Buffer.from(hex, 'hex').toString('latin1')).toContain(text);
  });

  it.each([
    [['--protocol', 'gt06', '--type', 'rebot'], 'did you mean reboot?'],
    [['--protocol', 'gt06'], '--type must be given'],
    [['--protocol', 'gt06', '--type', 'reboot', '--set', 'x=1'], '--set'],
    [['--protocol', 'gt06', '--type', 'reboot', '--key', 'one'], '--key must be'],
  ])('refuses %j', async (args, why) => {
    const { code, error } = await fixgate(['encode', ...args]);
    expect(code).toBe(2);
    expect(error).toContain(why);
  });
});

describe('simulate', () => {
  /** A Teltonika server that counts records right, or adds `surplus`. */
  async function server(surplus: number): Promise<{ port: number; close(): void }> {
    const listening = net.createServer((socket) => {
      socket.on('data', (bytes) => {
        if (bytes[1] === 15) socket.write(Buffer.from([1]));
        else socket.write(Buffer.from([0, 0, 0, (bytes[bytes.indexOf('00000000', 0, 'hex') + 9] ?? 0) + surplus]));
      });
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    const address = listening.address();
    return { port: typeof address === 'object' && address !== null ? address.port : 0, close: () => listening.close() };
  }
  const fleet = (port: number): string[] =>
    ['simulate', '--protocol', 'teltonika', '--transport', 'tcp', '--target', `127.0.0.1:${port}`].concat([
      '--devices',
      '3',
      '--interval',
      '100ms',
      '--duration',
      '1s',
      '--records',
      '2',
      '--grace',
      '1s',
    ]);

  it('ends with a summary and a ledger of what was acknowledged', async () => {
    const { port, close } = await server(0);
    const ledger = join(directory, 'ledger');
    const { code, lines, error } = await fixgate([...fleet(port), '--ledger', ledger, '--json']);
    close();
    expect([code, error]).toEqual([0, '']);
    const summary: Record<string, unknown> = JSON.parse(lines[0] ?? '');
    expect(summary).toMatchObject({ unacknowledged: 0, wrong_answers: 0, reconnects: 0, devices: 3 });
    expect(summary['protocols']).toMatchObject({ teltonika: { sent: summary['sent'], acknowledged: summary['acknowledged'] } });
    expect(summary['ack_ms']).toMatchObject({ p50: expect.any(Number), p95: expect.any(Number), p99: expect.any(Number) });
    const listed = readFileSync(ledger, 'utf8').trim().split('\n');
    expect(listed).toHaveLength(Number(summary['acknowledged']));
    expect(new Set(listed).size).toBe(listed.length);
    for (const line of listed) expect(line).toMatch(/^\d{15}\t\d{13}\t[0-9a-f]{16}$/);
  });

  it('fails when an answer was wrong, and shows it', async () => {
    const { port, close } = await server(1);
    const { code, out } = await fixgate(fleet(port));
    close();
    expect(code).toBe(1);
    expect(out).toMatch(/wrong answer to \d{15} over tcp: 00000003 instead of 00000002/);
  });

  it('says when nobody is there', async () => {
    const { port, close } = await server(0);
    close();
    const { code, error } = await fixgate(fleet(port));
    expect(code).toBe(69);
    expect(error).toMatch(/^fixgate: [^\n]*ECONNREFUSED[^\n]*\n$/);
  });

  it.each([
    [['--protocol', 'gt60'], 'did you mean gt06?'],
    [['--protocol', './no-such-codec.js', '--target', '127.0.0.1:5027'], 'cannot load the codec package ./no-such-codec.js'],
    [['--target', '127.0.0.1:5027'], 'needs --protocol'],
    [['--protocol', 'gt06', '--target', 'nowhere'], 'is not host:port'],
    [['--devices', '0'], '--devices must be a whole number'],
    [['--interval', 'soon'], '--interval must be a time'],
    [['--transport', 'pigeon'], '--transport must be tcp, udp or mixed'],
    [['--ledger', '/nonexistent/ledger'], 'cannot write the ledger'],
  ])('refuses %j', async (args, why) => {
    const { code, error } = await fixgate(['simulate', ...args]);
    expect(code).toBe(2);
    expect(error).toContain(why);
    expect(error).toMatch(/^fixgate: [^\n]+\n$/);
  });
});
