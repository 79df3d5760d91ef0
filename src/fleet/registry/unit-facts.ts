import { z } from 'zod';
import type { StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/**
 * What devices have said of their SIM card, firmware and model: the table `unit_facts`, by device. Another value than any before is an event,
 * `sim_changed` or `unit_changed`; the first one is not.
 *
 * 1. Values are compared within one message of the protocol: two messages may write the same thing in two ways.
 * 2. The last MOST_VALUES are remembered, so that a device with two cards is told of once.
 */
export const UNIT_FIELDS = ['iccid', 'imsi', 'firmware', 'model'] as const;
export type UnitField = (typeof UNIT_FIELDS)[number];

export interface UnitValue {
  readonly field: UnitField;
  /** Name of the message that said it. */
  readonly message: string;
  readonly value: string;
}

export interface UnitNews {
  readonly type: 'sim_changed' | 'unit_changed';
  readonly what: UnitField;
  readonly before: string;
  readonly value: string;
}

const MOST_VALUES = 4;
const MOST_KEYS = 32;
const LONGEST = 64;

/** `<field> <message>` → values, the newest last. */
const unit = z.record(z.string(), z.array(z.string()).min(1));
const FACTS = new TypedTable<z.infer<typeof unit>>({ name: 'unit_facts', key: byId, parse: rowsOf(unit) });

/** What the device has said last, by any message. */
export async function learnedOf(store: Pick<StateStore, 'get'>, device: string): Promise<Partial<Record<UnitField, string>>> {
  const learned: Partial<Record<UnitField, string>> = {};
  for (const [key, values] of Object.entries((await FACTS.get(store, device)) ?? {})) {
    const field = UNIT_FIELDS.find((one) => key.startsWith(`${one} `));
    if (field !== undefined) learned[field] = values.at(-1) ?? '';
  }
  return learned;
}

/** Notes what was said. Returns what has changed by it. */
export async function noteUnit(store: StateStore, device: string, said: readonly UnitValue[]): Promise<UnitNews[]> {
  let news: UnitNews[] = [];
  await store.update('unit_facts', device, (text) => {
    news = [];
    const known = { ...(FACTS.read(text) ?? {}) };
    let isNew = false;
    for (const { field, message, value: said_ } of said) {
      const value = plain(field, said_);
      const key = `${field} ${message}`.slice(0, LONGEST);
      const values = known[key] ?? [];
      if (value === '' || values.at(-1) === value || (values.length === 0 && Object.keys(known).length >= MOST_KEYS)) continue;
      const before = values.at(-1);
      if (before !== undefined && !values.includes(value))
        news.push({ type: field === 'iccid' || field === 'imsi' ? 'sim_changed' : 'unit_changed', what: field, before, value });
      known[key] = [...values.filter((one) => one !== value), value].slice(-MOST_VALUES);
      isNew = true;
    }
    return isNew ? JSON.stringify(known) : text;
  });
  return news;
}

/** Numbers of cards without the padding that some messages add; '' where there is none. */
function plain(field: UnitField, text: string): string {
  if (field === 'firmware' || field === 'model') return text.trim().slice(0, LONGEST);
  const digits = text.replace(/\D/g, '').slice(0, 19);
  return /^0*$/.test(digits) || digits.length < 14 ? '' : digits;
}
