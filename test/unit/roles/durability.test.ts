import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { NO_DEFINITION } from '../../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../../src/journal/entry.ts';
import { Journal } from '../../../src/journal/journal.ts';
import { Durability, openDurable } from '../../../src/roles/durability.ts';

const SURE = { sure: true, confirm: async () => {} };

/** What is told to each part, in the order in which it happens. */
function watched(durability: Durability): string[] {
  const steps: string[] = [];
  durability.follow({
    durable: (watermark) => steps.push(`meters ${watermark}`),
    failed: (from, to) => steps.push(`meters lose ${from}-${to}`),
  });
  durability.owing.add({
    release: (watermark) => steps.push(`answers ${watermark}`),
    failed: (from, to) => steps.push(`answers lose ${from}-${to}`),
  });
  durability.paused.add({ resume: () => steps.push('socket') });
  return steps;
}

describe('what happens when a commit has ended', () => {
  it('invariants 1 to 3: meters, then answers, then paused sockets', () => {
    const durability = new Durability(SURE);
    const steps = watched(durability);
    durability.durable(7);
    expect(steps).toEqual(['meters 7', 'answers 7', 'socket']);
  });

  it('invariant 2: answers and sockets wait while the directory is not surely ours, and then see the newest watermark once', async () => {
    let sure = (): void => {};
    const tenure = { sure: false, confirm: () => new Promise<void>((resolve) => (sure = resolve)) };
    const durability = new Durability(tenure);
    const steps = watched(durability);
    durability.durable(5);
    durability.durable(9);
    expect(steps).toEqual(['meters 5', 'meters 9']);
    sure();
    await new Promise((resolve) => setImmediate(resolve));
    expect(steps.slice(2)).toEqual(['answers 9', 'socket']);
  });

  it('invariant 4: a failed commit is taken back from the meters, and not answered', () => {
    const durability = new Durability(SURE);
    const steps = watched(durability);
    durability.failed(3, 4);
    expect(steps).toEqual(['meters lose 3-4', 'answers lose 3-4']);
  });

  it('follows a real journal', async () => {
    const directory = mkdtempSync(`${tmpdir()}/fixgate-durability-`);
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const { journal, durability } = await openDurable((calls) => Journal.open({ directory, minFreeBytes: 0, ...calls }), SURE);
    const released: number[] = [];
    durability.owing.add({ release: (watermark) => released.push(watermark), failed: () => {} });
    const bytes = new Uint8Array([1]);
    const sequence = journal.append(new Origin(NO_DEFINITION, 'd', 'p'), EntryKind.Frame, 1, 0, 0, bytes, 0, 1);
    await journal.flush();
    expect(released).toEqual([sequence]);
    await journal.close();
  });
});
