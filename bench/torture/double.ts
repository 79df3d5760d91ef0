/**
 * Loaded into every process of the server (`NODE_OPTIONS=--import`): the disk and the clock that a test can hurt.
 * TORTURE_DIR holds what is to happen, as files; they are looked at when it matters, so that a fault begins and ends
 * between two calls:
 *
 *     no-space   writing to the data directory fails with ENOSPC, half of it written
 *     no-sync    fdatasync in it fails with EIO
 *     clock      the wall clock is off by so many milliseconds
 *
 * And it keeps the account of what a power cut would leave: `synced` gets a line, path<TAB>size<TAB>content, for each
 * fdatasync that succeeded, before its caller hears of it. `size` is what the file had when the call began; `content`,
 * in hex, only for files of a few bytes that are overwritten in place.
 */

import fs from 'node:fs';
import { join, sep } from 'node:path';

const TINY_BYTES = 64;
const CLOCK_LOOK_MS = 20;
/** A disk that fails takes its time to say so; meanwhile devices go on sending. */
const FAILING_MS = 40;

const control = process.env['TORTURE_DIR'] ?? '';
const data = (process.env['FIXGATE_DATA_DIR'] ?? '') + sep;
const noSpace = join(control, 'no-space');
const noSync = join(control, 'no-sync');
const clock = join(control, 'clock');

/** Paths of open files below the data directory. */
const paths = new Map<number, string>();
const synced = fs.openSync(join(control, 'synced'), 'a');

type Failed = (error: NodeJS.ErrnoException | null) => void;

const failure = (code: string, call: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`${code}: ${call} (made to fail)`), { code, syscall: call });

/** The last argument of a call of `fs`, where it is the callback that it should be. */
function callbackOf(args: readonly unknown[]): ((...results: unknown[]) => void) | undefined {
  const last = args.at(-1);
  return typeof last === 'function' ? (...results) => Reflect.apply(last, undefined, results) : undefined;
}

/** Puts `instead` in the place of a function of `fs`; it gets the real one and the arguments. */
function replace(name: 'open' | 'close' | 'write' | 'fdatasync', instead: (real: (...args: unknown[]) => void, args: unknown[]) => void) {
  const real: unknown = Reflect.get(fs, name);
  if (typeof real !== 'function') throw new Error(`fs has no ${name}`);
  const call = (...args: unknown[]): void => {
    Reflect.apply(real, fs, args);
  };
  Reflect.set(fs, name, (...args: unknown[]) => instead(call, args));
}

replace('open', (real, args) => {
  const done = callbackOf(args);
  const path = String(args[0]);
  if (done === undefined || !path.startsWith(data)) return real(...args);
  real(...args.slice(0, -1), (error: unknown, fd: unknown) => {
    if (error == null) paths.set(Number(fd), path);
    done(error, fd);
  });
});

replace('close', (real, args) => {
  paths.delete(Number(args[0]));
  real(...args);
});

replace('write', (real, args) => {
  const done = callbackOf(args);
  if (done === undefined || !paths.has(Number(args[0])) || !fs.existsSync(noSpace)) return real(...args);
  const [fd, bytes, offset, length, position] = args;
  // A part fits, as on a disk that just ran full.
  real(fd, bytes, offset, Number(length) >> 1, position, () => done(failure('ENOSPC', 'write')));
});

replace('fdatasync', (real, args) => {
  const done = callbackOf(args);
  const fd = Number(args[0]);
  const path = paths.get(fd);
  if (done === undefined || path === undefined) return real(...args);
  if (fs.existsSync(noSync)) {
    setTimeout(() => done(failure('EIO', 'fdatasync')), FAILING_MS);
    return;
  }
  const { size } = fs.fstatSync(fd);
  const content = size <= TINY_BYTES ? fs.readFileSync(path).toString('hex') : '';
  const after: Failed = (error) => {
    if (error === null) fs.writeSync(synced, `${path}\t${size}\t${content}\n`);
    done(error);
  };
  real(fd, after);
});

const realNow = Date.now;
let offsetMs = 0;
Date.now = () => realNow() + offsetMs;
setInterval(() => {
  try {
    offsetMs = Number(fs.readFileSync(clock, 'utf8')) || 0;
  } catch {
    offsetMs = 0;
  }
}, CLOCK_LOOK_MS).unref();
