import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { chdbInstalled } from '../embedded/child.ts';
import { eventually, pause, remains } from '../support/wait.ts';
import { type Counted, type Row, World } from './month-world.ts';

/** A whole server whose disk hangs over the end of a cycle, with what a device has sent before that end and was not told of. */

const PRELOAD = new URL('../helpers/hanging-disk.ts', import.meta.url).href;
const PLAN = { anchor_day: 1, time_zone: 'UTC', bytes_cap: 1_000_000 };
const END = Date.UTC(2026, 9, 1);

it.skipIf(!chdbInstalled)('a statement is made once, of all that came in the cycle, when the disk is back', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-hanging-'));
  const hangs = join(directory, 'hangs');
  const world = await World.start(1, END - 3_600_000, { NODE_OPTIONS: `--import=${PRELOAD}`, HANGING_DISK: hangs });
  onTestFinished(async () => {
    rmSync(directory, { recursive: true });
    await world.close();
  });
  const place = world.place(0);
  const { id, account, unit } = place;
  const port = await world.server.running.port(unit.protocol, unit.transport);
  await world.call('PUT', '/v1/plans/acme', PLAN, 201);
  await world.call('POST', '/v1/accounts', { id: account }, 201);
  await world.call('POST', '/v1/devices', { id, account, plan: 'acme' }, 201);
  await world.report([unit]);
  const before = (await world.quiet()).get(id);

  // A minute before the end it sends something that is received, and not answered.
  await world.at(END - 60_000);
  unit.on({ host: '127.0.0.1', port });
  unit.report(3, 30_000);
  await eventually(() => {
    unit.look();
    expect(world.counted(place).bytes_out).toBeGreaterThan(Number(before?.bytes_out));
  });
  writeFileSync(hangs, '');
  const received = async (): Promise<number> => {
    const metrics = await (await world.server.running.http('/metrics')).text();
    return [...metrics.matchAll(/fixgate_bytes_total\{[^}]*direction="in"[^}]*\} (\d+)/g)].reduce(
      (sum, [, bytes]) => sum + Number(bytes),
      0,
    );
  };
  await eventually(async () => {
    unit.look();
    const { bytes_in } = world.counted(place);
    expect(bytes_in).toBeGreaterThan(Number(before?.bytes_in) + 30);
    expect(await received()).toBe(bytes_in);
  });
  const sent: Counted = world.counted(place);
  // With the end of the session what it has used is on its way into the journal, of this moment.
  unit.off();
  await eventually(async () => expect(await world.call('GET', '/v1/connections')).toMatchObject({ connections: [] }));
  await world.at(END + 6 * 3_600_000);
  const statements = async (): Promise<readonly Row[]> =>
    Object((await world.call('GET', `/v1/accounts/${account}/statements/2026-09`))['statements']);
  await remains(async () => {
    for (const row of await statements()) expect(row.provisional).toBe(true);
    await pause(500);
  }, 5_000);
  expect(world.counted(place)).toEqual(sent);

  rmSync(hangs);
  const [frozen, ...others] = await world.frozen(account, '2026-09');
  expect([frozen, others]).toMatchObject([{ device: id, ...sent, records: 6 }, []]);
  // Nothing that comes later changes it or makes another.
  await world.report([unit]);
  await world.quiet();
  expect(await statements()).toEqual([frozen]);
  expect(await world.verify()).toMatchObject({ code: 0 });
});
