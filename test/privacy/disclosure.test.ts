import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { disclose as discloseCommand } from '../../src/cli/data.ts';
import type { Command } from '../../src/fleet/command/command.ts';
import { disclose } from '../../src/fleet/privacy/disclosure.ts';
import type { RowSpan, StoredRows } from '../../src/fleet/privacy/stored-rows.ts';
import { OWNERS } from '../../src/fleet/registry/owners.ts';
import { Api } from '../api/rig.ts';
import { eventually } from '../support/wait.ts';
import { objects, unzipped } from './zip.ts';

/** What an authority gets of a device that was of acme until SOLD and of bolt from then on, by the API; the rows are made here. */

const CAR = 'car-01';
const VAN = 'van-01';
const LORRY = 'lorry-01';
const SOLD = 1_790_000_000_000;
const HOUR = 3_600_000;
const [FROM, TO] = [SOLD - 2 * HOUR, SOLD + 2 * HOUR];

interface Row {
  readonly device: string;
  readonly time: number;
  readonly [field: string]: unknown;
}

const row = (time: number, mark: string, more: object = {}): Row => ({ device: CAR, time, received: time, account: '', id: mark, ...more });
const event = (time: number, id: string, state: string): Row => row(time, `${id}-${state}`, { type: 'command', data: { id, state } });

const TABLES: Readonly<Record<string, readonly Row[]>> = {
  positions: [
    row(SOLD - 3 * HOUR, 'early'),
    row(FROM, 'first', { account: 'acme' }),
    row(SOLD - HOUR, 'kept-by-the-device', { received: SOLD + HOUR, account: 'bolt' }),
    row(SOLD - 1, 'last-of-acme'),
    { ...row(SOLD - 1, 'by-alias'), device: 'alias-01' },
    row(SOLD, 'first-of-bolt', { account: 'bolt' }),
    row(TO, 'late'),
    { ...row(SOLD, 'of-the-van', { account: 'acme' }), device: VAN },
    { ...row(SOLD, 'of-the-lorry', { account: 'cargo' }), device: LORRY },
  ],
  statuses: [row(SOLD - 5, 'status-of-acme'), row(SOLD + 5, 'status-of-bolt')],
  events: [
    event(FROM - 7, 'c-before', 'queued'),
    event(FROM + 7, 'c-before', 'sent'),
    event(SOLD + 7, 'c-before', 'answered'),
    event(SOLD + 8, 'c-bolt', 'queued'),
  ],
  raw: [row(SOLD - 9, 'frame-of-acme', { frame: 'ab', sha256: 'x' }), row(TO + 9, 'frame-later')],
};

class Rows implements StoredRows {
  static open = 0;

  constructor() {
    Rows.open++;
  }

  async columns(): Promise<object[]> {
    return [{}];
  }

  async *pages(table: string, devices: readonly string[], span?: RowSpan): AsyncGenerator<readonly object[]> {
    const { from = 0, to = Number.POSITIVE_INFINITY } = span ?? {};
    for (const device of devices)
      for (const one of TABLES[table] ?? []) if (one.device === device && one.time >= from && one.time < to) yield [one];
  }

  events(devices: readonly string[], span?: RowSpan): AsyncGenerator<readonly object[]> {
    return this.pages('events', devices, span);
  }

  async close(): Promise<void> {
    Rows.open--;
  }
}

function command(id: string, created: number): Command {
  const found: unknown = { id, device: CAR, created, type: 'version' };
  return Object(found);
}

let api: Api;

beforeAll(async () => {
  api = await Api.start();
  for (const device of [
    { id: CAR, account: 'bolt', aliases: ['alias-01'] },
    { id: VAN, account: 'acme' },
    { id: LORRY, account: 'cargo' },
  ])
    expect((await api.call('POST', '/v1/devices', device)).status).toBe(201);
  await api.office.state.write([
    OWNERS.put(
      [
        { account: 'acme', from: 5, to: SOLD },
        { account: 'bolt', from: SOLD },
      ],
      CAR,
    ),
    OWNERS.put([{ account: 'acme', from: 5 }], VAN),
    OWNERS.put([{ account: 'cargo', from: 5 }], LORRY),
  ]);
  const ledger = {
    open: async (device: string) => (device === CAR ? [command('c-open', SOLD + 3)] : []),
    unknown: async () => [],
    finished: async (device: string) =>
      device === CAR ? [command('c-before', FROM - 7), command('c-first', FROM), command('c-acme', SOLD - 3), command('c-late', TO)] : [],
  };
  const options = { rows: () => new Rows(), store: api.office.state, ledger, now: Date.now };
  Object.assign(api.office, {
    disclose: (...given: [Parameters<typeof disclose>[1], RowSpan, object]) => disclose(options, ...given),
  });
});
afterAll(() => api.stop());

const CASE = { from: FROM, to: TO, authority: 'Police Berlin', reference: 'AZ 12/2027', reason: 'court order' };

async function disclosed(asked: object): Promise<Map<string, string>> {
  const response = await fetch(`${api.url}/v1/disclosures`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenOf()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...CASE, ...asked }),
  });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/zip']);
  return unzipped(Buffer.from(await response.arrayBuffer()));
}

let token: string | undefined;
async function tokenOf(): Promise<string> {
  token ??= await api.token(['admin']);
  return token;
}

const marks = (files: Map<string, string>, name: string): unknown[] => objects(files.get(`${name}.ndjson`)).map(({ id }) => id);
const manifestOf = (files: Map<string, string>): Record<string, unknown> => JSON.parse(files.get('manifest.json') ?? '');

describe('a disclosure', () => {
  it('of a device has all of the period, whosever it was, under its aliases too, and who had it', async () => {
    const files = await disclosed({ device: 'alias-01' });
    expect([...files.keys()].at(-1)).toBe('manifest.json');
    expect(marks(files, 'positions')).toEqual(['first', 'kept-by-the-device', 'last-of-acme', 'first-of-bolt', 'by-alias']);
    expect(marks(files, 'statuses')).toEqual(['status-of-acme', 'status-of-bolt']);
    expect(marks(files, 'events')).toEqual(['c-before-sent', 'c-before-answered', 'c-bolt-queued']);
    expect(marks(files, 'commands')).toEqual(['c-first', 'c-acme', 'c-open']);
    expect(marks(files, 'frames')).toEqual(['frame-of-acme']);
    expect(objects(files.get('owners.ndjson')).map(({ account }) => account)).toEqual(['acme', 'bolt']);
  });

  it('of an account has what was received while the device was its own, of each of its devices', async () => {
    const files = await disclosed({ account: 'acme' });
    expect(marks(files, 'positions')).toEqual(['first', 'last-of-acme', 'by-alias', 'of-the-van']);
    expect(marks(files, 'statuses')).toEqual(['status-of-acme']);
    expect(marks(files, 'events')).toEqual(['c-before-sent']);
    expect(marks(files, 'commands')).toEqual(['c-first', 'c-acme']);
    expect(marks(files, 'frames')).toEqual(['frame-of-acme']);
    expect(objects(files.get('owners.ndjson'))).toMatchObject([
      { device: CAR, account: 'acme', to: SOLD },
      { device: VAN, account: 'acme' },
    ]);
    for (const text of files.values()) expect(text).not.toMatch(/bolt|cargo|lorry/);
    const own = await disclosed({ account: 'bolt', device: CAR });
    expect(marks(own, 'positions')).toEqual(['first-of-bolt']);
    expect(marks(own, 'events')).toEqual(['c-bolt-queued']);
    expect(marks(own, 'commands')).toEqual(['c-open']);
    for (const text of own.values()) expect(text).not.toContain('acme');
  });

  it('has a manifest of who asked and the hashes of the files, which are the same for the same data', async () => {
    const files = await disclosed({ device: CAR });
    const manifest = manifestOf(files);
    const entry = api.audit.at(-1);
    expect(manifest).toMatchObject({ ...CASE, device: CAR, by: 'admin', audit: { id: entry?.['id'], request: entry?.['request'] } });
    expect(manifest['files']).toEqual(
      [...files].slice(0, -1).map(([name, text]) => ({
        name,
        bytes: Buffer.byteLength(text),
        sha256: createHash('sha256').update(text).digest('hex'),
      })),
    );
    const again = manifestOf(await disclosed({ device: CAR }));
    expect(again['files']).toEqual(manifest['files']);
    expect(Object(again['audit']).id).not.toBe(entry?.['id']);
    await eventually(() => expect(Rows.open).toBe(0));
  });

  it('is in the audit before its first byte, under each device of an account, and nothing is disclosed where that cannot be', async () => {
    const before = api.audit.length;
    await disclosed({ account: 'acme' });
    const entered = api.audit.slice(before);
    expect(entered.map(({ type, status, device, account }) => [type, status, device, account])).toEqual([
      ['change', 0, '', ''],
      ['change', 200, CAR, 'acme'],
      ['change', 200, VAN, 'acme'],
      ['change', 200, '', 'acme'],
    ]);
    expect(entered.at(-1)).toMatchObject({ operation: 'POST /v1/disclosures', new: { account: 'acme', ...CASE } });
    api.refuses = 'no space';
    try {
      expect((await api.call('POST', '/v1/disclosures', { ...CASE, device: CAR })).status).toBe(503);
    } finally {
      api.refuses = '';
    }
  });

  it.each([
    [{}, 422, /device: give a device/],
    [{ device: CAR, to: FROM }, 422, /to: must be/],
    [{ device: CAR, to: Date.now() + HOUR }, 422, /to: must be/],
    [{ account: 'nobody' }, 404, /did not have a device/],
    [{ device: LORRY, account: 'acme' }, 404, /did not have device lorry-01/],
    [{ account: 'bolt', to: SOLD }, 404, /did not have a device/],
    [{ device: CAR, reference: '' }, 400, /reference/],
  ])('is refused, saying what is wrong: %j', async (asked, status, said) => {
    const answer = await api.call('POST', '/v1/disclosures', { ...CASE, ...asked });
    const problems: { field: string; problem: string }[] = Object(answer.body)['problems'] ?? [];
    const text = [answer.body['title'], ...problems.map(({ field, problem }) => `${field}: ${problem}`)].join('; ');
    expect([answer.status, text]).toEqual([status, expect.stringMatching(said)]);
  });

  it('is written by the command line', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-disclosure-'));
    vi.stubEnv('FIXGATE_URL', api.url);
    vi.stubEnv('FIXGATE_TOKEN', await tokenOf());
    try {
      const out = join(directory, 'out.zip');
      const why = ['--authority', 'Police', '--reference', 'AZ 1', '--reason', 'order', '--out', out];
      const span = ['--from', new Date(FROM).toISOString(), '--to', String(TO)];
      expect(await discloseCommand([CAR, ...span, ...why])).toBe(0);
      expect(marks(unzipped(readFileSync(out)), 'statuses')).toEqual(['status-of-acme', 'status-of-bolt']);
      await expect(discloseCommand([CAR, '--from', 'noon', '--to', '5', ...why])).rejects.toMatchObject({ code: 'USAGE' });
      await expect(discloseCommand([...span, ...why])).rejects.toMatchObject({ code: 'USAGE' });
    } finally {
      vi.unstubAllEnvs();
      rmSync(directory, { recursive: true });
    }
  });
});
