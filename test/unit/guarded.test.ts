import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * What is called in a timer or in the handler of an event, and throws, ends the process. These calls throw in bad times only: when no
 * descriptor is left, when the peer is gone, when another program wrote the text. So they stand in few places, which are listed here,
 * and which say what is done about it. The command line, the simulator and the kit may end with an error.
 */
const SRC = join(import.meta.dirname, '../../src');
const FILES = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !/^(cli|simulate|codec\/kit)\//.test(file),
);

/** Lines of the files that match, as `file: line`; those of the files named are left out. */
function found(pattern: RegExp, except: readonly string[]): string[] {
  return FILES.filter((file) => !except.includes(file)).flatMap((file) =>
    readFileSync(join(SRC, file), 'utf8')
      .split('\n')
      .filter((line) => pattern.test(line) && !/^\s*(\*|\/\/)/.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
}

describe('calls that throw in bad times', () => {
  it('memory is read by Vitals, which counts a missing descriptor', () => {
    expect(found(/memoryUsage|resourceUsage|process\.cpuUsage/, ['base/descriptors.ts'])).toEqual([]);
  });

  it('text from outside is parsed by jsonOf, or within a try', () => {
    const outside = FILES.flatMap((file) => {
      const lines = readFileSync(join(SRC, file), 'utf8').split('\n');
      return lines.flatMap((line, at) => {
        if (!line.includes('JSON.parse(') || file === 'base/json.ts') return [];
        return lines.slice(Math.max(0, at - 3), at + 1).some((before) => /\btry \{/.test(before)) ? [] : [file];
      });
    });
    // The engine's own output, in an awaited query; the file of erasures, read at start, whose damage is to be said.
    expect(outside).toEqual(['embedded/engine.ts', 'out/ship/erasures.ts']);
  });

  it('files are read and written without blocking, apart from what happens once, at the start', () => {
    const atStart = [
      'config/load.ts',
      'state/lmdb-salvage.ts',
      // The package's own description, once.
      'base/version.ts',
      // Its scripts, when the module is loaded.
      'state/script.ts',
      'state/check.ts',
      'state/rebuild.ts',
      'embedded/main.ts',
      // Of the package, once.
      'base/version.ts',
      'base/descriptors.ts',
      'base/lock/lock.ts',
      // A few bytes of /proc, within a try; one of them in the text of a process of its own.
      'base/lock/process.ts',
      'cluster/watchdog.ts',
      // In tests only: the file of a test clock, within a try.
      'base/clock.ts',
    ];
    expect(
      found(/\b(open|close|read|write|stat|lstat|statfs|readdir|readFile|writeFile|mkdir|rm|rename|unlink|exists|access)Sync\(/, atStart),
    ).toEqual([]);
  });

  it('whatever opens a server, a socket or a process listens to its errors', () => {
    const opens = /\b(createServer|createSocket|Fastify|fork)\(|instanceof (net\.Server|dgram\.Socket)/;
    const deaf = FILES.filter((file) => {
      const source = readFileSync(join(SRC, file), 'utf8');
      return (
        source.split('\n').some((line) => opens.test(line) && !/^\s*(\*|\/\/|import)/.test(line)) && !/\.(on|once)\('error'/.test(source)
      );
    });
    // It passes an open socket on to the files that listen to its errors.
    expect(deaf).toEqual(['in/listen/listeners.ts']);
  });

  it('a message to another process has a callback: without one, a closed channel is an error event', () => {
    const sends = found(/process\.send\(|child\.send\(/, []);
    expect(sends.filter((line) => !/=> (done|sent\?\.)\(\)\)/.test(line))).toEqual([
      'embedded/main.ts: if (process.send !== undefined) process.send(message, undefined, undefined, () => {});',
    ]);
  });

  it('the state store is watched, paged and written to on a condition by one mechanism each', () => {
    expect(found(/\b(store|state)\.watch\(/, ['state/follow.ts', 'state/open.ts'])).toEqual([]);
    // What is read of ClickHouse has pages of its own.
    expect(
      found(/\.length < (PAGE|limit|size)\b/, ['state/pages.ts', 'out/sink/clickhouse/device-rows.ts', 'out/sink/redis-stream/erase.ts']),
    ).toEqual([]);
    expect(found(/\btries\b.*\btries\+\+/, ['state/attempt.ts', 'cluster/ports.ts'])).toEqual([]);
  });
});
