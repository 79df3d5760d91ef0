import { systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Metrics } from '../base/metrics/catalog.ts';
import { tell } from '../cluster/child-process.ts';
import type { Config } from '../config/schema.ts';
import { Delivery } from '../fleet/command/delivery.ts';
import { Ledger } from '../fleet/command/ledger.ts';
import { Shadow } from '../fleet/command/shadow.ts';
import { PlanCache } from '../fleet/plan/plan-cache.ts';
import { AccountStates } from '../fleet/registry/account-states.ts';
import { AddressRates } from '../fleet/registry/address-rates.ts';
import { DeviceCache } from '../fleet/registry/device-cache.ts';
import { Newcomers } from '../fleet/registry/newcomers.ts';
import { Quarantine } from '../fleet/registry/quarantine.ts';
import { Standings } from '../fleet/registry/standing.ts';
import type { Session } from '../in/session/session.ts';
import type { SessionTable } from '../in/session/table.ts';
import type { PlanService } from '../in/session/terms.ts';
import { Definition } from '../journal/definition.ts';
import { EntryKind, Origin } from '../journal/entry.ts';
import type { Journal } from '../journal/journal.ts';
import { followKeys } from '../state/follow.ts';
import type { State } from '../state/open.ts';
import type { Table } from '../state/store.ts';

/** Sessions looked at between two turns of the event loop. */
const RECONSIDERED_AT_ONCE = 200;
/** A store that is away keeps no worker from starting. */
const PATIENCE_MS = 2_000;

export interface FleetOptions {
  readonly config: Config;
  readonly state: State;
  readonly journal: Journal;
  readonly sessions: SessionTable<Session>;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** How a worker serves its devices: registry, plans, commands, and what their changes mean for the sessions there are. */
export interface Fleet {
  readonly registry: DeviceCache;
  readonly service: PlanService;
  readonly delivery: Delivery;
  readonly quarantine: Quarantine;
  readonly newcomers: Newcomers;
  readonly addressRates: AddressRates;
  readonly standings: Standings;
  /** Resolves when it is known which accounts are not served; without an answer of the store after PATIENCE_MS. */
  readonly ready: Promise<unknown>;
  /** No change of the state store reaches the sessions any more. */
  close(): Promise<void>;
}

const now = (): number => systemClock.now();
const elapsed = (): number => systemClock.elapsed();

export function openFleet({ config, state, journal, sessions, metrics, log }: FleetOptions): Fleet {
  const delivery = new Delivery({
    ledger: new Ledger(state, now, config.commands.attempts),
    shadow: new Shadow(state),
    now,
    log,
    count: (to) => metrics.commands.inc({ state: to }),
    ended: (device, id, reply) => tell({ type: 'command_ended', device, id, reply }),
  });
  /** `device`: undefined stands for all. */
  const show = (device: string | undefined, look: (session: Session) => void): void => {
    if (device === undefined) eachSession(sessions, look, log);
    else for (const session of sessions.of(device)) look(session);
  };
  const registry = new DeviceCache({ store: state, mode: config.registry.mode, now, log });
  registry.onChange((device) => show(device, (session) => session.reconsider()));
  const plans = new PlanCache(state, log, config.service.alarms === 'pass');
  plans.onChange((device) => show(device, (session) => session.planChanged()));
  const accounts = new AccountStates(state, log, (account) =>
    show(undefined, (session) => {
      if (account === undefined || session.record?.account === account) session.planChanged();
    }),
  );
  const service = Object.assign(plans, { accountState: (account: string | undefined) => accounts.of(account) });
  const noticed = (table: Table, key: string | undefined): void => {
    if (table === 'standing') show(key, (session) => session.reviewStanding());
    else if (key === undefined) delivery.pokeAll();
    else delivery.poke(key.slice(0, key.indexOf(' ')));
  };
  const unwatch = followKeys(state, ['standing', 'commands'], noticed, log);
  const quarantine = quarantineOf(state, journal, log);
  return {
    registry,
    service,
    ready: Promise.race([accounts.ready, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref())]),
    delivery,
    quarantine,
    newcomers: new Newcomers(config.registry.newIds, config.workers, elapsed),
    addressRates: new AddressRates(config.registry.newIds.exempt, config.workers, elapsed),
    standings: new Standings(state, now, log),
    async close(): Promise<void> {
      unwatch();
      registry.close();
      await plans.close();
      await accounts.stop();
      await delivery.close();
      await quarantine.flush();
    },
  };
}

function quarantineOf(state: State, journal: Journal, log: Log): Quarantine {
  return new Quarantine({
    store: state,
    now,
    log,
    added(id, { protocol, transport }) {
      const event = Buffer.from(JSON.stringify({ type: 'device_unknown', protocol, transport }));
      journal.append(new Origin(new Definition(protocol, transport), id, ''), EntryKind.Event, now(), 0, 0, event, 0, event.length);
    },
  });
}

/** A few at a time: devices go on talking meanwhile. */
function eachSession(sessions: SessionTable<Session>, look: (session: Session) => void, log: Log): void {
  const all = async (): Promise<void> => {
    let looked = 0;
    for (const session of sessions) {
      look(session);
      if (++looked % RECONSIDERED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  all().catch((error: unknown) =>
    log.error({ error: messageOf(error) }, 'internal error: a change did not reach all sessions; please report it'),
  );
}
