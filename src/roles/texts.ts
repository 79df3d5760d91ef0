import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { SUPERVISOR_SLOT } from '../cluster/instance.ts';
import type { OfficeOptions } from '../cluster/office.ts';
import type { Codec } from '../codec/index.ts';
import { codecOptions } from '../codec/registry.ts';
import { TextDelivery, type TextDeliveryOptions } from '../fleet/command/text-delivery.ts';
import { gatewayOf } from '../fleet/command/text-gateway.ts';
import type { Waiting } from '../fleet/command/waiting.ts';
import { DevicePlans } from '../fleet/plan/device-plans.ts';
import { PlanCache } from '../fleet/plan/plan-cache.ts';
import { usageKey } from '../fleet/plan/usage.ts';
import { AccountStates } from '../fleet/registry/account-states.ts';
import { DeviceCache } from '../fleet/registry/device-cache.ts';
import { Newcomers } from '../fleet/registry/newcomers.ts';
import { Quarantine } from '../fleet/registry/quarantine.ts';
import { type Outcome, type Text, TextInbox } from '../in/sms/inbox.ts';
import { settleMarks, sweepMarks } from '../in/sms/mark.ts';
import type { Live } from '../live/live.ts';
import type { State } from '../state/open.ts';

const now = (): number => systemClock.now();

/** The way out of commands by text message. */
export function textDeliveryOf(
  options: OfficeOptions,
  store: State,
  { ledger, waiting, codecs, device }: Pick<TextDeliveryOptions, 'ledger' | 'codecs' | 'device'> & { readonly waiting: Waiting },
): TextDelivery {
  const { config, log, metrics, record, isConnected } = options;
  const plans = new DevicePlans(store, log);
  return new TextDelivery({
    ledger,
    store,
    gateway: gatewayOf(config.sms.gateway),
    device,
    codecs,
    optionsOf: codecOptions(codecs, config.codecs.options, config.devices),
    async counting(id) {
      const { cycle } = await plans.of(id, now());
      return [{ table: 'usage', key: usageKey(id, cycle), add: { texts_out: 1 } }];
    },
    isConnected,
    now,
    log,
    record,
    count: (state) => metrics.commands.inc({ state }),
    ended: (id, command, reply) => waiting.ended(id, command, reply),
  });
}

/** The way in of text messages, and what it looks up: as a worker has it, for the supervisor. */
export class Texts {
  readonly #inbox: TextInbox;
  readonly #accounts: AccountStates;
  readonly #settle: () => Promise<void>;
  readonly #ends: (() => unknown)[];
  #settled: Promise<void> | undefined;

  constructor(options: OfficeOptions, state: State, codecs: ReadonlyMap<string, Codec>, live: Live, delivery: TextDelivery) {
    const { config, instance, log, metrics, record } = options;
    const registry = new DeviceCache({ store: state, mode: config.registry.mode, now, log });
    const service = new PlanCache(state, log, config.service.alarms === 'pass');
    const accounts = new AccountStates(state, log, () => {});
    const plans = new DevicePlans(state, log);
    const quarantine = new Quarantine({
      store: state,
      now,
      log,
      added: (id, { protocol, transport }) => record(id, { type: 'device_unknown', protocol, transport }),
    });
    this.#accounts = accounts;
    this.#settle = () => settleMarks(state, plans, instance, join(config.dataDir, 'journal', SUPERVISOR_SLOT));
    this.#inbox = new TextInbox({
      store: state,
      instance,
      codecs,
      optionsOf: codecOptions(codecs, config.codecs.options, config.devices),
      registry,
      newcomers: new Newcomers(config.registry.newIds, 1, () => systemClock.elapsed()),
      quarantine,
      service: Object.assign(service, { accountState: (account: string | undefined) => accounts.of(account) }),
      plans,
      metrics,
      live,
      journal: (frame) => options.text(frame),
      replied: (device, frame, text, relay) =>
        delivery.replied(device, frame, text, relay).catch((error: unknown) => {
          log.warn({ error: messageOf(error) }, 'a text message could not be compared with the commands of its device');
        }),
      record,
      now,
    });
    this.#ends = [
      sweepMarks(state, now, log),
      () => registry.close(),
      () => plans.close(),
      () => service.close(),
      () => accounts.stop(),
      () => quarantine.flush(),
    ];
    if (options.stateDamage === '')
      this.#ready().catch((error: unknown) =>
        log.warn({ error: messageOf(error) }, 'text messages of before the start cannot be looked up; retried with the next one'),
      );
  }

  /** Rejects with AppError when the message could not be kept. */
  async take(text: Text): Promise<Outcome> {
    await this.#ready();
    return this.#inbox.take(text);
  }

  async stop(): Promise<void> {
    await this.#settled?.catch(() => {});
    for (const end of this.#ends) await end();
  }

  #ready(): Promise<void> {
    this.#settled ??= Promise.all([this.#settle(), this.#accounts.ready])
      .then(() => {})
      .catch((error: unknown) => {
        this.#settled = undefined;
        throw error;
      });
    return this.#settled;
  }
}
