import { randomBytes } from 'node:crypto';
import { every } from '../../base/beat.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { Op, StateStore } from '../../state/store.ts';
import {
  CAMPAIGNS,
  type Campaign,
  type CampaignRow,
  type CampaignWanted,
  countsOf,
  nextOf,
  type Selection,
  shownCampaign,
  TARGETS,
  type Target,
  targetStateOf,
} from './campaign.ts';
import type { Command } from './command.ts';
import type { CriticalType } from './critical.ts';
import type { Draft, Outcome } from './intake.ts';

/**
 * Works on campaigns, in the supervisor.
 *
 * 1. Of several servers on one store the one that has the lease of a campaign works on it; another takes it over when that has run out.
 * 2. A device gets the command once: the id of its command is stored before it is handed in, and the same id twice is one command. So
 *    whatever is killed, a campaign goes on where it was.
 * 3. A command that may keep a vehicle from driving is never sent by a campaign; another critical one as the token that asked may.
 * 4. Devices are those that the selection has when it begins.
 */
export interface CampaignerOptions {
  readonly store: StateStore;
  readonly instance: string;
  /** Ids of the devices of a selection. */
  readonly select: (selection: Selection) => AsyncIterable<string>;
  readonly submit: (draft: Draft) => Promise<Outcome>;
  readonly cancel: (device: string, command: string, by: string) => Promise<unknown>;
  readonly command: (device: string, id: string) => Promise<Command | undefined>;
  readonly record: (device: string, event: object) => void;
  readonly count: (state: 'stopped' | 'cancelled' | 'done') => void;
  /** Epoch ms. */
  readonly now: () => number;
  readonly log: Log;
  /** How often campaigns are looked at, 1 s. */
  readonly tickMs?: number | undefined;
}

export type Change = 'pause' | 'resume' | 'cancel';

const TICK_MS = 1_000;
const LEASE_MS = 30_000;
const MOST_DEVICES = 100_000;
const PAGE = 500;
/** Open commands that are looked at in one tick. */
const LOOKED_AT = 1_000;
const MINUTE_MS = 60_000;
const NEVER: readonly string[] = ['engine_stop', 'set_output'];

/** A campaign that this server works on. */
interface Work {
  readonly targets: Map<string, Target>;
  /** Epoch ms, and what of a command was due then. */
  at: number;
  due: number;
}

export class Campaigner {
  readonly #o: CampaignerOptions;
  readonly #work = new Map<string, Work>();
  #stop: (() => void) | undefined;
  #working: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(options: CampaignerOptions) {
    this.#o = options;
  }

  start(): void {
    this.#stop = every(this.#o.tickMs ?? TICK_MS, () => this.#tick());
  }

  async stop(): Promise<void> {
    this.#stop?.();
    await this.#working;
  }

  /** `permits`: critical commands that the token may send. Undefined: the selection has no device, or more than MOST_DEVICES. */
  async begin(wanted: CampaignWanted, by: string, permits: readonly string[]): Promise<Campaign | undefined> {
    const { store, now } = this.#o;
    const ids: string[] = [];
    for await (const id of this.#o.select(wanted.selection)) if (ids.push(id) > MOST_DEVICES) return undefined;
    if (ids.length === 0) return undefined;
    const created = now();
    const id = `${created}-${randomBytes(4).toString('hex')}`;
    const canaries = Math.min(ids.length, Math.ceil((ids.length * wanted.canary_pct) / 100));
    const targets = ids.map(
      (device, i): Target => ({ device, canary: i < canaries, state: 'waiting', command: '', command_state: '', note: '' }),
    );
    for (let at = 0; at < targets.length; at += PAGE)
      await store.write(targets.slice(at, at + PAGE).map((target) => TARGETS.put(target, id, target.device)));
    const row: CampaignRow = {
      ...wanted,
      ...{ id, by, created, ended: 0, state: 'running', note: '', devices: ids.length, canaries, counts: countsOf(targets) },
      ...{ permits, lease: { by: '', until: 0 } },
    };
    // Last: what has no such row is not worked on.
    await store.write([CAMPAIGNS.put(row, id)]);
    this.#o.record('', { type: 'campaign_started', campaign: id, command: wanted.type, devices: ids.length, by });
    return shownCampaign(row);
  }

  async get(id: string): Promise<Campaign | undefined> {
    const row = await CAMPAIGNS.get(this.#o.store, id);
    return row === undefined ? undefined : shownCampaign(row);
  }

  /** The campaign as it then is; undefined: there is none. One that has ended stays as it is. */
  async change(id: string, change: Change, by: string): Promise<Campaign | undefined> {
    const { store } = this.#o;
    return attempt(`the campaign ${id}`, async () => {
      const text = await store.get('campaigns', id);
      const row = CAMPAIGNS.parse(id, text);
      if (row === undefined || row.ended > 0) return row === undefined ? undefined : shownCampaign(row);
      const state = ({ pause: 'paused', resume: 'running', cancel: 'cancelled' } as const)[change];
      const changed: CampaignRow = { ...row, state, note: `${change} by ${by}` };
      return (await store.write([CAMPAIGNS.expect(text, id), CAMPAIGNS.put(changed, id)])) ? shownCampaign(changed) : CONTENDED;
    });
  }

  #tick(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#working = this.#all().finally(() => {
      this.#busy = false;
    });
  }

  /** Does not reject. */
  async #all(): Promise<void> {
    try {
      for await (const [id, row] of CAMPAIGNS.entries(this.#o.store)) if (row.ended === 0) await this.#one(id);
    } catch (error) {
      this.#work.clear();
      this.#o.log.warn({ error: messageOf(error) }, 'campaigns could not be continued; retrying');
    }
  }

  async #one(id: string): Promise<void> {
    const { store, now } = this.#o;
    const row = await this.#lease(id);
    if (row === undefined) {
      this.#work.delete(id);
      return;
    }
    const work = this.#work.get(id) ?? { targets: await this.#targets(id), at: now(), due: 1 };
    this.#work.set(id, work);
    await this.#follow(id, work);
    if (row.state === 'cancelled') await this.#cancelAll(id, row, work);
    if (row.state === 'running') await this.#send(id, row, work);
    const { failed, isDone } = nextOf(work.targets.values(), 0);
    const counts = countsOf(work.targets.values());
    await attempt(`the campaign ${id}`, async () => {
      const text = await store.get('campaigns', id);
      const latest = CAMPAIGNS.parse(id, text);
      if (latest === undefined || latest.ended > 0 || latest.lease.by !== this.#o.instance) return undefined;
      // By what it is now: a person may have cancelled it meanwhile, which also takes back what waits.
      const isStopped = latest.state === 'running' && failed !== undefined;
      const note = isStopped ? `canary ${failed.device}: ${failed.note || failed.command_state}` : latest.note;
      const isOver = isStopped || latest.state === 'stopped' || latest.state === 'cancelled';
      const state = isStopped ? 'stopped' : isDone && !isOver ? 'done' : latest.state;
      const ended = isDone || (isOver && counts.open === 0 && (state === 'stopped' || counts.waiting === 0)) ? now() : 0;
      const next: CampaignRow = { ...latest, state, note, ended, counts };
      if (JSON.stringify(next) === JSON.stringify(latest)) return undefined;
      if (!(await store.write([CAMPAIGNS.expect(text, id), CAMPAIGNS.put(next, id)]))) return CONTENDED;
      if (ended > 0) this.#ended(next);
      return undefined;
    });
  }

  #ended({ id, state, counts, by, type }: CampaignRow): void {
    this.#work.delete(id);
    if (state === 'running' || state === 'paused') return;
    this.#o.count(state);
    const { succeeded, failed, cancelled, waiting } = counts;
    this.#o.record('', { type: 'campaign_ended', campaign: id, command: type, state, succeeded, failed, cancelled, waiting, by });
  }

  /** Invariant 1. The campaign as it is then; undefined: another works on it, or it is over. */
  async #lease(id: string): Promise<CampaignRow | undefined> {
    const { store, instance, now } = this.#o;
    const text = await store.get('campaigns', id);
    const row = CAMPAIGNS.parse(id, text);
    if (row === undefined || row.ended > 0) return undefined;
    const { lease } = row;
    if (lease.by !== instance && lease.until > now()) return undefined;
    if (lease.by === instance && lease.until > now() + LEASE_MS / 2) return row;
    // Who had it meanwhile has sent more than is known here.
    if (lease.by !== instance) this.#work.delete(id);
    const leased: CampaignRow = { ...row, lease: { by: instance, until: now() + LEASE_MS } };
    return (await store.write([CAMPAIGNS.expect(text, id), CAMPAIGNS.put(leased, id)])) ? leased : undefined;
  }

  async #targets(id: string): Promise<Map<string, Target>> {
    const targets = new Map<string, Target>();
    for await (const [, target] of TARGETS.entries(this.#o.store, { prefix: `${id} ` })) targets.set(target.device, target);
    return targets;
  }

  /** How the commands that are open have come out. */
  async #follow(id: string, { targets }: Work): Promise<void> {
    const ops: Op[] = [];
    const open = [...targets.values()].filter(({ state }) => state === 'open').slice(0, LOOKED_AT);
    for (const target of open) {
      // The oldest look is the next.
      targets.delete(target.device);
      const found = await this.#o.command(target.device, target.command);
      const next: Target = {
        ...target,
        state: targetStateOf(found),
        command_state: found?.state ?? 'unknown',
        note: found === undefined ? 'the command is not kept any more' : (found.history.at(-1)?.note ?? ''),
      };
      targets.set(target.device, next);
      if (JSON.stringify(next) !== JSON.stringify(target)) ops.push(TARGETS.put(next, id, next.device));
    }
    for (let at = 0; at < ops.length; at += PAGE) await this.#o.store.write(ops.slice(at, at + PAGE));
  }

  async #send(id: string, row: CampaignRow, work: Work): Promise<void> {
    const { store, instance, now } = this.#o;
    const at = now();
    // No more at once than of five seconds, after a pause or a step of the clock, too.
    const most = Math.max(1, row.rate / 12);
    work.due = Math.min(most, work.due + (Math.max(0, at - work.at) * row.rate) / MINUTE_MS);
    work.at = at;
    const { send } = nextOf(work.targets.values(), Math.floor(work.due));
    for (const target of send) {
      // While it was paused or cancelled meanwhile, or another server has taken it over, nothing more leaves.
      const text = await store.get('campaigns', id);
      const latest = CAMPAIGNS.parse(id, text);
      if (latest?.state !== 'running' || latest.lease.by !== instance) return;
      if (!(await this.#hand(id, row, work, target, CAMPAIGNS.expect(text, id)))) return;
      work.due--;
    }
  }

  /** Invariant 2. False: the campaign has changed since it was read as `condition` says. */
  async #hand(id: string, row: CampaignRow, work: Work, target: Target, condition: Op): Promise<boolean> {
    const { store, now } = this.#o;
    const { device } = target;
    const command = target.command === '' ? `${now().toString(36).padStart(9, '0')}${randomBytes(6).toString('hex')}` : target.command;
    const noted: Target = { ...target, command };
    if (!(await store.write([condition, TARGETS.put(noted, id, device)]))) return false;
    work.targets.set(device, noted);
    const outcome = await this.#o.submit({
      ...{ id: command, device, type: row.type, parameters: row.parameters, requester: row.by, reason: row.reason },
      ref: `campaign ${id}`,
      expires: now() + 1000 * row.expires_s,
      permits: (critical) => problemOf(row, critical),
    });
    const problems = 'command' in outcome ? '' : outcome.problems.map(({ field, problem }) => `${field} ${problem}`).join('; ');
    const next: Target =
      'command' in outcome
        ? { ...noted, state: 'open', command_state: outcome.command.state }
        : { ...noted, state: 'failed', command: '', command_state: outcome.refused, note: problems };
    await store.write([TARGETS.put(next, id, device)]);
    work.targets.set(device, next);
    return true;
  }

  async #cancelAll(id: string, row: CampaignRow, { targets }: Work): Promise<void> {
    const ops: Op[] = [];
    for (const target of [...targets.values()]) {
      if (target.state === 'open' && target.command_state === 'queued') await this.#o.cancel(target.device, target.command, row.by);
      // One that was about to be handed in may be in the ledger.
      if (target.state === 'waiting' && target.command !== '') await this.#o.cancel(target.device, target.command, row.by);
      if (target.state !== 'waiting') continue;
      const next: Target = { ...target, state: 'cancelled' };
      targets.set(target.device, next);
      ops.push(TARGETS.put(next, id, target.device));
    }
    for (let at = 0; at < ops.length; at += PAGE) await this.#o.store.write(ops.slice(at, at + PAGE));
  }
}

/** Invariant 3. */
function problemOf({ permits }: CampaignRow, critical: CriticalType): { field: string; problem: string } | undefined {
  if (NEVER.includes(critical)) return { field: 'type', problem: 'may keep vehicles from driving, which a campaign does not do' };
  return permits.includes(critical)
    ? undefined
    : { field: 'type', problem: `is critical, and the token of the campaign may not send ${critical}` };
}
