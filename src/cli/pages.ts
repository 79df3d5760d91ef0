import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Console } from '../api/console.ts';
import type { Maps } from '../api/maps.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';

/** Of a package and of the image. */
const BUILT = fileURLToPath(new URL('../../console', import.meta.url));
/** Of a checkout. */
const BUILD = fileURLToPath(new URL('../../web/build.ts', import.meta.url));
const REMEDY = 'Run npm ci && npm run build, and start the server again.';

/**
 * Finds the pages of the console, or has them built by another process with what the devices leave of the processor. Returns what ends
 * that process. Call it when the server listens: a build beside the start would delay it.
 */
export function providePages(pages: Console, maps: Maps, log: Log): () => void {
  const take = (directory: string): void => {
    pages.load(directory).catch((error: unknown) => {
      log.warn({ trouble: messageOf(error) }, 'the console cannot be read; everything else works');
      pages.abandon('The console cannot be read', REMEDY);
    });
  };
  if (existsSync(BUILT)) {
    take(BUILT);
    maps.addWorld(join(BUILT, 'maps/world.pmtiles'));
    return () => {};
  }
  if (!existsSync(BUILD)) {
    pages.abandon('The console is not built', REMEDY);
    return () => {};
  }
  const child = fork(BUILD, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let trouble = '';
  child.stderr?.on('data', (chunk) => {
    trouble = `${trouble}${chunk}`.slice(-2000);
  });
  child.on('error', (error) => {
    trouble = error.message;
  });
  lower(child.pid);
  let loaded = false;
  child.on('message', (message) => {
    const { type, directory, path } = Object(message);
    if (type === 'console' && typeof directory === 'string') {
      take(directory);
      loaded = true;
    }
    if (type === 'map' && typeof path === 'string') maps.addWorld(path);
  });
  child.on('close', (code, signal) => {
    if (code === 0 || signal !== null) return;
    log.warn({ trouble }, 'the console cannot be built; everything else works');
    if (!loaded) pages.abandon('The console is not built', REMEDY);
  });
  return () => void child.kill();
}

/** A process that has ended already has no priority. */
function lower(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // The build then takes its share.
  }
}
