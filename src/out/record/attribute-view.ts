import type { Codec } from '../../codec/index.ts';
import { asciiBytes } from './json-writer.ts';

/** How one attribute id of one codec reads in a record: standard name, type, and the scale in a form that keeps decimals clean. */
export interface AttributeView {
  readonly name: string;
  readonly type: 'number' | 'boolean' | 'text';
  /** value = raw × multiply ÷ divide + offset. Dividing by 1000 gives 13.8 where multiplying by 0.001 gives 13.8000…01. */
  readonly multiply: number;
  readonly divide: number;
  readonly offset: number;
  /** Number of the name: two views with one name have the same, so that finding a name in a record compares no text. -1: it has none. */
  readonly nameNumber: number;
  /** `"name":` as it stands in the JSON of a record, first and behind another one. */
  readonly firstKey: Uint8Array;
  readonly key: Uint8Array;
}

const VIEWS = new WeakMap<Codec, Map<number, AttributeView>>();
/** Ids come from the wire and unknown ones get a view too: a codec's ids are 16 bits wide at most in practice, this bounds the rest. */
const MAX_VIEWS = 100_000;
const NAME_NUMBERS = new Map<string, number>();

/** All views of a codec, filled on first use of each id. */
export function viewsOf(codec: Codec): Map<number, AttributeView> {
  let views = VIEWS.get(codec);
  if (views === undefined) {
    views = new Map();
    VIEWS.set(codec, views);
  }
  return views;
}

export function attributeView(codec: Codec, views: Map<number, AttributeView>, id: number): AttributeView {
  const known = views.get(id);
  if (known !== undefined) return known;
  const attribute = codec.attributes.get(id);
  const scale = attribute?.scale ?? 1;
  const inverse = Math.round(1 / scale);
  const divides = scale < 1 && Math.abs(inverse * scale - 1) < 1e-12;
  const name = attribute?.name ?? `${codec.attributePrefix}${id}`;
  const view: AttributeView = {
    name,
    type: attribute?.type ?? 'number',
    multiply: divides ? 1 : scale,
    divide: divides ? inverse : 1,
    offset: attribute?.offset ?? 0,
    nameNumber: views.size < MAX_VIEWS ? numberOf(name) : -1,
    firstKey: asciiBytes(`"${name}":`),
    key: asciiBytes(`,"${name}":`),
  };
  if (views.size < MAX_VIEWS) views.set(id, view);
  return view;
}

function numberOf(name: string): number {
  const number = NAME_NUMBERS.get(name) ?? NAME_NUMBERS.size;
  NAME_NUMBERS.set(name, number);
  return number;
}
