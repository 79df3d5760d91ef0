import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { call, download, get, request } from '../api.ts';
import { number } from '../format.ts';
import { STATES } from '../live.ts';
import { Empty, Loaded, Refused, useAction, useData } from '../parts/data.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { Table } from '../parts/table.tsx';
import { Ago } from '../parts/time.tsx';
import { filterBy, go, place, to } from '../route.ts';
import { isLimited, mayAsOperator } from '../session.ts';
import type { Device } from '../shapes.ts';

interface Page {
  readonly devices: readonly Device[];
  readonly next?: string;
}

const PAGE = 200;
const REGISTRY_STATES = ['pending', 'active', 'suspended', 'terminated'];
const PAUSE_MS = 250;
const REFRESH_MS = 10_000;
/** What a device is like now: the filter of the API. */
const NOW: Readonly<Record<string, readonly [string, string]>> = {
  connected: ['connected', 'true'],
  silent: ['silent', 'true'],
  offline: ['connected', 'false'],
};

/** The registry: which devices there are, found by id, account, plan or state. */
export function Devices(): JSX.Element {
  const { query } = place.value;
  const filters = new URLSearchParams({ limit: String(PAGE), with: 'live' });
  const [flag, value] = NOW[query.get('now') ?? ''] ?? [];
  if (flag !== undefined && value !== undefined) filters.set(flag, value);
  for (const name of ['q', 'account', 'plan', 'state']) {
    const given = query.get(name) ?? '';
    if (given !== '') filters.set(name, given);
  }
  const wanted = `/v1/devices?${filters}`;
  const [path, setPath] = useState(wanted);
  // Not at every letter.
  useEffect(() => {
    const timer = setTimeout(() => setPath(wanted), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [wanted]);
  const first = useData<Page>(path, REFRESH_MS);
  const [more, setMore] = useState<{ readonly path: string; readonly devices: readonly Device[]; readonly next: string }>();
  const rest = more?.path === path ? more : undefined;
  const action = useAction();

  async function next(after: string): Promise<void> {
    const page = await action.run(() => get<Page>(`${path}&after=${encodeURIComponent(after)}`));
    if (page !== undefined) setMore({ path, devices: [...(rest?.devices ?? []), ...page.devices], next: page.next ?? '' });
  }

  return (
    <>
      <h1>Devices</h1>
      <Filters query={query} />
      {mayAsOperator('devices') && <Add done={first.reload} />}
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      <Loaded data={first}>
        {(page) => {
          const all = [...page.devices, ...(rest?.devices ?? [])];
          const after = rest === undefined ? (page.next ?? '') : rest.next;
          if (all.length === 0)
            return (
              <Empty>
                Here are the devices of the registry that match.{' '}
                {!isLimited() && 'A device enters it at its first contact when the registry is open, by Add, or by an upload.'}
              </Empty>
            );
          return (
            <>
              <Table
                label="Devices"
                rows={all}
                id={({ id }) => id}
                columns={[
                  {
                    name: 'device',
                    show: ({ id }) => (
                      <a class="mono" href={to('device', id)}>
                        {id}
                      </a>
                    ),
                  },
                  { name: 'name', show: ({ name }) => name ?? '–' },
                  { name: 'now', show: ({ live }) => <LiveState state={live?.state} /> },
                  { name: 'registry', show: ({ state }) => state },
                  { name: 'account', show: ({ account }) => account ?? '–' },
                  { name: 'plan', show: ({ plan }) => plan },
                  { name: 'protocol', show: ({ protocol, transport }) => `${protocol ?? '–'} ${transport ?? ''}` },
                  { name: 'last contact', show: ({ live }) => <Ago time={live?.received} /> },
                  { name: 'of the cap', isNumber: true, show: ({ live }) => `${number(live?.usage_pct)} %` },
                ]}
              />
              <p class="row quiet">
                {number(all.length)} shown
                {after !== '' && (
                  <button type="button" disabled={action.isBusy} onClick={() => void next(after)}>
                    More
                  </button>
                )}
              </p>
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Filters({ query }: { readonly query: URLSearchParams }): JSX.Element {
  return (
    <search class="row">
      <input
        type="search"
        aria-label="Part of an id, an alias or an account"
        placeholder="Id, alias or account"
        value={query.get('q') ?? ''}
        onInput={(event) => filterBy('q', event.currentTarget.value)}
      />
      <input
        aria-label="Account"
        placeholder="Account"
        value={query.get('account') ?? ''}
        onInput={(event) => filterBy('account', event.currentTarget.value)}
      />
      <input
        aria-label="Plan"
        placeholder="Plan"
        value={query.get('plan') ?? ''}
        onInput={(event) => filterBy('plan', event.currentTarget.value)}
      />
      <select aria-label="Now" value={query.get('now') ?? ''} onChange={(event) => filterBy('now', event.currentTarget.value)}>
        <option value="">connected or not</option>
        {Object.keys(NOW).map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
      <select
        aria-label="State in the registry"
        value={query.get('state') ?? ''}
        onChange={(event) => filterBy('state', event.currentTarget.value)}
      >
        <option value="">any state in the registry</option>
        {REGISTRY_STATES.map((state) => (
          <option key={state} value={state}>
            {state}
          </option>
        ))}
      </select>
    </search>
  );
}

function LiveState({ state }: { readonly state: string | undefined }): JSX.Element {
  const known = STATES.find((one) => one === state);
  return known === undefined ? <span class="quiet">–</span> : <StateMark state={known} />;
}

interface Outcome {
  readonly lines: number;
  readonly created: number;
  readonly changed: number;
  readonly unchanged: number;
  readonly failed: number;
  readonly problems: readonly {
    readonly line: number;
    readonly problems: readonly { readonly field: string; readonly problem: string }[];
  }[];
}

function Add({ done }: { readonly done: () => void }): JSX.Element {
  const [outcome, setOutcome] = useState<Outcome | undefined>(undefined);
  const action = useAction();

  async function add(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const given = new FormData(event.currentTarget);
    const body = Object.fromEntries([...given].filter(([, value]) => value !== ''));
    const made = await action.run(() => call<Device>('POST', '/v1/devices', body));
    if (made !== undefined) go(to('device', made.id));
  }

  async function upload(file: File | undefined): Promise<void> {
    if (file === undefined) return;
    const type = /\.csv$/i.test(file.name) ? 'text/csv' : 'application/x-ndjson';
    const answer = await action.run(async () => {
      const response = await request('POST', '/v1/devices/bulk', { body: await file.text(), type });
      const counts: Outcome = await response.json();
      return counts;
    });
    setOutcome(answer);
    done();
  }

  return (
    <details>
      <summary>Add, upload or download devices</summary>
      <form class="row" onSubmit={(event) => void add(event)}>
        <label>
          Id
          <input name="id" required minLength={3} maxLength={32} autocomplete="off" />
        </label>
        <label>
          Account
          <input name="account" maxLength={64} />
        </label>
        <label>
          Plan
          <input name="plan" placeholder="default" />
        </label>
        <button type="submit" class="main" disabled={action.isBusy}>
          Add
        </button>
      </form>
      <label>
        Many: CSV with a first line of column names, or one JSON object a line
        <input
          type="file"
          accept=".csv,.ndjson,.jsonl,.json"
          disabled={action.isBusy}
          onChange={(event) => void upload(event.currentTarget.files?.[0])}
        />
      </label>
      <p class="row">
        <button type="button" onClick={() => void action.run(() => download('/v1/devices/export'))}>
          Download all
        </button>
      </p>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      {outcome !== undefined && (
        <div role="status">
          <p>
            {number(outcome.lines)} lines: {number(outcome.created)} created, {number(outcome.changed)} changed, {number(outcome.unchanged)}{' '}
            unchanged, {number(outcome.failed)} failed.
          </p>
          <ul>
            {outcome.problems.map(({ line, problems }) => (
              <li key={line}>
                Line {line}: {problems.map(({ field, problem }) => `${field} ${problem}`).join('; ')}
              </li>
            ))}
          </ul>
        </div>
      )}
    </details>
  );
}
