import { effect, signal } from '@preact/signals';
import { get } from './api.ts';
import { place } from './route.ts';
import { may, mayAsOperator, session } from './session.ts';
import { openStream } from './stream.ts';

/** What comes by itself: last positions of the devices, events, and the figures of the server. One stream for a page. */
export const STATES = ['alarm', 'moving', 'standing', 'silent', 'over_cap', 'offline'] as const;
export type State = (typeof STATES)[number];

export interface Row {
  readonly device: string;
  readonly lat: number;
  readonly lon: number;
  readonly speed: number | null;
  readonly course: number | null;
  readonly time: number;
  readonly received: number;
  readonly state: State;
  readonly via: string;
}

export interface LiveEvent {
  readonly id: string;
  readonly device: string;
  readonly time: number;
  readonly type: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

interface Snapshot {
  readonly at: string;
  readonly hydrated: boolean;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
  readonly next?: string;
}

/** By device. It changes in place: `changes` says when. */
export const rows = new Map<string, Row>();
/** Grows with every change of `rows`. */
export const changes = signal(0);
/** Grows when devices come or go. */
export const sets = signal(0);
export const connection = signal<'off' | 'opening' | 'live' | 'lost' | 'refused' | 'paused'>('off');
/** When the last message came, epoch ms. */
export const heard = signal(0);
export const status = signal<Readonly<Record<string, unknown>> | undefined>(undefined);
/** Newest first. */
export const events = signal<readonly LiveEvent[]>([]);

const MOST_EVENTS = 200;
/** Id of no feed: the answer to it is `reset`. */
const NO_SNAPSHOT = '0-0';
/** Screens that show where devices are. */
const PLACES = new Set(['map', 'device']);
let close: () => void = () => {};
let columns: readonly string[] = [];

/** Opens the stream for what the screen shows, and closes it in a tab that is not seen. */
export function follow(): void {
  const isVisible = signal(!document.hidden);
  document.addEventListener('visibilitychange', () => {
    isVisible.value = !document.hidden;
  });
  const returns = signal(0);
  addEventListener('focus', () => {
    if (connection.value === 'paused') returns.value++;
  });
  let topics = '';
  let returned = 0;
  effect(() => {
    const needs = ['status', 'events', ...(PLACES.has(place.value.screen) ? ['positions'] : [])];
    const wanted = needs.filter(isAllowed).join(',');
    const next = session.value === undefined || !isVisible.value ? '' : wanted;
    if (next === topics && returned === returns.value) return;
    topics = next;
    returned = returns.value;
    close();
    connection.value = next === '' ? 'off' : 'opening';
    if (next !== '') start(next);
  });
}

function isAllowed(topic: string): boolean {
  return topic === 'status' ? mayAsOperator('read') : may(topic === 'positions' ? 'locations' : 'read');
}

function start(topics: string): void {
  let ended = false;
  let stop: () => void = () => {};
  const hasPlaces = topics.includes('positions');
  close = () => {
    ended = true;
    stop();
  };
  const begin = async (): Promise<void> => {
    let last = '';
    if (hasPlaces) {
      try {
        last = await snapshot();
      } catch {
        // The stream says what is wrong; when it is there, with `reset`.
        last = NO_SNAPSHOT;
      }
    }
    if (ended) return;
    stop = openStream(
      `/v1/live?topics=${topics}`,
      {
        take: ({ name, data }) => {
          heard.value = Date.now();
          if (name === 'reset') {
            stop();
            if (!ended) void begin();
          } else take(name, data);
        },
        changed: (state) => {
          connection.value = state === 'open' ? 'live' : state;
        },
      },
      last,
    );
  };
  void begin();
}

async function snapshot(): Promise<string> {
  const found = new Map<string, Row>();
  let at = '';
  let after: string | undefined;
  do {
    const page: Snapshot = await get<Snapshot>(
      `/v1/positions?limit=20000${after === undefined ? '' : `&after=${encodeURIComponent(after)}`}`,
    );
    // Of the first page: what changed while the others came is in the feed again.
    if (at === '') at = page.at;
    for (const one of page.rows) {
      const row = rowOf(page.columns, one);
      found.set(row.device, row);
    }
    after = page.next;
  } while (after !== undefined);
  rows.clear();
  for (const [device, row] of found) rows.set(device, row);
  sets.value++;
  changes.value++;
  return at;
}

function take(name: string, data: unknown): void {
  const body = Object(data);
  if (name === 'hello') columns = Array.isArray(body.columns) ? body.columns : columns;
  else if (name === 'positions') {
    if (Array.isArray(body.columns)) columns = body.columns;
    const before = rows.size;
    for (const one of body.rows ?? []) {
      const row = rowOf(columns, one);
      rows.set(row.device, row);
    }
    if (rows.size !== before) sets.value++;
    changes.value++;
  } else if (name === 'gone') {
    for (const device of body.devices ?? []) rows.delete(String(device));
    sets.value++;
    changes.value++;
  } else if (name === 'event') events.value = [body, ...events.value].slice(0, MOST_EVENTS);
  else if (name === 'status') status.value = body;
  else if (name === 'superseded') {
    // Another tab is newer. It goes on when a person comes back to this one.
    close();
    connection.value = 'paused';
  }
  // `ended`: the server stops, or the session is over. The next request says which.
}

/** The columns of the design, when the server does not say others. */
const COLUMNS = ['device', 'lat', 'lon', 'speed_kmh', 'course_deg', 'time', 'received', 'state', 'via'];

function rowOf(names: readonly string[], values: readonly unknown[]): Row {
  const order = names.length === 0 ? COLUMNS : names;
  const value = (name: string): unknown => values[order.indexOf(name)];
  const optional = (name: string): number | null => (typeof value(name) === 'number' ? Number(value(name)) : null);
  const state = STATES.find((one) => one === value('state')) ?? 'offline';
  return {
    device: String(value('device')),
    lat: Number(value('lat')),
    lon: Number(value('lon')),
    speed: optional('speed_kmh'),
    course: optional('course_deg'),
    time: Number(value('time')),
    received: Number(value('received')),
    state,
    via: String(value('via') ?? ''),
  };
}
