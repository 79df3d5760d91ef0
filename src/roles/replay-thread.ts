import { randomUUID } from 'node:crypto';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { type Erased, isErased } from '../base/erased.ts';
import { AppError, messageOf } from '../base/errors.ts';
import { nodeStorage } from '../base/files.ts';
import { unpackAccess } from '../cluster/clickhouse.ts';
import { codecOptions, loadCodecs } from '../codec/registry.ts';
import { unpackConfig } from '../config/pack.ts';
import { Cursor } from '../journal/cursor.ts';
import { Decoder } from '../out/ship/decoder.ts';
import { Erasures, erasuresPath } from '../out/ship/erasures.ts';
import { type FramePlace, noCounts, placeKey, Replay, type ReplayCounts, ReplayPiece } from '../out/ship/replay.ts';
import { ResendWindow } from '../out/ship/window.ts';
import { type Change, compare, keyOf, rowKey, type StoredRecord } from '../out/sink/clickhouse/compare.ts';
import { ReplayTables } from '../out/sink/clickhouse/replayed.ts';
import { clickHouseCursor } from './clickhouse-cursor.ts';
import type { FromReplay, ReplayThreadData, ToReplay } from './replayer.ts';

/**
 * The thread that reads stored frames anew. It does a piece when it is told to, and nothing between: the caller that reads the lines sets
 * the pace. On Linux, where threads have priorities of their own, devices go before it.
 */
const PRIORITY = 10;
/** Slots of the window of resends: the last 65 536 to 131 072 records that are written. */
const WINDOW = 1 << 17;

const { config: raw, clickhouse, request }: ReplayThreadData = workerData;
if (process.platform === 'linux') setPriority(PRIORITY);

class Anew {
  readonly #run = randomUUID();
  readonly #config = unpackConfig(raw);
  readonly #tables = new ReplayTables(unpackAccess(clickhouse));
  readonly #window = new ResendWindow(WINDOW);
  readonly #piece = new ReplayPiece();
  #replay: Replay | undefined;
  #pieces = 0;
  #shown = 0;

  /** Reads the next piece; the devices in it, none: nothing is left. */
  async next(): Promise<FromReplay> {
    this.#replay ??= await this.#open();
    const isMore = await this.#replay.next(this.#piece);
    const devices = isMore ? [...new Set([...this.#piece.places.values()].map(({ device }) => device))] : [];
    return { step: 'piece', devices };
  }

  /** Compares the piece with what is stored, and writes what differs if that was asked for. */
  async go({ held, closed, until }: Extract<ToReplay, { step: 'go' }>): Promise<FromReplay> {
    const piece = this.#piece;
    const { rows } = piece;
    const counts: ReplayCounts = { ...noCounts(), frames: piece.frames, unreadable: piece.unreadable.length };
    const erased = (await Erasures.load(erasuresPath(this.#config.dataDir), nodeStorage)).of('clickhouse');
    const places = this.#scope(new Set(held), new Map(closed), erased, counts);
    const takes = (row: number): boolean => {
      const [device, received, time] = [rows.device[row] ?? '', rows.received[row] ?? 0, rows.time[row] ?? 0];
      const account = rows.account[row] ?? '';
      if (!places.has(placeKey(device, received))) return false;
      if (!isErased(erased.get(device) ?? [], account, received, time)) return true;
      counts.erased++;
      return false;
    };
    const devices = new Set([...places.values()].map(({ device }) => device));
    const all = devices.size === 0 ? [] : await this.#tables.stored(devices, piece.from, piece.to);
    const stored = all.filter(
      ({ device, received, time }) => places.has(placeKey(device, received)) && !isErased(erased.get(device) ?? [], '', received, time),
    );
    const { changes, same } = compare(rows, takes, stored);
    counts.same = same;
    const wanted = await this.#wanted(changes, counts);
    if (request.apply) await this.#write(wanted, until);
    const lines = piece.unreadable.map((one) => this.#line({ change: 'unreadable', ...one }));
    for (const change of wanted) {
      counts[change.change]++;
      lines.push(this.#line(shown(change, this.#placeOf(change, places), rows.time[change.row] ?? 0, rows.id(Math.max(0, change.row)))));
    }
    return { step: 'done', counts, lines: lines.filter((line) => line !== ''), received: piece.to };
  }

  async #open(): Promise<Replay> {
    const config = this.#config;
    const codecs = await loadCodecs(config.codecs.packages);
    const optionsOf = codecOptions(codecs, config.codecs.options, config.devices);
    const cursor = await Cursor.load(clickHouseCursor(config));
    return new Replay({
      journal: join(config.dataDir, 'journal'),
      decoder: new Decoder(codecs, optionsOf, request.options),
      from: request.from,
      to: request.to,
      device: request.device,
      delivered: (slot) => cursor.position(slot),
    });
  }

  /** Frames of the piece that may be changed. */
  #scope(held: ReadonlySet<string>, closed: ReadonlyMap<string, number>, erased: Erased, counts: ReplayCounts): Map<string, FramePlace> {
    const places = new Map<string, FramePlace>();
    const unreadable = new Set(this.#piece.unreadable.map(({ device, received }) => placeKey(device, received)));
    for (const [key, place] of this.#piece.places) {
      const { device, received } = place;
      if (isErased(erased.get(device) ?? [], '', received)) counts.erased++;
      else if (held.has(device)) counts.held++;
      else if (received < (closed.get(device) ?? 0)) counts.closed++;
      else if (!unreadable.has(key)) places.set(key, place);
    }
    return places;
  }

  /** Without what a device has sent twice, and what may only be missing because the journal cannot be read. */
  async #wanted(changes: readonly Change[], counts: ReplayCounts): Promise<Change[]> {
    const { rows, isDamaged } = this.#piece;
    const added = changes.filter(({ change }) => change === 'added').map(({ row }) => rowKey(rows, row));
    const present = added.length === 0 ? new Set<string>() : await this.#tables.present(added);
    return changes.filter(({ change, row }) => {
      if (change === 'removed') {
        if (isDamaged) counts.kept++;
        return !isDamaged;
      }
      const isNew = this.#window.add(rows.idHigh[row] ?? 0, rows.idLow[row] ?? 0, rows.time[row] ?? 0);
      if (change === 'changed' || (isNew && !present.has(keyOf(rowKey(rows, row))))) return true;
      counts.resent++;
      return false;
    });
  }

  async #write(changes: readonly Change[], until: number): Promise<void> {
    const { rows } = this.#piece;
    const written = changes.filter(({ row }) => row >= 0).map(({ row }) => row);
    await this.#tables.write(rows, written, `replay ${this.#run} ${++this.#pieces}`, until);
    const old: StoredRecord[] = changes.flatMap(({ old: one }) => (one === undefined ? [] : [one]));
    const kept = new Set(written.map((row) => keyOf(rowKey(rows, row))));
    await this.#tables.remove(
      old.filter((one) => !kept.has(keyOf(one))),
      until,
    );
    await this.#tables.renewLast(old, until);
  }

  #placeOf({ row, old }: Change, places: ReadonlyMap<string, FramePlace>): FramePlace {
    const { rows, slot, sequence } = this.#piece;
    if (row >= 0)
      return {
        device: rows.device[row] ?? '',
        received: rows.received[row] ?? 0,
        slot: slot[row] ?? '',
        sequence: sequence[row] ?? 0,
      };
    const found = places.get(placeKey(old?.device ?? '', old?.received ?? 0));
    if (found === undefined) throw new RangeError('a row of another place');
    return found;
  }

  /** '' when enough are shown. */
  #line(line: object): string {
    return this.#shown++ < request.limit ? JSON.stringify(line) : '';
  }
}

function shown({ change, old, was, now }: Change, place: FramePlace, time: number, id: string): object {
  return { change, ...place, id: old?.id ?? id, time: old?.time ?? time, was, now };
}

const anew = new Anew();

parentPort?.on('message', (message: ToReplay) => {
  const work = message.step === 'next' ? anew.next() : anew.go(message);
  work.then(
    (answer) => parentPort?.postMessage(answer),
    (error: unknown) => {
      const failed: FromReplay = {
        step: 'failed',
        code: error instanceof AppError ? error.code : 'WORKER_FAILED',
        message: messageOf(error),
      };
      parentPort?.postMessage(failed);
    },
  );
});
