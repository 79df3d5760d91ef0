import type { Codec, FrameResult } from '../../codec/index.ts';
import { UNIT_FIELDS, type UnitField, type UnitValue } from '../../fleet/registry/unit-facts.ts';

const FIELDS: readonly string[] = UNIT_FIELDS;
const IDS = new WeakMap<Codec, readonly (readonly [id: number, field: UnitField])[]>();
const NOTHING: readonly UnitValue[] = [];

/** What the last record of a frame says of the device's SIM card, firmware and model. To be asked for frames with texts only. */
export function unitOf(codec: Codec, frame: FrameResult): readonly UnitValue[] {
  const ids = idsOf(codec);
  const row = frame.rows - 1;
  if (ids.length === 0 || row < 0) return NOTHING;
  let found: UnitValue[] | undefined;
  for (let k = row === 0 ? 0 : (frame.attrEnd[row - 1] ?? 0); k < (frame.attrEnd[row] ?? 0); k++)
    for (const [id, field] of ids)
      if (frame.attrId[k] === id) {
        found ??= [];
        found.push({ field, message: frame.name, value: frame.texts[frame.attrNum[k] ?? 0] ?? '' });
      }
  return found ?? NOTHING;
}

function idsOf(codec: Codec): readonly (readonly [number, UnitField])[] {
  let ids = IDS.get(codec);
  if (ids === undefined) {
    ids = [...codec.attributes].flatMap(([id, { name, type }]) =>
      FIELDS.includes(name) && type === 'text' ? UNIT_FIELDS.filter((field) => field === name).map((field) => [id, field] as const) : [],
    );
    IDS.set(codec, ids);
  }
  return ids;
}
