import { createHash } from 'node:crypto';
import { AppError } from '../../base/errors.ts';
import type { Metrics } from '../../base/metrics/catalog.ts';
import { type Codec, type Dialect, FrameKind, FrameResult, type Options, type Transport } from '../../codec/index.ts';
import { clockOffset, keptOptions, withClockOffset } from '../../codec/options.ts';
import { type OptionsOf, textCodec } from '../../codec/registry.ts';
import type { DevicePlans } from '../../fleet/plan/device-plans.ts';
import type { DeviceCache } from '../../fleet/registry/device-cache.ts';
import type { DeviceLookup } from '../../fleet/registry/device-lookup.ts';
import type { Newcomers } from '../../fleet/registry/newcomers.ts';
import type { Quarantine } from '../../fleet/registry/quarantine.ts';
import { Definition } from '../../journal/definition.ts';
import { type Marks, Origin } from '../../journal/entry.ts';
import type { Live } from '../../live/live.ts';
import { Sight, Sights } from '../../live/sights.ts';
import type { Profile, ProfileStore } from '../../state/profile.ts';
import type { StateStore } from '../../state/store.ts';
import { Keep, Verdict } from '../intake/keep.ts';
import { type PlanService, Terms } from '../session/terms.ts';
import { digestOf, doneOps, TEXTS, type TextMark } from './mark.ts';

/**
 * Text messages of devices, on their way from a gateway into the journal. In the supervisor.
 *
 * 1. A message is in the journal, raw, before the gateway is told that it has arrived; what the journal refuses is not told to have arrived.
 * 2. A message id is taken once. A mark is written before the entry, with the time of receipt; one that a killed server has left behind is settled at
 *    its next start, by a look into the journal: the message has arrived, or never came.
 * 3. The number of the sender says whose it is, and nothing in the text does. It can be forged: it makes no session and no standing, and nothing of
 *    it changes where commands go, what protocol a device speaks, or what is learned about it.
 * 4. A number that no device has is a stranger, `sms:<digits>`, and treated as the registry treats unknown ids. The gateway is told the same in any case.
 * 5. What a device's state or plan withholds is withheld, as on a connection. Messages are counted apart from bytes and records, once each.
 */
export interface Text {
  /** By which form of the interface it came, and the gateway's id of it. */
  readonly source: string;
  readonly id: string;
  /** E.164. */
  readonly from: string;
  readonly text: string;
}

export const TEXT_OUTCOMES = ['stored', 'repeated', 'withheld', 'refused'] as const;
export type Outcome = (typeof TEXT_OUTCOMES)[number];

/** A frame for the journal. */
export interface TextFrame {
  readonly origin: Origin;
  readonly received: number;
  readonly memo: number;
  readonly rows: number;
  readonly bytes: Uint8Array;
  readonly marks: Marks | undefined;
}

export interface InboxOptions {
  readonly store: StateStore & Pick<ProfileStore, 'findProfile'>;
  readonly instance: string;
  readonly codecs: ReadonlyMap<string, Codec>;
  readonly optionsOf: OptionsOf;
  readonly registry: Pick<DeviceCache, 'lookup' | 'seen'>;
  readonly newcomers: Pick<Newcomers, 'admit'>;
  readonly quarantine: Pick<Quarantine, 'noted' | 'flush'>;
  readonly service: PlanService;
  readonly plans: Pick<DevicePlans, 'of'>;
  readonly metrics: Metrics;
  readonly live: Pick<Live, 'seen'>;
  /** Resolves when the frame is durable, rejects with AppError when it cannot be. */
  journal(frame: TextFrame): Promise<void>;
  /** A message from a device's own number is in the journal: it may be the reply to a command. */
  replied(device: string, frame: FrameResult, text: string, relay: boolean): Promise<void>;
  /** Journals an event of a device. */
  record(device: string, event: object): void;
  /** Wall clock, epoch ms. */
  now(): number;
}

interface Sender {
  readonly known: DeviceLookup;
  readonly isStranger: boolean;
}

/** How a text is read. */
interface Reading {
  readonly codec: Codec;
  readonly dialect: Dialect;
  readonly options: Options;
  readonly memo: number;
}

const SMS: Transport = 'sms';
/** All senders count as one address. */
const GATEWAY = '0.0.0.0';
/** A mark of another server is its own to settle for so long. */
const FOREIGN_MS = 60_000;
const ENCODER = new TextEncoder();

export class TextInbox {
  readonly #o: InboxOptions;
  readonly #frame = new FrameResult();
  readonly #keep = new Keep();
  /** By key of the mark. */
  readonly #underWay = new Map<string, Promise<Outcome>>();

  constructor(options: InboxOptions) {
    this.#o = options;
  }

  /** Rejects with AppError when the message could not be kept: the gateway is to send it again. */
  take(text: Text): Promise<Outcome> {
    const key = createHash('sha256').update(`${text.source} ${text.id}`).digest('hex');
    const before = this.#underWay.get(key);
    if (before !== undefined) return before.then(() => this.#counted('repeated'));
    const taken = this.#take(key, text).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, taken);
    return taken;
  }

  async #take(key: string, text: Text): Promise<Outcome> {
    const { store, instance, now } = this.#o;
    const bytes = ENCODER.encode(text.text);
    const found = await store.get('texts', key);
    const mark = TEXTS.read(found);
    if (mark?.done === true) return this.#counted('repeated');
    if (mark !== undefined && mark.server !== instance && now() - mark.received < FOREIGN_MS)
      throw new AppError('STATE_BUSY', 'another server has this message under way; retry');
    const begun: TextMark = { received: mark?.received ?? now(), server: instance, digest: digestOf(bytes) };
    const isMine = await store.write([
      { table: 'texts', key, expect: found },
      { table: 'texts', key, put: JSON.stringify(begun) },
    ]);
    if (!isMine) throw new AppError('STATE_BUSY', 'another server has this message under way; retry');
    const { outcome, device } = await this.#keepText(text, bytes, begun.received);
    await this.#done(key, begun, outcome === 'refused' ? '' : device);
    return this.#counted(outcome);
  }

  /** Invariant 5: the mark and the count are one write. */
  async #done(key: string, mark: TextMark, device: string): Promise<void> {
    await this.#o.store.write(await doneOps(key, mark, device, this.#o.plans));
  }

  async #keepText(text: Text, bytes: Uint8Array, received: number): Promise<{ outcome: Outcome; device: string }> {
    const { service, metrics, quarantine, registry, record } = this.#o;
    const { known, isStranger } = await this.#sender(text.from);
    const device = known.id;
    const reading = await this.#read(known, bytes);
    const reason = known.device === undefined ? known.refusal('') || this.#excess() : '';
    if (reason !== '') {
      metrics.rejects.inc({ reason });
      quarantine.noted(device, reading.codec.name, SMS, bytes, 0, bytes.length, reason === 'new_id_rate');
      await quarantine.flush();
      return { outcome: 'refused', device };
    }
    const terms = new Terms(service, device, known.device, received);
    const treatment = terms.at(received);
    if (treatment.mode === 'terminate') return { outcome: 'withheld', device };
    // Read once more: the registry was waited for since.
    this.#decode(reading, bytes);
    const verdict = this.#keep.judge(this.#frame, terms, treatment, received, metrics);
    if (verdict !== Verdict.Store) return { outcome: 'withheld', device };
    const definition = new Definition(reading.codec.name, SMS, keptOptions(reading.codec, reading.options), known.device?.account ?? '');
    const { marks } = this.#keep;
    const sights = new Sights(() => 0);
    sights.saw(new Sight({ device, record: known.device }), this.#frame, marks?.keep ?? null, received, 0);
    const frame = { origin: new Origin(definition, device, ''), received, memo: reading.memo, rows: this.#frame.rows, bytes, marks };
    await this.#o.journal(frame);
    if (isStranger) registry.seen(known, reading.codec.name, SMS, (event) => record(device, event));
    if (marks?.relay !== true) this.#tell(sights);
    if (!isStranger) {
      // Others have read since.
      this.#decode(reading, bytes);
      await this.#o.replied(device, this.#frame, text.text, marks?.relay === true);
    }
    return { outcome: 'stored', device };
  }

  /** Invariant 4. */
  async #sender(from: string): Promise<Sender> {
    const known = await this.#lookup(from);
    if (known.device !== undefined) return { known, isStranger: false };
    return { known: await this.#lookup(`sms:${from.slice(1)}`), isStranger: true };
  }

  async #lookup(id: string): Promise<DeviceLookup> {
    const known = await new Promise<DeviceLookup>((resolve) => this.#o.registry.lookup(id, resolve));
    if (known.unread) throw new AppError('STATE_UNREACHABLE', 'the registry cannot be read; retry');
    return known;
  }

  #excess(): '' | 'new_id_rate' {
    return this.#o.newcomers.admit(GATEWAY) === 'admitted' ? '' : 'new_id_rate';
  }

  /** By the protocol that the device speaks, as far as that reads texts, and what is known of its clock. */
  async #read(known: DeviceLookup, bytes: Uint8Array): Promise<Reading> {
    const { codecs, store } = this.#o;
    const { unit, device } = known;
    const own = codecs.get(device?.protocol ?? '');
    const profile = await new Promise<Profile | undefined>((resolve) => store.findProfile(unit, resolve));
    const reading = own?.sms === undefined ? undefined : this.#reading(own, known, profile);
    if (reading !== undefined && this.#decode(reading, bytes) && this.#names(known)) return reading;
    const plain = textCodec(codecs, bytes);
    const guessed = plain === undefined ? undefined : this.#reading(plain, known, undefined);
    if (guessed !== undefined && this.#decode(guessed, bytes) && this.#names(known)) return guessed;
    const last = this.#reading(textCodec(codecs), known, undefined);
    if (last === undefined) throw new AppError('CODEC_UNKNOWN', 'no installed codec reads text messages');
    return last;
  }

  #reading(codec: Codec | undefined, { id, device }: DeviceLookup, profile: Profile | undefined): Reading | undefined {
    const dialect = codec?.sms;
    if (codec === undefined || dialect === undefined) return undefined;
    const own = profile?.codec === codec.name ? profile : undefined;
    const options = withClockOffset(codec, this.#o.optionsOf(codec, id, device?.options), own?.clock ?? 0, device?.options);
    const memo = dialect.memo?.(dialect.open(options, own?.memo ?? 0)) ?? 0;
    return { codec, dialect, options, memo };
  }

  #decode({ dialect, options, memo }: Reading, bytes: Uint8Array): boolean {
    const frame = this.#frame;
    frame.reset(0, bytes.length);
    dialect.decode(bytes, 0, bytes.length, dialect.open(options, memo), frame);
    const clock = clockOffset(options);
    if (clock !== 0) frame.correct(60_000 * clock);
    return frame.kind !== FrameKind.Malformed;
  }

  /** Invariant 3: a text that names another device is read as words. */
  #names({ unit, device }: DeviceLookup): boolean {
    const { deviceId } = this.#frame;
    return deviceId === '' || [unit, ...(device?.aliases ?? [])].includes(deviceId);
  }

  #tell(sights: Sights): void {
    sights.watch();
    sights.tick(0, (rows, who) => this.#o.live.seen(rows, who));
  }

  #counted(outcome: Outcome): Outcome {
    this.#o.metrics.texts.inc({ outcome });
    return outcome;
  }
}
