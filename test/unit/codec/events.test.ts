import { describe, expect, it } from 'vitest';
import { EVENTS, eventIndex, eventName, unknownEvent } from '../../../src/codec/index.ts';

describe('events', () => {
  it('keep their index: journals and tables hold it', () => {
    expect([eventIndex('sos'), eventIndex('overspeed'), eventIndex('door'), eventIndex('driver_identified')]).toEqual([1, 7, 17, 32]);
  });

  it('have unique snake_case names, and index 0 for none', () => {
    expect(new Set(EVENTS).size).toBe(EVENTS.length);
    expect(EVENTS.slice(1).filter((name) => !/^[a-z]+(_[a-z]+)*$/.test(name))).toEqual([]);
    expect(EVENTS[0]).toBe('');
  });

  it('round-trip, unknown codes included', () => {
    for (const name of EVENTS) if (name !== '') expect(eventName(eventIndex(name))).toBe(name);
    expect([eventName(0), eventName(unknownEvent(0)), eventName(unknownEvent(255)), eventName(9999)]).toEqual([
      '',
      'unknown_0',
      'unknown_255',
      '',
    ]);
  });
});
