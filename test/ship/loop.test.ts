import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { nodeStorage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import { Batcher } from '../../src/out/ship/batcher.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { Loop } from '../../src/out/ship/loop.ts';
import { Parking } from '../../src/out/ship/parking.ts';
import { Watermarks } from '../../src/out/ship/watermarks.ts';
import { eventually, remains } from '../support/wait.ts';
import { MemorySink } from './memory-sink.ts';
import { RECORD_BYTES, tiny } from './tiny.ts';

/** One sink's way through the journal, with its real parts around it. */

const T = Date.UTC(2026, 9, 1);
const HOUR = 3_600_000;

interface Rig {
  readonly loop: Loop;
  readonly watermarks: Watermarks;
  readonly metrics: ReturnType<typeof createMetrics>;
  /** What was logged, with its reason. */
  readonly said: string[];
  /** How often it was said that the position may have moved. */
  progress: number;
}

function looping(data: string, sink: MemorySink, clock: Clock = systemClock): Rig {
  const journal = join(data, 'journal');
  const metrics = createMetrics();
  const said: string[] = [];
  const note = (fields: object, message: string): void => void said.push(`${message}: ${Reflect.get(fields, 'reason') ?? ''}`);
  const log = { ...silentLog, info: note, warn: note, error: note };
  const watermarks = new Watermarks(journal, { storage: nodeStorage, clock, order: () => Number.MAX_SAFE_INTEGER, log });
  const parking = new Parking(join(data, 'parked', 'memory.jsonl'), journal, nodeStorage, () => {});
  const batcher = new Batcher({
    ...{ journal, storage: nodeStorage, instance: 'rig', parking, window: null, takes: 'records', relays: false },
    decoder: new Decoder(new Map([['tiny', tiny]]), () => ({})),
    erased: () => new Map(),
    onRelay: () => {},
    onDamage: () => {},
    onTrouble: () => {},
  });
  const rig: Omit<Rig, 'loop'> = { watermarks, metrics, said, progress: 0 };
  const onProgress = (): void => void rig.progress++;
  return Object.assign(rig, { loop: new Loop({ sink, batcher, parking, watermarks, metrics, clock, log, first: true, onProgress }) });
}

let data: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'fixgate-loop-'));
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

describe('a sink that is away', () => {
  let sink: AwaySink;
  let rig: Rig;

  /** Says why it is away, and when it was asked. */
  class AwaySink extends MemorySink {
    reason = 'no route';
    readonly asked: number[] = [];

    override async open(): Promise<never> {
      this.asked.push(Date.now() - T);
      throw new Error(this.reason);
    }
  }
  /** When it was asked since the last call, ms from `T`. */
  const asked = (): number[] => sink.asked.splice(0);

  beforeEach(() => {
    vi.useFakeTimers({ now: T });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    sink = new AwaySink();
    rig = looping(data, sink, { now: () => Date.now(), elapsed: () => Date.now() });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('is asked again at distances that double, up to five seconds', async () => {
    rig.loop.start();
    await vi.advanceTimersByTimeAsync(21_000);
    expect(asked()).toEqual([0, 50, 150, 350, 750, 1550, 3150, 6350, 11_350, 16_350]);
    vi.mocked(Math.random).mockReturnValue(0);
    await vi.advanceTimersByTimeAsync(5000);
    expect(asked()).toEqual([21_350, 25_100]);
    await rig.loop.stop();
  });

  it('is asked at once and twenty times a second in a hurry, and not once more for the end of it', async () => {
    rig.loop.start();
    await vi.advanceTimersByTimeAsync(16_360);
    asked();
    rig.loop.hurry(true);
    await vi.advanceTimersByTimeAsync(110);
    expect(asked()).toEqual([16_360, 16_410, 16_460]);
    rig.loop.hurry(false);
    await vi.advanceTimersByTimeAsync(30);
    expect(asked()).toEqual([]);
    await vi.advanceTimersByTimeAsync(5100);
    expect(asked()).toEqual([16_510, 21_510]);
    await rig.loop.stop();
  });

  it('is degraded since it was not reached, with the reason of the last attempt, which counts as one more', async () => {
    rig.loop.start();
    await vi.advanceTimersByTimeAsync(200);
    expect(rig.loop.health).toEqual({ state: 'degraded', reason: 'no route', since: T });
    sink.reason = 'refused';
    await vi.advanceTimersByTimeAsync(200);
    expect(rig.loop.health).toEqual({ state: 'degraded', reason: 'refused', since: T });
    expect((await rig.metrics.sinkBatches.get()).values).toMatchObject([{ labels: { outcome: 'retry' }, value: 4 }]);
    expect((await rig.metrics.sinkUp.get()).values).toMatchObject([{ value: 0 }]);
    expect([rig.loop.delivered('0'), rig.progress]).toEqual([0, 0]);
    await rig.loop.stop();
  });

  it('is said once a minute for each reason, however many there are', async () => {
    const line = (reason: string): string => `sink rejected a batch; it stays in the journal and is retried: ${reason}`;
    rig.loop.start();
    await vi.advanceTimersByTimeAsync(1000);
    expect(rig.said.splice(0)).toEqual([line('no route')]);
    sink.reason = 'refused';
    await vi.advanceTimersByTimeAsync(20_000);
    expect(rig.said.splice(0)).toEqual([line('refused')]);
    sink.reason = 'no route';
    await vi.advanceTimersByTimeAsync(35_000);
    expect(rig.said.splice(0)).toEqual([]);
    await vi.advanceTimersByTimeAsync(25_000);
    expect(rig.said.splice(0)).toEqual([line('no route')]);
    // Those that are kept to be compared with are a hundred or so: the first are forgotten, and said again.
    rig.loop.hurry(true);
    for (let i = 0; i < 200; i++) {
      sink.reason = `reason ${i}`;
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(rig.said.splice(0)).toHaveLength(200);
    for (const known of [199, 150, 0]) {
      sink.reason = `reason ${known}`;
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(rig.said.splice(0)).toEqual([line('reason 0')]);
    await rig.loop.stop();
  });

  it('is said again after exactly a minute', async () => {
    let now = T;
    rig = looping(data, sink, { now: () => now, elapsed: () => Date.now() });
    rig.loop.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(rig.said.splice(0)).toHaveLength(1);
    for (const [later, times] of [
      [59_999, 0],
      [60_000, 1],
      [119_999, 0],
      [120_000, 1],
    ] as const) {
      now = T + later;
      rig.loop.hurry(true);
      await vi.advanceTimersByTimeAsync(50);
      expect([later, rig.said.splice(0).length]).toEqual([later, times]);
    }
    await rig.loop.stop();
  });

  it('is not asked once more by a stop, which rejects what waits for a moment between two batches', async () => {
    rig.loop.start();
    await vi.advanceTimersByTimeAsync(16_400);
    asked();
    const work = vi.fn(async () => 7);
    const refused = { code: 'SINK_UNREACHABLE', message: 'the shipper is ending' };
    const waiting = expect(rig.loop.between(work)).rejects.toMatchObject(refused);
    await vi.advanceTimersByTimeAsync(1000);
    await rig.loop.stop();
    await waiting;
    await expect(rig.loop.between(work)).rejects.toMatchObject(refused);
    await vi.advanceTimersByTimeAsync(HOUR);
    expect([asked(), work.mock.calls.length, vi.getTimerCount()]).toEqual([[], 0, 0]);
  });
});

describe('without time that passes', () => {
  let sink: MemorySink;
  let rig: Rig;

  /** Answers when it is told to. */
  class SlowSink extends MemorySink {
    readonly answer = Promise.withResolvers<void>();

    override async open(): ReturnType<MemorySink['open']> {
      const position = await super.open();
      await this.answer.promise;
      return position;
    }
  }

  const start = (made: MemorySink): void => {
    sink = made;
    rig = looping(data, sink, { now: () => Date.now(), elapsed: () => Date.now() });
    rig.loop.start();
  };
  /** It waits for what comes, or for the next attempt. */
  const rests = (): Promise<void> => eventually(() => expect(vi.getTimerCount()).toBe(1));

  beforeEach(() => {
    vi.useFakeTimers({ now: T, toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
  });
  afterEach(async () => {
    await rig.loop.stop();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('a sink that rests has done what is to be done between two batches, and what that asks for', async () => {
    start(new MemorySink());
    await rests();
    const done: number[] = [];
    const work = async (n: number): Promise<void> => void done.push(n);
    const first = rig.loop.between(async () => {
      void rig.loop.between(() => work(2));
      await work(1);
    });
    await first;
    await eventually(() => expect(done).toEqual([1, 2]));
    expect(Date.now()).toBe(T);
    await rests();
  });

  it('a stop ends the rest of a sink', async () => {
    start(new MemorySink());
    await rests();
    await rig.loop.stop();
    expect([vi.getTimerCount(), Date.now()]).toEqual([0, T]);
  });

  it.each(['answers', 'fails'])('a stop waits for a sink that is being reached, and for nothing behind it when it %s', async (how) => {
    const slow = new SlowSink();
    start(slow);
    await eventually(() => expect(slow.opens).toBe(1));
    const stopped = vi.fn();
    const stopping = rig.loop.stop().then(stopped);
    await remains(() => expect(stopped).not.toHaveBeenCalled(), 20);
    if (how === 'answers') slow.answer.resolve();
    else slow.answer.reject(new Error('away'));
    await stopping;
    expect([slow.opens, vi.getTimerCount(), Date.now()]).toEqual([1, 0, T]);
  });

  it('a sink that was there is asked again soon when it goes away, and is degraded from then on, whatever it was concerned about', async () => {
    const away = new MemorySink();
    away.away = true;
    start(away);
    await vi.advanceTimersByTimeAsync(16_350);
    expect(away.opens).toBe(10);
    away.away = false;
    Object.assign(away, { concern: 'it evicts keys' });
    // It is asked in the last of these moments: files that are read meanwhile may take as long as they do.
    await vi.advanceTimersByTimeAsync(5_000);
    await eventually(() => expect(rig.loop.health).toMatchObject({ reason: 'it evicts keys', since: Date.now() }));
    const since = Date.now();
    await rests();
    await vi.advanceTimersByTimeAsync(5_000);
    await rests();
    expect(rig.loop.health).toMatchObject({ since });
    away.away = true;
    await vi.advanceTimersByTimeAsync(5_000);
    await eventually(() => expect(rig.loop.health).toMatchObject({ reason: 'the memory sink is away', since: since + 10_000 }));
    await rests();
    const before = away.opens;
    await vi.advanceTimersByTimeAsync(50);
    expect(away.opens).toBe(before + 1);
  });
});

describe('a sink that is there', () => {
  let journal: Journal;
  let sink: MemorySink;
  let rig: Rig;
  let at = T;

  beforeEach(async () => {
    const directory = join(data, 'journal', '0');
    journal = await Journal.open({ directory, onDurable: () => {}, onFailed: () => {}, minFreeBytes: 0 });
  });
  afterEach(() => journal.close());

  function start(ageMs: number): void {
    sink = new MemorySink({ limits: { ageMs } });
    rig = looping(data, sink);
    rig.watermarks.start();
    rig.loop.start();
    onTestFinished(async () => {
      await rig.loop.stop();
      await rig.watermarks.close();
    });
  }

  async function append(): Promise<void> {
    const bytes = Buffer.alloc(RECORD_BYTES);
    bytes.writeBigUInt64BE(BigInt(++at));
    journal.append(new Origin(new Definition('tiny', 'tcp'), 'd', ''), EntryKind.Frame, at, 0, 1, bytes, 0, bytes.length);
    await journal.flush();
  }

  it('gets what waits for company in a hurry at once, and what comes behind it when it has waited', async () => {
    start(HOUR);
    await append();
    await eventually(() => expect(rig.watermarks.durable.get('0')).toBe(1));
    await remains(() => expect(sink.rows).toEqual([]), 100);
    rig.loop.hurry(true);
    await eventually(() => expect([sink.rows.length, rig.loop.delivered('0')]).toEqual([1, 1]));
    await append();
    await eventually(() => expect(sink.rows.length).toBe(2));
    rig.loop.hurry(false);
    await append();
    await eventually(() => expect(rig.watermarks.durable.get('0')).toBe(3));
    await remains(() => expect(sink.rows.length).toBe(2), 100);
  });

  it('is left alone while something is done between two batches, and its outcome is that of the work', async () => {
    start(0);
    await append();
    await eventually(() => expect(sink.rows.length).toBe(1));
    const done = Promise.withResolvers<string>();
    const begun = vi.fn(() => done.promise);
    const worked = rig.loop.between(begun);
    const failed = expect(rig.loop.between(() => Promise.reject(new Error('it did not work')))).rejects.toThrow('it did not work');
    await eventually(() => expect(begun).toHaveBeenCalled());
    await append();
    await remains(() => expect(sink.rows.length).toBe(1), 100);
    done.resolve('it worked');
    expect(await worked).toBe('it worked');
    await failed;
    await eventually(() => expect(sink.rows.length).toBe(2));
  });

  it('is up once it was reached, and degraded for what it is concerned about', async () => {
    start(0);
    await eventually(() => expect(rig.loop.health).toEqual({ state: 'up' }));
    expect(rig.said.splice(0)).toEqual(['sink is up: ']);
    const gauges = async (): Promise<unknown[]> =>
      Promise.all([rig.metrics.sinkUp, rig.metrics.sinkConcern].map(async (gauge) => (await gauge.get()).values[0]?.value));
    for (const [concern, states] of [
      ['it evicts keys', [1, 1]],
      ['it is nearly full', [1, 1]],
      ['', [1, 0]],
    ] as const) {
      Object.assign(sink, { concern });
      await append();
      const health = concern === '' ? { state: 'up' } : { state: 'degraded', reason: concern, since: expect.any(Number) };
      await eventually(() => expect(rig.loop.health).toEqual(health));
      await append();
      await eventually(() => expect(sink.rows.length).toBe(journal.entries));
      expect(await gauges()).toEqual(states);
      expect(rig.said.splice(0)).toEqual(concern === '' ? [] : [`sink needs attention: ${concern}`]);
    }
  });
});
