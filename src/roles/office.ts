import { join, resolve } from 'node:path';
import type { ApiOffice } from '../api/office.ts';
import { every } from '../base/beat.ts';
import { systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { packAccess } from '../cluster/clickhouse.ts';
import type { PackedAccess } from '../cluster/messages.ts';
import type { OfficeOptions } from '../cluster/office.ts';
import type { Codec } from '../codec/index.ts';
import { codecOptions, loadCodecs, recordOptions } from '../codec/registry.ts';
import { packConfig } from '../config/pack.ts';
import { Explainer } from '../explain/explainer.ts';
import { CommandIntake } from '../fleet/command/intake.ts';
import { Ledger } from '../fleet/command/ledger.ts';
import { Shadow } from '../fleet/command/shadow.ts';
import type { CommandStream } from '../fleet/command/stream.ts';
import { UnitKeeper } from '../fleet/command/unit-keeper.ts';
import { Waiting } from '../fleet/command/waiting.ts';
import { DevicePlans } from '../fleet/plan/device-plans.ts';
import { PlanNotices } from '../fleet/plan/notices.ts';
import { PlanRecords } from '../fleet/plan/plan-records.ts';
import { readService, ServiceKeeper, serviceOps } from '../fleet/plan/service-keeper.ts';
import { SilenceKeeper } from '../fleet/plan/silence.ts';
import { StepKeeper } from '../fleet/plan/step-keeper.ts';
import { hasUnfrozen } from '../fleet/plan/unfrozen.ts';
import { passedOps } from '../fleet/plan/usage.ts';
import { UsageRanking } from '../fleet/plan/usage-ranking.ts';
import { inForce } from '../fleet/plan/versions.ts';
import { disclose } from '../fleet/privacy/disclosure.ts';
import { Eraser } from '../fleet/privacy/eraser.ts';
import { exportAccount, exportDevice } from '../fleet/privacy/export.ts';
import { forgetAll } from '../fleet/privacy/forget.ts';
import { Holds } from '../fleet/privacy/hold.ts';
import { isKept } from '../fleet/privacy/kept.ts';
import { Trail } from '../fleet/privacy/trail.ts';
import { Views } from '../fleet/privacy/views.ts';
import { AccountRecords } from '../fleet/registry/account-records.ts';
import { caseOps } from '../fleet/registry/cases.ts';
import { DeviceRecords } from '../fleet/registry/device-records.ts';
import { Forgetter } from '../fleet/registry/forgetter.ts';
import { QuarantineList } from '../fleet/registry/quarantine-list.ts';
import { RecipientRecords } from '../fleet/registry/recipient.ts';
import { pickAddress } from '../fleet/registry/standing.ts';
import { Clones } from '../in/session/clones.ts';
import { Live } from '../live/live.ts';
import { StatusBoard } from '../live/status.ts';
import { totalsOf } from '../live/totals.ts';
import { TraceHub } from '../live/trace-hub.ts';
import { JOURNAL } from '../out/ship/shipper.ts';
import { type AuditOf, Audits } from '../out/sink/clickhouse/audits.ts';
import { DeviceRows } from '../out/sink/clickhouse/device-rows.ts';
import { Evidence } from '../out/sink/clickhouse/evidence.ts';
import { UsageHistory } from '../out/sink/clickhouse/history.ts';
import { lastPositions } from '../out/sink/clickhouse/last-positions.ts';
import { Past } from '../out/sink/clickhouse/past.ts';
import { StatementTable } from '../out/sink/clickhouse/statements.ts';
import { StatementKeeper } from '../out/sink/state/statements.ts';
import { openState, type State } from '../state/open.ts';
import { campaignerOf, testerOf } from './control-centre.ts';
import { Counted } from './counted.ts';
import { Exclusion } from './exclusion.ts';
import { firstValues } from './first-values.ts';
import { stateOptions } from './lifecycle.ts';
import { ParkedDesk } from './parked-desk.ts';
import { Replayer } from './replayer.ts';
import { retentionOf } from './retention.ts';
import { ServerGauges } from './server-gauges.ts';
import { Texts, textDeliveryOf } from './texts.ts';

const TRACE_TICK_MS = 1_000;

const now = (): number => systemClock.now();

/** What the supervisor knows of devices and commands: the API's side of it. */
export interface Office extends ApiOffice {
  readonly clones: Clones;
  /** The state store is damaged: nothing touches it any more. */
  abandonState(damage: string): void;
  close(): Promise<void>;
}

export async function openOffice(given: OfficeOptions): Promise<Office> {
  const { config, log, metrics } = given;
  // An event carries the account that its device has now.
  const record = (device: string, event: object, account = live.roster.accountOf(device)): void => given.record(device, event, account);
  const options = { ...given, record };
  const rows = (): DeviceRows => new DeviceRows(options.clickhouse);
  const codecs = await loadCodecs(config.codecs.packages);
  const state = await openState(stateOptions(config, log, options.stateDamage, () => options.suspectState()));
  const deviceRecords = new DeviceRecords({
    store: state,
    checkOptions: recordOptions(codecs),
    now,
    service: async (before, after, by) => [
      ...(await serviceOps(state, now(), [before, after], by)),
      ...(await caseOps(state, now(), [before, after], by)),
      ...(await passedOps(state, now(), before, after)),
    ],
    record,
    left: (device, account) => {
      passOn(device, account, commandIntake, ledger, options).catch((error: unknown) =>
        log.warn(
          { device, error: messageOf(error) },
          'what an account had under way with a device that is not its own any more did not end',
        ),
      );
    },
    recovers: async (plan) => inForce(await plans.history(plan), now()).plan.recovery,
    // What waits was meant for the unit before.
    swapped: (device) => cancelOpen(device, 'replacement', commandIntake, ledger),
  });
  const count = (devices: number): void => metrics.quarantine.set(devices);
  const quarantine = new QuarantineList({ store: state, most: config.registry.quarantine, log, count });
  const ledger = new Ledger(state, now, config.commands.attempts);
  const shadow = new Shadow(state);
  const commandIntake = new CommandIntake({
    ledger,
    store: state,
    device: (id) => deviceRecords.get(id),
    codecs,
    optionsOf: codecOptions(codecs, config.codecs.options, config.devices),
    included: async (plan) => inForce(await plans.history(plan), now()).plan.commands,
    now,
    expiryMs: config.commands.expiryMs,
    texts: config.sms.gateway.url !== undefined,
    log,
    poke: options.poke,
    record,
    count: (to) => metrics.commands.inc({ state: to }),
  });
  firstValues(metrics, codecs, config);
  const gauges = new ServerGauges(metrics, config, state);
  const live: Live = new Live({
    store: state,
    clock: systemClock,
    log,
    isConnected: options.isConnected,
    watch: options.watch,
    status: () => status.read(false),
    counted: (states) => gauges.counted(states),
    stored: (since) => lastPositions(options.clickhouse, since),
    shared: config.state.url !== undefined,
  });
  const status: StatusBoard = new StatusBoard({
    facts: options.facts,
    counts: () => live.counts(),
    instance: options.instance,
    dataDir: config.dataDir,
    journalBudget: config.workers * config.journal.maxBytes,
    clock: systemClock,
  });
  status.start();
  const plans = new PlanRecords({ store: state, record, now });
  const forgetter = forgetterOf(options, state);
  const stepKeeper = stepKeeperOf(options, state, shadow, commandIntake);
  const [history, statementTable] = [new UsageHistory(options.clickhouse), new StatementTable(options.clickhouse)];
  const statements = statementsOf(options, state, history, statementTable);
  const notices = new PlanNotices({ store: state, instance: options.instance, record, now, log });
  const unitKeeper = new UnitKeeper({
    store: state,
    shadow,
    device: (id) => deviceRecords.get(id),
    submit: (draft) => commandIntake.submit(draft),
    record,
    log,
  });
  const counted = new Counted(config.workers, ['state'], now);
  const silence = new SilenceKeeper({
    store: state,
    record,
    now,
    elapsed: () => systemClock.elapsed(),
    counted: async () => counted.look(totalsOf(await options.facts.metrics())),
    log,
  });
  const exclusion = new Exclusion(config.dataDir);
  const packed = packedOf(options);
  const main = (id: string): Promise<string> => deviceRecords.idOf(id);
  const replayer = new Replayer({ packed, exclusion, store: state, main, check: recordOptions(codecs), now });
  const eraser = eraserOf(options, state, deviceRecords, exclusion);
  const retention = retentionOf(options, state, eraser, (device) => live.positions.remove(device));
  const stream = await streamOf(options, state, commandIntake);
  const explainer = new Explainer({ packages: config.codecs.packages, options: config.codecs.options });
  const traces = new TraceHub({
    ask: options.trace,
    explain: (frame) => explainer.frame(frame),
    isConnected: options.isConnected,
    isRelay: (device) => live.roster.isRelay(device),
  });
  const tester = testerOf(options, { state, shadow, commandIntake, ledger, deviceRecords, traces, plans });
  const accounts = new AccountRecords({ store: state, now, record });
  const campaigner = campaignerOf(options, { state, commandIntake, ledger, deviceRecords, accounts, codecs });
  const stopTracing = every(TRACE_TICK_MS, () => traces.tick());
  const trail = trailOf(options, codecs);
  const waiting = new Waiting(ledger, state, log);
  const audits = new Audits(options.clickhouse);
  const exported = { rows, store: state, ledger, shadow, now, audit: (of: AuditOf) => audits.pages(of, now()) };
  const textDelivery = textDeliveryOf(options, state, { ledger, waiting, codecs, device: (id) => deviceRecords.get(id) });
  const texts = new Texts(options, state, codecs, live, textDelivery);
  const stop = async (): Promise<void> => {
    stopTracing();
    traces.close();
    await replayer.close();
    await explainer.close();
    status.stop();
    gauges.stop();
    await texts.stop();
    await textDelivery.stop();
    await live.stop();
    await trail.stop();
    await retention.stop();
    await eraser.stop();
    await stream?.stop();
    await unitKeeper.stop();
    await stepKeeper.stop();
    await silence.stop();
    await notices.stop();
    await statements.stop();
    await forgetter.stop();
    await tester.stop();
    await campaigner.stop();
    await commandIntake.stop();
    await quarantine.stop();
  };
  // A store that does not answer is no reason not to start: what expires is looked after once it does. One that is damaged stays so.
  if (options.stateDamage === '')
    for (const part of [
      quarantine,
      commandIntake,
      textDelivery,
      forgetter,
      stepKeeper,
      unitKeeper,
      silence,
      notices,
      statements,
      eraser,
      retention,
      tester,
      campaigner,
      stream,
    ])
      part?.start();
  return {
    state,
    commandIntake,
    ledger,
    waiting,
    shadow,
    tester,
    deviceRecords,
    recipients: new RecipientRecords({ store: state, now, record }),
    accounts,
    campaigner,
    quarantine,
    plans,
    codecs,
    eraser,
    holds: new Holds({ store: state, now, device: (id) => deviceRecords.get(id) }),
    status,
    live,
    clones: new Clones(record),
    usage: new UsageRanking(state, now),
    explainer,
    traces,
    replayer,
    parked: new ParkedDesk(join(config.dataDir, 'parked'), { ...packed, instance: options.instance }, exclusion),
    isConnected: options.isConnected,
    connections: options.connections,
    disconnect: options.disconnect,
    history,
    statements: statementTable,
    past: new Past(options.clickhouse),
    trail,
    texts,
    audits,
    evidence: new Evidence(options.clickhouse),
    views: new Views({ now: () => systemClock.elapsed(), record }),
    async pick(device, address, by): Promise<boolean> {
      const isKnown = await pickAddress(state, device, address, now());
      if (isKnown) record(device, { type: 'identity_picked', address, by });
      return isKnown;
    },
    isKept: (id, device) => isKept(state, rows, id, device),
    disclose: (subjects, span, head) => disclose({ rows, store: state, ledger, now }, subjects, span, head),
    export: (subject) => exportDevice(exported, subject),
    exportAccount: (account, subjects) => exportAccount(exported, account, subjects),
    abandonState(damage): void {
      state.abandon(damage);
      stop().catch((error: unknown) => log.warn({ error: messageOf(error) }, 'work on the state store did not end in order'));
    },
    async close(): Promise<void> {
      await stop();
      await state.close();
    },
  };
}

/** The device is not of the account any more: commands that wait are cancelled, and its connections begin anew. */
async function passOn(
  device: string,
  account: string,
  commandIntake: CommandIntake,
  ledger: Ledger,
  { disconnect }: OfficeOptions,
): Promise<void> {
  await cancelOpen(device, 'transfer', commandIntake, ledger, account);
  await disconnect({ device }, 'transfer');
}

async function cancelOpen(device: string, by: string, commandIntake: CommandIntake, ledger: Ledger, account?: string): Promise<void> {
  for (const { id } of await ledger.open(device)) await commandIntake.cancel(device, id, by, { account });
}

function trailOf({ audit, log, metrics }: OfficeOptions, codecs: ReadonlyMap<string, Codec>): Trail {
  const options = [...codecs.values()].flatMap((codec) => Object.entries(codec.options));
  return new Trail({
    write: audit,
    secrets: new Set(options.flatMap(([name, { secret }]) => (secret === true ? [name] : []))),
    now,
    elapsed: () => systemClock.elapsed(),
    log,
    count: (type) => metrics.audit.inc({ type }),
  });
}

function forgetterOf({ config, log, record, isConnected }: OfficeOptions, state: State): Forgetter {
  const afterMs = config.registry.mode === 'open' ? config.registry.forgetAfter : 0;
  const isCounted = async (id: string): Promise<boolean> => hasUnfrozen(state, id, (await readService(state, id, now()))?.periods ?? []);
  return new Forgetter({ store: state, afterMs, isConnected, isCounted, record, now, log });
}

function stepKeeperOf(
  { instance, log, metrics, record }: OfficeOptions,
  state: State,
  shadow: Shadow,
  commandIntake: CommandIntake,
): StepKeeper {
  return new StepKeeper({
    store: state,
    instance,
    plans: new DevicePlans(state, log),
    service: new ServiceKeeper({ store: state, instance, record }),
    submit: (draft) => commandIntake.submit({ ...draft, byPlan: true }),
    async intervalOf(device) {
      const { reported, desired } = await shadow.get(device);
      const interval = reported['interval'] ?? desired['interval'];
      return typeof interval === 'number' ? interval : undefined;
    },
    record,
    count: (action) => metrics.planActions.inc({ action }),
    now,
    log,
  });
}

/** What a thread needs to read the stores. */
function packedOf({ config, clickhouse: access }: OfficeOptions): { readonly config: unknown; readonly clickhouse: PackedAccess } {
  const engine = config.clickhouse.url === undefined ? { directory: resolve(config.dataDir, 'clickhouse'), port: 0 } : undefined;
  return { config: packConfig(config), clickhouse: packAccess({ access, engine }) };
}

function eraserOf(options: OfficeOptions, state: State, deviceRecords: DeviceRecords, exclusion: Exclusion): Eraser {
  const { config, instance, log, record } = options;
  return new Eraser({
    store: state,
    instance,
    now,
    log,
    device: (id) => deviceRecords.get(id),
    record,
    parts: {
      async [JOURNAL](_erasures, devices) {
        await options.rotate();
        return options.erase(JOURNAL, devices);
      },
      clickhouse: (_erasures, devices) => exclusion.erasing(() => options.erase('clickhouse', devices)),
      ...(config.redis.url === undefined
        ? {}
        : { redis: (_erasures, devices) => exclusion.erasing(() => options.erase('redis', devices)) }),
      ...(config.dlt.url === undefined ? {} : { dlt: (_erasures, devices) => options.erase('dlt', devices) }),
      async state(erasures, devices) {
        await exclusion.erasing(() => options.erase('state', devices));
        return forgetAll(state, erasures);
      },
    },
  });
}

function statementsOf(
  { config, facts, instance, log }: OfficeOptions,
  store: State,
  history: UsageHistory,
  table: StatementTable,
): StatementKeeper {
  const counted = new Counted(config.workers, ['state', 'clickhouse'], now);
  return new StatementKeeper({
    store,
    history,
    table,
    instance,
    delivered: async () => counted.look(totalsOf(await facts.metrics())),
    now,
    log,
  });
}

/** Undefined without a Redis, whose client then is not loaded. */
async function streamOf(
  { config, instance, log, record }: OfficeOptions,
  state: State,
  commandIntake: CommandIntake,
): Promise<CommandStream | undefined> {
  const { url, prefix } = config.redis;
  if (url === undefined) return undefined;
  const commandStream = await import('../fleet/command/stream.ts');
  return new commandStream.CommandStream({
    url,
    prefix: `${prefix}:`,
    instance,
    commandIntake,
    store: state,
    allows: config.commands.streamAllows,
    record,
    log,
  });
}
