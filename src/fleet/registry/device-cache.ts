import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { imeiOf, withZero } from '../../base/wire/index.ts';
import type { Transport } from '../../codec/index.ts';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import { followKeys } from '../../state/follow.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { DEVICES, type Device, deviceSchema, isOut, MOST_ALIASES, settled } from './device.ts';
import { DeviceLookup } from './device-lookup.ts';

/**
 * Which devices there are, as one worker needs it: on the byte path, at every login.
 *
 * 1. A look-up answers once: before it returns where the store has the answer at hand (lmdb) or this worker has asked before, else
 *    later, within `PATIENCE_MS` even when the store does not answer at all.
 * 2. A record here is never older than what the store's watch has told, also when it was being read meanwhile.
 * 3. An open registry serves unknown devices. It also serves those that it cannot look up: under the id that they report,
 *    until the store can be read again and says otherwise.
 * 4. A closed one serves no device without a record. One that cannot be looked up is not served either, but not called unknown.
 * 5. A store that is damaged is not away: a device that cannot be looked up is not served, for its state is not known. One that was looked up before is.
 * 6. Who reports an IMEI and is known only under the IMEI with a zero in front, as units of other makes send it, is that device. The IMEI
 *    becomes its alias.
 * 7. Hardware that was taken out of a device is not that device, under none of its ids. It is the one that it was put into since, or none.
 * 8. Bounded: what is kept ready, and what is asked again.
 */
const PATIENCE_MS = 2_000;
const MOST_KEPT = 50_000;
/** After many changes at once, everything is looked at once. */
const GATHER_MS = 200;
/** How often what could not be read is asked for again. */
const AGAIN_MS = 2_000;
/** A device that speaks again so long after its first contact has come to stay. */
const RETURN_MS = 3_600_000;

export interface DeviceCacheOptions {
  readonly store: StateStore;
  readonly mode: 'open' | 'closed';
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
}

/** A question to the store, and who waits for the answer. */
interface Asked {
  readonly waiting: ((known: DeviceLookup) => void)[];
  /** The id under which the record lies, as far as that is known. */
  id: string;
  /** What was asked for has changed meanwhile. */
  stale: boolean;
  readonly late: NodeJS.Timeout;
}

export class DeviceCache {
  readonly #o: DeviceCacheOptions;
  /** By reported id, the oldest look-up first. */
  readonly #kept = new Map<string, DeviceLookup>();
  /** The aliases among them, by the device's own id. */
  readonly #keptAliases = new Map<string, Set<string>>();
  readonly #asked = new Map<string, Asked>();
  readonly #listeners = new Set<(id: string | undefined) => void>();
  /** Ids whose look-up has failed. */
  readonly #unread = new Set<string>();
  #again: NodeJS.Timeout | undefined;
  #gathering: NodeJS.Timeout | undefined;
  readonly #unwatch: () => void;

  constructor(options: DeviceCacheOptions) {
    this.#o = options;
    const { store, log } = options;
    this.#unwatch = followKeys(store, ['devices', 'aliases'], (_table, key) => this.#changed(key), log);
  }

  /** Who reports under this id? Invariant 1. */
  lookup(reported: string, found: (known: DeviceLookup) => void): void {
    const kept = this.#kept.get(reported);
    if (kept !== undefined) {
      found(kept);
      return;
    }
    const asked = this.#asked.get(reported);
    if (asked !== undefined) {
      asked.waiting.push(found);
      return;
    }
    this.#ask(reported, [found]);
  }

  /**
   * Calls `listener` when the answer for an id may have changed: a device's own, or one that it reports. Undefined: any may have.
   * Returns how to end that.
   */
  onChange(listener: (id: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Notes a contact: makes the record of a new device, and one that was pending active when its time has come. Waits for nothing, and
   * writes only what is new. `told` gets the event of what it has done.
   */
  seen(known: DeviceLookup, protocol: string, transport: Transport, told: (event: object) => void): void {
    const before = known.device;
    if (known.unread) return;
    const isNews = before?.protocol !== protocol || before.transport !== transport || isUnlisted(before, known.reported);
    if (!isNews && !this.#isDue(before) && !this.#isBack(before)) return;
    this.#note(known, protocol, transport, told).catch((error: unknown) =>
      this.#o.log.warn({ error: messageOf(error) }, 'a contact cannot be written to the registry; retried at the next one'),
    );
  }

  close(): void {
    this.#unwatch();
    clearTimeout(this.#again);
    clearTimeout(this.#gathering);
    for (const { late } of this.#asked.values()) clearTimeout(late);
    this.#listeners.clear();
  }

  #isDue(device: Device): boolean {
    return device.state === 'pending' && (device.activates_at === undefined || device.activates_at <= this.#o.now());
  }

  #isBack(device: Device): boolean {
    const { provisional, first_seen } = device;
    return provisional === true && first_seen !== undefined && this.#o.now() - first_seen >= RETURN_MS;
  }

  async #note(known: DeviceLookup, protocol: string, transport: Transport, told: (event: object) => void): Promise<void> {
    const { store, now } = this.#o;
    const key = known.id;
    return attempt(`the record of device ${key}`, async () => {
      const text = await store.get('devices', key);
      const before = DEVICES.read(text);
      // Removed meanwhile, or by now the alias of another, or another unit was put in.
      if (before === undefined ? known.device !== undefined : isOut(before, known.reported)) return;
      const device = before ?? { ...deviceSchema.parse({ id: key }), provisional: true };
      const state = this.#isDue(device) ? 'active' : device.state;
      const alias = isUnlisted(device, known.reported) ? [known.reported] : [];
      const aliases = [...device.aliases, ...alias];
      const after: Device = {
        first_seen: now(),
        ...(this.#isBack(device) ? settled(device) : device),
        aliases,
        protocol,
        transport,
        state,
      };
      const ops: Op[] = [
        { table: 'devices', key, expect: text },
        { table: 'devices', key, put: JSON.stringify(after) },
        ...alias.flatMap((reported): Op[] => [
          { table: 'devices', key: reported, expect: undefined },
          { table: 'aliases', key: reported, expect: undefined },
          { table: 'aliases', key: reported, put: key },
        ]),
      ];
      if (before === undefined) ops.push({ table: 'aliases', key, expect: undefined }, { table: 'quarantine', key, remove: true });
      if (!(await store.write(ops))) return CONTENDED;
      if (before === undefined) told({ type: 'device_created', protocol, plan: after.plan });
      else if (before.state !== state) told({ type: 'device_changed', fields: ['state'], state });
      if (before !== undefined && alias.length > 0) told({ type: 'device_changed', fields: ['aliases'], aliases });
      return;
    });
  }

  #ask(reported: string, waiting: ((known: DeviceLookup) => void)[]): void {
    const asked: Asked = {
      waiting,
      id: reported,
      stale: false,
      late: setTimeout(() => this.#answer(reported, asked, undefined, false, false), PATIENCE_MS),
    };
    this.#asked.set(reported, asked);
    this.#find(asked, reported, (device, readable, isDamaged) => {
      if (this.#asked.get(reported) !== asked) return;
      if (asked.stale && readable) {
        clearTimeout(asked.late);
        this.#ask(reported, asked.waiting);
      } else this.#answer(reported, asked, device, readable, isDamaged);
    });
  }

  /** The record under this id, or of the device whose alias it is. */
  #find(asked: Asked, reported: string, found: (device: Device | undefined, readable: boolean, isDamaged: boolean) => void): void {
    const { store } = this.#o;
    store.find('devices', reported, (own, readable) => {
      const answer = recordOf(own, readable, store.mayBeAway);
      const isLeft = answer[0] !== undefined && isOut(answer[0], reported);
      if (!isLeft && (!readable || own !== undefined)) {
        found(...answer);
        return;
      }
      store.find('aliases', reported, (main, aliasReadable) => {
        const other = main ?? (isLeft ? '' : withZero(reported));
        if (!aliasReadable || other === '') {
          found(isLeft && aliasReadable ? answer[0] : undefined, aliasReadable, !aliasReadable && !store.mayBeAway);
          return;
        }
        asked.id = other;
        store.find('devices', other, (text, mainReadable) => found(...recordOf(text, mainReadable, store.mayBeAway)));
      });
    });
  }

  #answer(reported: string, asked: Asked, device: Device | undefined, readable: boolean, isDamaged: boolean): void {
    clearTimeout(asked.late);
    this.#asked.delete(reported);
    // Invariant 7.
    const isLeft = device !== undefined && isOut(device, reported);
    const known = new DeviceLookup(reported, isLeft ? undefined : device, this.#o.mode === 'closed' || isDamaged, !readable, isLeft);
    if (readable) this.#keep(known);
    else this.#askAgain(reported);
    for (const found of asked.waiting) found(known);
  }

  #keep(known: DeviceLookup): void {
    const { reported, id } = known;
    if (this.#kept.size >= MOST_KEPT) {
      const [oldest] = this.#kept.values();
      if (oldest !== undefined) this.#forget(oldest);
    }
    this.#kept.set(reported, known);
    if (id === reported) return;
    const aliases = this.#keptAliases.get(id);
    if (aliases === undefined) this.#keptAliases.set(id, new Set([reported]));
    else aliases.add(reported);
  }

  #forget({ reported, id }: DeviceLookup): void {
    this.#kept.delete(reported);
    const aliases = this.#keptAliases.get(id);
    aliases?.delete(reported);
    if (aliases?.size === 0) this.#keptAliases.delete(id);
  }

  /** Devices that were served without an answer are looked up again. */
  #askAgain(reported: string): void {
    if (this.#unread.size < MOST_KEPT) this.#unread.add(reported);
    this.#again ??= setTimeout(() => {
      this.#again = undefined;
      const ids = [...this.#unread];
      this.#unread.clear();
      for (const id of ids) this.#tell(id);
    }, AGAIN_MS);
  }

  #changed(id: string | undefined): void {
    if (id === undefined) {
      this.#kept.clear();
      this.#keptAliases.clear();
      for (const asked of this.#asked.values()) asked.stale = true;
      this.#gathering ??= setTimeout(() => {
        this.#gathering = undefined;
        this.#tell(undefined);
      }, GATHER_MS);
      return;
    }
    // Invariant 6.
    const imei = imeiOf(id);
    for (const reported of [id, imei, ...(this.#keptAliases.get(id) ?? [])]) {
      const known = this.#kept.get(reported);
      if (known !== undefined) this.#forget(known);
    }
    for (const [reported, asked] of this.#asked) if (reported === id || reported === imei || asked.id === id) asked.stale = true;
    this.#tell(id);
    if (imei !== id) this.#tell(imei);
  }

  #tell(id: string | undefined): void {
    for (const listener of this.#listeners) listener(id);
  }
}

/** Does the device report under an IMEI that is to become its alias? Invariant 6. */
function isUnlisted({ id, aliases }: Device, reported: string): boolean {
  return id === withZero(reported) && !aliases.includes(reported) && aliases.length < MOST_ALIASES;
}

/** A record that is there and is none cannot be read: the device has one, so it must not be treated as if it had not. */
function recordOf(
  text: string | undefined,
  readable: boolean,
  mayBeAway: boolean,
): [device: Device | undefined, readable: boolean, isDamaged: boolean] {
  const device = DEVICES.read(text);
  const isNone = text !== undefined && device === undefined;
  return [device, readable && !isNone, isNone || (!readable && !mayBeAway)];
}
