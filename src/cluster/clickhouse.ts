import { resolve } from 'node:path';
import { Secret, SecretUrl } from '../base/secret.ts';
import type { Config } from '../config/schema.ts';
import { clickHouseSecret } from '../embedded/secret.ts';
import { embeddedAccess } from '../embedded/socket.ts';
import type { ClickHouseAccess } from '../out/sink/clickhouse/sink.ts';
import { modulePath } from './child-process.ts';
import type { PackedAccess } from './messages.ts';
import { claimPorts } from './ports.ts';
import { forkChild, type Running } from './running.ts';

/** The embedded engine of a server. */
export interface EmbeddedEngine {
  /** Absolute: children read it. */
  readonly directory: string;
  readonly port: number;
}

/** The ClickHouse that a server writes to; `engine`: its own, undefined for a configured one. */
export interface ClickHouse {
  readonly access: ClickHouseAccess;
  readonly engine: EmbeddedEngine | undefined;
}

/** The ClickHouse of the configuration; without one the embedded one, whose secret is made at the first start. */
export async function clickHouseOf(config: Config): Promise<ClickHouse> {
  const { url, user: username, password, database } = config.clickhouse;
  if (url !== undefined) return { access: { url, username, password, database }, engine: undefined };
  const port = config.clickhouse.port === 0 ? await freePort() : config.clickhouse.port;
  const directory = resolve(config.dataDir, 'clickhouse');
  const secret = await clickHouseSecret(directory);
  return { access: { ...embeddedAccess(directory, `http://127.0.0.1:${port}`, secret), database }, engine: { directory, port } };
}

export function packAccess({ access, engine }: ClickHouse): PackedAccess {
  const { url, username = '', password, database = '' } = access;
  return { url: url.reveal(), username, password: password?.reveal() ?? '', database, embedded: engine?.directory ?? '' };
}

export function unpackAccess({ url, username, password, database, embedded }: PackedAccess): ClickHouseAccess {
  const secret = new Secret(password);
  if (embedded !== '') return { ...embeddedAccess(embedded, url, secret), database };
  return { url: new SecretUrl(url), username, password: secret, database };
}

export function forkEngine({ directory, port }: EmbeddedEngine): Running {
  return forkChild(modulePath('../embedded/main', import.meta.url), ['--directory', directory, '--port', String(port)]);
}

async function freePort(): Promise<number> {
  const [claimed] = await claimPorts([{ codec: 'clickhouse', transport: 'tcp', host: '127.0.0.1', port: 0, idleMs: 0 }]);
  return claimed?.port ?? 0;
}
