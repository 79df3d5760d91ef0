import { createHash } from 'node:crypto';
import { z } from 'zod';
import { lookMs } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { DevicePlans } from '../../fleet/plan/device-plans.ts';
import { usageKey } from '../../fleet/plan/usage.ts';
import { EntryKind } from '../../journal/entry.ts';
import { JournalReader } from '../../journal/reader.ts';
import { pages } from '../../state/pages.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/** That a text message has come: the table `texts`, by the SHA-256 of form and message id. Times in epoch ms. */
const textMarkSchema = z.object({
  received: z.number().describe('it is journaled under this time'),
  server: z.string().describe('that has it'),
  done: z.boolean().optional().describe('it is in the journal, or was not wanted'),
  digest: z.string().optional().describe('SHA-256 of the text, while it is not known whether that is in the journal'),
});
export type TextMark = z.infer<typeof textMarkSchema>;

export const TEXTS = new TypedTable<TextMark>({ name: 'texts', key: byId, parse: rowsOf(textMarkSchema) });

type Plans = Pick<DevicePlans, 'of'>;

/** How long a message id is remembered. Twilio's requests carry no time. */
const KEPT_MS = 30 * 86_400_000;
const SWEEP_MS = 3_600_000;

/** What a killed server left (inbox invariant 2): marks of messages that are in its journal become done, others go. `directory`: of its slot. */
export async function settleMarks(store: StateStore, plans: Plans, instance: string, directory: string): Promise<void> {
  const open = new Map<string, { readonly key: string; readonly text: string; readonly mark: TextMark }>();
  for await (const page of pages(store, 'texts'))
    for (const { key, value } of page) {
      const mark = TEXTS.read(value);
      if (mark?.server === instance && mark.done !== true) open.set(`${mark.received} ${mark.digest}`, { key, text: value, mark });
    }
  if (open.size === 0) return;
  const found = await journaled(directory, new Set([...open.values()].map(({ mark }) => mark.received)));
  for (const [name, { key, text, mark }] of open) {
    const device = found.get(name);
    const ops: readonly Op[] = device === undefined ? [{ table: 'texts', key, remove: true }] : await doneOps(key, mark, device, plans);
    await store.write([{ table: 'texts', key, expect: text }, ...ops]);
  }
}

/** The message has arrived, and counts for the device; '': for none. */
export async function doneOps(key: string, { received, server }: TextMark, device: string, plans: Plans): Promise<Op[]> {
  const put: Op = { table: 'texts', key, put: JSON.stringify({ received, server, done: true } satisfies TextMark) };
  if (device === '') return [put];
  const { cycle } = await plans.of(device, received);
  return [put, { table: 'usage', key: usageKey(device, cycle), add: { texts_in: 1 } }];
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Devices by `<received> <digest>` of their frames in the slot that were received at these times. */
async function journaled(directory: string, times: ReadonlySet<number>): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const reader = new JournalReader(directory);
  while (await reader.fill()) {
    for (let entry = reader.peek(); entry !== null; entry = reader.peek()) {
      if (entry.kind === EntryKind.Frame && times.has(entry.received))
        found.set(`${entry.received} ${digestOf(entry.bytes.subarray(entry.start, entry.end))}`, entry.device);
      reader.advance();
    }
  }
  await reader.close();
  return found;
}

/** Forgets message ids that are old. Returns how to end that. */
export function sweepMarks(store: StateStore, now: () => number, log: Log): () => void {
  const sweep = async (): Promise<void> => {
    for await (const page of pages(store, 'texts')) {
      const old = page.filter(({ value }) => (TEXTS.read(value)?.received ?? 0) < now() - KEPT_MS);
      if (old.length > 0) await store.write(old.map(({ key }): Op => ({ table: 'texts', key, remove: true })));
    }
  };
  const timer = setInterval(
    () =>
      void sweep().catch((error: unknown) => log.warn({ error: messageOf(error) }, 'ids of old text messages cannot be removed; retried')),
    lookMs(SWEEP_MS),
  ).unref();
  return () => clearInterval(timer);
}
