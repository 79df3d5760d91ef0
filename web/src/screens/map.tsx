import { useSignalEffect } from '@preact/signals';
import type { Position } from 'geojson';
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get, Refusal } from '../api.ts';
import { number, wind } from '../format.ts';
import { changes, connection, heard, type Row, rows, STATES, sets } from '../live.ts';
import type { DevicesMap } from '../map/base-map.ts';
import { MapView } from '../map/map-view.tsx';
import { Refused } from '../parts/data.tsx';
import { StateMark, wordOf } from '../parts/state-mark.tsx';
import { Ago, At } from '../parts/time.tsx';
import { VirtualList } from '../parts/virtual-list.tsx';
import { filterBy, go, place, to } from '../route.ts';

const ROW_HEIGHT = 52;
const TRAIL_MS = 3_600_000;

/** Where they are. The list has the same devices as the map, by the same filters. */
export function MapScreen(): JSX.Element {
  const [search = '', state = '', begun = ''] = ['q', 'state', 'device'].map((name) => place.value.query.get(name) ?? '');
  const [selected, setSelected] = useState(begun);
  const [isFollowed, follow] = useState(false);
  const trail = useTrail(selected);
  const [isListOnly, listOnly] = useState(false);
  const map = useRef<DevicesMap | undefined>(undefined);
  const hasFitted = useRef(false);
  // Searching again with each message would be the costliest script of the page: only when devices come or go, or the filter changes.
  const ids = useMemo(() => found(search), [search, sets.value]);
  // Each row as it is now.
  const shown = useMemo(
    () => ids.flatMap((id) => rows.get(id) ?? []).filter((one) => state === '' || one.state === state),
    [ids, state, changes.value],
  );
  const row = rows.get(selected);

  function draw(): void {
    const target = map.current;
    if (target === undefined) return;
    target.show(shown);
    target.select(row);
    if (row !== undefined && isFollowed) target.centre(row, false);
    if (!hasFitted.current && shown.length > 0) {
      hasFitted.current = true;
      if (row === undefined) target.fit(shown.map(({ lon, lat }) => [lon, lat]));
      else target.centre(row, true);
    }
  }
  useEffect(draw, [shown, selected, isFollowed]);
  useEffect(() => map.current?.trail(trail.points ?? []), [trail.points]);

  function select(device: string, isFromList: boolean): void {
    setSelected(device);
    trail.clear();
    follow(false);
    const target = rows.get(device);
    if (isFromList && target !== undefined) map.current?.centre(target, true);
  }

  return (
    <div class={isListOnly ? 'map-screen list-only' : 'map-screen'}>
      <h1 class="hidden">Map</h1>
      <section class="map-side" aria-label="Devices">
        <Filters search={search} state={state} count={shown.length} />
        <VirtualList
          label="Devices with a position"
          items={shown}
          id={({ device }) => device}
          rowHeight={ROW_HEIGHT}
          selected={selected}
          onSelect={({ device }) => select(device, true)}
          onOpen={({ device }) => go(to('device', device))}
        >
          {(one) => <Entry row={one} />}
        </VirtualList>
      </section>
      <div class="map-box">
        <MapView
          hooks={{ select: (device) => select(device, false), moved: () => follow(false) }}
          failed={() => listOnly(true)}
          ready={(made) => {
            map.current = made;
            draw();
          }}
        />
        {row !== undefined && (
          <section class="panel" aria-label="Selected device">
            <p>
              <b class="mono">{row.device}</b> <StateMark state={row.state} />
            </p>
            <Facts row={row} />
            <p class="row">
              <button type="button" aria-pressed={isFollowed} onClick={() => follow(!isFollowed)}>
                Follow
              </button>
              <button
                type="button"
                aria-pressed={trail.points !== undefined}
                onClick={() => (trail.points === undefined ? void trail.load() : trail.clear())}
              >
                Trail
              </button>
              <a href={to('device', row.device)}>Open</a>
            </p>
            {trail.refusal !== undefined && <Refused refusal={trail.refusal} />}
          </section>
        )}
      </div>
    </div>
  );
}

function Facts({ row }: { readonly row: Row }): JSX.Element {
  return (
    <>
      <p>
        {row.speed === null ? '' : `${number(row.speed)} km/h ${wind(row.course)}, `}
        <Ago time={row.time} />
        {row.via === 'store' && <span class="quiet"> (from the store)</span>}
      </p>
      <p class="mono">
        {row.lat.toFixed(5)}, {row.lon.toFixed(5)}
      </p>
    </>
  );
}

interface FiltersProps {
  readonly search: string;
  readonly state: string;
  readonly count: number;
}

function Filters({ search, state, count }: FiltersProps): JSX.Element {
  return (
    <>
      <input
        type="search"
        aria-label="Find a device"
        placeholder="Find a device"
        value={search}
        onInput={(event) => filterBy('q', event.currentTarget.value)}
      />
      <select aria-label="State" value={state} onChange={(event) => filterBy('state', event.currentTarget.value)}>
        <option value="">all states</option>
        {STATES.map((one) => (
          <option key={one} value={one}>
            {wordOf(one)}
          </option>
        ))}
      </select>
      <p class="quiet" id="map-count">
        {number(count)} {count === 1 ? 'device' : 'devices'} with a position
        {connection.value === 'lost' && heard.value > 0 && (
          <>
            {' '}
            from <At time={heard.value} />, reconnecting
          </>
        )}
      </p>
    </>
  );
}

interface Trail {
  readonly points: readonly Position[] | undefined;
  /** Why there are none. */
  readonly refusal: Refusal | undefined;
  load(): Promise<void>;
  clear(): void;
}

/** Where a device was in the last hour; grows with the feed once it has been asked for. */
function useTrail(device: string): Trail {
  const [trail, setTrail] = useState<{ readonly device: string; readonly points?: readonly Position[]; readonly refusal?: Refusal }>();
  // That of a device that was selected before is nobody's, nor that of one that is not shown any more.
  const { points, refusal } = trail?.device === device && rows.has(device) ? trail : {};
  useSignalEffect(() => {
    void changes.value;
    const now = rows.get(device);
    if (points === undefined || now === undefined) return;
    const last = points.at(-1);
    if (last?.[0] !== now.lon || last[1] !== now.lat) setTrail({ device, points: [...points, [now.lon, now.lat]] });
  });
  const load = async (): Promise<void> => {
    try {
      setTrail({ device, points: await lastHour(device) });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      setTrail({ device, refusal: error });
    }
  };
  return { points, refusal, load, clear: () => setTrail(undefined) };
}

async function lastHour(device: string): Promise<Position[]> {
  const until = Date.now();
  const path = `/v1/devices/${encodeURIComponent(device)}/positions?from=${until - TRAIL_MS}&to=${until}`;
  const { columns, rows: all } = await get<{ readonly columns: readonly string[]; readonly rows: readonly (readonly unknown[])[] }>(path);
  const [lon, lat] = ['lon', 'lat'].map((name) => columns.indexOf(name));
  const points = all.map((one): Position => [Number(one[lon ?? 0]), Number(one[lat ?? 0])]);
  return points.filter((point) => point.every(Number.isFinite));
}

function Entry({ row }: { readonly row: Row }): JSX.Element {
  return (
    <>
      <div class="row">
        <span class="mono grow">{row.device}</span>
        {row.speed !== null && row.state === 'moving' && <span>{number(row.speed)} km/h</span>}
      </div>
      <div class="row quiet">
        <StateMark state={row.state} />
        <span class="grow" />
        <Ago time={row.received} />
      </div>
    </>
  );
}

function found(search: string): string[] {
  const wanted = search.trim().toLowerCase();
  return [...rows.keys()].filter((id) => wanted === '' || id.toLowerCase().includes(wanted)).sort();
}
