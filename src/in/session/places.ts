import type { Log } from '../../base/log.ts';
import type { FrameResult } from '../../codec/index.ts';

/** What a device hears around it. Signals in dBm, 0 where unknown. */
export interface Surroundings {
  readonly cells: readonly {
    readonly mcc: number;
    readonly mnc: number;
    readonly lac: number;
    readonly cid: number;
    readonly rssi: number;
  }[];
  readonly wifi: readonly { readonly mac: string; readonly rssi: number }[];
}

export interface Place {
  readonly lat: number;
  readonly lon: number;
  readonly accuracy_m: number;
}

/** Knows where cells and access points are. */
export interface Locator {
  /** Undefined: it does not know. Rejects when it cannot be asked. */
  locate(around: Surroundings): Promise<Place | undefined>;
}

/** The device, as far as it matters here. */
export interface Located {
  readonly device: string;
  /** Its data goes to the stream only. */
  readonly treatment: { readonly relay: boolean };
  event(event: object): void;
}

export const LOCATOR_OUTCOMES = ['found', 'unknown', 'failed', 'dropped'] as const;
export type LocatorOutcome = (typeof LOCATOR_OUTCOMES)[number];

/** Places and devices that are remembered. */
const MOST_PLACES = 10_000;
const MOST_DEVICES = 100_000;
/** Questions under way, and waiting. */
const AT_ONCE = 4;
const MOST_WAITING = 1_000;
/** After a question that failed, none is asked for so long. */
const PAUSE_MS = 30_000;
/** One access point moves about, two together rarely do. */
const FEWEST_WIFI = 2;

interface Question {
  readonly key: string;
  readonly around: Surroundings;
  readonly session: Located;
  readonly time: number;
}

/**
 * Asks a locator where devices are that send cells or access points and no position; the answer is an event `located`. One object a worker.
 *
 * 18. Nothing waits for a locator: a record is stored, answered and delivered as if there was none. It is asked only about what was stored,
 *     never for a device whose data is relayed, and again only when a device hears something else around it.
 */
export class Places {
  readonly #locator: Locator;
  readonly #log: Log;
  readonly #elapsed: () => number;
  readonly #count: (outcome: LocatorOutcome) => void;
  /** By what is heard there; undefined: the locator does not know it. */
  readonly #known = new Map<string, Place | undefined>();
  /** What each device has heard last. */
  readonly #heard = new Map<string, string>();
  readonly #waiting: Question[] = [];
  #underWay = 0;
  #pausedUntil = 0;

  constructor(locator: Locator, log: Log, elapsed: () => number, count: (outcome: LocatorOutcome) => void) {
    this.#locator = locator;
    this.#log = log;
    this.#elapsed = elapsed;
    this.#count = count;
  }

  /** The frame of the session's device is stored. Received at `wall`, epoch ms. */
  saw(session: Located, frame: FrameResult, wall: number): void {
    if ((frame.cells === 0 && frame.wifis === 0) || session.treatment.relay) return;
    const row = frame.rows - 1;
    if (!Number.isNaN(frame.latitude[row] ?? 0)) return;
    const around = surroundings(frame, row);
    if (around.cells.length === 0 && around.wifi.length < FEWEST_WIFI) return;
    const key = keyOf(around);
    if (this.#heard.get(session.device) === key) return;
    remember(this.#heard, session.device, key, MOST_DEVICES);
    const given = frame.time[row] ?? Number.NaN;
    const question = { key, around, session, time: Number.isNaN(given) ? wall : given };
    if (this.#known.has(key)) this.#tell(question, this.#known.get(key));
    else if (this.#waiting.length >= MOST_WAITING || this.#elapsed() < this.#pausedUntil) this.#drop(question);
    else {
      this.#waiting.push(question);
      this.#next();
    }
  }

  #next(): void {
    while (this.#underWay < AT_ONCE) {
      const question = this.#waiting.shift();
      if (question === undefined) return;
      this.#underWay++;
      void this.#ask(question).then(() => {
        this.#underWay--;
        this.#next();
      });
    }
  }

  /** Does not reject. */
  async #ask(question: Question): Promise<void> {
    if (this.#elapsed() < this.#pausedUntil) return this.#drop(question);
    try {
      const place = await this.#locator.locate(question.around);
      remember(this.#known, question.key, place, MOST_PLACES);
      this.#count(place === undefined ? 'unknown' : 'found');
      this.#tell(question, place);
    } catch {
      // What was asked for, and where, is in no log.
      if (this.#elapsed() >= this.#pausedUntil)
        this.#log.warn({ pauseMs: PAUSE_MS }, 'the locator cannot be asked; it is left alone for a while');
      this.#pausedUntil = this.#elapsed() + PAUSE_MS;
      this.#heard.delete(question.session.device);
      this.#count('failed');
    }
  }

  #drop({ session }: Question): void {
    this.#heard.delete(session.device);
    this.#count('dropped');
  }

  #tell({ around, session, time }: Question, place: Place | undefined): void {
    if (place === undefined || session.treatment.relay) return;
    const source = around.wifi.length < FEWEST_WIFI ? 'cells' : 'wifi';
    session.event({ type: 'located', time, valid: false, source, ...place });
  }
}

function surroundings(frame: FrameResult, row: number): Surroundings {
  const cells: Surroundings['cells'][number][] = [];
  for (let k = row === 0 ? 0 : (frame.cellEnd[row - 1] ?? 0); k < (frame.cellEnd[row] ?? 0); k++) {
    const [mcc = -1, mnc = -1, lac = -1, cid = -1] = [frame.cellMcc[k], frame.cellMnc[k], frame.cellLac[k], frame.cellCid[k]];
    if (mcc >= 0 && mnc >= 0 && lac >= 0 && cid >= 0) cells.push({ mcc, mnc, lac, cid, rssi: frame.cellRssiDbm[k] ?? 0 });
  }
  const wifi: Surroundings['wifi'][number][] = [];
  for (let k = row === 0 ? 0 : (frame.wifiEnd[row - 1] ?? 0); k < (frame.wifiEnd[row] ?? 0); k++)
    wifi.push({ mac: frame.wifiMac[k] ?? '', rssi: frame.wifiRssiDbm[k] ?? 0 });
  return { cells, wifi };
}

/** The same surroundings, however strong the signals are. */
function keyOf({ cells, wifi }: Surroundings): string {
  return [...cells.map(({ mcc, mnc, lac, cid }) => `${mcc}-${mnc}-${lac}-${cid}`), ...wifi.map(({ mac }) => mac)].sort().join(' ');
}

/** The last entry stays longest. */
function remember<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.size > most ? map.keys() : [];
  if (oldest !== undefined) map.delete(oldest);
}
