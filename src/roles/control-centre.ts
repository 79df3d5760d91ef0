import { profileOf } from '../api/devices.ts';
import type { ApiOffice } from '../api/office.ts';
import { systemClock } from '../base/clock.ts';
import type { OfficeOptions } from '../cluster/office.ts';
import type { Selection } from '../fleet/command/campaign.ts';
import { Campaigner } from '../fleet/command/campaigner.ts';
import { InstallationTester } from '../fleet/installation/tester.ts';
import { UNLIMITED } from '../fleet/plan/plan.ts';
import { inForce } from '../fleet/plan/versions.ts';
import type { State } from '../state/open.ts';

const now = (): number => systemClock.now();

/** What is made before the tester and is used by it. */
type TesterParts = Pick<ApiOffice, 'shadow' | 'commandIntake' | 'ledger' | 'deviceRecords' | 'traces' | 'plans'> & {
  readonly state: State;
};

/** Runs installation tests. */
export function testerOf({ instance, log, metrics, record }: OfficeOptions, parts: TesterParts): InstallationTester {
  const { state, shadow, commandIntake, ledger, deviceRecords, traces, plans } = parts;
  return new InstallationTester({
    store: state,
    instance,
    listen: (device, heard) => traces.listen(device, heard),
    device: (id) => deviceRecords.get(id),
    async intervalOf(id) {
      const device = await deviceRecords.get(id);
      const { reported, desired } = await shadow.get(id);
      const set = reported['interval'] ?? desired['interval'];
      if (device?.interval_s !== undefined || typeof set === 'number') return device?.interval_s ?? Number(set);
      return inForce(await plans.history(device?.plan ?? UNLIMITED.name), now()).plan.interval_s;
    },
    async typesOf(device, protocol) {
      const found = (await commandIntake.catalog(device, protocol)) ?? (await commandIntake.catalog(undefined, protocol)) ?? [];
      return found.flatMap(({ commands }) => commands.map(({ type }) => type));
    },
    submit: (draft) => commandIntake.submit(draft),
    cancel: (device, id, by) => commandIntake.cancel(device, id, by),
    command: (device, id) => ledger.get(device, id),
    record,
    count: (as) => metrics.installationTests.inc({ state: as }),
    now,
    elapsed: () => systemClock.elapsed(),
    log,
  });
}

/** What is made before the campaigner and is used by it. */
type CampaignParts = Pick<ApiOffice, 'commandIntake' | 'ledger' | 'deviceRecords' | 'accounts' | 'codecs'> & { readonly state: State };

/** Works on campaigns. */
export function campaignerOf({ instance, log, metrics, record }: OfficeOptions, parts: CampaignParts): Campaigner {
  const { state, commandIntake, ledger } = parts;
  return new Campaigner({
    store: state,
    instance,
    select: (selection) => selected(selection, parts),
    submit: (draft) => commandIntake.submit(draft),
    cancel: (device, id, by) => commandIntake.cancel(device, id, by),
    command: (device, id) => ledger.get(device, id),
    record,
    count: (as) => metrics.campaigns.inc({ state: as }),
    now,
    log,
  });
}

/** Devices for which all that the selection names holds. */
async function* selected(
  { devices, protocol, model, account, plan, label }: Selection,
  { state, deviceRecords, accounts, codecs }: CampaignParts,
): AsyncGenerator<string> {
  const wanted = devices === undefined ? undefined : new Set(await Promise.all(devices.map((id) => deviceRecords.idOf(id))));
  const [name = '', value] = label === undefined ? [] : [label.slice(0, label.indexOf('=')), label.slice(label.indexOf('=') + 1)];
  const labelled = new Map<string, boolean>();
  const hasLabel = async (id: string): Promise<boolean> => {
    const known = labelled.get(id) ?? (await accounts.get(id))?.labels[name] === value;
    labelled.set(id, known);
    return known;
  };
  for await (const device of deviceRecords.all()) {
    if (wanted?.has(device.id) === false || (protocol !== undefined && device.protocol !== protocol)) continue;
    if ((account !== undefined && device.account !== account) || (plan !== undefined && device.plan !== plan)) continue;
    const isLabelled =
      label === undefined || device.labels?.[name] === value || (device.account !== undefined && (await hasLabel(device.account)));
    if (!isLabelled) continue;
    const variant = async (): Promise<unknown> => (await profileOf({ state, codecs, deviceRecords }, device.id))?.learned['variant'];
    if (model !== undefined && (device.model ?? (await variant())) !== model) continue;
    yield device.id;
  }
}
