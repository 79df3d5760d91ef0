import type { Codec, FrameResult } from '../../codec/index.ts';
import { UNIT_FIELDS, type UnitField, type UnitValue } from '../../fleet/registry/unit-facts.ts';

const IDS = new WeakMap<Codec, ReadonlyMap<number, UnitField>>();
const NOTHING: readonly UnitValue[] = [];

/** What the last record of a frame says of the device's SIM card, firmware and model. To be asked for frames with texts only. */
export function unitOf(codec: Codec, frame: FrameResult): readonly UnitValue[] {
  const ids = idsOf(codec);
  const row = frame.rows - 1;
  if (ids.size === 0 || row < 0) return NOTHING;
  let found: UnitValue[] | undefined;
  for (let k = row === 0 ? 0 : (frame.attrEnd[row - 1] ?? 0), end = frame.attrEnd[row] ?? 0; k < end; k++) {
    const field = ids.get(frame.attrId[k] ?? 0);
    if (field === undefined) continue;
    found ??= [];
    found.push({ field, message: frame.name, value: frame.texts[frame.attrNum[k] ?? 0] ?? '' });
  }
  return found ?? NOTHING;
}

function idsOf(codec: Codec): ReadonlyMap<number, UnitField> {
  let ids = IDS.get(codec);
  if (ids === undefined) {
    ids = new Map(
      [...codec.attributes].flatMap(([id, { name, type }]) => {
        const field = type === 'text' ? UNIT_FIELDS.find((one) => one === name) : undefined;
        return field === undefined ? [] : [[id, field] as const];
      }),
    );
    IDS.set(codec, ids);
  }
  return ids;
}
