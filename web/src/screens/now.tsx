import type { ComponentChildren, JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { bytes, clock, number, seconds } from '../format.ts';
import { status as liveStatus } from '../live.ts';
import { onReturn } from '../load.ts';
import { Chart } from '../parts/chart.tsx';
import { Loaded, useData } from '../parts/data.tsx';
import { Facts, Table } from '../parts/table.tsx';
import { Ago } from '../parts/time.tsx';
import { to } from '../route.ts';
import { may } from '../session.ts';
import type { Status } from '../shapes.ts';

const REFRESH_MS = 10_000;
/** The frame of the README. */
const FRAME = String.raw`(printf '\x00\x0f356307042441013'; sleep 1
 printf '\x00\x00\x00\x00\x00\x00\x00\x28\x08\x01\x00\x00\x01\x97\x2b\x5c\xee\x00\x00\x0a\xc5\x0c\xb0\x23\x5c\xee\xc8\x00\x1c\x00\x5a\x0b\x00\x36\x00\x03\x02\xef\x01\x15\x04\x01\x42\x35\xe8\x00\x00\x01\x00\x00\x90\x0f'
 sleep 1) | nc -q 1 127.0.0.1 5027 | od -An -tx1`;

/** Is anything lost or late, and since when. Before the first device: what to do. */
export function Now(): JSX.Element {
  const whole = useData<Status>('/v1/status', REFRESH_MS);
  const first = useData<{ readonly devices: readonly unknown[] }>('/v1/devices?limit=1', REFRESH_MS);
  const isEmpty = first.value?.devices.length === 0;
  // When the stream comes back, so may the rest.
  const { reload } = whole;
  useEffect(() => onReturn(reload), [reload]);
  return (
    <>
      <h1>Now</h1>
      {isEmpty && <Steps status={whole.value} />}
      <Loaded data={whole}>{(value) => <Figures status={{ ...value, ...liveStatus.value }} />}</Loaded>
    </>
  );
}

function Steps({ status }: { readonly status: Status | undefined }): JSX.Element {
  const listeners = status?.listeners ?? [];
  const auto = listeners.find(({ codec }) => codec === 'auto');
  const ports = [...new Set(listeners.map(({ codec, port }) => `${codec} ${port}`))];
  return (
    <section class="empty" aria-labelledby="steps">
      <h2 id="steps">No device yet: three ways to see one</h2>
      <ol class="steps">
        <li>
          Simulated devices, moving for ten minutes:
          <pre>npx fixgate simulate --target default --devices 20 --duration 10m</pre>
        </li>
        <li>
          A tracker of your own: set its server to this machine, port <b>{auto?.port ?? 5000}</b>, which finds out the protocol.
          {ports.length > 0 && <span class="quiet"> By protocol: {ports.join(', ')}.</span>}
        </li>
        <li>
          One frame by hand:
          <pre>{FRAME}</pre>
        </li>
      </ol>
      {may('locations') && (
        <p>
          Then look at the <a href={to('map')}>map</a>.
        </p>
      )}
    </section>
  );
}

function Figures({ status }: { readonly status: Status }): JSX.Element {
  const { devices, rates, answer_ms, journal, sinks, groups = [], processes, listeners, series } = status;
  const problems = Object.entries(status.ready.parts).filter(([, { state }]) => state !== 'up');
  return (
    <>
      {problems.length > 0 && (
        <section class="refused" aria-label="Problems">
          <strong>
            {problems.length} {problems.length === 1 ? 'problem' : 'problems'}; the server is {status.ready.status}
          </strong>
          <ul>
            {problems.map(([name, { state, reason }]) => (
              <li key={name}>
                <b>{name}</b> {state}
                {reason === undefined || reason === '' ? '' : `: ${reason}`}
              </li>
            ))}
          </ul>
        </section>
      )}
      <ul class="cards">
        <Card
          name="Connected"
          value={devices.connected}
          href={`${to('devices')}?now=connected`}
          about={`of ${number(devices.known)} known`}
        />
        <Card name="Silent" value={devices.silent} href={`${to('devices')}?now=silent`} />
        <Card name="Offline" value={devices.offline} href={`${to('devices')}?now=offline`} />
        <Card name="Over cap" value={devices.over_cap} href={to('plans')} />
        <Card name="Alarms, 1 h" value={devices.alarms_1h} href={`${to('events')}?type=sos,power_cut,tamper,collision`} />
        <Card name="Quarantine" value={devices.quarantined} href={to('quarantine')} />
        <Card name="Answers, p99" value={answer_ms.p99} unit="ms" about={`p50 ${number(answer_ms.p50, 1)} ms`} />
        <Card name="Records" value={rates.records} unit="/s" about={`${bytes(rates.bytes_in)}/s in`} />
      </ul>
      {series !== undefined && <Charts series={series} />}
      <h2>Deliveries</h2>
      <Table
        label="Deliveries"
        rows={sinks}
        id={({ name }) => name}
        columns={[
          { name: 'sink', show: ({ name }) => <a href={to('sinks')}>{name}</a> },
          { name: 'state', show: ({ state }) => <span class={state}>{state}</span> },
          { name: 'behind', isNumber: true, show: ({ lag_s }) => seconds(lag_s) },
          { name: 'entries', isNumber: true, show: ({ entries }) => number(entries) },
          { name: 'rows/s', isNumber: true, show: ({ rows_per_s }) => number(rows_per_s) },
          { name: 'parked', isNumber: true, show: ({ parked }) => number(parked) },
          { name: 'why', show: ({ reason, since }) => <Why reason={reason} since={since} /> },
        ]}
      />
      {groups.length > 0 && (
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
      )}
      <h2>Journal</h2>
      <Facts
        facts={[
          [
            'state',
            <span
              class={journal.state}
            >{`${journal.state}${journal.reason === undefined || journal.reason === '' ? '' : `: ${journal.reason}`}`}</span>,
          ],
          ['used', `${bytes(journal.bytes)} of ${bytes(journal.budget)}`],
          ['free on the disk', bytes(journal.free_bytes)],
          ['oldest not delivered', seconds(journal.oldest_undelivered_s)],
        ]}
      />
      <h2>Processes</h2>
      <Table
        label="Processes"
        rows={processes}
        id={({ name }) => name}
        columns={[
          { name: 'process', show: ({ name }) => name },
          { name: 'state', show: ({ state }) => <span class={state}>{state}</span> },
          { name: 'pid', isNumber: true, show: ({ pid }) => (pid === 0 ? '–' : String(pid)) },
          { name: 'memory', isNumber: true, show: ({ rss }) => (rss === 0 ? '–' : bytes(rss)) },
          { name: 'loop lag', isNumber: true, show: ({ loop_lag_ms }) => `${number(loop_lag_ms, 1)} ms` },
          { name: 'restarts', isNumber: true, show: ({ restarts }) => number(restarts) },
        ]}
      />
      <h2>Listeners</h2>
      <Table
        label="Listeners"
        rows={listeners}
        id={({ codec, transport, host, port }) => `${codec} ${transport} ${host} ${port}`}
        columns={[
          { name: 'protocol', show: ({ codec, transport }) => `${codec} ${transport}` },
          { name: 'address', show: ({ host, port }) => `${host}:${port}` },
          { name: 'connections', isNumber: true, show: ({ connections }) => number(connections) },
          { name: 'malformed/min', isNumber: true, show: ({ malformed_per_min }) => number(malformed_per_min) },
          { name: 'rejected/min', isNumber: true, show: ({ rejects_per_min }) => number(rejects_per_min) },
        ]}
      />
      <p class="quiet">
        Fixgate {status.version}, instance {status.instance}, started <Ago time={status.started} />
      </p>
    </>
  );
}

function Why({ reason = '', since }: { readonly reason?: string | undefined; readonly since?: number | undefined }): JSX.Element {
  return (
    <>
      {reason}
      {since !== undefined && reason !== '' && (
        <>
          {' '}
          (<Ago time={since} />)
        </>
      )}
    </>
  );
}

function Card(props: {
  readonly name: string;
  readonly value: number | null | undefined;
  readonly unit?: string;
  readonly about?: string;
  readonly href?: string;
}): JSX.Element {
  const { name, value, unit = '', about = '', href } = props;
  const content: ComponentChildren = (
    <>
      {name}
      <b>
        {number(value, value !== null && value !== undefined && value < 10 && unit !== '' ? 1 : 0)} {unit}
      </b>
      <span class="quiet">{about}</span>
    </>
  );
  return (
    <li>
      {href === undefined ? (
        <div class="card">{content}</div>
      ) : (
        <a class="card" href={href}>
          {content}
        </a>
      )}
    </li>
  );
}

function Charts({ series }: { readonly series: NonNullable<Status['series']> }): JSX.Element {
  const { at, step_s, records, answer_p99 } = series;
  const from = clock(at - 1000 * step_s * Math.max(0, records.length - 1), false);
  const until = clock(at, false);
  return (
    <div class="two">
      <Chart name="Records" unit="/s" values={records} from={from} to={until} />
      <Chart name="Answers, p99" unit="ms" values={answer_p99} from={from} to={until} />
    </div>
  );
}
