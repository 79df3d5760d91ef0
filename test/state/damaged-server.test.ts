import { afterAll, describe, expect, it } from 'vitest';
import { DamagedStore, idOf, told } from '../support/damaged-store.ts';
import { eventually } from '../support/wait.ts';

const damaged = new DamagedStore();
afterAll(() => damaged.close());

describe('a server on a damaged state store', () => {
  it('names the file, confirms no data of devices that it cannot look up, and stays up; a rebuild keeps the rest', async () => {
    await damaged.fill();
    damaged.zeroDevices();

    const started = await damaged.start();
    await eventually(async () => {
      const readiness = await started.http('/readyz');
      expect([readiness.status, await readiness.json()]).toMatchObject([
        503,
        { parts: { 'worker-0': { state: 'up' }, state_store: { state: 'down', reason: expect.stringContaining(damaged.file) } } },
      ]);
    });
    expect(await told(started, idOf(0))).not.toContain('00000001');
    expect(await told(started, '356307042449999')).not.toContain('00000001');
    expect(await started.stop()).toBe(0);

    const found = await damaged.fixgate('state', 'verify');
    expect([found.code, found.error]).toEqual([1, expect.stringContaining(`${damaged.file} is damaged`)]);
    const rebuilt = await damaged.fixgate('state', 'rebuild', '--json');
    expect(rebuilt.code).toBe(1);
    const { tables } = JSON.parse(rebuilt.out);
    expect(tables.find(({ table }: { table: string }) => table === 'plans')).toEqual({ table: 'plans', kept: 1, lost: 0 });
    expect(tables.find(({ table }: { table: string }) => table === 'devices').lost).toBeGreaterThan(0);
    expect((await damaged.fixgate('state', 'verify')).code).toBe(0);
  });
});
