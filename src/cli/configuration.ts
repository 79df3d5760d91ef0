import { accessSync, constants, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { addressProblems } from '../cluster/ports.ts';
import { portProblems } from '../cluster/shared-ports.ts';
import { codecProblems } from '../config/check-codecs.ts';
import { type ConfigSource, type Loaded, readConfig, refuse } from '../config/load.ts';

/**
 * The configuration with which the server would start: what `serve` reads and `check-config` checks. Throws AppError CONFIG_INVALID with all
 * problems, or what a single kind of problem stands for. Nothing is made or changed.
 */
export async function checkedConfig(from: ConfigSource): Promise<Loaded> {
  const { loaded, problems } = readConfig(from);
  const { config } = loaded;
  problems.push(...(await codecProblems(config)), ...portProblems(config));
  if (config.clickhouse.url === undefined) problems.push(...engineProblems());
  const { host, port } = config.http;
  const places = [...config.listeners, { codec: 'HTTP', transport: 'tcp', host, port, idleMs: 0 } as const];
  const addresses = (await addressProblems(places)).map(
    ({ index, problem }) => `${index < config.listeners.length ? `listeners.${index}` : 'http'}: ${problem}`,
  );
  const directory = directoryProblems(config.dataDir);
  // With nothing else wrong the exit code says which.
  if (problems.length + addresses.length === 0 && directory.length > 0) throw new AppError('DATA_DIR_UNUSABLE', directory.join('; '));
  if (problems.length + directory.length === 0 && addresses.length > 0) throw new AppError('PORT_DENIED', addresses.join('; '));
  refuse([...problems, ...addresses, ...directory]);
  return loaded;
}

/** Is the embedded ClickHouse installed? */
function engineProblems(): string[] {
  try {
    createRequire(import.meta.url).resolve('chdb');
    return [];
  } catch {
    return [
      'clickhouse.url: the embedded ClickHouse is not installed; install the optional dependencies (npm ci --include=optional), or set FIXGATE_CLICKHOUSE_URL',
    ];
  }
}

/** Can the directory be made or written? */
function directoryProblems(dataDir: string): string[] {
  let at = resolve(dataDir);
  while (true) {
    try {
      if (!statSync(at).isDirectory()) return [`dataDir: ${at} is not a directory; set FIXGATE_DATA_DIR to another one`];
      accessSync(at, constants.W_OK | constants.X_OK);
      return [];
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || dirname(at) === at)
        return [
          `dataDir: cannot write in ${at} (${systemCode(error) || messageOf(error)}); make it writable or set FIXGATE_DATA_DIR to another one`,
        ];
      at = dirname(at);
    }
  }
}
