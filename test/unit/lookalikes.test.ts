import { describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { Lookalikes } from '../../src/in/listen/lookalikes.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

describe('devices on the port of another protocol', () => {
  it('have one line an address, and ten a minute over all addresses', () => {
    const lines: object[] = [];
    const clock = new FakeClock();
    const lookalikes = new Lookalikes({ ...silentLog, warn: (fields) => void lines.push(fields) }, clock);
    for (let n = 0; n < 50; n++) lookalikes.seen('gt06', 'h02', `192.0.2.${n}:${1000 + n}`);
    for (let n = 0; n < 50; n++) lookalikes.seen('gt06', 'h02', `::ffff:192.0.2.${n % 5}:${n}`);
    expect(lines).toHaveLength(10);
    expect(lines[0]).toEqual({ address: '192.0.2.0', port: 'gt06' });
    clock.step(60_000);
    for (let n = 0; n < 15; n++) lookalikes.seen('gt06', 'h02', `192.0.2.${n}:1`);
    expect(lines).toHaveLength(15);
    expect(lines[10]).toEqual({ address: '192.0.2.10', port: 'gt06', notLogged: 40 });
  });

  it('are remembered in a bounded number', () => {
    let lines = 0;
    const clock = new FakeClock();
    const lookalikes = new Lookalikes({ ...silentLog, warn: () => void lines++ }, clock);
    for (let n = 0; n < 20_000; n++) {
      if (n % 10 === 0) clock.step(60_000);
      lookalikes.seen('gt06', 'h02', `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}:1`);
    }
    expect(lines).toBe(20_000);
    lookalikes.seen('gt06', 'h02', '10.0.78.31:1');
    expect(lines).toBe(20_000);
  });
});
