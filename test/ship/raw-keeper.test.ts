import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Stretch, wholeBefore } from '../../src/base/erased.ts';
import { nodeStorage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, type Marks, Origin } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import { RawKeeper } from '../../src/out/ship/raw-keeper.ts';
import type { Instance, RawFrame } from '../../src/out/sink/clickhouse/evidence.ts';

/** Which raw frames are copied; numbers quote the invariants of src/out/ship/raw-keeper.ts. */

/** The files of the journal are written now, and a segment of before is not looked at. */
const T = Math.floor(Date.now() / 1000) * 1000;
const MINUTE = 60_000;
const DEFINITION = new Definition('toy', 'udp', {}, 'acme');
const RELAY: Marks = { keep: null, relay: true };

let directory: string;
let instances: Instance[];
let asked: number[][];
let added: RawFrame[][];
let erased: Map<string, readonly Stretch[]>;
let gone: (readonly [string, readonly Stretch[]])[];
/** What happens while frames are on their way. */
let onTheWay: () => void;
let keeper: RawKeeper;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-raw-'));
  [instances, asked, added, gone, erased, onTheWay] = [[], [], [], [], new Map(), () => {}];
  keeper = newKeeper();
});
afterEach(() => rmSync(directory, { recursive: true }));

function newKeeper(): RawKeeper {
  return new RawKeeper({
    journal: directory,
    storage: nodeStorage,
    instance: 'here',
    evidence: {
      instances: async (_devices, from, to) => {
        asked.push([from - T, to - T]);
        return instances;
      },
      add: async (frames) => {
        added.push([...frames]);
        onTheWay();
      },
      erase: async (devices) => void gone.push(...devices),
    },
    erased: () => erased,
    now: () => T,
    log: silentLog,
    ready: () => true,
  });
}

interface Written {
  readonly device?: string;
  /** After T, ms. */
  readonly at: number;
  readonly marks?: Marks;
  readonly kind?: EntryKind;
}

async function write(entries: readonly Written[], slot = '0'): Promise<void> {
  const journal = await Journal.open({ directory: join(directory, slot), onDurable: () => {}, onFailed: () => {} });
  for (const [n, { device = 'd-1', at, marks, kind = EntryKind.Frame }] of entries.entries()) {
    const bytes = Buffer.from(`frame ${n}`);
    journal.append(new Origin(DEFINITION, device, '192.0.2.1:9'), kind, T + at, 0, 1, bytes, 0, bytes.length, marks);
  }
  await journal.flush();
  await journal.close();
}

/** Something that the device did, told at `at`, since `since`. */
function did(at: number, since?: number, more: Partial<Instance> = {}): void {
  const figures = since === undefined ? {} : { since: T + since };
  const id = String(instances.length).padStart(16, '0');
  instances.push({ id, device: 'd-1', account: 'acme', type: 'reboot_storm', time: T + at, figures, ...more });
}

async function copied(): Promise<(readonly [device: string, at: number])[]> {
  const before = added.length;
  await keeper.keep();
  return added
    .slice(before)
    .flat()
    .map(({ device, time }) => [device, time - T]);
}

describe('frames are copied', () => {
  it.each<[what: string, entries: readonly Written[], at: readonly number[]]>([
    ['those of its time, both ends', [{ at: -1 }, { at: 0 }, { at: 10 }, { at: 11 }], [0, 10]],
    ['not those of another device', [{ at: 5, device: 'd-2' }, { at: 6 }], [6]],
    ['not what is marked relay (2)', [{ at: 5, marks: RELAY }, { at: 6 }], [6]],
    ['those of which some records are kept', [{ at: 5, marks: { keep: Buffer.from([0]), relay: false } }], [5]],
    ['not events', [{ at: 5, kind: EntryKind.Event }, { at: 6 }], [6]],
    ['also behind one that is a little out of order', [{ at: 10 + MINUTE }, { at: 6 }], [6]],
    ['not behind one that is far behind the end', [{ at: 11 + MINUTE }, { at: 6 }], []],
  ])('%s', async (_what, entries, at) => {
    await write(entries);
    did(10, 0);
    expect(await copied()).toEqual(at.map((one) => ['d-1', one]));
  });

  it('as they arrived, each under its place in the journal (1)', async () => {
    await write([{ at: 0 }]);
    did(0);
    await keeper.keep();
    const bytes = Buffer.from('frame 0');
    const [[frame] = []] = added;
    expect(frame).toEqual({
      device: 'd-1',
      time: T,
      id: expect.stringMatching(/^[0-9a-f]{16}$/),
      account: 'acme',
      protocol: 'toy',
      transport: 'udp',
      peer: '192.0.2.1:9',
      frame: bytes.toString('hex'),
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });
    keeper = newKeeper();
    await keeper.keep();
    expect(added[1]).toEqual([frame]);
  });

  it('of all slots, and of several instances of a device each once', async () => {
    await write([{ at: 1 }, { at: 5 }, { at: 9 }]);
    await write([{ at: 2, device: 'd-2' }, { at: 6 }], '7');
    did(2, 0);
    did(9, 4);
    did(3, 0, { device: 'd-2' });
    const all = await copied();
    expect(all.sort(([, a], [, b]) => a - b)).toEqual([
      ['d-1', 1],
      ['d-2', 2],
      ['d-1', 5],
      ['d-1', 6],
      ['d-1', 9],
    ]);
  });

  it('once for each instance; a new one is looked for again', async () => {
    await write([{ at: 0 }]);
    did(0);
    expect([await copied(), await copied()]).toEqual([[['d-1', 0]], []]);
    did(1, 0);
    expect(await copied()).toEqual([['d-1', 0]]);
    expect(asked[0]).toEqual([-7 * 86_400_000, 7 * 86_400_000]);
  });

  it('of none that rests on no frames', async () => {
    await write([{ at: 0 }]);
    did(0, undefined, { type: 'over_cap' });
    expect(await copied()).toEqual([]);
  });

  it('five thousand of an instance at most, a thousand at a time; another one has its own', async () => {
    await write(Array.from({ length: 5_002 }, () => ({ at: 5 })));
    did(9, 0);
    expect(await copied()).toHaveLength(5_000);
    expect(added.every((frames) => frames.length <= 1_000)).toBe(true);
    did(9, 0);
    did(9, 0);
    expect(await copied()).toHaveLength(5_002);
  });

  it('of segments that were written to since', async () => {
    await write([{ at: -2 * 86_400_000 }, { at: 0 }]);
    did(3 * 86_400_000, 3 * 86_400_000);
    expect(await copied()).toEqual([]);
    expect(added).toEqual([]);
  });
});

describe('of what was erased (2)', () => {
  it('nothing is copied', async () => {
    erased.set('d-1', [wholeBefore(T + 6)]);
    await write([{ at: 5 }, { at: 6 }]);
    did(10, 0);
    expect([await copied(), gone]).toEqual([[['d-1', 6]], []]);
  });

  it('by an account, nothing of that is copied', async () => {
    const stretch = { from: T, to: T + 9, until: T + 9, account: 'other' };
    erased.set('d-1', [stretch]);
    await write([{ at: 5 }]);
    did(10, 0);
    expect(await copied()).toEqual([['d-1', 5]]);
    erased.set('d-1', [{ ...stretch, account: 'acme' }]);
    keeper = newKeeper();
    expect(await copied()).toEqual([]);
  });

  it('while it is on its way, it is erased once more behind', async () => {
    await write([{ at: 5 }, { at: 6, device: 'd-2' }]);
    did(10, 0);
    did(10, 0, { device: 'd-2' });
    const stretches = [wholeBefore(T + 6)];
    onTheWay = () => erased.set('d-1', stretches).set('d-2', stretches).set('d-3', stretches);
    expect(await copied()).toEqual([
      ['d-1', 5],
      ['d-2', 6],
    ]);
    expect(gone).toEqual([['d-1', stretches]]);
  });
});

it('a keeper that is stopped copies no more', async () => {
  await write([{ at: 5 }]);
  did(10, 0);
  await keeper.stop();
  expect(await copied()).toEqual([]);
});
