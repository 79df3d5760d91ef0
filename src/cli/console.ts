import { parseArgs } from 'node:util';
import { CODE_MS, createCode, SESSION_MS } from '../api/sessions.ts';
import { SCOPES } from '../api/tokens.ts';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { isHeld } from '../base/lock/lock.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { stateStore } from './stores.ts';
import { scopeOf } from './token.ts';

export const CONSOLE_HELP = `fixgate console [--scope scope …] [--ttl time] [--url url] [--config file] [--json]

Prints a link that signs in to the console of the running server. It works once, within 10 minutes.

  --scope <scope>   ${SCOPES.join(', ')}; may be repeated (default: admin)
  --ttl <time>      when the session ends at the latest: 30m, 8h or 7d (default, and most: 7d)
  --url <url>       the server as the browser reaches it (default: FIXGATE_URL, http.publicUrl, or http.host and http.port)
  --config <file>   YAML or JSON (default: FIXGATE_CONFIG)
  --json            as JSON

From another machine: ssh -L 8080:127.0.0.1:8080 <host>, then the same link.
In a container: docker exec <name> node bin/fixgate.js console
`;

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export async function consoleLink(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
      scope: { type: 'string', multiple: true, default: ['admin'] },
      ttl: { type: 'string', default: '7d' },
      url: { type: 'string' },
    },
  });
  const { config } = loadConfig({ file: values.config, env: io().env });
  const scopes = values.scope.map(scopeOf);
  const sessionMs = sessionMsOf(values.ttl);
  const store = await stateStore(config);
  try {
    if (!(await isHeld(config.dataDir)))
      throw new AppError(
        'DATA_DIR_UNUSABLE',
        `no server runs on ${config.dataDir}: start it, or name its data directory with FIXGATE_DATA_DIR or --config <file>`,
      );
    const url = values.url ?? io().env['FIXGATE_URL'] ?? addressOf(config);
    const link = linkOf(url, await createCode(store, scopes, sessionMs));
    const expires = systemClock.now() + CODE_MS;
    io().out.write(values.json ? `${JSON.stringify({ url: link, scopes, expires })}\n` : `${link}\n`);
    return EXIT.Ok;
  } finally {
    await store.close();
  }
}

/** The code is in the fragment, which no log, proxy or Referer has. */
export function linkOf(url: string, code: string): string {
  return `${url.replace(/\/$/, '')}/#code=${code}`;
}

function addressOf({ http: { host, port, publicUrl } }: Config): string {
  if (publicUrl !== '') return publicUrl;
  if (port === 0) throw new AppError('USAGE', 'http.port is 0: name the URL that the server has logged with --url <url>');
  const name = host === '::' || host === '0.0.0.0' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

function sessionMsOf(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNIT_MS[unit] ?? 0);
  if (ms === 0 || ms > SESSION_MS) throw new AppError('USAGE', `invalid --ttl "${text}"; expected a time like 30m, 8h or 7d, at most 7d`);
  return ms;
}
