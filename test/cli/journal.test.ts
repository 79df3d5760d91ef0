import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { entryPlaces } from '../journal/slot.ts';
import { fixgate } from './command.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');
const T = Date.UTC(2026, 9, 1);
const position = frameLines('h02').find((line) => line.expect.type === 'records' && line.transport === 'tcp');
const frame = bytesOf(position?.hex ?? '');

let data = '';

/** Slot 0: two frames and an event. Slot 1: one frame of which nothing is kept, marked relay. */
beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'fixgate-journal-'));
  for (const [slot, devices] of [
    [0, ['4209951296', '4209951297']],
    [1, ['4209951298']],
  ] as const) {
    const calls = { onDurable: () => {}, onFailed: () => {} };
    const journal = await Journal.open({ directory: join(data, 'journal', String(slot)), minFreeBytes: 0, ...calls });
    const marks = slot === 1 ? { keep: Uint8Array.of(0), relay: true } : undefined;
    for (const device of devices)
      journal.append(
        new Origin(new Definition('h02', 'tcp'), device, '192.0.2.1:1000'),
        EntryKind.Frame,
        T,
        0,
        1,
        frame,
        0,
        frame.length,
        marks,
      );
    const event = Buffer.from('{"type":"connected"}');
    if (slot === 0)
      journal.append(new Origin(new Definition('h02', 'tcp'), '4209951296', ''), EntryKind.Event, T, 0, 0, event, 0, event.length);
    await journal.close();
  }
});
afterAll(() => rmSync(data, { recursive: true }));

function files(): string[] {
  return [0, 1].flatMap((slot) => {
    const directory = join(data, 'journal', String(slot));
    return readdirSync(directory).map(
      (name) => `${slot}/${name} ${statSync(join(directory, name)).mtimeMs} ${readFileSync(join(directory, name), 'hex')}`,
    );
  });
}

async function journal(...args: string[]): Promise<{ code: number | null; rows: Record<string, unknown>[]; out: string; error: string }> {
  const { code, out, error, lines } = await fixgate(['journal', ...args], '', { FIXGATE_DATA_DIR: data });
  const rows = lines.filter((line) => /^[[{]/.test(line)).flatMap((line) => JSON.parse(line));
  return { code, rows, out, error };
}

describe('fixgate journal', () => {
  it('lists segments, verifies and prints entries, and changes nothing', async () => {
    const before = files();
    const listed = await journal('ls', '--json');
    expect(listed.rows).toMatchObject([
      { slot: 0, first: 1, durable: 3 },
      { slot: 1, first: 1, durable: 1 },
    ]);
    const verified = await journal('verify', '--json');
    expect([verified.code, verified.rows]).toEqual([
      0,
      [
        { slot: 0, entries: 3, thinned: 0, relayed: 0, durable: 3, damages: [], problem: '' },
        { slot: 1, entries: 1, thinned: 1, relayed: 1, durable: 1, damages: [], problem: '' },
      ],
    ]);
    const dumped = await journal('dump');
    expect(dumped.rows.map(({ slot, sequence, kind, device }) => [slot, sequence, kind, device])).toEqual([
      [0, 1, 'frame', '4209951296'],
      [0, 2, 'frame', '4209951297'],
      [0, 3, 'event', '4209951296'],
      [1, 1, 'frame', '4209951298'],
    ]);
    expect(dumped.rows[0]).toMatchObject({
      received: T,
      codec: 'h02',
      transport: 'tcp',
      peer: '192.0.2.1:1000',
      accepted: 1,
      hex: position?.hex,
    });
    expect(dumped.rows[2]).toMatchObject({ data: '{"type":"connected"}' });
    expect(dumped.rows.map(({ relay = false, kept = 'all' }) => [relay, kept])).toEqual([
      [false, 'all'],
      [false, 'all'],
      [false, 'all'],
      [true, []],
    ]);
    expect((await journal('dump', '--slot', '1', '--decode')).rows[0]).toMatchObject({ records: [] });
    expect(files()).toEqual(before);
  });

  it('prints a part, decoded', async () => {
    const { rows } = await journal('dump', '--device', '4209951297', '--decode');
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ sequence: 2, records: [{ kind: 'fix', device: '4209951297', protocol: 'h02' }] });
    expect((await journal('dump', '--slot', '0', '--from', '2', '--to', '2')).rows.map(({ sequence }) => sequence)).toEqual([2]);
  });

  it('finds a flipped bit and an unknown version, with exit code 1, and touches neither', async () => {
    const [name = ''] = readdirSync(join(data, 'journal/0')).filter((file) => file.endsWith('.seg'));
    const path = join(data, 'journal/0', name);
    const sound = readFileSync(path);
    const flipped = Buffer.from(sound);
    flipped[sound.length - 3] = (flipped[sound.length - 3] ?? 0) ^ 4;
    const first = (await entryPlaces(path))[0]?.offset ?? 0;
    flipped[first + 60] = (flipped[first + 60] ?? 0) ^ 4;
    writeFileSync(path, flipped);
    const damaged = await journal('verify', '--json', '--slot', '0');
    expect([damaged.code, damaged.rows[0]]).toMatchObject([1, { entries: 1, problem: '' }]);
    // Also the last one of the last segment, behind which nothing comes.
    expect(damaged.rows[0]?.['damages']).toHaveLength(2);
    copyFileSync(join(FIXTURES, 'journal/newer-version.bin'), path);
    const newer = await journal('verify', '--json', '--slot', '0');
    expect([newer.code, newer.rows[0]]).toMatchObject([1, { entries: 0, problem: expect.stringContaining('version') }]);
    expect(readFileSync(path)).toEqual(readFileSync(join(FIXTURES, 'journal/newer-version.bin')));
    writeFileSync(path, sound);
  });

  it('shows what is parked', async () => {
    expect(await journal('parked')).toMatchObject({ code: 0, out: '' });
    mkdirSync(join(data, 'parked'));
    const line = { slot: '0', sequence: 7, received: T, codec: 'h02', transport: 'tcp', device: '4209951296', memo: 0, accepted: 1 };
    writeFileSync(join(data, 'parked/clickhouse.jsonl'), `${JSON.stringify({ ...line, reason: 'refused', hex: '2a' })}\n`);
    const { code, rows } = await journal('parked', '--json');
    expect([code, rows]).toMatchObject([1, [{ sink: 'clickhouse', kind: 'frame', slot: 0, sequence: 7, reason: 'refused', hex: '2a' }]]);
    const refused = await fixgate(['journal', 'parked', '--retry'], '', { FIXGATE_DATA_DIR: data, FIXGATE_CLICKHOUSE_PORT: '0' });
    expect(refused.error).not.toBe('');
    expect((await journal('parked', '--json')).rows).toHaveLength(1);
    writeFileSync(join(data, 'parked/redis.jsonl'), 'nonsense\n');
    expect((await journal('parked')).error).toMatch(/redis\.jsonl:1 is not a parked entry/);
    rmSync(join(data, 'parked'), { recursive: true });
  });

  it.each([
    [['journal'], 'expected ls, verify, dump or parked'],
    [['journal', 'dump', '--from', 'x'], '--from "x" is not a sequence'],
    [['journal', 'ls', '--slot', '9'], 'unknown slot 9; slots are 0, 1'],
  ])('%j is refused with the remedy', async (args, said) => {
    const { code, error } = await fixgate(args, '', { FIXGATE_DATA_DIR: data });
    expect([code, error]).toEqual([2, expect.stringContaining(said)]);
  });

  it('a data directory without a journal is named', async () => {
    const { code, error } = await fixgate(['journal', 'ls'], '', { FIXGATE_DATA_DIR: join(data, 'none') });
    expect([code, error]).toEqual([73, expect.stringContaining('FIXGATE_DATA_DIR')]);
  });
});
