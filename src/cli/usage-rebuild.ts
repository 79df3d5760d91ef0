import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { processLog } from '../base/log-pino.ts';
import { loadConfig } from '../config/load.ts';
import { DevicePlans } from '../fleet/plan/device-plans.ts';
import { isDeviceId } from '../in/session/identity.ts';
import { UsageHistory } from '../out/sink/clickhouse/history.ts';
import { meteredDevices, type Rebuilt, rebuildUsage } from '../out/sink/state/rebuild.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { clickHouseAccess, stateStore } from './stores.ts';
import { table } from './table.ts';

export const REBUILD_HELP = `fixgate usage rebuild --device <id>|--all [--cycle <date>] [--dry-run] [--config file] [--json]

Recomputes what devices used in a billing cycle from the history in ClickHouse, and corrects the sums by which plans are
applied. Works on the stores of the configuration, beside a running server. Prints the sums that differ; exit
code 1 when there are any and they are left as they are.

  --device <id>     of this device; may be repeated
  --all             of every device that has used anything
  --cycle <date>    the cycle that contains this day (YYYY-MM-DD, in the plan's time zone; default: the current one)
  --dry-run         compares only
  --config <file>   YAML or JSON (default: FIXGATE_CONFIG)
  --json            one JSON object a line: device, cycle, what the sums were and what the history says
`;

export async function rebuild(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      device: { type: 'string', multiple: true, default: [] },
      all: { type: 'boolean', default: false },
      cycle: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const wrong = values.device.find((id) => !isDeviceId(id));
  if (wrong !== undefined) throw new AppError('USAGE', `--device "${wrong}" is not a device id: 3 to 32 letters, digits, -, _ or :`);
  if (values.all === values.device.length > 0) throw new AppError('USAGE', 'usage: fixgate usage rebuild --device <id>|--all');
  const date = values.cycle === undefined ? undefined : dateOf(values.cycle);
  const { config } = loadConfig({ file: values.config, env: io().env });
  const now = systemClock.now();
  const history = new UsageHistory(await clickHouseAccess(config));
  const store = await stateStore(config);
  const plans = new DevicePlans(store, processLog('error', 'cli'));
  try {
    const devices = values.all ? await meteredDevices(store, history, date ?? now) : values.device;
    const dryRun = values['dry-run'];
    const different: Rebuilt[] = [];
    for await (const rebuilt of rebuildUsage({ store, plans, history, devices, date, now, dryRun }))
      if (rebuilt.differs) different.push(rebuilt);
    if (values.json) for (const rebuilt of different) io().out.write(`${JSON.stringify(rebuilt)}\n`);
    else print(different, devices.length, dryRun);
    return different.length > 0 && dryRun ? EXIT.Found : EXIT.Ok;
  } finally {
    plans.close();
    await store.close();
    await history.close();
  }
}

function dateOf(text: string): number {
  const date = Date.parse(`${text}T00:00:00Z`);
  if (!/^\d{4}-\d\d-\d\d$/.test(text) || Number.isNaN(date))
    throw new AppError('USAGE', `--cycle "${text}" is not a date; expected YYYY-MM-DD`);
  return date;
}

function print(different: readonly Rebuilt[], devices: number, dryRun: boolean): void {
  const rows = different.flatMap(({ device, cycle, before, history }) => {
    const from = new Date(cycle.start).toISOString();
    return [
      { device, cycle: from, sums: 'were', ...before },
      { device, cycle: from, sums: 'history', ...history },
    ];
  });
  table(rows);
  const said = dryRun ? 'differ' : 'were corrected';
  io().error.write(`${devices} devices, ${different.length} ${said}\n`);
}
