import { systemClock } from '../base/clock.ts';
import type { OfficeOptions } from '../cluster/office.ts';
import { readService } from '../fleet/plan/service-keeper.ts';
import { inForce, PLANS } from '../fleet/plan/versions.ts';
import type { Eraser } from '../fleet/privacy/eraser.ts';
import { Retention } from '../fleet/privacy/retention.ts';
import type { Rule } from '../fleet/privacy/retention-rules.ts';
import { OldTables } from '../out/sink/clickhouse/expire.ts';
import type { State } from '../state/open.ts';

const ENDED: readonly string[] = ['expired', 'terminated', 'removed'];

/** What removes what has been kept long enough. `forgotten`: a device has no last position any more. */
export function retentionOf(
  { config, instance, log, metrics, record, clickhouse }: OfficeOptions,
  store: State,
  eraser: Eraser,
  forgotten: (device: string) => void,
): Retention {
  const now = (): number => systemClock.now();
  return new Retention({
    store,
    instance,
    now,
    log,
    everyMs: config.retention.everyMs,
    rawDays: config.evidence.keepDays,
    async plans() {
      const found = new Map<string, Rule>();
      for await (const [name, history] of PLANS.entries(store)) found.set(name, inForce(history, now()).plan);
      return found;
    },
    tables: new OldTables(clickhouse),
    eraser,
    async ended(device) {
      const last = (await readService(store, device, now()))?.periods.at(-1);
      return last !== undefined && ENDED.includes(last.state) ? last.from : undefined;
    },
    async forgetLast(devices) {
      for (const device of devices.keys()) forgotten(device);
      const { url, prefix } = config.redis;
      if (url === undefined) return;
      const { forgetLast } = await import('../out/sink/redis-stream/last.ts');
      await forgetLast(url, `${prefix}:`, devices);
    },
    record: (event) => record('', event),
    count: (table, rows) => metrics.retentionRows.inc({ table }, rows),
    held: (devices) => metrics.retentionHeld.set(devices),
  });
}
