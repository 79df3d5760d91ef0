import { describe, expect, it } from 'vitest';
import type { Transport } from '../../../src/codec/index.ts';
import { type Claim, leaderOf } from '../../../src/in/session/claim.ts';
import { isDeviceId } from '../../../src/in/session/identity.ts';
import { type LiveSession, SessionTable } from '../../../src/in/session/table.ts';

describe('device ids', () => {
  it.each(['356307042441013', '012', 'AB-12_3:4'])('%s is one', (id) => expect(isDeviceId(id)).toBe(true));
  it.each(['', '12', 'x'.repeat(33), 'a b', 'a\n1', "1';--", 'ä12', '{123}'])('%j is none', (id) => expect(isDeviceId(id)).toBe(false));
});

class Session implements LiveSession {
  readonly since: number;
  readonly transport: Transport;
  standing: boolean;
  readonly peer: string;
  heard = true;
  superseded = 0;
  leads = false;
  crowded = false;
  readonly contradictions: string[] = [];
  /** Each time that it was said. */
  readonly led: boolean[] = [];

  constructor(
    since: number,
    { standing = true, transport = 'tcp', peer = '' }: Partial<Pick<Claim, 'standing' | 'transport' | 'peer'>> = {},
  ) {
    this.peer = peer;
    this.since = since;
    this.standing = standing;
    this.transport = transport;
  }
  isHeard(): boolean {
    return this.heard;
  }
  supersede(): void {
    this.superseded++;
  }
  lead(leads: boolean): void {
    this.leads = leads;
    this.led.push(leads);
  }
  crowd(crowded: boolean): void {
    this.crowded = crowded;
  }
  contradicted(peer: string): void {
    this.contradictions.push(peer);
  }
}

describe('the way of commands', () => {
  const tcp = (since: number, standing: boolean): Claim => ({ since, standing, transport: 'tcp', peer: '' });
  const udp = (since: number, standing: boolean): Claim => ({ since, standing, transport: 'udp', peer: '' });
  it.each([
    ['the only one', [tcp(1, false)], 1],
    ['the newer one, both with standing', [tcp(1, true), tcp(2, true)], 2],
    ['the older one, none with standing', [tcp(1, false), tcp(2, false)], 1],
    ['the one with standing, the older', [tcp(1, true), tcp(2, false)], 1],
    ['the one with standing, the newer', [tcp(1, false), tcp(2, true)], 2],
    ['a connection, not a newer datagram', [tcp(1, false), udp(2, true)], 1],
    ['a connection with standing behind datagrams', [udp(1, true), tcp(2, true)], 2],
    ['datagrams, not a newer connection from elsewhere', [udp(1, true), tcp(2, false)], 1],
    ['the newest of three, whatever their order', [tcp(3, true), tcp(1, true), tcp(2, false)], 3],
  ])('is %s', (_what, claims, since) => expect(leaderOf(claims)?.since).toBe(since));
});

describe('session table', () => {
  it('1: a session that is heard stays beside a newer one; one that is not gives way', () => {
    const table = new SessionTable<Session>();
    const [older, newer] = [new Session(1), new Session(3)];
    table.claim('a01', older);
    table.claim('a01', older);
    table.claim('a01', newer);
    expect([older.superseded, older.leads, newer.leads, older.crowded]).toEqual([0, false, true, true]);
    older.heard = false;
    table.spoke('a01', newer);
    expect([older.superseded, newer.superseded, newer.crowded]).toEqual([1, 0, false]);
    // Its end must not remove the other.
    table.leave('a01', older);
    expect(table.size).toBe(1);
    table.leave('a01', newer);
    expect(table.size).toBe(0);
  });

  it('1: a datagram closes no connection, heard or not', () => {
    const table = new SessionTable<Session>();
    const [older, newer] = [new Session(1), new Session(3, { transport: 'udp' })];
    older.heard = false;
    table.claim('a01', older);
    table.claim('a01', newer);
    table.spoke('a01', newer);
    expect([older.superseded, older.leads, newer.leads]).toEqual([0, true, false]);
  });

  it('1, 2: the same across workers', () => {
    const table = new SessionTable<Session>();
    const session = new Session(5);
    table.claim('a01', session);
    const told = (claims: Session[], leader: Session) => ({ claims, leader, known: 5, movedAt: Number.NEGATIVE_INFINITY });
    table.rivals('b02', told([new Session(9)], session));
    table.rivals('a01', told([new Session(4)], session));
    expect([session.superseded, session.leads]).toEqual([0, true]);
    const newer = new Session(6);
    table.rivals('a01', told([newer], newer));
    expect([session.superseded, session.leads]).toEqual([0, false]);
    table.rivals('a01', told([], session));
    expect([session.leads, session.crowded]).toEqual([true, false]);
    session.heard = false;
    const last = new Session(7);
    table.rivals('a01', told([last], last));
    expect([session.superseded, table.size]).toEqual([1, 0]);
  });

  it('2: a device that is new here gets no command before the directory has answered for this session', () => {
    const table = new SessionTable<Session>({ confirms: true });
    const session = new Session(5);
    table.claim('a01', session);
    const answer = { claims: [], leader: session, movedAt: Number.NEGATIVE_INFINITY };
    // About a session that has ended.
    table.rivals('a01', { ...answer, known: 4 });
    expect(session.leads).toBe(false);
    table.rivals('a01', { ...answer, known: 5 });
    expect(session.leads).toBe(true);
  });

  it('tells what sessions a device has, after each change', () => {
    const moves: string[] = [];
    const table = new SessionTable<Session>({ moved: (device, claims) => moves.push(`${device} ${claims.map(({ since }) => since)}`) });
    const [older, newer] = [new Session(1), new Session(3)];
    table.claim('a01', older);
    table.claim('a01', older);
    table.claim('a01', newer);
    table.leave('a01', older);
    table.leave('a01', newer);
    expect(moves).toEqual(['a01 1', 'a01 1,3', 'a01 3', 'a01 ']);
  });

  it.each([
    ['before it moved here', 99, false, 0],
    ['when it moved here', 100, false, 0],
    ['since', 101, false, 1],
    ['since, from where it is', 101, true, 0],
  ])('counts a move of the way of commands to a session here that the directory has made %s', (_when, movedAt, stays, counted) => {
    let taken = 0;
    const table = new SessionTable<Session>({ now: () => 100, takenOver: () => taken++ });
    const [older, newer, rival] = [new Session(1), new Session(3), new Session(2)];
    table.claim('a01', older);
    table.claim('a01', newer);
    expect([taken, table.get('a01')]).toEqual([1, newer]);
    taken = 0;
    table.rivals('a01', { claims: [rival], leader: stays ? newer : older, known: 5, movedAt });
    expect([taken, table.get('a01')]).toEqual([counted, stays ? newer : older]);
  });

  it('does not count a move of the way of commands to a session on another worker: that one does', () => {
    let taken = 0;
    const table = new SessionTable<Session>({ now: () => 100, takenOver: () => taken++ });
    const rival = new Session(2);
    table.claim('a01', new Session(1));
    table.rivals('a01', { claims: [rival], leader: rival, known: 5, movedAt: 101 });
    expect([taken, table.get('a01')]).toEqual([0, undefined]);
  });

  it('3: between live sessions the way of commands moves once in a while', () => {
    let now = 0;
    let moved = 0;
    const table = new SessionTable<Session>({ now: () => now, takenOver: () => moved++ });
    const sessions = [1, 2, 3].map((since) => new Session(since));
    for (const session of sessions) table.claim('a01', session);
    expect([moved, sessions.map(({ leads }) => leads)]).toEqual([1, [false, true, false]]);
    now += 30_000;
    table.changed('a01');
    expect([moved, sessions.map(({ leads }) => leads)]).toEqual([2, [false, false, true]]);
  });

  it('of a device that is not here knows no session, and what is said of it changes nothing', () => {
    const table = new SessionTable<Session>();
    const [session, stranger] = [new Session(1), new Session(2)];
    table.claim('a01', session);
    for (const device of ['a01', 'b02']) table.leave(device, stranger);
    table.spoke('b02', stranger);
    table.heard('b02', 'p');
    table.changed('b02');
    expect([table.of('b02'), table.get('b02'), table.of('a01'), [...table], session.contradictions]).toEqual([
      [],
      undefined,
      [session],
      [session],
      [],
    ]);
  });

  it('tells the leader who else speaks for its device, here and on other workers, and each of those once', () => {
    const table = new SessionTable<Session>();
    const [first, second] = [new Session(1, { peer: 'p1' }), new Session(2, { peer: 'p2', standing: false })];
    table.claim('a01', first);
    table.spoke('a01', first);
    expect(first.contradictions.splice(0)).toEqual([]);
    table.claim('a01', second);
    expect(first.contradictions.splice(0)).toEqual(['p2']);
    table.spoke('a01', second);
    table.heard('a01', 'p9');
    expect(first.contradictions.splice(0)).toEqual(['p2', 'p9']);
    const told = (peers: readonly string[]) => ({
      claims: peers.map((peer) => new Session(0, { peer, standing: false, transport: 'udp' })),
      leader: first,
      known: 5,
      movedAt: 0,
    });
    table.rivals('a01', told(['p3']));
    table.rivals('a01', told(['p3', 'p4']));
    table.rivals('a01', told([]));
    expect([first.contradictions, second.contradictions]).toEqual([['p3', 'p4'], []]);
  });

  it('tells a session that it leads, and that it leads no more, once each; one that has left is told nothing', () => {
    const table = new SessionTable<Session>();
    const [older, newer] = [new Session(1), new Session(3)];
    table.claim('a01', older);
    table.claim('a01', newer);
    table.changed('a01');
    table.leave('a01', newer);
    expect([older.led, newer.led]).toEqual([[true, false, true], [true]]);
  });

  it('3: of more sessions than a device may have the oldest without standing goes, or the oldest, and never the leader', () => {
    const table = new SessionTable<Session>();
    const sessions = Array.from({ length: 4 }, (_, n) => new Session(n + 1, { standing: n !== 2 }));
    for (const session of sessions) table.claim('a01', session);
    const leader = table.get('a01');
    const gone = (): number[] => sessions.filter(({ superseded }) => superseded > 0).map(({ since }) => since);
    expect([gone(), leader?.since]).toEqual([[], 2]);
    table.claim('a01', new Session(20));
    expect(gone()).toEqual([3]);
    table.claim('a01', new Session(21));
    table.claim('a01', new Session(22));
    expect([gone(), table.of('a01').length, table.get('a01')]).toEqual([[1, 3, 4], 4, leader]);
  });

  it('tells other workers that a session has spoken when they have some of the device', () => {
    const spoken: string[] = [];
    const table = new SessionTable<Session>({ spoke: (device, peer) => spoken.push(`${device} ${peer}`) });
    const session = new Session(1, { peer: 'p1' });
    table.claim('a01', session);
    table.spoke('a01', session);
    table.rivals('a01', { claims: [new Session(0)], leader: session, known: 5, movedAt: 0 });
    table.spoke('a01', session);
    expect(spoken).toEqual(['a01 p1']);
  });
});
