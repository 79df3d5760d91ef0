import { describe, expect, it } from 'vitest';
import { type Claim, CommandWay, isSame, leaderOf } from '../../../src/in/session/claim.ts';

/** Which of the sessions of one device gets its commands: src/in/session/claim.ts. */

const claim = (since: number, more: Partial<Claim> = {}): Claim => ({
  since,
  transport: 'tcp',
  peer: `192.0.2.1:${since}`,
  standing: true,
  ...more,
});
const [OLD, NEW, NEWEST] = [claim(1), claim(2), claim(3)];
const FORGED = claim(9, { transport: 'udp' });
const STRANGE = claim(9, { standing: false });

describe('of live sessions the way of commands goes to', () => {
  it.each([
    ['none of none', [], undefined],
    ['the newer of two with standing', [NEW, OLD], NEW],
    ['the older of two without', [STRANGE, claim(1, { standing: false })], claim(1, { standing: false })],
    ['the one with standing, though it is older', [STRANGE, OLD], OLD],
    ['a connection, whatever datagrams come later', [FORGED, OLD], OLD],
    ['a connection after datagrams', [claim(1, { transport: 'udp' }), NEW], NEW],
    ['the newer of two sources of datagrams', [claim(1, { transport: 'udp' }), FORGED], FORGED],
    ['the greater address of two at the same time', [claim(1, { peer: 'b' }), claim(1, { peer: 'a' })], claim(1, { peer: 'b' })],
  ])('%s', (_, claims, leader) => {
    expect(leaderOf(claims)).toEqual(leader);
    expect(leaderOf([...claims].reverse())).toEqual(leader);
  });

  it('one session is known by when it began and from where', () => {
    expect(isSame(OLD, { ...OLD, standing: false, leads: true })).toBe(true);
    expect([isSame(OLD, { ...OLD, since: 2 }), isSame(OLD, { ...OLD, peer: 'b' }), isSame(OLD, undefined)]).toEqual([false, false, false]);
  });
});

describe('a worker that decides', () => {
  it('moves the way between live connections once in 30 s, and says so', () => {
    const way = new CommandWay();
    expect([way.decide([OLD], 1_000_000), way.leader]).toEqual([false, OLD]);
    expect([way.decide([OLD, NEW], 1_000_100), way.leader]).toEqual([true, NEW]);
    expect([way.decide([OLD, NEW, NEWEST], 1_030_099), way.leader]).toEqual([false, NEW]);
    expect([way.decide([OLD, NEW, NEWEST], 1_030_100), way.leader]).toEqual([true, NEWEST]);
    expect([way.decide([OLD, NEW, NEWEST], 1_070_000), way.leader]).toEqual([false, NEWEST]);
  });

  it('gives it at once to the next one when the session that had it is gone, which is no move', () => {
    const way = new CommandWay();
    way.decide([OLD], 1_000_000);
    way.decide([OLD, NEW], 1_000_100);
    expect([way.decide([OLD], 1_000_200), way.leader]).toEqual([false, OLD]);
    expect([way.decide([], 1_000_300), way.leader]).toEqual([false, undefined]);
  });

  it('follows datagrams of a device from port to port at once', () => {
    const way = new CommandWay();
    const ports = [1, 2, 3].map((since) => claim(since, { transport: 'udp' }));
    way.decide(ports.slice(0, 1), 1_000_000);
    expect([way.decide(ports.slice(0, 2), 1_000_001), way.leader]).toEqual([true, ports[1]]);
    expect([way.decide(ports, 1_000_002), way.leader]).toEqual([true, ports[2]]);
  });
});

describe('a worker that is told who leads', () => {
  const LEADS = { ...OLD, leads: true };

  it('follows, also against what it would decide; told of no leader, it decides as if alone', () => {
    const way = new CommandWay();
    way.follow([LEADS, NEW], 1_000_000);
    expect(way.leader).toEqual(LEADS);
    way.follow([OLD, NEW], 1_000_001);
    expect(way.leader).toEqual(NEW);
    way.follow([], 1_000_002);
    expect(way.leader).toBeUndefined();
  });

  it.each([
    ['a move between live sessions holds for 30 s, as its own would', [OLD], [OLD, { ...NEW, leads: true }], [OLD, NEW, NEWEST], NEW],
    ['a leader that has gone holds nothing back', [OLD], [{ ...NEW, leads: true }], [NEW, NEWEST], NEWEST],
    ['the same leader again holds nothing back', [LEADS], [LEADS, STRANGE], [OLD, NEW], NEW],
    ['the first leader of all holds nothing back', [], [{ ...NEW, leads: true }], [NEW, NEWEST], NEWEST],
    ['that none is left holds nothing back', [OLD], [], [OLD, NEW], NEW],
  ])('%s', (_, first, told, claims, leader) => {
    const way = new CommandWay();
    way.follow(first, 1_000_000);
    way.follow(told, 1_100_000);
    way.decide(claims, 1_129_999);
    expect(way.leader).toMatchObject({ since: leader.since });
  });
});
