import type { JSX } from 'preact';
import type { LiveEvent } from '../live.ts';
import { to } from '../route.ts';
import { Plain, Table } from './table.tsx';
import { At } from './time.tsx';

const KNOWN = new Set(['id', 'device', 'time', 'type', 'data', 'received']);

export function EventList({ events }: { readonly events: readonly LiveEvent[] }): JSX.Element {
  return (
    <Table
      label="Events"
      rows={events}
      id={(event) => `${event.id} ${event.device} ${event.time} ${event.type}`}
      columns={[
        { name: 'event', show: ({ type }) => type },
        { name: 'time', show: ({ time }) => <At time={time} /> },
        {
          name: 'device',
          show: ({ device }) =>
            device === '' ? (
              '–'
            ) : (
              <a class="mono" href={to('device', device)}>
                {device}
              </a>
            ),
        },
        {
          name: 'what',
          show: (event) => <Plain value={event.data ?? Object.fromEntries(Object.entries(event).filter(([name]) => !KNOWN.has(name)))} />,
        },
      ]}
    />
  );
}
