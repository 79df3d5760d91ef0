import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Console } from '../api/console.ts';
import type { Maps } from '../api/maps.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { placesOf } from './page-cache.ts';

/** Of a package and of the image. */
const BUILT = fileURLToPath(new URL('../../console', import.meta.url));
/** Of a checkout. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUILD = join(ROOT, 'web/build.ts');
const REMEDY = 'Run npm ci && npm run build, and start the server again.';

interface Pages {
  readonly console: Console;
  readonly maps: Maps;
}

/**
 * Takes what is built already; false when `buildPages` has to make the rest. Call it before the server listens: a page that was open
 * over a restart asks for its files at once.
 */
export async function takeBuiltPages(pages: Pages, log: Log): Promise<boolean> {
  if (existsSync(BUILT)) {
    pages.maps.addWorld(join(BUILT, 'maps/world.pmtiles'));
    await load(pages, BUILT, log);
    return true;
  }
  if (!existsSync(BUILD)) {
    abandon(pages, 'The console is not built');
    return true;
  }
  try {
    const places = placesOf(ROOT);
    await pages.console.load(places.pages);
    if (!existsSync(places.map)) return false;
    pages.maps.addWorld(places.map);
    return true;
  } catch {
    // Not built yet; what else is wrong the build says.
    return false;
  }
}

/**
 * Has them built by another process with what the devices leave of the processor. Returns what ends that process. Call it when the server
 * listens: a build beside the start would delay it.
 */
export function buildPages(pages: Pages, log: Log): () => void {
  const child = fork(BUILD, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let trouble = '';
  child.stderr?.on('data', (chunk) => {
    trouble = `${trouble}${chunk}`.slice(-2000);
  });
  child.on('error', (error) => {
    trouble = error.message;
  });
  lower(child.pid);
  let hasPages = false;
  child.on('message', (message) => {
    const { type, directory, path } = Object(message);
    if (type === 'console' && typeof directory === 'string') {
      hasPages = true;
      void load(pages, directory, log);
    }
    if (type === 'map' && typeof path === 'string') pages.maps.addWorld(path);
  });
  child.on('close', (code, signal) => {
    if (code === 0 || signal !== null) return;
    log.warn({ trouble }, 'the console cannot be built; everything else works');
    if (hasPages) pages.maps.abandonWorld();
    else abandon(pages, 'The console is not built');
  });
  return () => void child.kill();
}

async function load(pages: Pages, directory: string, log: Log): Promise<void> {
  try {
    await pages.console.load(directory);
  } catch (error) {
    log.warn({ trouble: messageOf(error) }, 'the console cannot be read; everything else works');
    abandon(pages, 'The console cannot be read');
  }
}

function abandon({ console, maps }: Pages, why: string): void {
  console.abandon(why, REMEDY);
  maps.abandonWorld();
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
