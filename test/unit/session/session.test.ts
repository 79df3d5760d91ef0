import { describe, expect, it } from 'vitest';
import { isDeviceId } from '../../../src/session/identity.ts';
import { SessionTable } from '../../../src/session/session-table.ts';

describe('device ids', () => {
  it.each(['356307042441013', '012', 'AB-12_3:4'])('%s is one', (id) => expect(isDeviceId(id)).toBe(true));
  it.each(['', '12', 'x'.repeat(33), 'a b', 'a\n1', "1';--", 'ä12', '{123}'])('%j is none', (id) => expect(isDeviceId(id)).toBe(false));
});

describe('session table', () => {
  class Session {
    superseded = 0;
    supersede(): void {
      this.superseded++;
    }
  }

  it('lets the newest connection of a device win', () => {
    const table = new SessionTable<Session>();
    const [older, newer] = [new Session(), new Session()];
    table.claim('a01', older, 1);
    table.claim('a01', older, 2);
    expect(older.superseded).toBe(0);
    table.claim('a01', newer, 3);
    expect([older.superseded, newer.superseded]).toEqual([1, 0]);
    // The loser's end must not remove the winner.
    table.leave('a01', older);
    expect(table.size).toBe(1);
    table.leave('a01', newer);
    expect(table.size).toBe(0);
  });

  it('gives way to a newer connection on another worker, not to an older one', () => {
    const table = new SessionTable<Session>();
    const session = new Session();
    table.claim('a01', session, 5);
    table.yield('a01', 4);
    table.yield('b02', 9);
    expect([session.superseded, table.size]).toEqual([0, 1]);
    table.yield('a01', 6);
    expect([session.superseded, table.size]).toEqual([1, 0]);
  });

  it('tells who came and who left, once each', () => {
    const moves: string[] = [];
    const table = new SessionTable<Session>((device, since) => moves.push(`${device} ${since}`));
    const [older, newer] = [new Session(), new Session()];
    table.claim('a01', older, 1);
    table.claim('a01', older, 2);
    table.claim('a01', newer, 3);
    table.leave('a01', older);
    table.leave('a01', newer);
    expect(moves).toEqual(['a01 1', 'a01 3', 'a01 0']);
  });
});
