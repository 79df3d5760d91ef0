import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Windows } from './windows.ts';

/**
 * Who changed what, who saw what, and who was refused: the entries of the audit (docs/audit.md).
 *
 * 1. A change has two entries of one id: before it is made, with status 0, and before it is answered, with its outcome. Each is durable
 *    before the next step, so that no change is without an entry, whatever is killed.
 * 2. A look is an entry at once; further ones of the same caller at the same object within AGAIN_MS are counted, and the count follows.
 *    What the journal could not take is counted, too, and comes later.
 * 3. A flood of refused calls makes MOST_REFUSED entries a minute at most; the others are counted in one.
 * 4. No entry holds a secret: see `masked`.
 */
export const AGAIN_MS = 600_000;
const MINUTE_MS = 60_000;
const MOST_REFUSED = 60;
/** Looks and refusals that are remembered at a time; the oldest are written down early. */
const MOST_OPEN = 50_000;
/** Of `old` or `new` as JSON. */
const MOST_BYTES = 65_536;
const MASK = '***';
/** `text`: what a device is told in its own language, which may begin with its password. */
const LOOKS_SECRET = /pass|secret|token|credential|pin$|key|^code$|^confirm$|^text$/i;

/** A call as the audit sees it. */
export interface Call {
  /** Of its entry, 16 hex digits; and of the request. */
  readonly id: string;
  readonly request: string;
  /** Epoch ms. */
  readonly time: number;
  readonly address: string;
  /** `PUT /v1/plans/{name}` */
  readonly operation: string;
  /** Name of the token; '' while it is not known. */
  by: string;
  /** `plans/gold` */
  object: string;
  account: string;
  /** Ids of those it is about; none in particular: empty. */
  devices: readonly string[];
  old?: unknown;
  new?: unknown;
  /** Why an entry of one of its parts could not be stored. */
  lost?: unknown;
  /** Its first entry is durable. */
  asked: boolean;
}

export interface TrailOptions {
  /** Journals an entry; resolves when it is durable. */
  readonly write: (entry: object) => Promise<void>;
  /** Names of fields that hold secrets, beside those that look so. */
  readonly secrets: ReadonlySet<string>;
  /** Epoch ms, and monotonic ms. */
  readonly now: () => number;
  readonly elapsed: () => number;
  readonly log: Log;
  readonly count: (type: EntryType) => void;
}

/** What an entry tells of. */
export const ENTRY_TYPES = ['change', 'read', 'refused'] as const;
type EntryType = (typeof ENTRY_TYPES)[number];

export function newId(): string {
  return randomBytes(8).toString('hex');
}

/** What a call has changed an object from and into; undefined: it was not there, or is not any more. */
export function changedInto(call: Call, object: string, old: unknown, now: unknown): void {
  call.object = object;
  call.old = old;
  call.new = now;
}

export class Trail {
  readonly #o: TrailOptions;
  readonly #looks: Windows<Call & { readonly status: number; readonly type: EntryType }>;
  readonly #timer: NodeJS.Timeout;
  #refused = 0;
  #beyond = 0;
  #minute: number;

  constructor(options: TrailOptions) {
    this.#o = options;
    this.#minute = options.elapsed();
    this.#looks = new Windows(AGAIN_MS, MOST_OPEN, options.elapsed, (call, count) =>
      this.#write(call.type, call, call.devices[0] ?? '', call.status, count),
    );
    this.#timer = setInterval(() => void this.sweep(), MINUTE_MS).unref();
  }

  /** Invariant 1. Rejects when the journal cannot take it: then nothing may be changed. */
  async asked(call: Call): Promise<void> {
    await this.#write('change', call, call.devices[0] ?? '', 0, 1);
    call.asked = true;
  }

  /** One of several devices that a call has changed. `done` waits for it, and rejects if it could not be stored. */
  part(
    call: Call,
    device: { readonly id: string; readonly account?: string | undefined; readonly disclosure?: string },
    old: object | undefined,
  ): void {
    const part = { ...call, id: newId(), object: `devices/${device.id}`, account: device.account ?? '', old, new: device };
    this.#write('change', part, device.id, 200, 1).catch((error: unknown) => {
      call.lost = error;
    });
  }

  /** Invariant 1. */
  async done(call: Call, status: number): Promise<void> {
    const type = status === 401 || status === 403 ? 'refused' : 'change';
    await this.#write(type, call, call.devices[0] ?? '', status, 1);
    // The journal settles in order: what came before is settled, and is told in this turn.
    await new Promise((resolve) => setImmediate(resolve));
    if (call.lost !== undefined) throw call.lost;
  }

  /** Invariant 2. Resolves when what is new is durable, or the journal does not take it. */
  async read(call: Call, status: number): Promise<void> {
    const devices = call.devices.length === 0 ? [''] : call.devices;
    await Promise.all(
      devices.map((device) => {
        const object = device === '' || call.operation.includes('{id}') ? call.object : `devices/${device}`;
        const one = { ...call, id: newId(), object, devices: device === '' ? [] : [device], status, type: 'read' as const };
        return this.#looks
          .note(JSON.stringify([call.by, call.operation, object, device]), one)
          .catch((error: unknown) => this.#lost(error));
      }),
    );
  }

  /** Invariant 3. */
  refused(call: Call, status: number): void {
    const key = JSON.stringify([call.by === '' ? call.address : call.by, call.operation, status]);
    if (!this.#looks.has(key)) {
      if (this.#refused >= MOST_REFUSED) {
        this.#beyond++;
        return;
      }
      this.#refused++;
    }
    this.#looks.note(key, { ...call, id: newId(), status, type: 'refused' }).catch((error: unknown) => this.#lost(error));
  }

  /** Writes down the counts of what has come to its end. */
  async sweep(all = false): Promise<void> {
    const { elapsed, now } = this.#o;
    if (all || elapsed() - this.#minute >= MINUTE_MS) {
      this.#minute = elapsed();
      this.#refused = 0;
      const beyond = this.#beyond;
      this.#beyond = 0;
      const others = {
        id: newId(),
        request: '',
        time: now(),
        address: '',
        operation: '',
        by: '',
        object: '',
        account: '',
        devices: [],
        asked: false,
      };
      if (beyond > 0)
        await this.#write('refused', others, '', 401, beyond).catch((error: unknown) => {
          this.#beyond += beyond;
          this.#lost(error);
        });
    }
    await this.#looks.sweep(all).catch((error: unknown) => this.#lost(error));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.sweep(true);
  }

  async #write(type: EntryType, call: Call, device: string, status: number, count: number): Promise<void> {
    const { id, time, by, address, request, operation, object, account } = call;
    const values = type === 'change' ? this.#values(call) : {};
    const head = {
      type,
      id,
      time,
      device,
      account: scrubbed(account),
      by,
      address,
      request,
      operation,
      object: scrubbed(object),
      status,
      count,
    };
    await this.#o.write({ ...head, ...values });
    if (status > 0) this.#o.count(type);
  }

  /** What differs, of objects; each whole otherwise. */
  #values(call: Call): object {
    let [old, now] = [call.old, call.new];
    if (isRecord(old) && isRecord(now)) {
      const [before, after] = [old, now];
      const names = Object.keys({ ...before, ...after }).filter((name) => !isDeepStrictEqual(before[name], after[name]));
      const only = (from: Record<string, unknown>): object =>
        Object.fromEntries(names.flatMap((name) => (name in from ? [[name, from[name]]] : [])));
      [old, now] = [only(before), only(after)];
    }
    const kept = (value: unknown): unknown => {
      const shown = masked(value, this.#o.secrets);
      const { length } = JSON.stringify(shown);
      return length > MOST_BYTES ? { left_out: `${length} characters` } : shown;
    };
    return { ...(old === undefined ? {} : { old: kept(old) }), ...(now === undefined ? {} : { new: kept(now) }) };
  }

  #lost(error: unknown): void {
    this.#o.log.warn({ error: messageOf(error) }, 'the journal does not take an entry of the audit; it is counted and comes later');
  }
}

/** The value without secrets: those of fields that are named or look so, tokens of ours anywhere, and what a URL holds behind its path. */
export function masked(value: unknown, secrets: ReadonlySet<string>): unknown {
  if (typeof value === 'string') return scrubbed(value);
  if (Array.isArray(value)) return value.map((one) => masked(one, secrets));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, of]) => [
      scrubbed(name),
      (LOOKS_SECRET.test(name) || secrets.has(name)) && of !== null ? MASK : masked(of, secrets),
    ]),
  );
}

function scrubbed(text: string): string {
  return text
    .replace(/\bfgs?_[\w-]{8,}/g, MASK)
    .replace(/(\w:\/\/)[^/\s@]*@/g, `$1${MASK}@`)
    .replace(/(\w:\/\/[^\s?#]*)[?#]\S*/g, `$1?${MASK}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
