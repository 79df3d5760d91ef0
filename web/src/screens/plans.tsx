import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call } from '../api.ts';
import { bytes, number } from '../format.ts';
import { Confirm } from '../parts/confirm.tsx';
import { Empty, Loaded, Refused, useAction, useData } from '../parts/data.tsx';
import { Plain, Table } from '../parts/table.tsx';
import { place, to } from '../route.ts';
import { mayAsOperator } from '../session.ts';

interface Plan {
  readonly name: string;
  readonly bytes_cap?: number;
  readonly records_cap?: number;
  readonly interval_s?: number;
  readonly time_zone: string;
  readonly anchor_day: number;
  readonly steps: readonly { readonly action: string; readonly at_pct: number }[];
}

interface Used {
  readonly device: string;
  readonly plan: string;
  readonly bytes_pct?: number | null;
  readonly records_pct?: number | null;
  readonly forecast_pct?: number | null;
  readonly held: readonly (string | { readonly action: string })[];
}

/** What devices may use, and who uses most of it. */
export function Plans(): JSX.Element {
  const plans = useData<{ readonly plans: readonly Plan[] }>('/v1/plans');
  const only = place.value.query.get('plan') ?? '';
  const usage = useData<{ readonly devices: readonly Used[] }>(
    `/v1/usage?order=pct&limit=100${only === '' ? '' : `&plan=${encodeURIComponent(only)}`}`,
    30_000,
  );
  return (
    <>
      <h1>Plans and usage</h1>
      <Loaded data={plans}>{({ plans: all }) => <PlanList plans={all} done={plans.reload} />}</Loaded>
      <h2>Usage: nearest to their cap</h2>
      <Loaded data={usage}>
        {({ devices }) =>
          devices.length === 0 ? (
            <Empty>No device is on a plan with a cap.</Empty>
          ) : (
            <Table
              label="Usage"
              rows={devices}
              id={({ device }) => device}
              columns={[
                {
                  name: 'device',
                  show: ({ device }) => (
                    <a class="mono" href={to('device', device, 'usage')}>
                      {device}
                    </a>
                  ),
                },
                { name: 'plan', show: ({ plan }) => plan },
                { name: 'bytes', isNumber: true, show: ({ bytes_pct }) => percent(bytes_pct) },
                { name: 'records', isNumber: true, show: ({ records_pct }) => percent(records_pct) },
                { name: 'at the end of the cycle', isNumber: true, show: ({ forecast_pct }) => percent(forecast_pct) },
                {
                  name: 'steps that hold',
                  show: ({ held }) => held.map((step) => (typeof step === 'string' ? step : step.action)).join(', ') || '–',
                },
              ]}
            />
          )
        }
      </Loaded>
    </>
  );
}

function percent(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : `${number(value)} %`;
}

function PlanList({ plans, done }: { readonly plans: readonly Plan[]; readonly done: () => void }): JSX.Element {
  const [edited, edit] = useState<Plan | undefined>(undefined);
  const [removed, remove] = useState('');
  const action = useAction();
  return (
    <>
      <Table
        label="Plans"
        rows={plans}
        id={({ name }) => name}
        columns={[
          { name: 'plan', show: ({ name }) => <a href={`${to('devices')}?plan=${encodeURIComponent(name)}`}>{name}</a> },
          { name: 'bytes', isNumber: true, show: ({ bytes_cap }) => (bytes_cap === undefined ? 'no cap' : bytes(bytes_cap)) },
          { name: 'records', isNumber: true, show: ({ records_cap }) => (records_cap === undefined ? 'no cap' : number(records_cap)) },
          { name: 'interval', isNumber: true, show: ({ interval_s }) => (interval_s === undefined ? '–' : `${number(interval_s)} s`) },
          { name: 'cycle', show: ({ anchor_day, time_zone }) => `from day ${anchor_day}, ${time_zone}` },
          { name: 'steps', show: ({ steps }) => steps.map(({ action: what, at_pct }) => `${what} at ${at_pct} %`).join(', ') || '–' },
          ...(mayAsOperator('plans')
            ? [
                {
                  name: 'change',
                  show: (plan: Plan) => (
                    <span class="row">
                      <button type="button" aria-label={`Edit ${plan.name}`} onClick={() => edit(plan)}>
                        Edit
                      </button>
                      <button type="button" aria-label={`Remove ${plan.name}`} onClick={() => remove(plan.name)}>
                        Remove
                      </button>
                    </span>
                  ),
                },
              ]
            : []),
        ]}
      />
      {mayAsOperator('plans') && (
        <button type="button" onClick={() => edit({ name: '', time_zone: 'UTC', anchor_day: 1, steps: [] })}>
          New plan
        </button>
      )}
      {edited !== undefined && (
        <PlanForm
          key={edited.name}
          plan={edited}
          done={() => {
            edit(undefined);
            done();
          }}
        />
      )}
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      {removed !== '' && (
        <Confirm
          title={`Remove the plan ${removed}?`}
          action="Remove"
          done={(isSure) => {
            remove('');
            if (isSure) void action.run(() => call('DELETE', `/v1/plans/${encodeURIComponent(removed)}`)).then(done);
          }}
        />
      )}
    </>
  );
}

/** A plan has more fields than a form should: it is edited as the JSON that it is. */
function PlanForm({ plan, done }: { readonly plan: Plan; readonly done: () => void }): JSX.Element {
  const { name: before, ...fields } = plan;
  const [name, setName] = useState(before);
  const [text, setText] = useState(JSON.stringify(fields, null, 2));
  const [effective, setEffective] = useState('');
  const action = useAction();
  return (
    <form
      class="empty"
      onSubmit={(event) => {
        event.preventDefault();
        void action.run(async () => {
          const query = effective === '' ? '' : `?effective=${effective}`;
          await call('PUT', `/v1/plans/${encodeURIComponent(name)}${query}`, JSON.parse(text));
          done();
        });
      }}
    >
      <label>
        Name
        <input value={name} required disabled={before !== ''} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <label>
        Fields (docs/plans.md)
        <textarea value={text} rows={14} spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      {before !== '' && (
        <label>
          Takes effect
          <select value={effective} onChange={(event) => setEffective(event.currentTarget.value)}>
            <option value="">with the next cycle; at once without devices</option>
            <option value="now">at once: the running cycle is priced anew</option>
          </select>
        </label>
      )}
      <button type="submit" class="main" disabled={action.isBusy}>
        Save
      </button>{' '}
      <button type="button" onClick={done}>
        Cancel
      </button>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
    </form>
  );
}

export function Cycles({ device }: { readonly device: string }): JSX.Element {
  const usage = useData<{
    readonly plan: string;
    readonly time_zone: string;
    readonly held: readonly { readonly action: string }[];
    readonly cycles: readonly Readonly<Record<string, number | undefined>>[];
  }>(`/v1/devices/${encodeURIComponent(device)}/usage`, 30_000);
  return (
    <Loaded data={usage}>
      {({ plan, time_zone, held, cycles }) => (
        <>
          <p>
            Plan {plan}; steps that hold: {held.length === 0 ? 'none' : <Plain value={held} />}
          </p>
          {cycles.length === 0 ? (
            <Empty>It has used nothing yet.</Empty>
          ) : (
            <Table
              label="Billing cycles"
              rows={cycles}
              id={({ start }) => String(start)}
              columns={[
                { name: 'cycle', show: ({ start = 0 }) => new Date(start).toLocaleDateString('sv', { timeZone: time_zone }) },
                { name: 'in', isNumber: true, show: ({ bytes_in }) => bytes(bytes_in) },
                { name: 'out', isNumber: true, show: ({ bytes_out }) => bytes(bytes_out) },
                { name: 'billed', isNumber: true, show: ({ billed_bytes }) => bytes(billed_bytes) },
                { name: 'of the cap', isNumber: true, show: ({ bytes_pct }) => percent(bytes_pct) },
                { name: 'records', isNumber: true, show: ({ records }) => number(records) },
                { name: 'of the cap of records', isNumber: true, show: ({ records_pct }) => percent(records_pct) },
              ]}
            />
          )}
        </>
      )}
    </Loaded>
  );
}
