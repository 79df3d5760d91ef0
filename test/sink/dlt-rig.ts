import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '../../src/base/log.ts';
import { SecretUrl } from '../../src/base/secret.ts';
import { Dlt } from '../../src/out/sink/forward/dlt.ts';
import { createForwardSink, type ForwardOptions, Subjects } from '../../src/out/sink/forward/sink.ts';
import type { Sink } from '../../src/out/sink/sink.ts';

export const imeiOf = (i: number): string => String(356_307_042_000_000 + i);

export interface Forwarding {
  readonly sink: Sink;
  readonly subjects: Subjects;
  /** Calls by kind and outcome. */
  readonly counts: Record<string, number>;
}

/** The files of the credentials are in the data directory. */
export function dltAdapter(data: string, url: string): Dlt {
  mkdirSync(join(data, 'secrets'), { recursive: true });
  const [userFile, passwordFile] = [join(data, 'secrets', 'user'), join(data, 'secrets', 'password')];
  writeFileSync(userFile, 'vendor\n');
  writeFileSync(passwordFile, 'geheim\n');
  return new Dlt({ url: new SecretUrl(url), vendor: 7, userFile, passwordFile });
}

/** Forwards these devices. */
export function dltSink(data: string, url: string, devices: readonly string[], options: Partial<ForwardOptions> = {}): Forwarding {
  const adapter = dltAdapter(data, url);
  const subjects = new Subjects(adapter);
  const labels = { dlt: '12', dlt_vehicle_id: 'กท 1234', dlt_register_type: '1' };
  subjects.all(new Map(devices.map((id) => [id, { id, labels }])));
  const counts: Record<string, number> = {};
  const sink = createForwardSink({
    adapter,
    directory: join(data, 'forwarded'),
    callsPerMinute: 60_000,
    subjects,
    log: silentLog,
    batchAgeMs: 0,
    count: (outcome, kind) => {
      counts[`${kind} ${outcome}`] = (counts[`${kind} ${outcome}`] ?? 0) + 1;
    },
    ...options,
  });
  return { sink, subjects, counts };
}
