import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { DATA_NAMES, ownerOnly } from '../../src/cluster/owner-only.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';

/** Path → mode, of everything below a directory. Symbolic links have no mode of their own. */
function modes(directory: string, below = ''): Map<string, number> {
  const found = new Map<string, number>();
  for (const entry of readdirSync(join(directory, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    if (entry.isSymbolicLink()) continue;
    found.set(path, lstatSync(join(directory, path)).mode & 0o777);
    if (entry.isDirectory()) for (const [inner, mode] of modes(directory, path)) found.set(inner, mode);
  }
  return found;
}

function wide(directory: string): string[] {
  return [...modes(directory)].filter(([, mode]) => (mode & 0o077) !== 0).map(([path, mode]) => `${path} ${mode.toString(8)}`);
}

/** Open files of a process that lie below a directory. */
function openBelow(directory: string, pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return path.startsWith(`${directory}/`) ? [path.slice(directory.length + 1)] : [];
    } catch {
      return [];
    }
  });
}

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one();
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-files-'));
  undo.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

describe('files of a whole server', () => {
  it('are for their owner only, under any umask, and no child inherits those of another', async () => {
    const before = process.umask(0);
    undo.push(() => process.umask(before));
    const server = await Server.start({ ...OWN_ENGINE, FIXGATE_WORKERS: '2' });
    undo.push(() => server.stop());
    const device = await TcpDevice.connect(await server.port('teltonika'));
    device.send(handshake('356307042441013'));
    device.send(packet(Date.UTC(2026, 9, 1)));
    await device.until((d) => d.received.length === 5);
    await eventually(async () => expect(await server.query('SELECT count() FROM positions FINAL')).toBe('1\n'));

    expect(wide(server.dataDir)).toEqual([]);
    const names = readdirSync(server.dataDir);
    expect(names).toEqual(expect.arrayContaining(['journal', 'state', 'cursor', 'clickhouse', 'instance']));
    // What is not in this list is not looked after when it was made too wide by something else.
    expect(names.filter((name) => !DATA_NAMES.includes(name))).toEqual([]);

    const [engine = 0] = server.children('clickhouse');
    expect(openBelow(server.dataDir, engine).filter((path) => !path.startsWith('clickhouse/'))).toEqual([]);
    for (const pid of [...server.children('worker'), ...server.children('shipper')]) {
      const files = openBelow(server.dataDir, pid);
      // Its own two, which are closed at an exec, except that lmdb leaves one of them open for it.
      expect(files.filter((path) => path === 'state/data.mdb')).toHaveLength(2);
      expect(files.filter((path) => path.startsWith('clickhouse/'))).toEqual([]);
    }
  });
});

describe('ownerOnly', () => {
  it('takes the rights of others from what a copy or an older version has left', async () => {
    const data = temporary();
    const outside = join(temporary(), 'outside');
    writeFileSync(outside, '');
    chmodSync(outside, 0o644);
    mkdirSync(join(data, 'state'));
    mkdirSync(join(data, 'journal/0'), { recursive: true });
    for (const file of ['state/data.mdb', 'journal/0/1.seg', 'instance']) {
      writeFileSync(join(data, file), 'kept');
      chmodSync(join(data, file), 0o664);
    }
    for (const directory of ['', 'state', 'journal', 'journal/0']) chmodSync(join(data, directory), 0o775);
    symlinkSync(outside, join(data, 'state/link'));
    await ownerOnly(data, silentLog);
    expect(wide(data)).toEqual([]);
    expect(lstatSync(data).mode & 0o777).toBe(0o700);
    expect(lstatSync(join(data, 'state')).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(data, 'state/data.mdb'), 'utf8')).toBe('kept');
    expect(lstatSync(outside).mode & 0o777).toBe(0o644);
  });

  it('leaves alone what is not of the server, and the directory that holds it', async () => {
    const home = temporary();
    chmodSync(home, 0o755);
    for (const name of ['state', 'pictures']) {
      mkdirSync(join(home, name));
      chmodSync(join(home, name), 0o755);
    }
    await ownerOnly(home, silentLog);
    expect([...modes(home)].sort()).toEqual([
      ['pictures', 0o755],
      ['state', 0o700],
    ]);
    expect(lstatSync(home).mode & 0o777).toBe(0o755);
  });
});
