import { describe, expect, it } from 'vitest';
import { FrameKind, FrameResult } from '../../../src/codec/index.ts';

describe('FrameResult', () => {
  it('opens rows with everything absent and the frame as their own bytes', () => {
    const out = new FrameResult();
    out.reset(10, 50);
    const first = out.row();
    // Spoil it, then make sure that a reuse does not show the old values.
    for (const column of [out.time, out.latitude, out.longitude, out.altitudeM, out.speedKmh, out.courseDeg, out.hdop]) column[first] = 1;
    for (const column of [out.satellites, out.valid, out.flags, out.event]) column[first] = 1;
    out.attrText(1, 'x');
    out.cell(1, 2, 3, 4, -5);
    out.wifi('aa:bb:cc:dd:ee:ff', -6);
    out.reset(20, 60);
    const r = out.row();
    expect([out.from[r], out.to[r]]).toEqual([20, 60]);
    expect(
      [out.time, out.latitude, out.longitude, out.altitudeM, out.speedKmh, out.courseDeg, out.hdop].map((column) => column[r]),
    ).toEqual(Array(7).fill(Number.NaN));
    expect([out.satellites[r], out.valid[r], out.flags[r], out.event[r]]).toEqual([-1, 0, 0, 0]);
    expect([out.attrEnd[r], out.cellEnd[r], out.wifiEnd[r], out.texts.length, out.wifiMac.length]).toEqual([0, 0, 0, 0, 0]);
  });

  it('clears all of the frame on reset', () => {
    const out = new FrameResult();
    out.reset(0, 1);
    Object.assign(out, { name: 'n', damaged: 'd', deviceId: 'i', ticketA: 1, ticketB: 2, ticketC: 3, replyKey: 4, replyText: 't' });
    out.malformed('R');
    out.reset(0, 1);
    expect(out).toMatchObject({
      kind: FrameKind.Ignored,
      name: '',
      reason: '',
      damaged: '',
      deviceId: '',
      ticketA: 0,
      ticketB: 0,
      ticketC: 0,
      replyKey: -1,
      replyText: '',
    });
  });

  it('promises that something is stored unless it is a login, or a heartbeat without an event of its own', () => {
    const out = new FrameResult();
    const framed = (kind: FrameKind, events: readonly number[]): boolean => {
      out.reset(0, 1);
      out.kind = kind;
      for (const event of events) out.event[out.row()] = event;
      return out.promises;
    };
    expect([framed(FrameKind.Records, []), framed(FrameKind.Status, [0]), framed(FrameKind.Login, [7])]).toEqual([true, true, false]);
    expect(framed(FrameKind.Heartbeat, [0, 7])).toBe(true);
    // Events of the frame before are none of this one.
    expect([framed(FrameKind.Heartbeat, [0]), framed(FrameKind.Heartbeat, [])]).toEqual([false, false]);
  });

  it('leaves out an access point without an address', () => {
    const out = new FrameResult();
    out.reset(0, 1);
    out.row();
    for (const mac of ['00:00:00:00:00:00', '00:00:00:00:00:01', '00:00:00:00:00:00', '01:00:00:00:00:00']) out.wifi(mac, -6);
    expect([out.wifiMac, out.wifis, out.wifiEnd[0]]).toEqual([['00:00:00:00:00:01', '01:00:00:00:00:00'], 2, 2]);
  });

  it('keeps every value while its columns grow', () => {
    const out = new FrameResult();
    out.reset(0, 9);
    const rows = 700;
    for (let n = 0; n < rows; n++) {
      const r = out.row();
      out.from[r] = n;
      out.to[r] = n + 1;
      out.time[r] = 1e12 + n;
      out.latitude[r] = n / 10;
      out.longitude[r] = -n / 10;
      out.altitudeM[r] = n;
      out.speedKmh[r] = n;
      out.courseDeg[r] = n;
      out.hdop[r] = n;
      out.satellites[r] = n;
      out.valid[r] = n & 1;
      out.flags[r] = n & 63;
      out.event[r] = -n;
      for (let k = 0; k < 7; k++) out.attr(k, n * 10 + k);
      out.attrText(99, `t${n}`);
      out.cell(n, n + 1, n + 2, 2 ** 35 + n, -n);
      out.wifi(`mac ${n}`, -n);
    }
    for (let r = 0; r < rows; r++) {
      expect([
        out.from[r],
        out.to[r],
        out.time[r],
        out.latitude[r],
        out.longitude[r],
        out.altitudeM[r],
        out.speedKmh[r],
        out.courseDeg[r],
        out.hdop[r],
      ]).toEqual([r, r + 1, 1e12 + r, r / 10, -r / 10, r, r, r, r]);
      expect([out.satellites[r], out.valid[r], out.flags[r], out.event[r]]).toEqual([r, r & 1, r & 63, 0 - r]);
      expect([out.attrEnd[r], out.cellEnd[r], out.wifiEnd[r]]).toEqual([(r + 1) * 8, r + 1, r + 1]);
      expect([out.attrId[r * 8 + 6], out.attrNum[r * 8 + 6]]).toEqual([6, r * 10 + 6]);
      expect(out.texts[out.attrNum[r * 8 + 7] ?? -1]).toBe(`t${r}`);
      expect([out.cellMcc[r], out.cellMnc[r], out.cellLac[r], out.cellCid[r], out.cellRssiDbm[r]]).toEqual([
        r,
        r + 1,
        r + 2,
        2 ** 35 + r,
        0 - r,
      ]);
      expect([out.wifiMac[r], out.wifiRssiDbm[r]]).toEqual([`mac ${r}`, 0 - r]);
    }
  });

  it('drops rows and what hangs on them when the frame is malformed', () => {
    const out = new FrameResult();
    out.reset(0, 9);
    out.row();
    out.attrText(1, 'x');
    out.cell(1, 2, 3, 4, 5);
    out.wifi('m', 1);
    out.malformed('R');
    expect([out.kind, out.reason, out.rows, out.attrs, out.cells, out.wifis, out.texts.length, out.wifiMac.length]).toEqual([
      FrameKind.Malformed,
      'R',
      0,
      0,
      0,
      0,
      0,
      0,
    ]);
  });
});
