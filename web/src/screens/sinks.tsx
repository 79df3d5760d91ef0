import type { JSX } from 'preact';
import { call } from '../api.ts';
import { clock, number, seconds } from '../format.ts';
import { Chart } from '../parts/chart.tsx';
import { Empty, Loaded, Refused, useAction, useData } from '../parts/data.tsx';
import { Facts, Table } from '../parts/table.tsx';
import { At } from '../parts/time.tsx';
import { may } from '../session.ts';
import type { Sink, Status } from '../shapes.ts';

/** How far each delivery is, and what it set aside. */
export function Sinks(): JSX.Element {
  const status = useData<Status>('/v1/status', 10_000);
  return (
    <>
      <h1>Sinks</h1>
      <Loaded data={status}>
        {({ sinks, groups = [], series }) =>
          sinks.length === 0 ? (
            <Empty>No sink is configured.</Empty>
          ) : (
            <>
              {sinks.map((sink) => (
                <SinkView
                  key={sink.name}
                  sink={sink}
                  lag={series?.lag[sink.name] ?? []}
                  at={series?.at ?? 0}
                  stepS={series?.step_s ?? 10}
                />
              ))}
              {groups.length > 0 && (
                <>
                  <h2>Consumer groups of the stream</h2>
                  <Table
                    label="Consumer groups"
                    rows={groups}
                    id={({ stream, group }) => `${stream} ${group}`}
                    columns={[
                      { name: 'stream', show: ({ stream }) => stream },
                      { name: 'group', show: ({ group }) => group },
                      { name: 'behind', isNumber: true, show: ({ lag }) => number(lag) },
                      { name: 'missed', isNumber: true, show: ({ missed }) => number(missed) },
                    ]}
                  />
                </>
              )}
            </>
          )
        }
      </Loaded>
    </>
  );
}

function SinkView(props: {
  readonly sink: Sink;
  readonly lag: readonly (number | null)[];
  readonly at: number;
  readonly stepS: number;
}): JSX.Element {
  const { sink, lag, at, stepS } = props;
  return (
    <section aria-label={sink.name}>
      <h2>
        {sink.name} <span class={sink.state}>{sink.state}</span>
      </h2>
      {sink.reason !== undefined && sink.reason !== '' && (
        <p>
          {sink.reason} {sink.since !== undefined && <At time={sink.since} />}
        </p>
      )}
      <Facts
        facts={[
          ['behind', seconds(sink.lag_s)],
          ['entries not delivered', number(sink.entries)],
          ['rows/s', number(sink.rows_per_s)],
          ['parked', number(sink.parked)],
        ]}
      />
      {lag.length > 1 && (
        <Chart name="Behind" unit="s" values={lag} from={clock(at - 1000 * stepS * (lag.length - 1), false)} to={clock(at, false)} />
      )}
      {may('locations') && <Parked sink={sink.name} />}
    </section>
  );
}

interface Entry {
  readonly id: string;
  readonly reason: string;
  readonly codec: string;
  readonly device: string;
  readonly hex: string;
}

function Parked({ sink }: { readonly sink: string }): JSX.Element {
  const path = `/v1/sinks/${encodeURIComponent(sink)}/parked`;
  const parked = useData<{ readonly entries: readonly Entry[]; readonly total: number }>(path);
  const action = useAction();
  return (
    <details>
      <summary>Parked entries</summary>
      <Loaded data={parked}>
        {({ entries, total }) => {
          if (entries.length === 0) return <p class="quiet">None: everything that could be read was delivered.</p>;
          return (
            <Table
              label={`Parked entries of ${sink}: ${number(entries.length)} of ${number(total)}`}
              rows={entries}
              id={({ id }) => id}
              columns={[
                { name: 'entry', show: ({ id }) => id },
                { name: 'device', show: ({ device }) => device || '–' },
                { name: 'codec', show: ({ codec }) => codec || '–' },
                { name: 'reason', show: ({ reason }) => reason },
                { name: 'bytes', show: ({ hex }) => <code class="plain">{hex}</code> },
                ...(may('admin')
                  ? [
                      {
                        name: 'retry',
                        show: ({ id }: Entry) => (
                          <button
                            type="button"
                            disabled={action.isBusy}
                            onClick={() =>
                              void action.run(() => call('POST', `${path}/${encodeURIComponent(id)}/retry`, {})).then(parked.reload)
                            }
                          >
                            Retry
                          </button>
                        ),
                      },
                    ]
                  : []),
              ]}
            />
          );
        }}
      </Loaded>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
    </details>
  );
}
