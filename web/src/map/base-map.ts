import type { FeatureCollection, Position } from 'geojson';
import {
  addProtocol,
  GeoJSONSource,
  type LngLatLike,
  Map as MapLibre,
  NavigationControl,
  ScaleControl,
  setWorkerUrl,
  VectorTileSource,
} from 'maplibre-gl';
import 'maplibre-gl/dist/maplibre-gl.css';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import { Protocol } from 'pmtiles';
import { type Row, STATES } from '../live.ts';
import { markOf, PIXEL_RATIO } from './marks.ts';
import { type MapFile, styleOf } from './style.ts';

setWorkerUrl(workerUrl);
const protocol = new Protocol();
addProtocol('pmtiles', protocol.tile);

/** A source that never says that it is loaded must not stop the devices. */
const LOAD_MS = 3000;
/** The pause after an update of the devices, as a multiple of what it took, and at most. */
const REST = 3;
const MOST_REST_MS = 2000;
const CLOSE_ZOOM = 12;
/** After this long what did not come of the map below is asked for again. */
const RETRY_MS = 5000;

interface TilePlace {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

export interface MapHooks {
  /** A device was clicked; '' beside all. */
  select(device: string): void;
  /** A person has moved the map. */
  moved?(): void;
}

/**
 * The map with devices on it. Throws without WebGL.
 *
 * 1. At most one update of the devices is under way: the next waits until the last is loaded, and takes the newest rows.
 * 2. Updates have a quarter of the time at most: however many devices there are, the page is there for who uses it.
 */
export class DevicesMap {
  readonly #map: MapLibre;
  readonly #container: HTMLElement;
  #isDark: boolean;
  #maps: readonly MapFile[];
  #rows: readonly Row[] = [];
  #trail: readonly Position[] = [];
  #selected: Row | undefined;
  #isStyled = false;
  #isBusy = false;
  #isDirty = false;
  /** By source of the map below: the tiles that did not come. None of a source whose header did not come. */
  readonly #torn = new Map<string, TilePlace[]>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #rest: ReturnType<typeof setTimeout> | undefined;

  constructor(container: HTMLElement, isDark: boolean, maps: readonly MapFile[], hooks: MapHooks) {
    this.#container = container;
    this.#isDark = isDark;
    this.#maps = maps;
    this.#map = new MapLibre({
      container,
      style: styleOf(isDark, maps),
      center: [10, 25],
      zoom: 1.2,
      maxPitch: 0,
      dragRotate: false,
      attributionControl: false,
      // Labels that fade in are drawn again and again, with every report of a device.
      fadeDuration: 0,
    });
    // For who looks at the page from outside, such as a test.
    Object.assign(container, { map: this.#map });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.addControl(new NavigationControl({ showCompass: false }), 'top-right');
    this.#map.addControl(new ScaleControl(), 'bottom-left');
    this.#map.on('error', (event) => this.#failed(Object(event)));
    this.#map.on('style.load', () => this.#styled());
    this.#map.on('click', (event) => {
      const [feature] = this.#map.queryRenderedFeatures(event.point, { layers: ['marks', 'clusters'] });
      const cluster = feature?.properties['cluster_id'];
      if (cluster === undefined) hooks.select(String(feature?.properties['device'] ?? ''));
      else void this.#expand(Number(cluster), event.lngLat);
    });
    this.#map.on('dragstart', () => hooks.moved?.());
    this.#map.on('idle', () => {
      container.dataset.ready = 'true';
      // What is drawn of the devices: of any earlier picture some of it may not be.
      const drawn = this.#isStyled ? this.#map.queryRenderedFeatures({ layers: ['marks', 'clusters'] }) : [];
      container.dataset.marks = String(drawn.length);
    });
  }

  show(rows: readonly Row[]): void {
    this.#rows = rows;
    this.#flush();
  }

  select(row: Row | undefined): void {
    if (row === this.#selected) return;
    this.#selected = row;
    this.#mark();
  }

  trail(points: readonly Position[]): void {
    this.#trail = points;
    this.#put(
      'trail',
      points.length < 2 ? [] : [{ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates: [...points] } }],
    );
  }

  /** All of them in sight. */
  fit(points: readonly Position[]): void {
    if (points.length === 0) return;
    const lons = points.map(([lon = 0]) => lon);
    const lats = points.map(([, lat = 0]) => lat);
    const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b));
    const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b));
    this.#map.fitBounds(
      [
        [least(lons), least(lats)],
        [most(lons), most(lats)],
      ],
      { padding: 60, maxZoom: CLOSE_ZOOM, animate: false },
    );
  }

  centre(row: Row, isNear: boolean): void {
    const zoom = isNear ? Math.max(this.#map.getZoom(), CLOSE_ZOOM) : this.#map.getZoom();
    this.#map.easeTo({ center: [row.lon, row.lat], zoom, duration: matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 300 });
  }

  restyle(isDark: boolean, maps: readonly MapFile[]): void {
    if (isDark === this.#isDark && maps === this.#maps) return;
    this.#isDark = isDark;
    this.#maps = maps;
    this.#isStyled = false;
    this.#map.setStyle(styleOf(isDark, maps), { diff: false });
  }

  /** Asks again for what did not come of the map below the devices while the server was away. */
  reload(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const torn = [...this.#torn];
    this.#torn.clear();
    // They keep that a header could not be read.
    if (torn.length > 0) protocol.tiles.clear();
    for (const [name, tiles] of torn) {
      const source = this.#map.getSource(name);
      if (!(source instanceof VectorTileSource)) continue;
      // A new URL alone leaves tiles that have failed for ever waiting.
      if (tiles.length > 0) this.#map.refreshTiles(name, tiles);
      else source.setUrl(source.url);
    }
  }

  remove(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#rest);
    this.#isStyled = false;
    this.#map.remove();
  }

  #failed({
    sourceId,
    tile,
  }: {
    readonly sourceId?: string;
    readonly tile?: { readonly tileID: { readonly canonical: TilePlace } };
  }): void {
    if (sourceId === undefined) return;
    this.#torn.set(sourceId, [...(this.#torn.get(sourceId) ?? []), ...(tile === undefined ? [] : [tile.tileID.canonical])]);
    this.#retry ??= setTimeout(() => this.reload(), RETRY_MS);
  }

  #styled(): void {
    for (const state of STATES) {
      const image = markOf(state, this.#isDark);
      if (image !== undefined && !this.#map.hasImage(state)) this.#map.addImage(state, image, { pixelRatio: PIXEL_RATIO });
    }
    this.#isStyled = true;
    clearTimeout(this.#rest);
    this.#isBusy = false;
    this.#flush();
    this.trail(this.#trail);
    this.#mark();
  }

  /** Invariants 1 and 2. */
  #flush(): void {
    if (!this.#isStyled) return;
    if (this.#isBusy) {
      this.#isDirty = true;
      return;
    }
    const source = this.#map.getSource('devices');
    if (!(source instanceof GeoJSONSource)) return;
    this.#isBusy = true;
    this.#isDirty = false;
    const begun = performance.now();
    const features = this.#rows.map(point);
    const done = (): void => {
      clearTimeout(timer);
      this.#map.off('sourcedata', heard);
      this.#container.dataset.devices = String(features.length);
      const rest = (): void => {
        this.#isBusy = false;
        if (this.#isDirty) this.#flush();
      };
      this.#rest = setTimeout(rest, Math.min(MOST_REST_MS, REST * (performance.now() - begun)));
    };
    const heard = (event: { readonly sourceId?: string; readonly isSourceLoaded?: boolean }): void => {
      if (event.sourceId === 'devices' && event.isSourceLoaded === true) done();
    };
    const timer = setTimeout(done, LOAD_MS);
    this.#map.on('sourcedata', heard);
    source.setData(collection(features));
  }

  /** The selected device. Each time draws the whole map again. */
  #mark(): void {
    this.#put('selected', this.#selected === undefined ? [] : [point(this.#selected, 0)]);
  }

  #put(name: string, features: FeatureCollection['features']): void {
    const source = this.#isStyled ? this.#map.getSource(name) : undefined;
    if (source instanceof GeoJSONSource) source.setData(collection(features));
  }

  async #expand(cluster: number, center: LngLatLike): Promise<void> {
    const source = this.#map.getSource('devices');
    if (source instanceof GeoJSONSource) this.#map.easeTo({ center, zoom: await source.getClusterExpansionZoom(cluster) });
  }
}

function collection(features: FeatureCollection['features']): FeatureCollection {
  return { type: 'FeatureCollection', features };
}

/** Its id is a number: ids of devices have letters. */
function point(row: Row, id: number): FeatureCollection['features'][number] {
  return {
    type: 'Feature',
    id,
    properties: { device: row.device, state: row.state, course: row.course ?? 0 },
    geometry: { type: 'Point', coordinates: [row.lon, row.lat] },
  };
}
