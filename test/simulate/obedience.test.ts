import { describe, expect, it } from 'vitest';
import { readReply } from '../../codecs/teltonika/read-reply.ts';
import { gt06Deed, h02Deed, mood, OBEDIENCE, teltonikaDeed } from '../../src/simulate/obedience.ts';
import { Random } from '../../src/simulate/random.ts';
import { type Sample, Track } from '../../src/simulate/track.ts';

const where = (): Sample => new Track(1, 1000).at(Date.UTC(2026, 5, 7, 8, 9, 10));

describe('simulated devices and commands', () => {
  it('tell in the text of getgps where they are now, as the codec reads it', () => {
    const { reply = '' } = teltonikaDeed('getgps', '356307042441013', where);
    const { latitude, longitude } = where();
    expect(readReply({ type: 'locate', parameters: {} }, reply)).toMatchObject({
      outcome: 'done',
      values: { time: Date.UTC(2026, 5, 7, 8, 9, 10), lat: Number(latitude.toFixed(5)), lon: Number(longitude.toFixed(5)), valid: true },
    });
  });

  it('send a record when they are asked for their position', () => {
    expect(teltonikaDeed('getrecord', '', where)).toEqual({ reports: true });
    expect(gt06Deed('LJDW#')).toEqual({ reply: 'OK!', reports: true });
    expect(h02Deed('D1', ['30', '1'])).toEqual({ reports: true });
    expect(h02Deed('CR', [])).toEqual({ reply: '', reports: true });
  });

  it('change their interval', () => {
    expect(teltonikaDeed('setparam 10050:30;10055:30', '', where)).toMatchObject({ intervalMs: 30_000 });
    expect(gt06Deed('TIMER,20,60#')).toMatchObject({ reply: 'OK!', intervalMs: 20_000 });
    for (const [name, parameters] of [
      ['S17', ['15']],
      ['S71', ['22', '15']],
      ['D1', ['15']],
      ['XT', ['15']],
    ] as const)
      expect(h02Deed(name, parameters)).toMatchObject({ reply: parameters.join(','), intervalMs: 15_000 });
  });

  it('have every mood when they are mixed, and one when they are not', () => {
    const random = new Random(3);
    const seen = new Set(Array.from({ length: 200 }, () => mood('mixed', random)));
    expect(seen).toEqual(new Set(OBEDIENCE.filter((one) => one !== 'mixed')));
    expect(mood('silent', random)).toBe('silent');
  });
});
