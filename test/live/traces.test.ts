import { describe, expect, it } from 'vitest';
import { TraceHub } from '../../src/live/trace-hub.ts';
import { type TracedFrame, Traces } from '../../src/live/traces.ts';
import toy from '../helpers/toy-codec.ts';

const line = { codec: toy, transport: 'tcp', session: { device: 'd-1' } } as const;
const BYTES = new Uint8Array(10_000).fill(7);

describe('frames that a worker copies', () => {
  it('are those of a device or an address that is traced, invariant 1', () => {
    const traces = new Traces(() => 0);
    expect(traces.of('d-1', '192.0.2.1')).toBeNull();
    expect([traces.start('device d-1'), traces.start('device d-1')]).toEqual([true, false]);
    traces.start('peer 192.0.2.1');
    const [own, theirs] = [traces.of('d-1', '192.0.2.1'), traces.of('', '192.0.2.1')];
    expect([own === null, theirs === null, own === theirs, traces.of('d-2', '192.0.2.2')]).toEqual([false, false, false, null]);
  });

  it('are bounded in number and size, and end when the trace is not asked for again, invariant 2', () => {
    let now = 1_000_000;
    const traces = new Traces(() => now);
    traces.start('device d-1');
    const tap = traces.of('d-1', '');
    for (let n = 0; n < 150; n++) tap?.frame(line, BYTES, 0, 5_000, 3, {});
    tap?.sent(toy, 'tcp', BYTES, 2);
    const told: { frames: readonly TracedFrame[]; lost: number }[] = [];
    const tick = (): void => traces.tick((_key, frames, lost) => told.push({ frames, lost }));
    tick();
    tick();
    expect(told).toHaveLength(1);
    expect([told[0]?.frames.length, told[0]?.lost]).toEqual([100, 51]);
    expect(told[0]?.frames[0]).toMatchObject({
      direction: 'in',
      device: 'd-1',
      protocol: toy.name,
      bytes: 5_000,
      memo: 3,
      hex: '07'.repeat(4096),
    });
    now += 1_000;
    tap?.sent(toy, 'tcp', BYTES, 2);
    tick();
    expect(told[1]?.frames).toMatchObject([{ direction: 'out', hex: '0707', bytes: 2, device: '' }]);
    now += 20_000;
    tap?.frame(line, BYTES, 0, 5, 0, {});
    tick();
    expect([told.length, traces.of('d-1', '')]).toEqual([2, null]);
  });
});

describe('traces that clients look at', () => {
  function rig() {
    const asked: string[] = [];
    const state = { connected: false, relay: false, seen: true };
    const hub = new TraceHub({
      ask: (key) => asked.push(key),
      explain: async () => ({ type: 'login', explain: [1] }),
      isConnected: () => state.connected,
      isRelay: () => state.relay,
    });
    const open = (explains = true) => {
      const client = { text: '', ended: false };
      const out = {
        write: (text: string) => {
          client.text += text;
          return true;
        },
        writableLength: 0,
        once: () => {},
        end: () => (client.ended = true),
        destroy: () => {},
      };
      hub.open({ device: 'd-1', address: '', explains, isSeen: () => state.seen }, out);
      return client;
    };
    return { hub, asked, state, open };
  }
  const frame = (direction: 'in' | 'out', bytes = 1): TracedFrame => {
    return { at: 5, direction, transport: 'tcp', protocol: 'toy', device: '', hex: '07', bytes, memo: 0, options: {} };
  };
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('are sent in order, explained where that is wanted and can be', async () => {
    const { hub, open } = rig();
    const [full, plain] = [open(), open(false)];
    hub.take('device d-1', [frame('in'), frame('out'), frame('in', 9_000)], 3);
    hub.take('device d-2', [frame('in')], 0);
    hub.tick();
    await settled();
    const base = '"at":5,"direction":"in","transport":"tcp","hex":"07"';
    expect(full.text).toContain(`data: {${base},"bytes":1,"type":"login","explain":[1]}`);
    expect(full.text).toContain(`data: {${base},"bytes":9000}`);
    expect(plain.text).toContain(`data: {${base},"bytes":1,"type":"login"}`);
    expect(full.text).toContain('event: lost\ndata: {"frames":3}');
    expect(full.text.match(/event: frame/g)).toHaveLength(3);
  });

  it('end when the caller may not see the device any more, and show nothing from then on', async () => {
    const { hub, state, open } = rig();
    const client = open();
    state.seen = false;
    hub.take('device d-1', [frame('in')], 0);
    await settled();
    expect(client.text).not.toContain('event: frame');
    hub.tick();
    expect([client.ended, client.text.includes('event: ended')]).toEqual([true, true]);
  });

  it('are ten at most, for a quarter of an hour, and not of a relayed device, invariant 1', () => {
    const { hub, asked, state, open } = rig();
    const clients = Array.from({ length: 10 }, () => open());
    expect(hub.isFull).toBe(true);
    state.connected = true;
    for (let second = 0; second < 5; second++) hub.tick();
    expect(clients[0]?.text.match(/event: state\ndata: .*/g)).toEqual([
      'event: state\ndata: {"connected":false}',
      'event: state\ndata: {"connected":true}',
    ]);
    expect(asked.length).toBe(20);
    for (let second = 0; second < 895; second++) hub.tick();
    expect([clients.every(({ ended }) => ended), hub.isFull]).toEqual([true, false]);
    const late = open();
    state.relay = true;
    hub.tick();
    expect([late.ended, late.text.includes('event: ended')]).toEqual([true, true]);
  });
});
