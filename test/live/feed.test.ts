import { describe, expect, it } from 'vitest';
import type { Out } from '../../src/live/event-stream.ts';
import { type ClientOptions, Feed } from '../../src/live/feed.ts';
import { Positions } from '../../src/live/positions.ts';

const NOW = 1_790_000_000_000;

/** A client that reads when it is told to. */
class Reader implements Out {
  text = '';
  writableLength = 0;
  reads = true;
  ended = '';
  #drained: () => void = () => {};

  write(text: string): boolean {
    if (this.reads) this.text += text;
    else this.writableLength += text.length;
    return this.reads;
  }
  once(_event: 'drain', listener: () => void): void {
    this.#drained = listener;
  }
  read(): void {
    this.reads = true;
    this.writableLength = 0;
    this.#drained();
  }
  end(): void {
    this.ended = 'in order';
  }
  destroy(): void {
    this.ended ||= 'destroyed';
  }
  /** The events since the last call, as `event data`. */
  get events(): string[] {
    const found = [...this.text.matchAll(/event: (\w+)\ndata: (.*)\n/g)].map(([, event, data]) => `${event} ${data}`);
    this.text = '';
    return found;
  }
}

function rig() {
  let watched = 0;
  const feed = new Feed(
    () => watched++,
    () => ({ cards: 1 }),
  );
  const positions = new Positions({
    now: () => NOW,
    isConnected: () => true,
    isOverCap: () => false,
    isRelay: () => false,
    erasedBefore: () => 0,
    ownedSince: () => 0,
    passedOn: (device, from) => feed.gone(device, false, from),
    changed: (row) => feed.changed(row),
  });
  let clock = NOW;
  const move = (device: string, lat: number): void => positions.seen([[device, lat, 10, 0, 0, ++clock, clock, 0]], []);
  const attach = (more: Partial<ClientOptions> = {}) => {
    const reader = new Reader();
    const client = feed.attach({ caller: 'me', topics: ['positions'], every: 1, filter: {}, places: true, lastId: '', ...more }, reader);
    return { reader, client };
  };
  return { feed, positions, move, attach, watched: () => watched };
}

const lats = (events: readonly string[]): number[] =>
  events.flatMap((event) =>
    event.startsWith('positions ') ? JSON.parse(event.slice(10)).rows.map((row: readonly unknown[]) => Number(row[1])) : [],
  );

describe('the feed', () => {
  it('tells what changed, once a second, one row a device, invariant 1', () => {
    const { feed, move, attach, watched } = rig();
    const { reader } = attach();
    expect(reader.events).toEqual([
      expect.stringContaining(`hello {"epoch":"${feed.epoch}","every":1,"topics":["positions"],"columns":["device",`),
    ]);
    move('d-1', 1);
    move('d-1', 2);
    move('d-2', 5);
    feed.tick();
    expect(lats(reader.events)).toEqual([2, 5]);
    feed.tick();
    expect(reader.events).toEqual([]);
    expect(watched()).toBeGreaterThan(1);
  });

  it('gathers for those who want it less often, and keeps to their filter', () => {
    const { feed, move, attach } = rig();
    const slow = attach({ every: 3 }).reader;
    const boxed = attach({ filter: { bbox: [0, 0, 20, 10] } }).reader;
    const one = attach({ filter: { devices: new Set(['d-2']) } }).reader;
    for (let second = 1; second <= 4; second++) {
      move('d-1', second);
      move('d-2', 100 + second);
      feed.tick();
    }
    expect(lats(slow.events)).toEqual([1, 101, 4, 104]);
    expect(lats(boxed.events)).toEqual([1, 2, 3, 4]);
    expect(lats(one.events)).toEqual([101, 102, 103, 104]);
    // Out of the box: told once.
    move('d-1', 50);
    feed.tick();
    move('d-1', 51);
    feed.tick();
    expect(lats(boxed.events)).toEqual([50]);
  });

  it('goes on behind an id of the ring, and says reset for any other, invariant 2', () => {
    const { feed, move, attach } = rig();
    const at = feed.look();
    move('d-1', 1);
    feed.tick();
    move('d-1', 2);
    move('d-2', 3);
    feed.tick();
    expect(lats(attach({ lastId: at }).reader.events)).toEqual([2, 3]);
    expect(lats(attach({ lastId: `${feed.epoch}-${Number(at.split('-')[1]) + 1}` }).reader.events)).toEqual([2, 3]);
    expect(attach({ lastId: 'abc-1' }).reader.events[1]).toBe('reset {"reason":"restarted"}');
    for (let second = 0; second < 61; second++) {
      move('d-1', second);
      feed.tick();
    }
    expect(attach({ lastId: at }).reader.events[1]).toBe('reset {"reason":"behind"}');
  });

  it('has a ring with holes for nobody: who was away while nothing was gathered gets reset', () => {
    const { feed, move, attach } = rig();
    const { reader, client } = attach();
    move('d-1', 1);
    feed.tick();
    const id = /id: (\S+)/.exec(reader.text)?.[1] ?? '';
    client.closed();
    for (let second = 0; second < 70; second++) feed.tick();
    move('d-1', 2);
    expect(attach({ lastId: id }).reader.events[1]).toBe('reset {"reason":"behind"}');
  });

  it('waits for no client: one that does not read gets nothing more, and then reset, invariant 3', () => {
    const { feed, move, attach } = rig();
    const { reader } = attach();
    const other = attach().reader;
    reader.reads = false;
    reader.writableLength = 5 * 1024 * 1024;
    for (let second = 0; second < 3; second++) {
      move('d-1', second);
      feed.tick();
    }
    expect(reader.writableLength).toBeLessThan(5 * 1024 * 1024 + 1000);
    expect(lats(other.events)).toEqual([0, 1, 2]);
    void reader.events;
    reader.read();
    expect(reader.events).toEqual(['reset {"reason":"behind"}']);
    move('d-1', 9);
    feed.tick();
    expect(lats(reader.events)).toEqual([9]);
    reader.reads = false;
    reader.writableLength = 5 * 1024 * 1024;
    for (let second = 0; second < 65; second++) {
      move('d-1', second);
      feed.tick();
    }
    expect(reader.ended).toBe('destroyed');
  });

  it('says to who is limited to accounts nothing of others, also when a device is passed on', () => {
    const { feed, positions, move, attach } = rig();
    const limited = (account: string): Partial<ClientOptions> => ({
      filter: { limited: { accounts: new Set([account]), since: () => 0 } },
      topics: ['positions', 'events'],
      sees: (event) => event.account === account,
    });
    const [a, b] = [attach(limited('a')).reader, attach(limited('b')).reader];
    const said = (reader: Reader): string[] => reader.events.filter((event) => !event.startsWith('hello'));
    move('d-1', 1);
    positions.describe('d-1', 'a', 'default', 0);
    feed.tick();
    expect([said(a).length, said(b)]).toEqual([1, []]);
    positions.describe('d-1', 'b', 'default', 0);
    expect([said(a), said(b), positions.get('d-1')]).toEqual([['gone {"devices":["d-1"]}'], [], undefined]);
    move('d-1', 2);
    positions.describe('d-1', 'b', 'default', 0);
    feed.tick();
    expect([said(a), said(b).length]).toEqual([[], 1]);
    const event = {
      version: 1,
      id: '1',
      kind: 'event',
      device: 'd-1',
      account: 'b',
      time: 1,
      received: 1,
      protocol: '',
      type: 'x',
      data: {},
    } as const;
    feed.event(event);
    expect([said(a), said(b).length]).toEqual([[], 1]);
  });

  it('has nothing of an erased device any more, invariant 4', () => {
    const { feed, positions, move, attach } = rig();
    const at = feed.look();
    const { reader } = attach();
    move('d-1', 1);
    feed.tick();
    move('d-1', 2);
    positions.remove('d-1');
    feed.gone('d-1', true, '');
    feed.tick();
    const events = reader.events;
    expect(lats(events)).toEqual([1]);
    expect(events.at(-1)).toBe('gone {"devices":["d-1"]}');
    expect(attach({ lastId: at }).reader.events[1]).toBe('reset {"reason":"erased"}');
  });

  it('is for a few streams of one caller, and some in all, invariant 5', () => {
    const { feed, attach } = rig();
    const own = Array.from({ length: 5 }, () => attach().reader);
    expect(own.map(({ ended }) => ended)).toEqual(['in order', '', '', '', '']);
    expect(own[0]?.events.at(-1)).toBe('superseded {}');
    for (let n = 0; n < 46; n++) attach({ caller: `c-${n}` });
    expect(feed.isFull).toBe(true);
    feed.close();
    expect([own[4]?.ended, feed.isFull]).toEqual(['in order', false]);
  });

  it('counts other streams of a caller among them, such as traces, invariant 5', () => {
    const { feed, attach } = rig();
    const ended: string[] = [];
    const left = feed.admit('me', (event) => ended.push(`first ${event}`));
    feed.admit('me', (event) => ended.push(`second ${event}`));
    feed.admit('you', (event) => ended.push(`other ${event}`));
    left();
    const own = Array.from({ length: 3 }, () => attach().reader);
    expect(ended).toEqual([]);
    attach();
    expect(ended).toEqual(['second superseded']);
    // It has not said yet that it has ended.
    attach();
    expect([ended.length, own[0]?.ended]).toEqual([1, 'in order']);
  });

  it('has the cards of the status every two seconds, and events, for those who want them', () => {
    const { feed, attach } = rig();
    const { reader } = attach({ topics: ['status', 'events'] });
    void reader.events;
    const data = { command: 'locate', state: 'answered', reply: 'Lat:1', values: { lat: 1 } };
    const event = {
      version: 1,
      id: 'a',
      kind: 'event',
      device: 'd-1',
      account: '',
      time: 1,
      received: 1,
      protocol: '',
      type: 'command',
      data,
    } as const;
    const other = attach({ topics: ['events'], places: false }).reader;
    feed.event(event);
    expect(other.text).toContain('"withheld":true');
    expect(other.text).not.toContain('Lat');
    for (let second = 0; second < 4; second++) feed.tick();
    expect(reader.events).toEqual([`event ${JSON.stringify(event)}`, 'status {"cards":1}', 'status {"cards":1}']);
  });
});
