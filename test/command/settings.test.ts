import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import type { Options } from '../../src/codec/index.ts';
import type { CriticalType } from '../../src/fleet/command/critical.ts';
import { Ledger } from '../../src/fleet/command/ledger.ts';
import { commandOf, SETTINGS, Shadow } from '../../src/fleet/command/shadow.ts';
import { permits } from '../../src/fleet/command/stream.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';

/** Which setting a command changes, and which command changes a setting. */

let directory: string;
let store: LmdbStore;
let ids = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-settings-'));
  store = new LmdbStore({ directory, log: silentLog });
});
afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

/** What is asked for when this command is queued. */
async function desired(type: string, parameters: Options): Promise<Options> {
  const id = `c${ids++}`;
  const rest = {
    requester: 'me',
    reason: '',
    ref: '',
    not_before: 0,
    expires: 1,
    priority: 0,
    when: 'any',
    switches: [],
    critical: '',
  } as const;
  await new Ledger(store, () => 0, 3).submit({ device: id, type, parameters, ...rest }, id);
  return (await new Shadow(store).get(id)).desired;
}

describe('a command', () => {
  it.each<[type: string, parameters: Options, setting: Options]>([
    ['set_interval', { seconds: 30 }, { interval: 30 }],
    ['set_interval', { seconds: 30, port: 5 }, { interval: 30 }],
    ['set_interval', {}, {}],
    ['set_time_zone', { minutes: -90 }, { time_zone: -90 }],
    ['set_server', { host: 'fix.example.org', port: 5027 }, { server: 'fix.example.org:5027' }],
    ['set_server', { host: 'fix.example.org' }, { server: 'fix.example.org' }],
    ['set_server', { port: 5027 }, {}],
    ['reboot', { seconds: 30 }, {}],
  ])('%s %j makes desired: %j', async (type, parameters, setting) => {
    expect(await desired(type, parameters)).toEqual(setting);
  });
});

describe('a setting', () => {
  it.each<[name: string, value: string | number, command: object | undefined]>([
    ['interval', 30, { type: 'set_interval', parameters: { seconds: 30 } }],
    ['time_zone', -90, { type: 'set_time_zone', parameters: { minutes: -90 } }],
    ['time_zone', '1:30', { type: 'set_time_zone', parameters: { minutes: '1:30' } }],
    ['server', 'fix.example.org:5027', { type: 'set_server', parameters: { host: 'fix.example.org', port: 5027 } }],
    ['server', '2001:db8::1:5027', { type: 'set_server', parameters: { host: '2001:db8::1', port: 5027 } }],
    ['server', 'fix.example.org', { type: 'set_server', parameters: { host: 'fix.example.org' } }],
    ['server', 'fix.example.org:', { type: 'set_server', parameters: { host: 'fix.example.org:' } }],
    ['firmware', '1', undefined],
  ])('%s = %j is made by', (name, value, command) => {
    expect(commandOf(name, value)).toEqual(command);
  });
});

describe('the table', () => {
  const settings = { desired: {}, reported: {}, pending: {} };
  it.each([
    ['settings', JSON.stringify(settings), settings],
    ['none without what is desired', JSON.stringify({ reported: {}, pending: {} }), undefined],
    ['none without what is reported', JSON.stringify({ desired: {}, pending: {} }), undefined],
    ['none without what is pending', JSON.stringify({ desired: {}, reported: {} }), undefined],
    ['none in a text', '"desired"', undefined],
    ['none in null', 'null', undefined],
    ['none in what is not JSON', '{', undefined],
  ])('%s', (_what, text, read) => {
    expect(SETTINGS.read(text)).toEqual(read);
  });
});

describe('the stream', () => {
  it.each<[type: string, critical: CriticalType, allows: readonly string[], problem: string]>([
    ['engine_stop', 'engine_stop', ['engine_stop'], ''],
    ['engine_resume', 'engine_resume', ['engine_stop'], ''],
    ['reboot', 'engine_resume', ['engine_resume'], ''],
    ['engine_stop', 'engine_stop', ['engine_resume'], 'engine_stop does not come this way unless commands.streamAllows names engine_stop'],
    [
      'set_parameter',
      'set_server',
      ['set_parameter'],
      'this set_parameter, which acts as set_server, does not come this way unless commands.streamAllows names set_server',
    ],
  ])('with %s, which is %s, where %j is allowed', (type, critical, allows, problem) => {
    expect(permits(type, critical, allows)).toEqual(problem === '' ? undefined : { field: 'type', problem });
  });
});
