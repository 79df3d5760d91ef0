import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { Console } from '../api/console.ts';
import { LOOPBACK } from '../api/edge.ts';
import { Maps } from '../api/maps.ts';
import { startHttp } from '../api/server.ts';
import { createCode } from '../api/sessions.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { processLog, setPretty } from '../base/log-pino.ts';
import { checkStores, createSupervisor } from '../roles/supervisor.ts';
import type { StateStore } from '../state/store.ts';
import { checkedConfig } from './configuration.ts';
import { linkOf } from './console.ts';
import { startedByNpm, whenEnded } from './npm.ts';
import { buildPages, takeBuiltPages } from './pages.ts';

export const SERVE_HELP = `fixgate serve [--config file]

Runs the server: listeners, shipper, and an embedded ClickHouse when no ClickHouse URL is configured.
Without a configuration it keeps its data in ./data, listens on the customary ports of each protocol
(teltonika 5027, gt06 5023, h02 5013, jt808 5015, queclink 5004, TCP and UDP; auto 5000) and serves metrics on
127.0.0.1:8080.

  --config file   YAML or JSON; FIXGATE_* variables win over it (fixgate check-config shows the result)
  --pretty        the log as lines for a person, as on a terminal
  --json          the log as JSON, as in a pipe or a file

SIGTERM or Ctrl-C finishes what is owed (drainMs, 10 s) and ends with code 0; a second one ends at once.
Started by npm or npx, it ends the same way when they end.
SIGHUP replaces the workers one by one, with the ports open all the time; each has drainMs to finish.
`;

const LINGER_MS = 1_000;

/** Runs until a signal; resolves with the exit code. */
export async function serve(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, pretty: { type: 'boolean' }, json: { type: 'boolean', default: false } },
  });
  setPretty(values.pretty ?? (!values.json && process.stdout.isTTY === true));
  const { config } = await checkedConfig({ file: values.config, env: process.env });
  await checkStores(config);
  const log = processLog(config.logLevel, 'supervisor');
  const supervisor = createSupervisor(config, log);
  const stopped = new Promise<void>((resolve) => {
    let asked = false;
    const ask = (why: object): void => {
      asked = true;
      log.info(why, 'draining');
      resolve();
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => {
        if (asked) process.exit(1);
        ask({ signal });
      });
    whenEnded(startedByNpm(process.env), () => {
      if (!asked) ask({ reason: 'npm, which started this server, has ended' });
    });
  });
  // A terminal that goes away sends the same signal: there it means the end.
  if (process.stdout.isTTY !== true) process.on('SIGHUP', () => void supervisor.replaceWorkers());
  const pages = config.http.console ? { console: new Console(), maps: new Maps(config.dataDir) } : undefined;
  const toBuild = pages !== undefined && !(await takeBuiltPages(pages, log)) ? pages : undefined;
  let endBuild = (): void => {};
  const http = await startHttp(supervisor, { ...config.http, confirm: config.commands.confirm, sms: config.sms, log, pages });
  const { publicUrl } = config.http;
  const console = publicUrl === '' ? http.url : publicUrl;
  log.info({ http: http.url, console, ...(publicUrl === '' ? {} : { publicUrl }) }, 'metrics and health');
  if (!LOOPBACK.test(config.http.host) && !publicUrl.startsWith('https:'))
    log.warn({ http: http.url }, 'HTTP without TLS is open to the network: put a proxy with TLS in front and set http.publicUrl');
  try {
    await Promise.race([supervisor.start(), supervisor.lost]);
    // Not left to the end of the process, which may be killed.
    flushCompileCache();
    if (toBuild !== undefined) endBuild = buildPages(toBuild, log);
    if (pages !== undefined) await printLink(console, supervisor.office?.state, log);
    await Promise.race([stopped, supervisor.lost]);
    await supervisor.stop(config.drainMs);
  } finally {
    endBuild();
    await http.close();
    // A connection to a store that is silent would keep the process.
    setTimeout(() => process.exit(), LINGER_MS).unref();
  }
  log.info({}, 'stopped');
  return 0;
}

/** For the person at the terminal, never in the log. */
async function printLink(url: string, state: StateStore | undefined, log: Log): Promise<void> {
  if (process.stderr.isTTY !== true || state === undefined) return;
  try {
    const link = linkOf(url, await createCode(state, ['admin']));
    process.stderr.write(`Console: ${link}\n(works once, 10 minutes; another: npx fixgate console)\n`);
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'no link to the console: the state store does not answer');
  }
}
