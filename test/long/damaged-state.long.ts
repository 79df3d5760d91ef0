import { afterAll, describe, expect, it } from 'vitest';
import { DamagedStore, idOf, told } from '../support/damaged-store.ts';
import { eventually } from '../support/wait.ts';

const damaged = new DamagedStore();
afterAll(() => damaged.close());

describe('a server whose state store is damaged while it runs, and at its start', () => {
  it('names the file, confirms no data of devices that it cannot look up, stays up, and serves again after a rebuild', async () => {
    await damaged.fill();
    // Damaged while it runs.
    const first = await damaged.start();
    expect(await told(first, idOf(0))).toBe('0100000001');
    damaged.zeroDevices();
    await eventually(async () => {
      expect(await told(first, idOf(150))).not.toContain('0100000001');
      expect(first.log.filter(({ level, msg }) => level === 50 && msg.includes(`${damaged.file} is damaged`))).toHaveLength(1);
    });
    await eventually(async () => expect(first.children('worker')).toHaveLength(1));
    await eventually(async () =>
      expect(await (await first.http('/readyz')).json()).toMatchObject({ parts: { 'worker-0': { state: 'up' } } }),
    );
    const [worker] = first.children('worker');
    for (let n = 100; n < 105; n++) expect(await told(first, idOf(n))).not.toContain('00000001');
    expect(first.children('worker')).toEqual([worker]);
    const readiness = await first.http('/readyz');
    expect([readiness.status, await readiness.json()]).toMatchObject([
      503,
      { parts: { state_store: { state: 'down', reason: expect.stringContaining(damaged.file) } } },
    ]);
    expect(await first.stop()).toBe(0);

    // Damaged when it starts.
    const second = await damaged.start();
    expect((await second.http('/readyz')).status).toBe(503);
    expect(await told(second, idOf(0))).not.toContain('00000001');
    expect(await told(second, '356307042449999')).not.toContain('00000001');
    expect(await second.stop()).toBe(0);

    const found = await damaged.fixgate('state', 'verify');
    expect([found.code, found.error]).toEqual([1, expect.stringContaining(`${damaged.file} is damaged`)]);
    const rebuilt = await damaged.fixgate('state', 'rebuild', '--json');
    expect(rebuilt.code).toBe(1);
    const { tables } = JSON.parse(rebuilt.out);
    expect(tables.find(({ table }: { table: string }) => table === 'plans')).toEqual({ table: 'plans', kept: 1, lost: 0 });
    expect(tables.find(({ table }: { table: string }) => table === 'devices').lost).toBeGreaterThan(0);
    expect((await damaged.fixgate('state', 'verify')).code).toBe(0);
    const third = await damaged.start();
    expect(await told(third, idOf(0))).toBe('0100000001');
  });
});
