import { effect } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../api.ts';
import { loadPart, onReturn } from '../load.ts';
import { isDark } from '../theme.ts';
import type { DevicesMap, MapHooks } from './base-map.ts';
import type { MapFile } from './style.ts';

const ASK_AGAIN_MS = 3000;
const DISMISSED = 'fixgate.no-streets';

/** The element of a map, made when its code has been loaded. `ready` gets it. */
export function MapView(props: {
  readonly hooks: MapHooks;
  readonly ready: (map: DevicesMap) => void;
  /** The browser draws no map. */
  readonly failed?: () => void;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [trouble, setTrouble] = useState('');
  const [maps, setMaps] = useState<readonly MapFile[]>([]);
  const [isDismissed, dismiss] = useState(localStorage.getItem(DISMISSED) !== null);
  const given = useRef(props);
  given.current = props;
  useEffect(() => {
    let map: DevicesMap | undefined;
    let known: readonly MapFile[] = [];
    let end: () => void = () => {};
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      known = await get<readonly MapFile[]>('/v1/maps').then(
        (all) => all.filter(({ kind }) => kind !== 'other'),
        () => known,
      );
      if (isOver) return;
      setMaps(known);
      // It is being built.
      if (!known.some(({ kind }) => kind === 'world')) timer = setTimeout(() => void look(), ASK_AGAIN_MS);
      map?.restyle(isDark(), known);
    };
    const start = async (): Promise<void> => {
      const failed = (): void => setTrouble('The map cannot be loaded: the server is away, or newer than this page. Load the page again.');
      const [module] = await Promise.all([loadPart(() => import('./base-map.ts'), failed), look()]);
      if (isOver || box.current === null) return;
      setTrouble('');
      map = new module.DevicesMap(box.current, isDark(), known, {
        select: (device) => given.current.hooks.select(device),
        moved: () => given.current.hooks.moved?.(),
      });
      given.current.ready(map);
      const ends = [effect(() => map?.restyle(isDark(), known)), onReturn(() => map?.reload())];
      end = () => {
        for (const one of ends) one();
      };
    };
    start().catch(() => {
      setTrouble('This browser draws no map: it has no WebGL.');
      given.current.failed?.();
    });
    return () => {
      isOver = true;
      clearTimeout(timer);
      end();
      map?.remove();
    };
  }, []);
  const hasStreets = maps.some(({ kind }) => kind === 'protomaps');
  const sources = maps.map(({ attribution }) => attribution.replace(/<[^>]*>/g, '')).join(' · ');
  return (
    <>
      <div class="map" ref={box} />
      {trouble !== '' && (
        <p class="map-note" role="alert">
          {trouble}
        </p>
      )}
      {trouble === '' && !hasStreets && !isDismissed && (
        <p class="map-note">
          No street map: put a .pmtiles file into &lt;dataDir&gt;/maps.{' '}
          <button
            type="button"
            onClick={() => {
              localStorage.setItem(DISMISSED, '1');
              dismiss(true);
            }}
          >
            Close
          </button>
        </p>
      )}
      <p class="attribution">{sources}</p>
    </>
  );
}
