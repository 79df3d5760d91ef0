import type { LayerSpecification, StyleSpecification } from 'maplibre-gl';

/** A map that the server has (`/v1/maps`). */
export interface MapFile {
  readonly name: string;
  readonly maxzoom: number;
  readonly attribution: string;
  readonly kind: 'world' | 'protomaps' | 'other';
}

interface Colours {
  readonly land: string;
  readonly sea: string;
  readonly line: string;
  readonly road: string;
  readonly text: string;
  readonly halo: string;
  readonly accent: string;
  readonly onAccent: string;
  readonly bad: string;
}

const LIGHT: Colours = {
  land: '#f4f2ec',
  sea: '#d4e4ee',
  line: '#8f9aa3',
  road: '#c9c4b8',
  text: '#333a41',
  halo: '#ffffff',
  accent: '#0b5cad',
  onAccent: '#ffffff',
  bad: '#b3261e',
};
const DARK: Colours = {
  land: '#1f262c',
  sea: '#10181f',
  line: '#5b6670',
  road: '#37424c',
  text: '#d5dbe1',
  halo: '#10181f',
  accent: '#7cb7ff',
  onAccent: '#10181f',
  bad: '#ff8a80',
};

const FONT = ['sans-serif'];

/** The whole style: the map below, the trail, the devices. Without glyphs: letters are those of the system. */
export function styleOf(isDark: boolean, maps: readonly MapFile[]): StyleSpecification {
  const colours = isDark ? DARK : LIGHT;
  const sources: StyleSpecification['sources'] = {
    trail: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
    devices: {
      type: 'geojson',
      data: { type: 'FeatureCollection', features: [] },
      cluster: true,
      clusterRadius: 48,
      clusterMaxZoom: 9,
      maxzoom: 12,
      buffer: 16,
      clusterProperties: { alarms: ['+', ['case', ['==', ['get', 'state'], 'alarm'], 1, 0]] },
    },
    selected: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
  };
  const below: LayerSpecification[] = [{ id: 'sea', type: 'background', paint: { 'background-color': colours.sea } }];
  for (const { name, kind } of maps) {
    sources[name] = { type: 'vector', url: `pmtiles://${location.origin}/maps/${name}.pmtiles` };
    if (kind === 'world') below.push(...worldLayers(name, colours));
    if (kind === 'protomaps') below.push(...streetLayers(name, colours));
  }
  return { version: 8, sources, layers: [...below, ...deviceLayers(colours)] };
}

function worldLayers(source: string, { land, line, text, halo }: Colours): LayerSpecification[] {
  return [
    { id: 'land', type: 'fill', source, 'source-layer': 'land', paint: { 'fill-color': land, 'fill-antialias': false } },
    { id: 'coast', type: 'line', source, 'source-layer': 'coast', paint: { 'line-color': line, 'line-width': 0.8 } },
    {
      id: 'border',
      type: 'line',
      source,
      'source-layer': 'border',
      paint: { 'line-color': line, 'line-width': 0.8, 'line-dasharray': [3, 2] },
    },
    {
      id: 'town',
      type: 'circle',
      source,
      'source-layer': 'place',
      filter: ['>=', ['get', 'size'], ['-', 21, ['*', 1.15, ['zoom']]]],
      paint: { 'circle-radius': 1.6, 'circle-color': line },
    },
    {
      id: 'name',
      type: 'symbol',
      source,
      'source-layer': 'place',
      filter: ['>=', ['get', 'size'], ['-', 24.5, ['*', 1.2, ['zoom']]]],
      layout: {
        'text-field': ['get', 'name'],
        'text-font': FONT,
        'text-size': ['interpolate', ['linear'], ['get', 'size'], 10, 10, 24, 15],
        'text-anchor': 'bottom',
        'text-offset': [0, -0.2],
        'symbol-sort-key': ['-', 0, ['get', 'size']],
      },
      paint: { 'text-color': text, 'text-halo-color': halo, 'text-halo-width': 1.2 },
    },
  ];
}

/** The layers of Protomaps' basemap that say where one is. */
function streetLayers(source: string, { land, sea, line, road, text, halo }: Colours): LayerSpecification[] {
  return [
    { id: `${source}-earth`, type: 'fill', source, 'source-layer': 'earth', paint: { 'fill-color': land } },
    { id: `${source}-water`, type: 'fill', source, 'source-layer': 'water', paint: { 'fill-color': sea } },
    {
      id: `${source}-roads`,
      type: 'line',
      source,
      'source-layer': 'roads',
      paint: { 'line-color': road, 'line-width': ['interpolate', ['exponential', 1.6], ['zoom'], 6, 0.5, 18, 12] },
    },
    {
      id: `${source}-boundaries`,
      type: 'line',
      source,
      'source-layer': 'boundaries',
      paint: { 'line-color': line, 'line-dasharray': [3, 2] },
    },
    {
      id: `${source}-road-names`,
      type: 'symbol',
      source,
      'source-layer': 'roads',
      minzoom: 13,
      layout: { 'symbol-placement': 'line', 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 11 },
      paint: { 'text-color': text, 'text-halo-color': halo, 'text-halo-width': 1.2 },
    },
    {
      id: `${source}-places`,
      type: 'symbol',
      source,
      'source-layer': 'places',
      layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 12 },
      paint: { 'text-color': text, 'text-halo-color': halo, 'text-halo-width': 1.2 },
    },
  ];
}

function deviceLayers({ accent, onAccent, bad, text, halo }: Colours): LayerSpecification[] {
  return [
    {
      id: 'trail',
      type: 'line',
      source: 'trail',
      layout: { 'line-join': 'round' },
      paint: { 'line-color': accent, 'line-width': 3, 'line-opacity': 0.8 },
    },
    {
      id: 'clusters',
      type: 'circle',
      source: 'devices',
      filter: ['has', 'point_count'],
      paint: {
        'circle-color': accent,
        'circle-radius': ['step', ['get', 'point_count'], 14, 50, 18, 500, 23, 5000, 28],
        'circle-stroke-width': ['case', ['>', ['get', 'alarms'], 0], 4, 1.5],
        'circle-stroke-color': ['case', ['>', ['get', 'alarms'], 0], bad, onAccent],
      },
    },
    {
      id: 'counts',
      type: 'symbol',
      source: 'devices',
      filter: ['has', 'point_count'],
      layout: { 'text-field': ['to-string', ['get', 'point_count']], 'text-font': FONT, 'text-size': 12, 'text-allow-overlap': true },
      paint: { 'text-color': onAccent },
    },
    {
      id: 'chosen',
      type: 'circle',
      source: 'selected',
      paint: { 'circle-radius': 16, 'circle-opacity': 0, 'circle-stroke-color': accent, 'circle-stroke-width': 3 },
    },
    {
      id: 'marks',
      type: 'symbol',
      source: 'devices',
      filter: ['!', ['has', 'point_count']],
      layout: {
        'icon-image': ['get', 'state'],
        'icon-rotate': ['case', ['==', ['get', 'state'], 'moving'], ['get', 'course'], 0],
        'icon-rotation-alignment': 'map',
        'icon-allow-overlap': true,
        'text-field': ['step', ['zoom'], '', 10, ['get', 'device']],
        'text-font': FONT,
        'text-size': 11,
        'text-anchor': 'top',
        'text-offset': [0, 0.9],
        'text-optional': true,
      },
      paint: { 'text-color': text, 'text-halo-color': halo, 'text-halo-width': 1.2 },
    },
  ];
}
