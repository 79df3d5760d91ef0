import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';

/**
 * Loaded into every process of a measured server with `NODE_OPTIONS=--import`: on SIGUSR2 collects garbage and writes what is
 * left, as `<pid>.json` into the directory that BENCH_MEMORY names.
 */
export interface Memory {
  readonly heapBytes: number;
  readonly residentBytes: number;
}

const directory = process.env['BENCH_MEMORY'];

if (directory !== undefined)
  process.on('SIGUSR2', () => {
    v8.setFlagsFromString('--expose-gc');
    const collect: () => void = vm.runInNewContext('gc');
    // What a finaliser lets go of is free after the second one.
    collect();
    collect();
    const { heapUsed, rss } = process.memoryUsage();
    const memory: Memory = { heapBytes: heapUsed, residentBytes: rss };
    writeFileSync(join(directory, `${process.pid}.json`), JSON.stringify(memory));
  });
