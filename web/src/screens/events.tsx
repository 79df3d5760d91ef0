import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { get } from '../api.ts';
import { type LiveEvent, events as live } from '../live.ts';
import { Empty, Loaded, Refused, useAction, useData } from '../parts/data.tsx';
import { EventList } from '../parts/event-list.tsx';
import { filterBy, place } from '../route.ts';

interface Page {
  readonly events: readonly LiveEvent[];
  readonly next?: string;
  readonly source?: string;
}

/** What has happened, newest first; what happens now appears on top. */
export function Events(): JSX.Element {
  const { query } = place.value;
  const type = query.get('type') ?? '';
  const device = query.get('device') ?? '';
  return (
    <>
      <h1>Events</h1>
      <search class="row">
        <label>
          Type, several with commas
          <input type="search" value={type} onChange={(event) => filterBy('type', event.currentTarget.value.trim())} />
        </label>
        <label>
          Device
          <input value={device} onChange={(event) => filterBy('device', event.currentTarget.value.trim())} />
        </label>
      </search>
      <EventsOf device={device} type={type} />
    </>
  );
}

/** With empty filters: of all. */
export function EventsOf({ device, type }: { readonly device: string; readonly type: string }): JSX.Element {
  const filters = new URLSearchParams({ limit: '100' });
  if (device !== '') filters.set('device', device);
  if (type !== '') filters.set('type', type);
  const path = `/v1/events?${filters}`;
  const first = useData<Page>(path);
  const [older, setOlder] = useState<{ readonly path: string; readonly events: readonly LiveEvent[]; readonly next: string }>();
  const rest = older?.path === path ? older : undefined;
  const action = useAction();
  const types = type.split(',').map((one) => one.trim());

  async function more(before: string): Promise<void> {
    const page = await action.run(() => get<Page>(`${path}&before=${encodeURIComponent(before)}`));
    if (page !== undefined) setOlder({ path, events: [...(rest?.events ?? []), ...page.events], next: page.next ?? '' });
  }

  return (
    <Loaded data={first}>
      {(page) => {
        const known = new Set(page.events.map(keyOf));
        const fresh = live.value.filter(
          (event) => (device === '' || event.device === device) && (type === '' || types.includes(event.type)) && !known.has(keyOf(event)),
        );
        const all = [...fresh, ...page.events, ...(rest?.events ?? [])];
        const next = rest === undefined ? (page.next ?? '') : rest.next;
        return (
          <>
            {page.source === 'memory' && <p class="note">ClickHouse does not answer: these are the last events in memory.</p>}
            {all.length === 0 ? (
              <Empty>Nothing yet. Here stand alarms, devices that come and go, commands, steps of plans, and who looked at what.</Empty>
            ) : (
              <EventList events={all} />
            )}
            {next !== '' && (
              <button type="button" disabled={action.isBusy} onClick={() => void more(next)}>
                Older
              </button>
            )}
            {action.refusal !== undefined && <Refused refusal={action.refusal} />}
          </>
        );
      }}
    </Loaded>
  );
}

function keyOf({ device, time, type }: LiveEvent): string {
  return `${device} ${time} ${type}`;
}
