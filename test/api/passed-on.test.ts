import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createToken } from '../../src/api/tokens.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import type { Op, Table } from '../../src/state/store.ts';
import { eventually } from '../support/wait.ts';
import { Api } from './rig.ts';

/**
 * A device is passed on to another account between the look at the right of a token that is limited to the first one and what the call
 * does: whatever such a token may change is changed on the condition that the device is still its account's.
 */

const DEVICE = '356307042441013';
const ofAcme = deviceSchema.parse({ id: DEVICE, account: 'acme', protocol: 'teltonika' });

let api: Api;
let headers: Record<string, string>;
beforeAll(async () => {
  api = await Api.start();
  const token = await createToken(api.office.state, {
    name: 'of-acme',
    scopes: ['admin', 'engine'],
    accounts: ['acme'],
    created: Date.now(),
  });
  headers = { authorization: `Bearer ${token}` };
});
afterAll(() => api.stop());

/** A row of the ledger. */
const row = (table: 'commands' | 'unknown', id: string, device = DEVICE): Op => ({
  table,
  key: `${device} ${id}`,
  put: JSON.stringify({
    id,
    device,
    type: 'locate',
    protocol: 'teltonika',
    state: table === 'unknown' ? 'unknown' : 'queued',
    requester: 'of-acme',
    reason: '',
    ref: '',
    reply: '',
    values: {},
    when: 'any',
    attempts: 0,
    next_attempt: 0,
    created: Date.now(),
    expires: Date.now() + 3_600_000,
    ended: 0,
    history: [],
  }),
});

interface Changing {
  readonly operation: string;
  readonly path: string;
  readonly body?: object;
  /** Its write names this table. */
  readonly table: Table;
  /** What of it is there before. */
  readonly before?: () => Promise<unknown>;
  /** What has become of it. */
  readonly after: () => Promise<unknown>;
  readonly left: unknown;
}

const CHANGING: readonly Changing[] = [
  {
    operation: 'POST /v1/devices/{id}/commands',
    path: `/v1/devices/${DEVICE}/commands`,
    body: { type: 'locate', protocol: 'teltonika' },
    table: 'submitted',
    after: () => api.office.ledger.open(DEVICE),
    left: [],
  },
  {
    operation: 'DELETE /v1/devices/{id}/commands/{command}',
    path: `/v1/devices/${DEVICE}/commands/cmd-1`,
    table: 'finished',
    before: () => api.office.state.write([row('commands', 'cmd-1')]),
    // Passing it on has cancelled it, and not the caller.
    after: async () => (await api.office.ledger.finished(DEVICE)).map(({ history }) => history.at(-1)?.note),
    left: ['by transfer'],
  },
  {
    operation: 'POST /v1/commands/{command}/outcome',
    path: '/v1/commands/cmd-2/outcome',
    body: { outcome: 'done', reason: 'seen' },
    table: 'finished',
    before: () => api.office.state.write([row('unknown', 'cmd-2')]),
    after: async () => (await api.office.ledger.unknown(DEVICE)).map(({ id }) => id),
    left: ['cmd-2'],
  },
  {
    operation: 'POST /v1/devices/{id}/tests',
    path: `/v1/devices/${DEVICE}/tests`,
    body: { profile: 'basic' },
    table: 'tests',
    after: () => api.office.tester.list(DEVICE),
    left: [],
  },
];

describe('a device that is passed on between check and write', () => {
  it.each(CHANGING)('$operation', async ({ operation, path, body, table, before, after, left }) => {
    const { state, deviceRecords } = api.office;
    await deviceRecords.create(ofAcme, 'test');
    await before?.();
    const write = state.write.bind(state);
    let isPassed = false;
    const spy = vi.spyOn(state, 'write').mockImplementation(async (ops, until) => {
      if (!isPassed && ops.some((op) => op.table === table)) {
        isPassed = true;
        await deviceRecords.patch(DEVICE, { account: 'bolt' }, 'test');
      }
      return write(ops, until);
    });
    const answer = await api.call(operation.split(' ')[0] ?? '', path, body, headers);
    spy.mockRestore();
    expect([answer.status, isPassed]).toEqual([404, true]);
    await eventually(async () => expect(await after()).toEqual(left));
    // Nothing of it is told as of the device of the next account.
    const told = api.events.filter(({ device, type }) => device === DEVICE && !String(type).startsWith('device_'));
    expect(told.filter(({ requester, by, state: of }) => of !== 'cancelled' && (requester === 'of-acme' || by === 'of-acme'))).toEqual([]);
    await deviceRecords.remove(DEVICE, 'test');
    for (const name of ['unknown', 'finished', 'commands', 'tests'] as const)
      for (const { key } of await state.list(name, { limit: 100 })) await write([{ table: name, key, remove: true }]);
  });

  it('POST /v1/devices/{id}/disconnect', async () => {
    const { office } = api;
    await office.deviceRecords.create(ofAcme, 'test');
    const disconnect = vi.spyOn(office, 'disconnect').mockResolvedValue(1);
    // The call is written down before it is done.
    const asked = vi.spyOn(office.trail, 'asked').mockImplementation(async () => {
      await office.deviceRecords.patch(DEVICE, { account: 'bolt' }, 'test');
    });
    const answer = await api.call('POST', `/v1/devices/${DEVICE}/disconnect`, undefined, headers);
    expect([answer.status, disconnect.mock.calls]).toEqual([404, []]);
    asked.mockRestore();
    disconnect.mockRestore();
    await office.deviceRecords.remove(DEVICE, 'test');
  });

  it('an alias that is of another device by then is still the one that was looked at', async () => {
    const { office } = api;
    await office.deviceRecords.create({ ...ofAcme, aliases: ['van'] }, 'test');
    await office.state.write([row('commands', 'cmd-3', 'other')]);
    const asked = vi.spyOn(office.trail, 'asked').mockImplementation(async () => {
      await office.deviceRecords.patch(DEVICE, { aliases: [] }, 'test');
      await office.deviceRecords.create({ ...ofAcme, id: 'other', account: 'bolt', aliases: ['van'] }, 'test');
    });
    const answer = await api.call('DELETE', '/v1/devices/van/commands/cmd-3', undefined, headers);
    asked.mockRestore();
    expect([answer.status, (await office.ledger.get('other', 'cmd-3'))?.state]).toEqual([404, 'queued']);
  });

  it('every operation that such a token may call and that changes something stands here', async () => {
    const { paths }: { paths: Record<string, Record<string, unknown>> } = JSON.parse((await api.call('GET', '/openapi.json')).text);
    const changing = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => ['post', 'put', 'patch', 'delete'].includes(method))
        .map((method) => ({ method: method.toUpperCase(), path })),
    );
    expect(changing.length).toBeGreaterThan(30);
    const open: string[] = [];
    for (const { method, path } of changing) {
      const { status, text } = await api.call(method, path.replaceAll(/\{\w+\}/g, 'x'), {}, headers);
      if (status !== 403 || !text.includes('is for tokens that are not')) open.push(`${method} ${path}`);
    }
    const changes = open.filter((one) => !NOTHING_OF_A_DEVICE.includes(one));
    expect(changes.sort()).toEqual([...CHANGING.map(({ operation }) => operation), 'POST /v1/devices/{id}/disconnect'].sort());
  });
});

/** That of the gateway for text messages has a signature and no token. */
const NOTHING_OF_A_DEVICE = ['POST /v1/session', 'DELETE /v1/session', 'POST /v1/downloads', 'POST /v1/decode', 'POST /v1/sms/inbound'];
