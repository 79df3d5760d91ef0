import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { clock, number } from '../format.ts';
import { Empty } from '../parts/data.tsx';
import { type Annotation, Explained } from '../parts/frames.tsx';
import { VirtualList } from '../parts/virtual-list.tsx';
import { go, place, to } from '../route.ts';
import { mayAsOperator } from '../session.ts';
import { openStream } from '../stream.ts';

interface Frame {
  readonly key: number;
  readonly at: number;
  readonly direction: 'in' | 'out';
  readonly hex: string;
  readonly bytes: number;
  readonly transport: string;
  readonly type?: string;
  readonly name?: string;
  readonly records?: readonly unknown[] | number;
  readonly reason?: string;
  readonly damaged?: string;
  readonly explain?: readonly Annotation[];
}

const MOST = 2000;
const ROW_HEIGHT = 34;

/** What a device and the server say to each other, while they say it. */
export function Trace(): JSX.Element {
  const [device = ''] = place.value.args;
  const peer = mayAsOperator('admin') ? (place.value.query.get('peer') ?? '') : '';
  return (
    <>
      <h1>Trace {device !== '' && <span class="mono">{device}</span>}</h1>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          const given = new FormData(event.currentTarget);
          const [id, address] = [String(given.get('device') ?? '').trim(), String(given.get('peer') ?? '').trim()];
          if (id !== '') go(to('trace', id));
          else if (address !== '') go(`${to('trace')}?peer=${encodeURIComponent(address)}`);
        }}
      >
        <label>
          Device
          <input type="search" name="device" defaultValue={device} autocomplete="off" />
        </label>
        {mayAsOperator('admin') && (
          <label>
            or address, of one that has not said who it is
            <input name="peer" defaultValue={peer} autocomplete="off" />
          </label>
        )}
        <button type="submit" class="main">
          Trace
        </button>
      </form>
      {device === '' && peer === '' ? (
        <Empty>Choose a device: its frames and the answers appear here as they come, byte by byte. Nothing is kept.</Empty>
      ) : (
        <Frames
          key={`${device} ${peer}`}
          path={device === '' ? `/v1/trace?peer=${encodeURIComponent(peer)}` : `/v1/devices/${encodeURIComponent(device)}/trace`}
        />
      )}
    </>
  );
}

export function Frames({ path }: { readonly path: string }): JSX.Element {
  const [frames, setFrames] = useState<readonly Frame[]>([]);
  const [note, setNote] = useState('');
  const [isPaused, pause] = useState(false);
  const [filter, setFilter] = useState('');
  const [selected, select] = useState('');
  const paused = useRef(isPaused);
  paused.current = isPaused;
  useEffect(() => {
    let key = 0;
    let all: Frame[] = [];
    const take = (frame: Omit<Frame, 'key'>): void => {
      if (paused.current) return;
      all = [...all, { ...frame, key: key++ }].slice(-MOST);
      setFrames(all);
    };
    const close = openStream(path, {
      take: ({ name, data }) => {
        const body = Object(data);
        if (name === 'frame') take(body);
        else if (name === 'lost') setNote(`${number(body.frames)} frames lost: more than 100 a second`);
        else if (name === 'state') setNote(body.connected === true ? 'connected' : 'not connected: frames appear when it is');
        else if (name === 'ended') {
          close();
          setNote('The trace has ended. Load the page again for another 15 minutes.');
        } else if (name === 'superseded') {
          close();
          setNote('The trace has ended: four newer streams of this session are open in other tabs. Load the page again to go on.');
        }
      },
      changed: (state, why) => {
        if (state !== 'open') setNote(why);
      },
    });
    return close;
  }, [path]);
  const types = [...new Set(frames.map(({ type = '' }) => type))].filter((type) => type !== '');
  const shown = filter === '' ? frames : frames.filter(({ type }) => type === filter);
  const chosen = shown.find(({ key }) => String(key) === selected) ?? shown.at(-1);
  return (
    <>
      <div class="row">
        <button type="button" aria-pressed={isPaused} onClick={() => pause(!isPaused)}>
          {isPaused ? 'Go on' : 'Pause'}
        </button>
        <button type="button" disabled={frames.length === 0} onClick={() => save(frames)}>
          Save
        </button>
        <label>
          Only{' '}
          <select value={filter} onChange={(event) => setFilter(event.currentTarget.value)}>
            <option value="">all</option>
            {types.map((type) => (
              <option key={type} value={type}>
                {type}
              </option>
            ))}
          </select>
        </label>
        <span role="status">{note}</span>
      </div>
      <div class="two">
        <div class="tall">
          <VirtualList
            label="Frames"
            items={shown}
            id={({ key }) => String(key)}
            rowHeight={ROW_HEIGHT}
            selected={String(chosen?.key ?? '')}
            onSelect={({ key }) => select(String(key))}
          >
            {(frame) => <Line frame={frame} />}
          </VirtualList>
        </div>
        {chosen !== undefined && (
          <section aria-label="Frame">
            <p>
              {chosen.direction === 'in' ? 'From the device' : 'To the device'}, {clock(chosen.at)}, {number(chosen.bytes)} B over{' '}
              {chosen.transport}
            </p>
            {chosen.damaged !== undefined && <p class="degraded">Accepted in spite of {chosen.damaged}.</p>}
            <Explained hex={chosen.hex} explain={chosen.explain ?? []} />
          </section>
        )}
      </div>
    </>
  );
}

function Line({ frame }: { readonly frame: Frame }): JSX.Element {
  const { at, direction, bytes, type = '', name = '', records, reason, hex } = frame;
  const count = Array.isArray(records) ? records.length : Number(records ?? 0);
  return (
    <div class="row">
      <span class="mono">
        {clock(at, false)}.{String(at % 1000).padStart(3, '0')}
      </span>
      <span>{direction === 'in' ? '▶ in' : '◀ out'}</span>
      <span class="number">{number(bytes)} B</span>
      <span class="grow">
        {type === '' ? <code>{hex.slice(0, 32)}</code> : `${type} ${name}${count > 0 ? ` (${count})` : ''}`}
        {reason !== undefined && <span class="down"> ✖ {reason}</span>}
      </span>
    </div>
  );
}

/** A file that `fixgate decode` reads: what came from the device, a frame a line. */
function save(frames: readonly Frame[]): void {
  const text = frames.flatMap(({ direction, hex }) => (direction === 'in' ? [`${hex}\n`] : [])).join('');
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'trace.hex';
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
