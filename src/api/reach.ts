import { isPassedOn, OWNERS, periodsOf, Share } from '../fleet/registry/owners.ts';
import type { RowFilter } from '../live/positions.ts';
import type { ApiOffice } from './office.ts';
import type { Token } from './tokens.ts';

/**
 * How an operation keeps to the accounts that a token is limited to. One that does not say is refused to such a token.
 *
 * - `open`: it says nothing of devices and accounts.
 * - `owner`: of the device in its path, while that is theirs.
 * - `periods`: of the device in its path; it shows what was received while that was theirs.
 * - `rows`: it leaves out by itself what is not theirs.
 * - `operator`: it is not for such tokens.
 */
export type Limits = 'open' | 'owner' | 'periods' | 'rows' | 'operator';

/** What of an event decides who sees it. */
interface Told {
  readonly type: string;
  readonly device: string;
  readonly account: string;
  readonly received: number;
}

/** So long after a device was passed on, commands of who had it before may still end. */
const OLD_COMMANDS_MS = 31 * 86_400_000;

/** What a token that is limited to accounts may see. */
export class Reach {
  readonly accounts: ReadonlySet<string>;
  readonly #office: ApiOffice;
  readonly #shares = new Map<string, Promise<Share | undefined>>();

  private constructor(accounts: readonly string[], office: ApiOffice) {
    this.accounts = new Set(accounts);
    this.#office = office;
  }

  /** Undefined: the token sees all. */
  static of({ accounts }: Token, office: ApiOffice): Reach | undefined {
    return accounts === undefined ? undefined : new Reach(accounts, office);
  }

  /** What of a device they see, by its id, or by an alias while it is theirs. Undefined: nothing, as of one that is not known. */
  share(id: string): Promise<Share | undefined> {
    const known = this.#shares.get(id) ?? this.#share(id);
    this.#shares.set(id, known);
    return known;
  }

  /** The same of a device that is theirs now. */
  async current(id: string): Promise<Share | undefined> {
    const share = await this.share(id);
    return share?.isCurrent === true ? share : undefined;
  }

  /** It still is: it was not passed on since. */
  async isStill({ device, owners }: Share): Promise<boolean> {
    return !(await isPassedOn(this.#office.state, device, owners));
  }

  /** Plans that their devices are on. */
  async plans(): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for await (const { account = '', plan } of this.#office.deviceRecords.all()) if (this.accounts.has(account)) found.add(plan);
    return found;
  }

  /** For rows of live positions. */
  get rows(): NonNullable<RowFilter['limited']> {
    const { roster } = this.#office.live;
    return { accounts: this.accounts, since: (device) => roster.ownedSince(device) };
  }

  /** By what the supervisor has in memory: of what happens now. */
  seesNow({ type, device, account, received }: Told): boolean {
    const since = this.#office.live.roster.ownedSince(device);
    if (!this.has(device) || (account !== '' && !this.accounts.has(account)) || received < since) return false;
    // It may be one of who had the device before.
    return type !== 'command' || received - since > OLD_COMMANDS_MS || since === 0;
  }

  /** The device is theirs now, by what the supervisor has in memory. */
  has(device: string): boolean {
    return device !== '' && this.accounts.has(this.#office.live.roster.accountOf(device));
  }

  async #share(id: string): Promise<Share | undefined> {
    const { deviceRecords, state } = this.#office;
    const own = (await deviceRecords.get(id))?.id ?? id;
    const owners = { text: await state.get(OWNERS.name, own) };
    // Read behind that row: it says no less of whose the device is.
    const device = await deviceRecords.get(own);
    const share = new Share(own, periodsOf(OWNERS.parse(own, owners.text), device), this.accounts, owners);
    if (share.spans.length === 0) return undefined;
    // An alias may be of a later time.
    return share.isCurrent || own === id ? share : undefined;
  }
}
