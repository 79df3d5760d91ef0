import { describe, expect, it } from 'vitest';
import { AckRequest, FrameKind, FrameResult, Settled } from '../../../src/codec/index.ts';
import { Outbox } from '../../../src/in/ack/outbox.ts';

function frame(ticket: number, kind: FrameKind = FrameKind.Records): FrameResult {
  const result = new FrameResult();
  result.reset(0, 0);
  result.kind = kind;
  result.ticketA = ticket;
  return result;
}

function taken(outbox: Outbox, watermark: number): number[] {
  const request = new AckRequest();
  const tickets: number[] = [];
  while (outbox.take(watermark, request)) tickets.push(request.ticketA);
  return tickets;
}

describe('outbox', () => {
  it('invariant 1 and 2: releases in order, up to the watermark', () => {
    const outbox = new Outbox();
    for (const sequence of [17, 0, 19, 0]) outbox.owe(sequence, Settled.Stored, 1, 0, frame(sequence), 10);
    expect(taken(outbox, 16)).toEqual([]);
    expect(taken(outbox, 18)).toEqual([17, 0]);
    expect(taken(outbox, 18)).toEqual([]);
    expect(taken(outbox, 19)).toEqual([19, 0]);
    expect(outbox.count).toBe(0);
  });

  it('invariant 2: sequence 0 leaves at once when nothing is before it, not otherwise', () => {
    const outbox = new Outbox();
    outbox.owe(0, Settled.Stored, 0, 0, frame(1, FrameKind.Login), 10);
    expect(taken(outbox, 0)).toEqual([1]);
    outbox.owe(5, Settled.Stored, 1, 0, frame(2), 10);
    outbox.owe(0, Settled.Stored, 0, 0, frame(3, FrameKind.Heartbeat), 10);
    expect(taken(outbox, 4)).toEqual([]);
  });

  it('keeps the order while it grows and wraps, like a plain queue', () => {
    const outbox = new Outbox();
    const model: number[] = [];
    let next = 1;
    let seed = 7;
    for (let step = 0; step < 20_000; step++) {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      if (seed % 5 < 3) {
        outbox.owe(next, Settled.Stored, 1, 0, frame(next), 3);
        model.push(next++);
      } else if (model.length > 0) {
        const watermark = model[seed % model.length] ?? 0;
        const expected = model.splice(0, model.filter((sequence) => sequence <= watermark).length);
        expect(taken(outbox, watermark)).toEqual(expected);
      }
      expect(outbox.count).toBe(model.length);
      expect(outbox.bytes).toBe(3 * model.length);
    }
  });

  it('brings back every field that the answer needs', () => {
    const outbox = new Outbox();
    const result = frame(1, FrameKind.Status);
    result.ticketB = 70_000;
    result.ticketC = -3;
    result.row();
    result.row();
    outbox.owe(9, Settled.Refused, 1, 123.5, result, 44);
    const request = new AckRequest();
    expect(outbox.take(9, request)).toBe(true);
    expect(request).toMatchObject({
      settled: Settled.Refused,
      kind: FrameKind.Status,
      rows: 2,
      accepted: 1,
      ticketA: 1,
      ticketB: 70_000,
      ticketC: -3,
    });
    expect(outbox.takenReceivedAt).toBe(123.5);
  });

  it('tells whether a failed range concerns it', () => {
    const outbox = new Outbox();
    outbox.owe(5, Settled.Stored, 1, 0, frame(1), 10);
    outbox.owe(0, Settled.Stored, 0, 0, frame(2), 10);
    expect(outbox.waitsFor(1, 4)).toBe(false);
    expect(outbox.waitsFor(5, 5)).toBe(true);
    expect(outbox.waitsFor(6, 9)).toBe(false);
  });

  it('one that is let go of waits for its turn only, and takes no room of what is not on the disk', () => {
    const outbox = new Outbox();
    for (const sequence of [5, 6, 7]) outbox.owe(sequence, Settled.Stored, 1, 0, frame(sequence), 10);
    outbox.free(6);
    expect([outbox.count, outbox.bytes, outbox.waitsFor(6, 6)]).toEqual([3, 20, false]);
    expect(taken(outbox, 5)).toEqual([5, 6]);
    expect(outbox.bytes).toBe(10);
    expect(taken(outbox, 7)).toEqual([7]);
    expect(outbox.bytes).toBe(0);
  });
});
