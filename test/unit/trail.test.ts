import { describe, expect, onTestFinished, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { AGAIN_MS, type Call, masked, newId, Trail } from '../../src/fleet/privacy/trail.ts';

type Entry = Record<string, unknown>;

/** A trail whose journal, clock and secrets are the test's. */
function trailing() {
  const at = { elapsed: 0, refuses: false };
  const entries: Entry[] = [];
  const trail = new Trail({
    async write(entry) {
      if (at.refuses) throw new Error('full');
      entries.push(JSON.parse(JSON.stringify(entry)));
    },
    secrets: new Set(['cipher']),
    now: () => 1_000,
    elapsed: () => at.elapsed,
    log: silentLog,
    count: () => {},
  });
  onTestFinished(() => trail.stop());
  return { trail, entries, at };
}

function callBy(by: string, more: Partial<Call> = {}): Call {
  const id = newId();
  return {
    id,
    request: id,
    time: 5,
    address: '10.0.0.1',
    operation: 'GET /v1/x',
    by,
    object: 'x',
    account: '',
    devices: [],
    asked: false,
    ...more,
  };
}

describe('the audit', () => {
  test('1: a change has an entry before it is made and one with its outcome, of one id, with what differs', async () => {
    const { trail, entries } = trailing();
    const call = callBy('me', { operation: 'PUT /v1/plans/{name}', object: 'plans/gold', new: { cap: 2, same: 1 } });
    await trail.asked(call);
    call.old = { cap: 1, same: 1 };
    await trail.done(call, 200);
    const same = { type: 'change', id: call.id, request: call.id, by: 'me', object: 'plans/gold', count: 1 };
    expect(entries).toEqual([
      expect.objectContaining({ ...same, status: 0, new: { cap: 2, same: 1 } }),
      expect.objectContaining({ ...same, status: 200, old: { cap: 1 }, new: { cap: 2 } }),
    ]);
  });

  test('1: a journal that refuses is an error before the change, and one of a part is an error of the whole', async () => {
    const { trail, at } = trailing();
    const call = callBy('me');
    await trail.asked(call);
    at.refuses = true;
    await expect(trail.asked(callBy('me'))).rejects.toThrow('full');
    trail.part(call, { id: 'd' }, undefined);
    await new Promise((resolve) => setImmediate(resolve));
    at.refuses = false;
    await expect(trail.done(call, 200)).rejects.toThrow('full');
  });

  test('2: looks are told at once, then counted; the counts add up, also over a journal that refuses for a while', async () => {
    const { trail, entries, at } = trailing();
    const look = (by: string): Promise<void> => trail.read(callBy(by, { devices: ['a', 'b'] }), 200);
    const counted = (): number => entries.filter(({ device }) => device === 'a').reduce((sum, { count }) => sum + Number(count), 0);
    await look('me');
    expect(entries.map(({ device, object, count }) => [device, object, count])).toEqual([
      ['a', 'devices/a', 1],
      ['b', 'devices/b', 1],
    ]);
    expect(new Set(entries.map(({ id }) => id)).size).toBe(2);
    for (let i = 0; i < 4; i++) await look('me');
    expect(counted()).toBe(1);
    at.refuses = true;
    await look('other');
    at.elapsed = AGAIN_MS;
    await trail.sweep();
    at.refuses = false;
    await look('me');
    await trail.sweep();
    at.elapsed = 2 * AGAIN_MS;
    await trail.sweep();
    expect(counted()).toBe(7);
  });

  test('3: a flood of refused calls makes sixty entries a minute and one count', async () => {
    const { trail, entries, at } = trailing();
    for (let i = 0; i < 500; i++) for (let k = 0; k < 2; k++) trail.refused(callBy('', { address: `10.0.${i >> 8}.${i & 255}` }), 401);
    at.elapsed = 60_000;
    await trail.sweep();
    expect(entries).toHaveLength(61);
    await trail.stop();
    expect(entries.reduce((sum, { count }) => sum + Number(count), 0)).toBe(1000);
    expect(entries.every(({ type }) => type === 'refused')).toBe(true);
  });

  test('4: secrets are masked by name, by codec, and where they stand in other texts', () => {
    const text = JSON.stringify(
      masked(
        {
          password: 'marked',
          api_key: { deep: 'marked' },
          pin: 1234567,
          cipher: 'marked',
          parameters: { text: 'marked' },
          tokens: ['marked'],
          note: 'the token fg_marked-marked1 of https://me:marked@example.org/hook?key=marked#marked',
          plain: 'stays',
          none: null,
        },
        new Set(['cipher']),
      ),
    );
    expect(text).not.toMatch(/marked|1234567/);
    expect(text).toContain('"plain":"stays"');
    expect(text).toContain('https://***@example.org/hook?***');
  });
});
