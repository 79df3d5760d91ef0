import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { orderClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { totalsOf } from '../../src/live/totals.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { listParked, retryParked } from '../../src/out/ship/parked.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { eventually, until } from '../support/wait.ts';
import { MemorySink } from './memory-sink.ts';
import { counter, DEADLINE, dataDirectory, frameOf, INSTANCE, parkedLines, type Rig, Slot, ship } from './rig.ts';
import { tiny } from './tiny.ts';

const T = Date.UTC(2026, 9, 1);

/** Starts a shipper that is closed with the test. */
function shipping(...args: Parameters<typeof ship>): Rig {
  const rig = ship(...args);
  onTestFinished(() => rig.shipper.close());
  return rig;
}

function ofDevice(sink: MemorySink, device: string): number[] {
  return sink.rows.filter((row) => row.startsWith(`${device}\t`)).map((row) => Number(row.split('\t')[1]));
}

const rising = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

describe('what is delivered', () => {
  test('every accepted record and every event of every slot, once', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    for (let i = 0; i < 400; i++) slots[i % 2]?.fixes(`d${i % 3}`, T + i, [{ time: T + 2 * i }, { time: T + 2 * i + 1 }]);
    slots[0]?.event('d0', T + 500, { type: 'connected' });
    slots[0]?.event('d0', T + 500, { type: 'connected' });
    for (const slot of slots) await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sink.rows.length).toBe(800);
    expect(new Set(sink.rows).size).toBe(800);
    // The same event twice in one millisecond is two events.
    expect(new Set(sink.events).size).toBe(2);
    expect(sink.batches.length).toBeGreaterThan(4);
  });

  test('only the accepted leading records of a frame', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    slot.fixes('d', T, [{ time: T }, { time: T + 1 }, { time: T + 2 }], 2);
    slot.fixes('d', T, [{ time: T + 3 }], 0);
    await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd')).toEqual([T, T + 1]);
  });

  test('a record whose time is doubtful is counted once, however many sinks there are', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (const ahead of [0, 1, 2]) slot.fixes('d', T, [{ time: T + ahead * 86_400_000 * 20 }]);
    await slot.journal.close();
    const sinks = [new MemorySink({ name: 'one' }), new MemorySink({ name: 'two' })];
    const { shipper, metrics } = shipping(data, sinks);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sinks.map(({ rows }) => rows.length)).toEqual([3, 3]);
    const { values } = await metrics.timeAnomalies.get();
    expect(values.map(({ labels, value }) => [labels.flag, value])).toEqual([['future', 2]]);
  });

  test('invariant 1: nothing above the durable watermark', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 10; i++) slot.fixes('d', T + i, [{ time: T + i }]);
    await slot.journal.close();
    // As if the last four were written but not yet synchronised.
    const mark = Buffer.alloc(8);
    mark.writeUInt32LE(6);
    writeFileSync(join(data, 'journal', '0', 'durable'), mark);
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd')).toEqual(rising(T, 6));
  });

  test('promise 7: a device that moves between workers keeps its order', async () => {
    const data = dataDirectory();
    const sink = new MemorySink({ limits: { rows: 37 } });
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1), await Slot.open(data, 2)];
    let at = T;
    for (let move = 0; move < 60; move++) {
      const slot = slots[(move * 7) % 3];
      for (let i = 0; i < 5; i++) slot?.fixes('roamer', at, [{ time: at++ }]);
      slots[move % 3]?.fixes('other', at, [{ time: at }]);
    }
    for (const slot of slots) await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'roamer')).toEqual(rising(T, 300));
  });

  test.each([1, 37, 1000])('promise 7: the same when the clock was set back meanwhile, in batches of %i rows', async (rows) => {
    const data = dataDirectory();
    const sink = new MemorySink({ limits: { rows } });
    let entries = 0;
    const order = (): number => ++entries;
    const slots = [await Slot.open(data, 0, { order }), await Slot.open(data, 1, { order }), await Slot.open(data, 2, { order })];
    let at = T;
    for (let move = 0; move < 90; move++) {
      const slot = slots[(move * 7) % 3];
      const received = at - 120_000 * Math.floor(move / 30);
      for (let i = 0; i < 5; i++) slot?.fixes('roamer', received + i, [{ time: at++ }]);
    }
    for (const slot of slots) await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'roamer')).toEqual(rising(T, 450));
  });

  test('promise 7: a slot that was silent before the clock was set back keeps its place behind the others', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    let entries = 0;
    const order = (): number => ++entries;
    const slots = [await Slot.open(data, 0, { order }), await Slot.open(data, 1, { order })];
    const [busy, quiet] = slots;
    const fix = async (slot: Slot | undefined, received: number, time: number): Promise<void> => {
      slot?.fixes('roamer', received, [{ time }]);
      await slot?.journal.flush();
    };
    await fix(quiet, T - 600_000, T);
    await fix(busy, T, T + 1);
    const { shipper } = shipping(data, [sink]);
    await until(() => sink.rows.length === 2);
    sink.away = true;
    await fix(busy, T + 1, T + 2);
    await until(() => sink.attempts > 1);
    await fix(busy, T + 2, T + 3);
    await fix(busy, T - 120_000, T + 4);
    await fix(quiet, T - 119_000, T + 5);
    await fix(busy, T - 118_000, T + 6);
    for (const slot of slots) await slot.journal.close();
    sink.away = false;
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'roamer')).toEqual(rising(T, 7));
  });

  test('promise 7: nor does a slot that begins after the clock was set back, or a shipper that begins in the middle, change the order', async () => {
    const data = dataDirectory();
    let entries = 0;
    const order = (): number => ++entries;
    const first = await Slot.open(data, 0, { order });
    const sink = new MemorySink({ limits: { rows: 3 } });
    for (let i = 0; i < 10; i++) first.fixes('roamer', T + i, [{ time: T + i }]);
    await first.journal.flush();
    sink.fate = () => (sink.rows.length < 6 ? 'delivered' : 'not-stored');
    const early = ship(data, [sink]);
    await until(() => sink.rows.length === 6);
    await early.shipper.close();
    const second = await Slot.open(data, 1, { order });
    for (let i = 10; i < 20; i++) (i % 2 === 0 ? second : first).fixes('roamer', T - 60_000 + i, [{ time: T + i }]);
    for (const slot of [first, second]) await slot.journal.close();
    sink.fate = () => 'delivered';
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'roamer')).toEqual(rising(T, 20));
  });

  test.each([0, 1])('promise 7: marks are of one moment, also when reading that of slot %i takes long', async (slow) => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const storage = new FaultStorage();
    const order = orderClock(0);
    const slots = [await Slot.open(data, 0, { order }), await Slot.open(data, 1, { order })];
    const [before, after] = [slots[1 - slow], slots[slow]];
    const fix = async (slot: Slot | undefined, time: number): Promise<void> => {
      slot?.fixes('roamer', time, [{ time }]);
      await slot?.journal.flush();
    };
    await fix(before, T);
    await fix(after, T + 1);
    const { shipper } = shipping(data, [sink], { storage, order });
    await until(() => sink.rows.length === 2);
    // Each time the mark of the one is known, both move before that of the other is.
    for (let moves = 1; moves <= 8; moves++) {
      const held = storage.hold('read', new RegExp(`/${slow}/durable$`));
      await held.reached;
      await fix(before, T + 2 * moves);
      await fix(after, T + 2 * moves + 1);
      held.release();
    }
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'roamer')).toEqual(rising(T, 18));
    for (const slot of slots) await slot.journal.close();
  });

  test('promise 7: a slot that is new is looked at before what a device sent elsewhere after it', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const old = await Slot.open(data, 0);
    let time = T;
    const fix = async (slot: Slot): Promise<void> => {
      slot.fixes('roamer', time, [{ time: time++ }]);
      await slot.journal.flush();
    };
    await fix(old);
    const { shipper } = shipping(data, [sink]);
    await until(() => sink.rows.length === 1);
    for (let slot = 1; slot <= 3; slot++) {
      const fresh = await Slot.open(data, slot);
      await fix(fresh);
      await fix(old);
      await until(() => sink.rows.length >= 2 * slot);
      await fresh.journal.close();
    }
    await old.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'roamer')).toEqual(rising(T, 7));
  });

  test('slots that appear later are found; one whose worker is gone is delivered to its end', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const first = await Slot.open(data, 0);
    first.fixes('d', T, [{ time: T }]);
    await first.journal.close();
    const { shipper } = shipping(data, [sink]);
    await until(() => sink.rows.length === 1);
    const second = await Slot.open(data, 7);
    second.fixes('d', T + 1, [{ time: T + 1 }]);
    await second.journal.close();
    await until(() => sink.rows.length === 2);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sink.position).toEqual({ 0: 1, 7: 1 });
  });

  test('entries without rows move the position too', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 5; i++) slot.fixes('d', T + i, [], 0);
    await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sink.position).toEqual({ 0: 5 });
  });
});

describe('once', () => {
  test.each(['old', 'empty'])('promise 3: a resend is known when a power cut left an %s watermark file', async (left) => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 5; i++) slot.fixes('d', T + i, [{ time: T + i }]);
    await slot.journal.close();
    const first = shipping(data, [sink]);
    expect(await first.shipper.drained(DEADLINE)).toBe(true);
    await first.shipper.close();
    const mark = Buffer.alloc(left === 'old' ? 8 : 0);
    if (left === 'old') mark.writeUInt32LE(2);
    writeFileSync(join(data, 'journal', '0', 'durable'), mark);
    const { shipper } = shipping(data, [sink]);
    // The slot's worker has not recovered it yet, and the device is on another.
    await until(() => sink.opens === 2);
    const other = await Slot.open(data, 1);
    other.fixes('d', T + 10, [{ time: T + 4 }]);
    other.fixes('d', T + 11, [{ time: T + 5 }]);
    await other.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd')).toEqual(rising(T, 6));
  });

  test('invariant 3: whatever becomes of each delivery, every record arrives once and in order', async () => {
    for (let seed = 1; seed <= 3; seed++) {
      let random = seed * 7919;
      const next = (n: number): number => {
        random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
        return Math.floor((random / 4_294_967_296) * n);
      };
      const data = dataDirectory();
      const sink = new MemorySink({ limits: { rows: 23 } });
      let accidents = 20;
      sink.fate = () => {
        if (accidents === 0) return 'delivered';
        const fate = (['delivered', 'delivered', 'stored-but-failed', 'not-stored', 'rewound'] as const)[next(5)] ?? 'delivered';
        if (fate !== 'delivered') accidents--;
        return fate;
      };
      const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
      for (let i = 0; i < 900; i++) slots[next(2)]?.fixes('d', T + i, [{ time: T + i }]);
      for (const slot of slots) await slot.journal.close();
      const { shipper } = shipping(data, [sink]);
      expect(await shipper.drained(DEADLINE)).toBe(true);
      expect(accidents).toBe(0);
      expect(ofDevice(sink, 'd')).toEqual(rising(T, 900));
    }
  });

  test('a batch that was begun before a crash is delivered again with the same ranges, token and rows', async () => {
    const data = dataDirectory();
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    let at = T;
    for (let i = 0; i < 40; i++) slots[i % 2]?.fixes(`d${i % 3}`, at, [{ time: at++ }]);
    const crashed = new MemorySink({ announces: true, limits: { rows: 30 } });
    crashed.fate = () => 'not-stored';
    await Promise.all(slots.map((slot) => slot.journal.flush()));
    const before = ship(data, [crashed]);
    await until(() => crashed.attempts > 1);
    await before.shipper.close();
    const begun = crashed.pending;
    expect(begun).not.toBeNull();
    // Batches are larger now, which must not make this one larger.
    const sink = new MemorySink({ announces: true, limits: { rows: 50 } });
    sink.pending = begun;
    // More came in meanwhile, and received earlier than what the batch ends with: it must not get into the batch.
    for (let i = 0; i < 40; i++) slots[i % 2]?.fixes('late', T + 5, [{ time: at++ }]);
    for (const slot of slots) await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sink.batches[0]).toEqual({ ranges: begun, token: 'rig 0:1-15 1:1-15', rows: 30 });
    expect(sink.rows.slice(0, 30).map((row) => Number(row.split('\t')[1]))).toEqual(rising(T, 30));
    expect(sink.rows.length).toBe(80);
  });

  test('a batch that was begun is not delivered while a part of it cannot be read', async () => {
    const data = dataDirectory();
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    for (let i = 0; i < 10; i++) slots[i % 2]?.fixes('d', T + i, [{ time: T + i }]);
    for (const slot of slots) await slot.journal.close();
    const storage = new FaultStorage();
    storage.fail('open', /\/1\/[0-9a-f]{16}\.seg$/, 'EIO');
    const sink = new MemorySink({ announces: true });
    sink.pending = { 0: { from: 1, to: 5 }, 1: { from: 1, to: 5 } };
    const { shipper } = shipping(data, [sink], { storage });
    await until(() => shipper.health()['memory']?.state === 'degraded' && sink.opens > 2);
    expect(sink.rows).toEqual([]);
    storage.heal();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd')).toEqual(rising(T, 10));
  });

  test('an accident in the middle of reading a batch loses nothing of it', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0, { segmentBytes: 1000 });
    for (let i = 0; i < 40; i++) {
      slot.fixes('d', T + i, [{ time: T + i }]);
      await slot.journal.flush();
    }
    await slot.journal.close();
    const second = readdirSync(join(data, 'journal', '0')).sort()[1] ?? '';
    const storage = new FaultStorage();
    storage.fail('open', new RegExp(second), 'EIO', 1);
    let accidents = 0;
    const error = (): void => {
      accidents++;
      throw new Error('the log is broken');
    };
    const sink = new MemorySink({ limits: { rows: 1000 } });
    const { shipper } = shipping(data, [sink], { storage, log: { ...silentLog, error } });
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(accidents).toBeGreaterThan(0);
    expect(ofDevice(sink, 'd')).toEqual(rising(T, 40));
  });

  test('a batch that was begun waits until its slot has been recovered', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 10; i++) slot.fixes('d', T + i, [{ time: T + i }]);
    await slot.journal.close();
    const path = join(data, 'journal', '0', 'durable');
    const mark = Buffer.alloc(8);
    // After a power cut the watermark file may be older than the cursor.
    mark.writeUInt32LE(4);
    writeFileSync(path, mark);
    const sink = new MemorySink({ announces: true });
    sink.pending = { 0: { from: 1, to: 8 } };
    const { shipper } = shipping(data, [sink]);
    await until(() => shipper.health()['memory']?.state === 'degraded' && sink.opens > 2);
    expect(sink.rows).toEqual([]);
    mark.writeUInt32LE(10);
    writeFileSync(path, mark);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sink.batches.map(({ ranges }) => ranges)).toEqual([{ 0: { from: 1, to: 8 } }, { 0: { from: 9, to: 10 } }]);
    expect(ofDevice(sink, 'd')).toEqual(rising(T, 10));
  });
});

describe('records that a device sends again', () => {
  const fix = { time: T - 1000, number: 7 };

  test('are marked, also by way of another worker, in other company, and in a later batch', async () => {
    const data = dataDirectory();
    const sink = new MemorySink({ limits: { rows: 1 } });
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    slots[0]?.fixes('d', T, [fix, { time: T, number: 8 }]);
    slots[1]?.fixes('d', T + 9, [{ time: T + 9 }, fix]);
    slots[1]?.fixes('e', T + 10, [fix]);
    for (const slot of slots) await slot.journal.close();
    const { shipper, metrics } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd')).toEqual([T - 1000, T, T + 9]);
    // The same bytes from another device are another record.
    expect(ofDevice(sink, 'e')).toEqual([T - 1000]);
    expect(await counter(metrics, 'fixgate_sink_duplicates_total', { sink: 'memory' })).toBe(1);
  });

  test('are known after a restart, from the journal', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    slot.fixes('d', T, [fix]);
    await slot.journal.flush();
    const before = ship(data, [sink]);
    expect(await before.shipper.drained(DEADLINE)).toBe(true);
    await before.shipper.close();
    slot.fixes('d', T + 60_000, [fix]);
    slot.fixes('d', T + 61_000, [{ time: T + 61_000 }]);
    await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd')).toEqual([T - 1000, T + 61_000]);
  });

  test('without a time of their own are new each time', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    slot.fixes('d', T, [{ time: 0, number: 1 }]);
    slot.fixes('d', T, [{ time: 0, number: 1 }]);
    slot.fixes('d', T, [{ time: T + 90_000_000, number: 1 }]);
    slot.fixes('d', T, [{ time: T + 90_000_000, number: 1 }]);
    await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sink.rows.length).toBe(4);
  });
});

describe('a sink that is away', () => {
  test('promise 4: delays no other, holds one batch, says so, and gets everything in order when it is back', async () => {
    const data = dataDirectory();
    const near = new MemorySink({ name: 'near' });
    const far = new MemorySink({ name: 'far' });
    far.away = true;
    const slot = await Slot.open(data, 0);
    const { shipper, metrics, said } = shipping(data, [near, far]);
    for (let i = 0; i < 1000; i++) slot.fixes('d', T + i, [{ time: T + i }]);
    await slot.journal.flush();
    await until(() => near.rows.length === 1000);
    await until(() => shipper.health()['far']?.state === 'degraded');
    expect(shipper.health()).toMatchObject({ near: { state: 'up' }, far: { state: 'degraded', reason: 'the memory sink is away' } });
    expect(await counter(metrics, 'fixgate_sink_up', { sink: 'far' })).toBe(0);
    expect(said.filter((line) => line.includes('the memory sink is away')).length).toBe(1);
    expect(await shipper.drained(100)).toBe(false);
    far.away = false;
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(far, 'd')).toEqual(rising(T, 1000));
    expect(shipper.health()['far']).toEqual({ state: 'up' });
  });

  test('invariant 6: no segment goes before every sink has passed it', async () => {
    const data = dataDirectory();
    const near = new MemorySink({ name: 'near' });
    const far = new MemorySink({ name: 'far' });
    far.away = true;
    const from = Date.now() / 1000;
    const slot = await Slot.open(data, 0, { segmentBytes: 2000 });
    for (let i = 0; i < 200; i++) {
      slot.fixes('d', T + i, [{ time: T + i }]);
      await slot.journal.flush();
    }
    const segments = (): number => readdirSync(join(data, 'journal', '0')).filter((name) => name.endsWith('.seg')).length;
    const before = segments();
    expect(before).toBeGreaterThan(5);
    const { shipper, metrics } = shipping(data, [near, far], { keepMs: 0 });
    await until(async () => (await counter(metrics, 'fixgate_journal_size_bytes')) > 0);
    await until(() => near.rows.length === 200);
    await eventually(async () => expect(await counter(metrics, 'fixgate_sink_undelivered_entries', { sink: 'near' })).toBe(0));
    expect(segments()).toBe(before);
    expect(await counter(metrics, 'fixgate_sink_oldest_undelivered_seconds', { sink: 'far' })).toBeGreaterThan(0);
    const untils = async () => (await metrics.deliveredUntil.get()).values.map(({ labels, value }) => [labels['sink'], value >= from]);
    // Nothing is known of a sink that has never been reached.
    await eventually(async () => expect(await untils()).toEqual([['near', true]]));
    far.away = false;
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(far.rows.length).toBe(200);
    await until(() => segments() === 1);
    await eventually(async () =>
      expect((await untils()).sort()).toEqual([
        ['far', true],
        ['near', true],
      ]),
    );
    await slot.journal.close();
  });

  test('what is delivered reaches up to the first entry that is not, and no further when it cannot be told', async () => {
    const data = dataDirectory();
    const far = new MemorySink({ name: 'far' });
    const slot = await Slot.open(data, 0);
    const { shipper, metrics } = shipping(data, [far]);
    const reached = async (): Promise<number> => {
      const { deliveredUntil } = totalsOf([['shipper', await metrics.registry.getMetricsAsJSON()]]);
      return 1000 * (deliveredUntil.get('far') ?? 0);
    };
    await eventually(async () => expect(await reached()).toBeGreaterThan(T));
    far.away = true;
    slot.fixes('d', T + 1, [{ time: T + 1 }]);
    await slot.journal.flush();
    await eventually(async () => expect(Math.round(await reached())).toBe(T + 1));
    far.away = false;
    await eventually(async () => expect(await reached()).toBeGreaterThan(T + 1000));
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await slot.journal.close();
  });
});

test('what is delivered while the journal is tended does not make it look shorter than what was delivered from it', async () => {
  const data = dataDirectory();
  const storage = new FaultStorage();
  const sink = new MemorySink();
  const slot = await Slot.open(data, 0);
  let at = T;
  const deliver = async (): Promise<void> => {
    slot.fixes('d', at, [{ time: at++ }]);
    await slot.journal.flush();
    await until(() => sink.rows.length === at - T);
  };
  const { said } = shipping(data, [sink], { storage });
  await deliver();
  for (let turn = 0; turn < 2; turn++) {
    const held = storage.hold('stat', /\.seg$/);
    await held.reached;
    await deliver();
    held.release();
  }
  // The next turn begins when all of the last one is over.
  const last = storage.hold('stat', /\.seg$/);
  await last.reached;
  expect(said).toEqual([]);
  last.release();
  await slot.journal.close();
});

test('a journal that ends below its cursor is told when its mark has moved and is still below', async () => {
  const data = dataDirectory();
  const storage = new FaultStorage();
  const sink = new MemorySink();
  sink.position = { 0: 100 };
  const slot = await Slot.open(data, 0);
  slot.fixes('d', T, [{ time: T }]);
  await slot.journal.flush();
  const held = storage.hold('stat', /\.seg$/);
  const { said } = shipping(data, [sink], { storage });
  await held.reached;
  expect(said).toEqual([]);
  slot.fixes('d', T, [{ time: T + 1 }]);
  await slot.journal.close();
  held.release();
  await until(() => said.length > 0);
  expect(said).toEqual([expect.stringMatching(/^a journal slot ends before its cursor: .*{"slot":"0","durable":2,"delivered":100}$/)]);
  expect(sink.rows).toEqual([]);
});

describe('invariant 5: entries that cannot be read', () => {
  test('are parked with their bytes and the reason; the others go on', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    const broken = Buffer.concat([Buffer.from([0xff]), frameOf([{ time: T }])]);
    slot.fixes('d', T, [{ time: T }]);
    slot.raw('d', T, broken, 1);
    slot.raw('d', T, Buffer.from([0xfe, 1]), 1);
    slot.raw('d', T, Buffer.from([1, 2, 3]), 1, 'gone');
    slot.fixes('d', T, [{ time: T + 1 }], 3);
    slot.event('d', T, 'no json');
    slot.event('d', T, [1]);
    slot.fixes('d', T, [{ time: T + 2 }]);
    await slot.journal.close();
    const { shipper, metrics, said } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd')).toEqual([T, T + 1, T + 2]);
    const parked = parkedLines(data, 'memory');
    expect(parked.map(({ sequence, reason }) => [sequence, reason])).toEqual([
      [2, 'codec "tiny" threw: the tiny codec is broken'],
      [3, 'malformed: BAD'],
      [4, 'codec "gone" is not installed'],
      [5, '3 records were accepted, the codec now reads 1'],
      [6, 'an event that is not a JSON object with a type'],
      [7, 'an event that is not a JSON object with a type'],
    ]);
    expect(parked[0]).toMatchObject({ slot: '0', codec: 'tiny', device: 'd', accepted: 1, received: T, hex: broken.toString('hex') });
    expect(await counter(metrics, 'fixgate_sink_parked_entries_total', { sink: 'memory' })).toBe(6);
    expect(said.some((line) => line.includes('the tiny codec is broken'))).toBe(true);
  });

  test('are delivered once by a retry when they can be read, whenever it is interrupted', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 5; i++) slot.raw('d', T, frameOf([{ time: T + i }]), 1, 'gone');
    slot.event('d', T, 'no json');
    await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sink.rows).toEqual([]);
    const directory = join(data, 'parked');
    const again = new MemorySink();
    const decoder = new Decoder(new Map([['gone', { ...tiny, name: 'gone' }]]), () => ({}));
    // Stored, and the answer was lost: the next retry must find that out.
    again.fate = () => (again.attempts === 3 ? 'stored-but-failed' : 'delivered');
    await expect(retryParked(directory, again, decoder, INSTANCE)).rejects.toThrow();
    expect((await listParked(directory, 'memory')).map(({ sequence }) => sequence)).toEqual([3, 4, 5, 6]);
    expect(await retryParked(directory, again, decoder, INSTANCE)).toEqual({ delivered: 3, refused: 1 });
    expect(ofDevice(again, 'd')).toEqual(rising(T, 5));
    expect(await listParked(directory, 'memory')).toMatchObject([
      { sequence: 6, kind: 'event', reason: 'an event that is not a JSON object with a type' },
    ]);
  });

  test('hold their batch while they cannot be parked: nothing is passed and lost', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    slot.raw('d', T, Buffer.from([0xfe, 1]), 1);
    slot.fixes('d', T, [{ time: T + 2 }]);
    await slot.journal.close();
    const storage = new FaultStorage();
    storage.fail('write', /parked/, 'ENOSPC');
    const { shipper } = shipping(data, [sink], { storage });
    await until(() => shipper.health()['memory']?.state === 'degraded' && sink.opens > 2);
    expect(sink.position).toEqual({});
    storage.heal();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(parkedLines(data, 'memory').map(({ sequence }) => sequence)).toEqual([1]);
    expect(ofDevice(sink, 'd')).toEqual([T + 2]);
  });

  test('a slot that cannot be read holds up no other, and is read when it can be', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    for (let i = 0; i < 10; i++) slots[i % 2]?.fixes(`d${i % 2}`, T + i, [{ time: T + i }]);
    for (const slot of slots) await slot.journal.close();
    const storage = new FaultStorage();
    storage.fail('open', /\/0\/[0-9a-f]{16}\.seg$/, 'EIO');
    // The window of resends wants to read that slot too.
    sink.position = { 0: 1 };
    const { shipper, said } = shipping(data, [sink], { storage });
    await until(() => ofDevice(sink, 'd1').length === 5);
    expect(ofDevice(sink, 'd0')).toEqual([]);
    expect(said.some((line) => line.includes('"slot":"0"'))).toBe(true);
    storage.heal();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd0').length).toBe(4);
  });

  test('a codec state that a frame has changed is not used for the next frame', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const { tcp } = tiny;
    if (tcp === undefined) throw new Error('the tiny codec speaks TCP');
    // Learns from a frame with two records that later ones are in a zone an hour away, as its memo would say.
    const learning: typeof tiny = {
      ...tiny,
      tcp: {
        ...tcp,
        open: (_options, memo) => ({ memo }),
        memo: (state) => ('memo' in state && typeof state.memo === 'number' ? state.memo : 0),
        decode(bytes, start, end, state, out) {
          tcp.decode(bytes, start, end, state, out);
          if ('memo' in state && state.memo === 1) for (let r = 0; r < out.rows; r++) out.time[r] = (out.time[r] ?? 0) + 3_600_000;
          if (out.rows === 2) Object.assign(state, { memo: 1 });
        },
      },
    };
    const slot = await Slot.open(data, 0);
    slot.fixes('d', T, [{ time: T }, { time: T + 1 }]);
    slot.fixes('d', T, [{ time: T + 2 }]);
    await slot.journal.close();
    const { shipper } = shipping(data, [sink], { codecs: new Map([['tiny', learning]]) });
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(ofDevice(sink, 'd')).toEqual([T, T + 1, T + 2]);
  });
});

test('closing ends everything it started', async () => {
  const data = dataDirectory();
  const sink = new MemorySink();
  const slot = await Slot.open(data, 0);
  const { shipper } = ship(data, [sink]);
  slot.fixes('d', T, [{ time: T }]);
  await slot.journal.close();
  expect(await shipper.drained(DEADLINE)).toBe(true);
  await shipper.close();
  expect(sink.closed).toBe(true);
  expect(existsSync(join(data, 'parked'))).toBe(false);
  await rm(join(data, 'journal'), { recursive: true });
});
