import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually } from '../support/wait.ts';

/**
 * Fixgate as somebody else meets it: built and packed from a copy, unpacked elsewhere, beside a codec package that knows
 * only its public names. Nothing is fetched: the dependencies are those of this repository, by symbolic link.
 */
const ROOT = join(import.meta.dirname, '../..');
const BUOY = join(import.meta.dirname, 'buoy');
const run = promisify(execFile);

let temporary = '';
/** Where Fixgate and the codec are installed side by side, and where the programs of these tests start. */
let app = '';
let packed: readonly { readonly path: string; readonly mode: number }[] = [];

/** Without the settings of whoever runs the tests, whether of Fixgate or of an npm around it; npm itself runs under this very Node. */
function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (!/^(FIXGATE|npm)_|^NODE_ENV$/i.test(name) && value !== undefined) env[name] = value;
  env['PATH'] = `${dirname(process.execPath)}${delimiter}${env['PATH'] ?? ''}`;
  env['npm_config_update_notifier'] = 'false';
  return { ...env, ...more };
}

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

function manifest(directory: string): Manifest {
  const read: Manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  return read;
}

/** What installing the tarball leaves in `directory`: the unpacked package, its dependencies, its commands. */
async function install(tarball: string, directory: string): Promise<void> {
  const modules = join(directory, 'node_modules');
  const target = join(modules, 'fixgate');
  mkdirSync(join(modules, '.bin'), { recursive: true });
  mkdirSync(target);
  await run('tar', ['-xzf', tarball, '-C', target, '--strip-components=1']);
  const { dependencies, bin } = manifest(target);
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
  for (const [name, file] of Object.entries(bin)) symlinkSync(join('../fixgate', file), join(modules, '.bin', name));
}

function addCodec(directory: string): void {
  cpSync(BUOY, join(directory, 'node_modules/fixgate-codec-buoy'), { recursive: true });
}

/** The installed command, run in `cwd`. */
async function fixgate(args: readonly string[], cwd = app): Promise<string> {
  const { stdout } = await run(process.execPath, [join(app, 'node_modules/.bin/fixgate'), ...args], { cwd, env: environment() });
  return stdout;
}

/** `npm run check` has found their errors; checking is most of what a build costs, and what is written is the same without. */
function leaveTypesUnchecked(path: string): void {
  const settings = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...settings, compilerOptions: { ...settings.compilerOptions, noCheck: true } }));
}

beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), 'fixgate-package-'));
  const copy = join(temporary, 'copy');
  mkdirSync(copy);
  for (const name of [
    'src',
    'codecs',
    'bin',
    'web',
    'tools/build',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'fixgate.schema.json',
  ])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  leaveTypesUnchecked(join(copy, 'tsconfig.build.json'));
  await run('npm', ['run', 'build'], { cwd: copy, env: environment() }).catch((error) => {
    throw new Error(`the build fails:\n${error.stdout}${error.stderr}`);
  });
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json'], { cwd: copy, env: environment(), maxBuffer: 1 << 24 });
  const [made] = JSON.parse(stdout);
  packed = made.files;

  app = join(temporary, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{"private":true,"type":"module"}');
  await install(join(copy, made.filename), app);
  addCodec(app);
  writeFileSync(
    join(app, 'fixgate.yaml'),
    'codecs:\n  packages: [fixgate-codec-buoy]\nlisteners:\n  - { codec: buoy, transport: tcp, host: 127.0.0.1, port: 0 }\n  - { codec: auto, transport: tcp, host: 127.0.0.1, port: 0 }\n',
  );
});

afterAll(() => {
  rmSync(temporary, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

describe('the package', () => {
  it('holds what runs and what it says about itself, and no source, tests or data', () => {
    const paths = packed.map((file) => file.path);
    expect(paths).toEqual(
      expect.arrayContaining([
        'bin/fixgate.js',
        'dist/src/main.js',
        'dist/src/roles/worker-process.js',
        'dist/console/index.html',
        'dist/console/maps/world.pmtiles',
        'README.md',
        'LICENSE',
        'CHANGELOG.md',
        'fixgate.schema.json',
      ]),
    );
    expect(
      paths.filter(
        (path) =>
          !/^(bin\/fixgate\.js|dist\/(src|codecs)\/.+\.(js|d\.ts)|dist\/src\/state\/lua\/\w+\.lua|dist\/licences\.txt|dist\/console\/(index\.html|icon\.svg|licences\.txt|assets\/[\w-]+\.(js|css))(\.br)?|dist\/console\/maps\/world\.pmtiles|((package|fixgate\.schema)\.json|README\.md|LICENSE|CHANGELOG\.md))$/.test(
            path,
          ),
      ),
    ).toEqual([]);
    expect(packed.find((file) => file.path === 'bin/fixgate.js')?.mode).toBe(0o755);
  });

  it('has the scripts of the state store, which run in Redis', async () => {
    const redis = await RedisServer.start();
    try {
      const settings = { FIXGATE_STATE_URL: redis.url, FIXGATE_CLICKHOUSE_URL: 'http://127.0.0.1:9' };
      const state = (...args: string[]): Promise<{ stdout: string }> =>
        run(process.execPath, [join(app, 'node_modules/.bin/fixgate'), 'token', ...args], { cwd: app, env: environment(settings) });
      expect((await state('create', '--name', 'me')).stdout).toMatch(/^fg_/);
      expect((await state('ls')).stdout).toMatch(/^me +read\n$/);
      await state('revoke', '--name', 'me');
      expect((await state('ls')).stdout).toBe('');
    } finally {
      await redis.stop();
    }
  });

  it('is refused by the command of the image without a ClickHouse: it has none of its own', async () => {
    const settings = { FIXGATE_DATA_DIR: join(temporary, 'image'), FIXGATE_LISTEN: 'auto@127.0.0.1:0', FIXGATE_HTTP_HOST: '127.0.0.1' };
    const refused = await run(process.execPath, imageCommand(), { cwd: installed(), env: environment(settings) }).catch((error) => error);
    expect(refused).toMatchObject({ code: 78, stderr: expect.stringContaining('FIXGATE_CLICKHOUSE_URL') });
  });

  it('gives types to a codec’s author, who needs no type package beside it', async () => {
    writeFileSync(
      join(app, 'author.ts'),
      [
        "import { type Codec, defineCodec, type FrameResult } from 'fixgate/codec';",
        "import { type Bytes, u16be } from 'fixgate/wire';",
        "import { checkCodec, type Failure } from 'fixgate/codec-kit';",
        'export const check = (codec: Codec): Failure[] => checkCodec(codec, []);',
        'export const battery = (bytes: Bytes, at: number, out: FrameResult): void => out.attr(1, u16be(bytes, at));',
        '// @ts-expect-error: a codec has a name, and the types say so',
        "export const nameless = defineCodec({ about: 'nobody' });",
      ].join('\n'),
    );
    const compilerOptions = { strict: true, module: 'nodenext', target: 'es2024', lib: ['es2024'], types: [], noEmit: true };
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['author.ts'] }));
    const outcome = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', app], { cwd: app, env: environment() }).catch((e) => e);
    expect(outcome).toMatchObject({ stdout: '', stderr: '' });
  });

  it('gives types and schemas to consumers of the streams', async () => {
    writeFileSync(
      join(app, 'consumer.ts'),
      [
        "import { type Fix, fixSchema, jsonSchema, type StreamEvent } from 'fixgate/record';",
        'export const north = (fix: Fix): boolean => fix.lat > 0;',
        "export const why = (event: StreamEvent): string => (event.type === 'disconnected' ? event.data.reason : event.id);",
        '// @ts-expect-error: a fix has a place',
        "export const nowhere: Fix = { kind: 'fix' };",
        'console.log(Object.keys(jsonSchema()).length > 0 && fixSchema.safeParse({}).success === false);',
      ].join('\n'),
    );
    const compilerOptions = { strict: true, module: 'nodenext', target: 'es2024', lib: ['es2024', 'dom'], types: [], skipLibCheck: true };
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
    const outcome = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', app], { cwd: app, env: environment() }).catch((e) => e);
    expect(outcome).toMatchObject({ stdout: '', stderr: '' });
    expect((await run(process.execPath, ['consumer.js'], { cwd: app, env: environment() })).stdout).toBe('true\n');
  });

  it('has the kit, which passes a sound codec and finds what is wrong with a broken one', async () => {
    writeFileSync(
      join(app, 'check.js'),
      `import { checkCodec, describeFailure } from 'fixgate/codec-kit';
import { fromHex, xorSum } from 'fixgate/wire';
import buoy from 'fixgate-codec-buoy';

const frames = ${JSON.stringify([LOGIN, place(7)])}.map((text) => fromHex(text));
const samples = ['tcp', 'udp'].map((transport) => ({ name: 'login and place', transport, chunks: frames }));
const reseal = (bytes, transport, length) => {
  if (length && bytes.length > 1) bytes[1] = bytes.length;
  if (bytes.length > 0) bytes[bytes.length - 1] = xorSum(bytes, 0, bytes.length - 1);
};
// Takes whatever has arrived for the whole frame.
const hasty = { ...buoy, tcp: { ...buoy.tcp, frame: (bytes, start, end) => end - start } };
const settings = { reseal, rounds: 500 };
process.stdout.write(JSON.stringify({
  sound: checkCodec(buoy, samples, settings).map(describeFailure),
  broken: [...new Set(checkCodec(hasty, samples, settings).map((failure) => failure.check))],
}));
`,
    );
    const { stdout } = await run(process.execPath, ['check.js'], { cwd: app, env: environment() });
    const { sound, broken } = JSON.parse(stdout);
    expect(sound).toEqual([]);
    expect(broken).toEqual(expect.arrayContaining(['every-split', 'byte-by-byte', 'random-cuts']));
  });
});

describe('a codec package', () => {
  it('is listed when the configuration names it', async () => {
    const listed: readonly { name: string }[] = JSON.parse(await fixgate(['codecs', '--json', '--config', 'fixgate.yaml']));
    expect(listed.map((codec) => codec.name)).toEqual(['teltonika', 'gt06', 'h02', 'jt808', 'queclink', 'buoy']);
    expect(listed.at(-1)).toMatchObject({ about: 'weather buoys of a small harbour', transports: ['tcp', 'udp'] });
  });

  it('is found from the working directory first, by its name or its path, and then beside Fixgate', async () => {
    const elsewhere = join(temporary, 'elsewhere');
    mkdirSync(join(elsewhere, 'node_modules'), { recursive: true });
    symlinkSync(join(app, 'node_modules/fixgate'), join(elsewhere, 'node_modules/fixgate'));
    const about = async (name: string, cwd: string): Promise<string> => {
      writeFileSync(join(temporary, 'named.yaml'), `codecs: { packages: [${name}] }\nclickhouse: { url: 'http://127.0.0.1:1' }\n`);
      const listed = JSON.parse(await fixgate(['codecs', 'buoy', '--json', '--config', join(temporary, 'named.yaml')], cwd));
      return listed.about;
    };
    expect(await about('fixgate-codec-buoy', elsewhere)).toBe('weather buoys of a small harbour');
    addCodec(elsewhere);
    const own = join(elsewhere, 'node_modules/fixgate-codec-buoy/index.js');
    writeFileSync(own, readFileSync(own, 'utf8').replace('a small harbour', 'another shore'));
    expect(await about('fixgate-codec-buoy', elsewhere)).toBe('weather buoys of another shore');
    expect(await about('./node_modules/fixgate-codec-buoy/index.js', elsewhere)).toBe('weather buoys of another shore');
  });

  it('that cannot be loaded is named in one line with the reason and the remedy', async () => {
    const refused = async (name: string): Promise<{ code: number; stderr: string }> => {
      // The package is installed without the embedded engine.
      const clickhouse = "clickhouse: { url: 'http://127.0.0.1:9' }";
      writeFileSync(join(temporary, 'refused.yaml'), `codecs: { packages: [${name}] }\n${clickhouse}\n`);
      return fixgate(['check-config', '--config', join(temporary, 'refused.yaml')]).then(
        () => ({ code: 0, stderr: '' }),
        (error) => ({ code: error.code, stderr: error.stderr }),
      );
    };
    const bad = join(app, 'node_modules/fixgate-codec-bad');
    mkdirSync(bad);
    writeFileSync(join(bad, 'package.json'), '{"type":"module","exports":"./index.js"}');

    expect(await refused('fixgate-codec-none')).toEqual({
      code: 78,
      stderr: expect.stringMatching(
        /^fixgate: the configuration has a problem: cannot load the codec package fixgate-codec-none: [^\n]*; install it or [^\n]*\n$/,
      ),
    });
    // Installed, but something that it needs is not: that is what is said.
    writeFileSync(join(bad, 'index.js'), "import 'tide-tables';");
    expect(await refused('fixgate-codec-bad')).toEqual({ code: 78, stderr: expect.stringContaining("'tide-tables'") });
    writeFileSync(join(bad, 'index.js'), 'export default {};');
    expect(await refused('fixgate-codec-bad')).toEqual({ code: 78, stderr: expect.stringContaining('defineCodec') });
  });

  it('answers devices of a server that runs by the command of the image and whose ClickHouse is away, its own simulated ones at the port of auto among them', async () => {
    const { listeners, http } = await serve(await unusedPort());
    expect(await (await fetch(`${http}/healthz`)).json()).toEqual({ status: 'ok' });
    // The pages of the console, as they were built.
    await eventually(async () => expect(await (await fetch(http)).text()).toContain('/assets/'));
    const device = await TcpDevice.connect(Number(/^buoy tcp 127\.0\.0\.1:(\d+)$/.exec(listeners[0] ?? '')?.[1]));
    device.send(Buffer.from(LOGIN, 'hex'));
    await device.until((d) => d.received.length >= 3 || d.ended);
    expect(device.received.toString('hex')).toBe('b100b1');
    device.send(Buffer.from(place(8) + place(9), 'hex'));
    await device.until((d) => d.received.length >= 9 || d.ended);
    expect(device.received.toString('hex')).toBe('b100b1b101b0b101b0');
    device.close();
    await eventually(async () => {
      const ready = await fetch(`${http}/readyz`);
      expect([ready.status, await ready.json()]).toMatchObject([200, { status: 'degraded', parts: { clickhouse: { state: 'degraded' } } }]);
    });
    // Workers report what they counted once a second.
    await eventually(async () => expect(await (await fetch(`${http}/metrics`)).text()).toContain('fixgate_records_total{codec="buoy"} 2'));
    const target = /^auto tcp (127\.0\.0\.1:\d+)$/.exec(listeners[1] ?? '')?.[1] ?? '';
    const how = ['--target', target, '--transport', 'tcp', '--devices', '4', '--interval', '200ms', '--duration', '1s', '--json'];
    const simulated = async (protocols: string, ...more: string[]): Promise<Record<string, { acknowledged: number }>> => {
      const summary = JSON.parse(await fixgate(['simulate', '--protocol', protocols, ...how, ...more]));
      expect(summary).toMatchObject({ unacknowledged: 0, wrong_answers: 0 });
      return summary.protocols;
    };
    // By its package, beside another, and by its name in the configuration.
    const both = await simulated('gt06,fixgate-codec-buoy');
    expect(both['gt06']?.acknowledged).toBeGreaterThan(0);
    expect(both['buoy']?.acknowledged).toBeGreaterThan(0);
    expect(Object.keys(await simulated('buoy', '--config', 'fixgate.yaml'))).toEqual(['buoy']);
    expect(await stop()).toBe(0);
    expect(existsSync(join(installed(), 'data/journal/0'))).toBe(true);
  });
});

/** One frame of the buoy protocol, as hex. */
function frame(type: number, body: Buffer): string {
  const bytes = Buffer.concat([Buffer.from([0xb0, body.length + 4, type]), body]);
  return Buffer.concat([bytes, Buffer.from([bytes.reduce((sum, byte) => sum ^ byte, 0)])]).toString('hex');
}

const LOGIN = frame(1, Buffer.from('40012345'));

function place(minute: number): string {
  const body = Buffer.alloc(14);
  body.writeUInt32BE(Date.UTC(2026, 9, 1, 12, minute) / 1000, 0);
  body.writeInt32BE(593293000, 4);
  body.writeInt32BE(180686000, 8);
  body.writeUInt16BE(1420, 12);
  return frame(2, body);
}

let server: ChildProcess | undefined;
let ended: Promise<number | null> = Promise.resolve(null);
afterAll(stop);

/** Where the image starts the server. */
const installed = (): string => join(app, 'node_modules/fixgate');

/** What the image runs. */
function imageCommand(): readonly string[] {
  const command = /^CMD (.*)$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'))?.[1] ?? '[]';
  const [, ...args]: readonly string[] = JSON.parse(command);
  return args;
}

/** The installed server as the image starts it, with its data there. */
async function serve(clickhousePort: number): Promise<{ listeners: string[]; http: string }> {
  const child = spawn(process.execPath, imageCommand(), {
    cwd: installed(),
    env: environment({
      FIXGATE_CONFIG: join(app, 'fixgate.yaml'),
      FIXGATE_CLICKHOUSE_URL: `http://127.0.0.1:${clickhousePort}`,
      FIXGATE_HTTP_PORT: '0',
      FIXGATE_WORKERS: '1',
      // What ClickHouse misses is in the journal; nobody waits for it here.
      FIXGATE_DRAIN_MS: '1000',
    }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  server = child;
  ended = new Promise((resolve) => child.once('exit', resolve));
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  let http = '';
  for await (const line of createInterface({ input: child.stdout })) {
    said += `${line}\n`;
    const entry = JSON.parse(line);
    if (entry.http !== undefined) http = entry.http;
    if (entry.msg !== 'listening') continue;
    child.stdout.resume();
    return { listeners: entry.listeners, http };
  }
  throw new Error(`the server ended before it listened: ${said}`);
}

async function stop(): Promise<number | null> {
  server?.kill('SIGTERM');
  return ended;
}

/** A port where nobody listens, as far as one can know. */
function unusedPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}
