import { describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import type { Codec } from '../../src/codec/index.ts';
import { ConnectionLimit } from '../../src/in/listen/connection-limit.ts';
import { type HeldPeer, Peers } from '../../src/in/listen/peers.ts';
import { RECOGNISE_BYTES, recogniseCodec } from '../../src/in/listen/recognise.ts';
import toy from '../helpers/toy-codec.ts';

/** How many there may be, and who goes; numbers quote the invariants of the rooms. */

describe('connections of a worker', () => {
  const said: string[] = [];
  const log = Object.assign(Object.create(silentLog), {
    info: (fields: { connections: number }, _message: string) => said.push(`fewer: ${fields.connections}`),
    warn: (fields: { connections: number }, _message: string) => said.push(`full: ${fields.connections}`),
  });

  it('2, 3: are as many as are wanted; that there is no room is said once, until there is room again', () => {
    said.length = 0;
    const limit = new ConnectionLimit(40, log, Number.POSITIVE_INFINITY);
    const entered = (): number => {
      let count = 0;
      while (limit.enter()) count++;
      return count;
    };
    expect([limit.most, entered(), limit.full, limit.enter(), said]).toEqual([40, 40, true, false, ['full: 40']]);
    limit.leave();
    // 39 of 40 is more than the share at which there is room again.
    expect([limit.full, entered(), said.length]).toEqual([true, 1, 1]);
    limit.leave();
    limit.leave();
    expect([limit.full, entered(), limit.full, said]).toEqual([false, 2, true, ['full: 40', 'full: 40']]);
  });

  it('1: are fewer where the system has not so many descriptors, and that is said', () => {
    said.length = 0;
    const limit = new ConnectionLimit(100_000, log, 10_000);
    expect([limit.most < 10_000, limit.most > 5_000, said]).toEqual([true, true, [`fewer: ${limit.most}`]]);
  });
});

describe('peers of a worker', () => {
  class Peer implements HeldPeer {
    identified: boolean;
    readonly name: string;
    constructor(name: string, identified: boolean) {
      [this.name, this.identified] = [name, identified];
    }
    close(reason: string): void {
      closed.push(`${this.name} ${reason}`);
      peers.leave(this);
    }
  }
  let closed: string[] = [];
  let peers = new Peers<Peer>(0);
  const come = (...named: readonly Peer[]): void => {
    for (const peer of named) {
      peers.admit();
      peers.heard(peer);
    }
  };
  const device = (name: string): Peer => new Peer(name, true);
  const stranger = (name: string): Peer => new Peer(name, false);
  const begin = (): void => {
    [closed, peers] = [[], new Peers<Peer>(3)];
  };

  it('1: the longest silent goes, first of those that have not named a device', () => {
    begin();
    come(device('a'), stranger('b'), stranger('c'));
    expect([peers.size, closed]).toEqual([3, []]);
    come(device('d'), device('e'), device('f'));
    expect([peers.size, closed]).toEqual([3, ['b peers', 'c peers', 'a peers']]);
  });

  it('1: one that is heard is silent no more', () => {
    begin();
    const [a, b] = [device('a'), device('b')];
    come(a, b, device('c'));
    peers.heard(a);
    come(device('d'), device('e'));
    expect(closed).toEqual(['b peers', 'c peers']);
  });

  it('1: one that has named a device since is none of the strangers any more, and counts once', () => {
    begin();
    const [a, b] = [stranger('a'), stranger('b')];
    come(a, b);
    a.identified = true;
    peers.heard(a);
    expect(peers.size).toBe(2);
    come(device('c'), device('d'));
    expect([closed, peers.size]).toEqual([['b peers'], 3]);
    peers.leave(a);
    peers.leave(a);
    expect(peers.size).toBe(2);
  });
});

describe('the protocol of the first bytes', () => {
  const codec = (name: string, recognise: Codec['recognise']): Codec => ({ ...toy, name, recognise });
  const [yes, no, perhaps] = [codec('yes', () => true), codec('no', () => false), codec('perhaps', () => undefined)];
  const broken = codec('broken', () => {
    throw new Error('broken');
  });
  it.each<[what: string, codecs: readonly Codec[], end: number, found: string]>([
    ['is that of the codec that says so', [no, perhaps, broken, yes], 5, 'yes'],
    ['is the first of several', [codec('first', () => true), yes], 5, 'first'],
    ['is open while one may say so', [no, perhaps], RECOGNISE_BYTES - 1, 'open'],
    ['is none when no byte more can help', [no, perhaps], RECOGNISE_BYTES, 'none'],
    ['is none when all know better', [no, broken], 1, 'none'],
    ['is none without codecs', [], 0, 'none'],
  ])('%s', (_what, codecs, end, found) => {
    const verdict = recogniseCodec(codecs, new Uint8Array(RECOGNISE_BYTES), end);
    expect(verdict === undefined ? 'open' : (verdict?.name ?? 'none')).toBe(found);
  });
});
