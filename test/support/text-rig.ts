import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import jt808 from '../../codecs/jt808/index.ts';
import queclink from '../../codecs/queclink/index.ts';
import { wholeBefore } from '../../src/base/erased.ts';
import { AppError } from '../../src/base/errors.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import type { Codec, FrameKind } from '../../src/codec/index.ts';
import { codecOptions } from '../../src/codec/registry.ts';
import { DevicePlans } from '../../src/fleet/plan/device-plans.ts';
import { Seen } from '../../src/fleet/plan/plan-cache.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import { Newcomers } from '../../src/fleet/registry/newcomers.ts';
import { Quarantine } from '../../src/fleet/registry/quarantine.ts';
import { TextInbox } from '../../src/in/sms/inbox.ts';
import type { Marks } from '../../src/journal/entry.ts';
import type { SightRow } from '../../src/live/sights.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import type { Profile } from '../../src/state/profile.ts';
import { interposed } from '../helpers/interposed-store.ts';
import { NO_CAPS } from '../helpers/open-registry.ts';

export const NOW = Date.UTC(2026, 10, 1, 12);
const CYCLE = Date.UTC(2026, 10, 1);
/** Its plan keeps one record a minute. */
export const SMALL = '860000000010002';
const STEP = { action: 'decimate' as const, at_pct: 100, keep_every_s: 60 };
const POLICY = { cycle: CYCLE, cycle_end: NOW + 1, used_pct: 100, held: [STEP], news: [] };
const CODECS = [queclink, h02, gt06, jt808];

/** The way in of text messages without a server: a store of its own, real codecs, and what it tells others is kept. */
export class TextRig {
  readonly #directory = mkdtempSync(join(tmpdir(), 'fixgate-inbox-'));
  readonly store = new LmdbStore({ directory: this.#directory, log: silentLog });
  readonly #kept = new Seen();
  readonly #plans = new DevicePlans(this.store, silentLog);
  readonly metrics = createMetrics();
  readonly devices: Device[] = [];
  readonly profiles = new Map<string, Profile>();
  now = NOW;
  /** Whether the registry makes a device of an unknown id (`open`) or refuses it. */
  mode: 'open' | 'closed' = 'open';
  /** Reported ids that the registry cannot look up, and one whose unit was taken out of its device. */
  unread: readonly string[] = [];
  out = '';
  refuses = '';
  /** Happens before the store writes. */
  beforeWrite: (() => unknown) | undefined;
  /** What it has asked of others, in order: writes by their tables. */
  readonly steps: string[] = [];
  /** Answers about profiles, and the journal's promises, wait for these. */
  profilesReady: Promise<void> = Promise.resolve();
  durable: Promise<void> = Promise.resolve();
  readonly journaled: {
    device: string;
    codec: string;
    transport: string;
    account: string;
    options: unknown;
    peer: string;
    received: number;
    memo: number;
    rows: number;
    text: string;
    marks: Marks | undefined;
  }[] = [];
  readonly replied: { device: string; kind: FrameKind; words: string; text: string; relay: boolean; time: number }[] = [];
  readonly seen: (readonly [reported: string, protocol: string, transport: string])[] = [];
  readonly live: SightRow[] = [];
  readonly recorded: object[] = [];
  readonly quarantined: string[] = [];
  readonly inbox: TextInbox;

  constructor(codecs: readonly Codec[] = CODECS) {
    const byName = new Map(codecs.map((codec) => [codec.name, codec]));
    const now = (): number => this.now;
    this.inbox = new TextInbox({
      store: Object.assign(
        interposed(this.store, {
          beforeWrite: (tables) => {
            this.steps.push(tables.join(' '));
            return this.beforeWrite?.();
          },
        }),
        {
          findProfile: (unit: string, found: (profile: Profile | undefined) => void) =>
            void this.profilesReady.then(() => found(this.profiles.get(unit))),
        },
      ),
      instance: 'here',
      codecs: byName,
      optionsOf: codecOptions(byName, {}, {}),
      registry: {
        lookup: (id, found) => found(this.#lookup(id)),
        seen: ({ reported }, protocol, transport, told) => {
          this.seen.push([reported, protocol, transport]);
          told({ type: 'device_created' });
        },
      },
      newcomers: new Newcomers({ address: 1, total: 10, exempt: [] }, 1, () => 0),
      quarantine: new Quarantine({ store: this.store, now, log: silentLog, added: (id) => this.quarantined.push(id) }),
      service: {
        ...NO_CAPS,
        policy: (device) => (device === SMALL ? POLICY : undefined),
        seen: () => this.#kept,
        erased: (device) => (device === 'erased' ? [wholeBefore(NOW + 1)] : undefined),
      },
      plans: this.#plans,
      metrics: this.metrics,
      live: {
        seen: (rows) => {
          this.steps.push('live');
          this.live.push(...rows);
        },
      },
      journal: async ({ origin: { definition, device, peer }, bytes, ...frame }) => {
        this.steps.push('journal');
        await this.durable;
        this.steps.push('durable');
        if (this.refuses !== '') throw new AppError('JOURNAL_FAILED', this.refuses);
        const { codec, transport, account, options } = definition;
        this.journaled.push({ device, codec, transport, account, options, peer, ...frame, text: new TextDecoder().decode(bytes) });
      },
      replied: async (device, { kind, replyText: words, time }, text, relay) => {
        this.steps.push('replied');
        this.replied.push({ device, kind, words, text, relay, time: time[0] ?? 0 });
      },
      record: (device, event) => void this.recorded.push({ device, ...event }),
      now,
    });
  }

  add(id: string, more: object = {}): void {
    this.devices.push(deviceSchema.parse({ id, ...more }));
  }

  /** Of fixgate_text_messages_total and of fixgate_rejects_total, what is not zero. */
  async counted(): Promise<Record<string, number>> {
    const of = [...(await this.metrics.texts.get()).values, ...(await this.metrics.rejects.get()).values];
    return Object.fromEntries(of.map(({ labels, value }) => [Object.values(labels).join(), value]));
  }

  /** Messages that the device's usage of this month has. */
  async used(device: string): Promise<unknown> {
    return JSON.parse((await this.store.get('usage', `${device} ${CYCLE}`)) ?? '{}');
  }

  async stop(): Promise<void> {
    this.#plans.close();
    await this.store.close();
    rmSync(this.#directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
  }

  #lookup(reported: string): DeviceLookup {
    const isUnread = this.unread.includes(reported);
    const device = this.devices.find(({ id, phone }) => id === reported || phone === reported);
    return new DeviceLookup(reported, isUnread ? undefined : device, this.mode === 'closed', isUnread, this.out === reported);
  }
}
