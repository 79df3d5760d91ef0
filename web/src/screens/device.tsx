import type { Position } from 'geojson';
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { call, download } from '../api.ts';
import { clock, number, wind } from '../format.ts';
import { changes, type Row, rows } from '../live.ts';
import type { DevicesMap } from '../map/base-map.ts';
import { MapView } from '../map/map-view.tsx';
import { Chart } from '../parts/chart.tsx';
import { Confirm } from '../parts/confirm.tsx';
import { type Data, Empty, isLost, Loaded, Refused, useAction, useData } from '../parts/data.tsx';
import { StateMark } from '../parts/state-mark.tsx';
import { Facts, Plain } from '../parts/table.tsx';
import { Ago } from '../parts/time.tsx';
import { filterBy, place, to } from '../route.ts';
import { isLimited, may, mayAsOperator } from '../session.ts';
import type { Device as DeviceRecord } from '../shapes.ts';
import { DeviceCommands } from './commands.tsx';
import { EventsOf } from './events.tsx';
import { Cycles } from './plans.tsx';
import { Frames } from './trace.tsx';

interface LiveHalf {
  readonly connected: boolean;
  readonly since?: number;
  readonly peer?: string;
  readonly protocol?: string;
  readonly variant?: string;
  readonly transport?: string;
  readonly state?: Row['state'];
  readonly held?: readonly unknown[];
  readonly owed?: number;
  readonly partial?: boolean;
}

const TABS: readonly (readonly [id: string, name: string, scope: string])[] = [
  ['position', 'Position', 'locations'],
  ['commands', 'Commands', 'read'],
  ['usage', 'Usage', 'read'],
  ['events', 'Events', 'read'],
  ['frames', 'Frames', 'locations'],
  ['settings', 'Settings', 'read'],
  ['data', 'Data', 'read'],
];

/** Why this one does, or does not, what it should. */
export function Device(): JSX.Element {
  const [device = '', asked = ''] = place.value.args;
  const id = encodeURIComponent(device);
  const tabs = TABS.filter(([, , scope]) => may(scope));
  const tab = tabs.find(([one]) => one === asked)?.[0] ?? tabs[0]?.[0] ?? '';
  const record = useData<DeviceRecord>(`/v1/devices/${id}`);
  // Not again and again of one that is not there, or not theirs any more.
  const isThere = record.value !== undefined && (record.refusal === undefined || !isLost(record.refusal));
  const state = useData<LiveHalf>(isThere ? `/v1/devices/${id}/state` : '', 5000);
  const hasGone = state.refusal !== undefined && isLost(state.refusal);
  useEffect(() => {
    if (hasGone) record.reload();
  }, [hasGone, record.reload]);
  void changes.value;
  const row = rows.get(device);
  return (
    <>
      <h1 class="mono">{device}</h1>
      <Head record={record} state={state} row={row} />
      <nav class="tabs" aria-label="Of this device">
        {tabs.map(([one, name]) => (
          <a key={one} href={to('device', device, one)} aria-current={one === tab ? 'page' : undefined}>
            {name}
          </a>
        ))}
      </nav>
      {tab === 'position' && <Track device={device} row={row} />}
      {tab === 'commands' && <DeviceCommands device={device} />}
      {tab === 'usage' && <Cycles device={device} />}
      {tab === 'events' && <EventsOf device={device} type="" />}
      {tab === 'frames' && <Frames path={`/v1/devices/${id}/trace`} />}
      {tab === 'settings' && <Settings device={device} record={record} />}
      {tab === 'data' && <Kept device={device} />}
    </>
  );
}

function Head(props: { readonly record: Data<DeviceRecord>; readonly state: Data<LiveHalf>; readonly row: Row | undefined }): JSX.Element {
  const { record, row } = props;
  const { value: state, reload } = props.state;
  const action = useAction();
  const shown = row?.state ?? state?.state;
  const isConnected = state?.connected === true;
  return (
    <Loaded data={record}>
      {(device) => (
        <>
          <p>
            {device.name !== undefined && <>{device.name} </>}
            {shown !== undefined && <StateMark state={shown} />}{' '}
            {isConnected ? (
              <>
                connected <Ago time={state.since} /> from {state.peer},{' '}
              </>
            ) : (
              state !== undefined && 'not connected, '
            )}
            {row !== undefined && (
              <>
                last contact <Ago time={row.received} />,{' '}
              </>
            )}
            {state?.protocol ?? device.protocol ?? 'no protocol yet'} {state?.variant ?? ''} {state?.transport ?? device.transport ?? ''},
            plan <a href={`${to('plans')}?plan=${encodeURIComponent(device.plan)}`}>{device.plan}</a>, {device.state}
            {device.account === undefined ? '' : `, account ${device.account}`}
            {device.privacy === 'relay' && ', relay: nothing of it is stored or shown'}{' '}
            {isConnected && may('devices') && (
              <button
                type="button"
                disabled={action.isBusy}
                onClick={() => void action.run(() => call('POST', `/v1/devices/${encodeURIComponent(device.id)}/disconnect`)).then(reload)}
              >
                Disconnect
              </button>
            )}
          </p>
          {action.refusal !== undefined && <Refused refusal={action.refusal} />}
        </>
      )}
    </Loaded>
  );
}

const RANGES: readonly (readonly [name: string, hours: number])[] = [
  ['1 h', 1],
  ['24 h', 24],
  ['7 days', 168],
  ['31 days', 744],
];
const HOUR_MS = 3_600_000;

interface Answer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
  readonly total: number;
  readonly thinned: boolean;
}

function Track({ device, row }: { readonly device: string; readonly row: Row | undefined }): JSX.Element {
  const hours = Number(place.value.query.get('hours') ?? 24);
  // Fixed until another range is chosen, or the same one again.
  const [until, setUntil] = useState(() => Date.now());
  const path = `/v1/devices/${encodeURIComponent(device)}/positions?from=${until - hours * HOUR_MS}&to=${until}`;
  const track = useData<Answer>(path);
  const action = useAction();
  return (
    <>
      <div class="row">
        {RANGES.map(([name, one]) => (
          <button
            key={one}
            type="button"
            aria-pressed={one === hours}
            class={one === hours ? 'main' : ''}
            onClick={() => {
              filterBy('hours', String(one));
              setUntil(Date.now());
            }}
          >
            {name}
          </button>
        ))}
        {['gpx', 'csv', 'geojson'].map((format) => (
          <button key={format} type="button" onClick={() => void action.run(() => download(`${path}&format=${format}`))}>
            {format}
          </button>
        ))}
      </div>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      <Loaded data={track}>
        {(answer) =>
          answer.rows.length === 0 ? (
            <Empty>
              It has no position in this time.{' '}
              {row !== undefined && (
                <>
                  Its last one is from <Ago time={row.time} />.
                </>
              )}
            </Empty>
          ) : (
            <TrackView answer={answer} row={row} device={device} />
          )
        }
      </Loaded>
    </>
  );
}

function TrackView({
  answer,
  row,
  device,
}: {
  readonly answer: Answer;
  readonly row: Row | undefined;
  readonly device: string;
}): JSX.Element {
  const { columns, rows: points, total, thinned } = answer;
  const [at, setAt] = useState(points.length - 1);
  const map = useRef<DevicesMap | undefined>(undefined);
  const column = (name: string): number => columns.indexOf(name);
  const line = useMemo(
    () =>
      points.map((one): Position => [Number(one[column('lon')]), Number(one[column('lat')])]).filter((one) => one.every(Number.isFinite)),
    [points],
  );
  const index = Math.min(at, points.length - 1);
  const chosen = points[index] ?? [];
  const value = (name: string): unknown => chosen[column(name)];
  const number_ = (name: string): number | null => (typeof value(name) === 'number' ? Number(value(name)) : null);
  const isLast = index === points.length - 1;

  function draw(): void {
    const target = map.current;
    if (target === undefined) return;
    target.trail(line);
    const lat = number_('lat');
    const lon = number_('lon');
    if (lat === null || lon === null) return;
    const [speed, course, time] = [number_('speed_kmh'), number_('course_deg'), Number(value('time'))];
    const state = speed !== null && speed >= 5 ? 'moving' : 'standing';
    target.show([isLast && row !== undefined ? row : { device, lat, lon, speed, course, time, received: time, state, via: '' }]);
  }
  useEffect(draw, [line, index, row]);
  useEffect(() => map.current?.fit(line), [line]);

  return (
    <>
      <div class="small-map">
        <MapView
          hooks={{ select: () => {} }}
          ready={(made) => {
            map.current = made;
            draw();
            made.fit(line);
          }}
        />
      </div>
      <label>
        Point {number(index + 1)} of {number(points.length)}
        {thinned && ` (of ${number(total)} records)`}
        <input type="range" min={0} max={points.length - 1} value={index} onInput={(event) => setAt(Number(event.currentTarget.value))} />
      </label>
      <Chart
        name="Speed"
        unit="km/h"
        values={points.map((one) => {
          const speed = one[column('speed_kmh')];
          return typeof speed === 'number' ? speed : null;
        })}
        from={clock(Number(points[0]?.[column('time')]))}
        to={clock(Number(points.at(-1)?.[column('time')]))}
        at={index}
        onPick={setAt}
      />
      <Facts
        facts={columns.map((name): [string, JSX.Element] => [
          name,
          name === 'time' ? (
            <span>{clock(Number(value('time')))}</span>
          ) : name === 'course_deg' ? (
            <span>
              {number(number_(name))} {wind(number_(name))}
            </span>
          ) : (
            <Plain value={value(name)} />
          ),
        ])}
      />
    </>
  );
}

function Settings({ device, record }: { readonly device: string; readonly record: Data<DeviceRecord> }): JSX.Element {
  const id = encodeURIComponent(device);
  const settings = useData<Readonly<Record<'desired' | 'reported' | 'pending', Readonly<Record<string, unknown>>>>>(
    `/v1/devices/${id}/settings`,
  );
  const profile = useData<{ readonly protocol: string; readonly learned: Readonly<Record<string, unknown>> }>(`/v1/devices/${id}/profile`);
  const identity = useData<Readonly<Record<string, unknown>>>(isLimited() ? '' : `/v1/devices/${id}/identity`);
  const facts = (value: Readonly<Record<string, unknown>>): JSX.Element =>
    Object.keys(value).length === 0 ? (
      <p class="quiet">none</p>
    ) : (
      <Facts facts={Object.entries(value).map(([name, one]): [string, JSX.Element] => [name, <Plain key={name} value={one} />])} />
    );
  return (
    <>
      <h2>Registry</h2>
      <Loaded data={record}>
        {(value) => (mayAsOperator('devices') ? <Edit key={JSON.stringify(value)} device={value} done={record.reload} /> : facts(value))}
      </Loaded>
      <h2>Settings</h2>
      <Loaded data={settings}>
        {({ desired, reported, pending }) => (
          <div class="two">
            {Object.entries({ desired, reported, pending }).map(([name, value]) => (
              <section key={name} aria-label={name}>
                <h3>{name}</h3>
                {facts(value)}
              </section>
            ))}
          </div>
        )}
      </Loaded>
      <h2>Learned by the codec</h2>
      {profile.refusal?.status === 404 ? facts({}) : <Loaded data={profile}>{({ learned }) => facts(learned)}</Loaded>}
      {!isLimited() && (
        <>
          <h2>Networks and addresses</h2>
          <Loaded data={identity}>{facts}</Loaded>
        </>
      )}
    </>
  );
}

const EDITED = ['account', 'plan', 'state', 'privacy', 'interval_s'];

function Edit({ device, done }: { readonly device: DeviceRecord; readonly done: () => void }): JSX.Element {
  const action = useAction();
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const given = new FormData(event.currentTarget);
        const patch = EDITED.flatMap((name) => {
          const text = String(given.get(name) ?? '').trim();
          const before = device[name] === undefined ? '' : String(device[name]);
          if (text === before) return [];
          return [[name, text === '' ? null : name === 'interval_s' ? Number(text) : text]];
        });
        void action.run(() => call('PATCH', `/v1/devices/${encodeURIComponent(device.id)}`, Object.fromEntries(patch))).then(done);
      }}
    >
      <div class="row">
        {EDITED.map((name) => (
          <label key={name} for={`edit-${name}`}>
            {name.replaceAll('_', ' ')}
            {name === 'state' || name === 'privacy' ? (
              <select id={`edit-${name}`} name={name}>
                {(name === 'state' ? ['pending', 'active', 'suspended', 'terminated'] : ['store', 'relay']).map((one) => (
                  <option key={one} value={one} selected={one === device[name]}>
                    {one}
                  </option>
                ))}
              </select>
            ) : (
              <input id={`edit-${name}`} name={name} defaultValue={device[name] === undefined ? '' : String(device[name])} />
            )}
          </label>
        ))}
        <button type="submit" class="main" disabled={action.isBusy}>
          Save
        </button>
      </div>
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      <details>
        <summary>The whole record</summary>
        <pre>{JSON.stringify(device, null, 2)}</pre>
      </details>
    </form>
  );
}

/** What is kept of it: taken along, and erased. */
function Kept({ device }: { readonly device: string }): JSX.Element {
  const id = encodeURIComponent(device);
  const [isAsked, ask] = useState(false);
  const [erased, setErased] = useState<Readonly<Record<string, unknown>> | undefined>(undefined);
  const action = useAction();
  return (
    <>
      {may('locations') && (
        <>
          <h2>Export</h2>
          <p>Everything that is kept of this device: record, positions, events, usage, commands and settings, as a zip of NDJSON files.</p>
          <button type="button" onClick={() => void action.run(() => download(`/v1/devices/${id}/export`))}>
            Download
          </button>
        </>
      )}
      {mayAsOperator('erase') && (
        <>
          <h2>Erase</h2>
          <p>
            Erases everything that this device has sent and that was recorded about it up to now, from every store. It cannot be undone.
          </p>
          <button type="button" class="danger" onClick={() => ask(true)}>
            Erase…
          </button>
        </>
      )}
      {!may('locations') && !mayAsOperator('erase') && (
        <p>
          Your token lacks the scope <code>locations</code>
          {!isLimited() && [' and ', <code key="erase">erase</code>]}.
        </p>
      )}
      {action.refusal !== undefined && <Refused refusal={action.refusal} />}
      {erased !== undefined && (
        <p role="status">
          Erasure: <Plain value={erased} />
        </p>
      )}
      {isAsked && (
        <Confirm
          title={`Erase the data of ${device}?`}
          action="Erase"
          word={device}
          done={(isSure) => {
            ask(false);
            if (isSure) void action.run(() => call<Readonly<Record<string, unknown>>>('DELETE', `/v1/devices/${id}/data`)).then(setErased);
          }}
        >
          <p>It cannot be undone.</p>
        </Confirm>
      )}
    </>
  );
}
