import { describe, expect, it } from 'vitest';
import { Frames, imeiOf } from '../../bench/load/frames.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { checkOptions, FrameResult } from '../../src/codec/index.ts';

/** What the benchmark's devices send is what their protocol says, and changes from packet to packet. */
describe.each(['tcp', 'udp'] as const)('frames over %s', (transport) => {
  it.each([5, 14, 60])('with %i attributes decode, each at another place', (attributes) => {
    const dialect = teltonika[transport];
    if (dialect === undefined) throw new Error('no dialect');
    const frames = new Frames(7, 10, attributes, transport === 'udp');
    const out = new FrameResult();
    const places = new Set<string>();
    for (let packet = 0; packet < 3; packet++) {
      const bytes = frames.next(1_770_000_000_000);
      const state = dialect.open(checkOptions(teltonika.options, {}, []), 0);
      out.reset(0, bytes.length);
      dialect.decode(bytes, 0, bytes.length, state, out);
      expect([out.reason, out.damaged, out.rows]).toEqual(['', '', 10]);
      if (transport === 'udp') expect(out.deviceId).toBe(imeiOf(7));
      for (let row = 0; row < out.rows; row++) {
        expect(out.valid[row]).toBe(1);
        places.add(`${out.time[row]} ${out.latitude[row]} ${out.longitude[row]}`);
      }
      // Each record says its elements; a few that belong together become one attribute or a field.
      expect(out.attrs).toBeGreaterThan(10 * (attributes - 8));
    }
    expect(places.size).toBe(30);
  });
});
