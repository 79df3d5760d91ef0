import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findToken } from '../../src/api/tokens.ts';
import { silentLog } from '../../src/base/log.ts';
import { token } from '../../src/cli/token.ts';
import { openState, type State } from '../../src/state/open.ts';

/** `fixgate token`, in this process. */

let directory: string;
let store: State;
let out: string[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-token-'));
  store = await openState({ url: undefined, prefix: '', directory: join(directory, 'state'), log: silentLog });
  vi.stubEnv('FIXGATE_DATA_DIR', directory);
  vi.stubEnv('FIXGATE_CONFIG', undefined);
  vi.stubEnv('FIXGATE_STATE_URL', undefined);
  out = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

/** What the command prints. */
async function said(...args: string[]): Promise<string> {
  out.length = 0;
  expect(await token(args)).toBe(0);
  return out.join('');
}

describe('fixgate token', () => {
  it('create prints a token once, which is valid; ls prints names and scopes, never the token', async () => {
    const text = (await said('create', '--name', 'me', '--scope', 'read', '--scope', 'commands')).trim();
    expect(await findToken(store, text)).toMatchObject({ name: 'me', scopes: ['read', 'commands'] });
    await said('create', '--name', 'backend');
    const listed = await said('ls');
    expect(listed.trimEnd().split('\n').toSorted()).toEqual([`${'backend'.padEnd(25)}read`, `${'me'.padEnd(25)}read commands`]);
    expect(listed).not.toContain(text.slice(3));
    const json: { name: string }[] = JSON.parse(await said('ls', '--json'));
    expect(json.map(({ name }) => name).toSorted()).toEqual(['backend', 'me']);
    expect(JSON.stringify(json)).not.toContain(text.slice(3));
  });

  it('create --json tells name, scopes and token', async () => {
    const made = JSON.parse(await said('create', '--name', 'me', '--json'));
    expect(made).toEqual({ name: 'me', scopes: ['read'], token: expect.stringMatching(/^fg_/) });
    expect(await findToken(store, made.token)).toBeDefined();
  });

  it('create limits a token to accounts and in time; one that has ended is none, nor is one whose limit cannot be read', async () => {
    const made = JSON.parse(
      await said('create', '--name', 'desk', '--account', 'acme', '--account', 'Smith, Sons', '--expires', '2999-01-01', '--json'),
    );
    expect(made).toMatchObject({ accounts: ['acme', 'Smith, Sons'], expires: Date.UTC(2999, 0, 1) });
    expect(await findToken(store, made.token)).toMatchObject({ accounts: ['acme', 'Smith, Sons'], expires: Date.UTC(2999, 0, 1) });
    expect(await said('ls')).toBe(`${'desk'.padEnd(25)}read  accounts: acme, Smith, Sons  until 2999-01-01T00:00:00.000Z\n`);
    const [found] = (await store.list('tokens', { limit: 10 })).filter(({ value }) => value.includes('scopes'));
    for (const [fields, isToken] of [
      [{ expires: Date.now() + 3_600_000 }, true],
      [{ expires: Date.now() - 1 }, false],
      [{ expires: 'soon' }, false],
      [{ accounts: 'acme' }, false],
    ] as const) {
      await store.write([
        { table: 'tokens', key: found?.key ?? '', put: JSON.stringify({ ...JSON.parse(found?.value ?? ''), ...fields }) },
      ]);
      expect([fields, (await findToken(store, made.token)) !== undefined]).toEqual([fields, isToken]);
    }
    for (const args of [
      ['--account', ''],
      ['--expires', 'soon'],
      ['--expires', '5'],
    ])
      await expect(token(['create', '--name', 'more', ...args])).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('revoke makes the token invalid, no other, and prints nothing', async () => {
    const [mine, other] = [(await said('create', '--name', 'mine')).trim(), (await said('create', '--name', 'other')).trim()];
    expect(await said('revoke', '--name', 'mine')).toBe('');
    expect([await findToken(store, mine), (await findToken(store, other))?.name]).toEqual([undefined, 'other']);
    expect(await said('ls')).toBe(`${'other'.padEnd(25)}read\n`);
  });

  it('revoke of a name that no token has fails and names the remedy', async () => {
    const text = (await said('create', '--name', 'me')).trim();
    await expect(token(['revoke', '--name', 'm'])).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/"m".*fixgate token ls/),
    });
    expect(await findToken(store, text)).toBeDefined();
  });

  it('ls prints nothing when there is no token', async () => {
    expect([await said('ls'), await said('ls', '--json')]).toEqual(['', '[]\n']);
  });

  it.each([
    [['create']],
    [['revoke']],
    [['create', '--name', 'two words']],
    [['revoke', '--name', 'x'.repeat(65)]],
    [['create', '--name', 'me', '--scope', 'root']],
    [['list']],
    [[]],
  ])('%j is refused, and changes nothing', async (args) => {
    await said('create', '--name', 'me0');
    await expect(token(args)).rejects.toMatchObject({ code: 'USAGE' });
    expect(await said('ls')).toBe(`${'me0'.padEnd(25)}read\n`);
  });
});
