import { afterAll, beforeAll, expect, it } from 'vitest';
import { Api } from '../api/rig.ts';
import { fixgate, type Outcome } from './command.ts';

let api: Api;
let token: string;
beforeAll(async () => {
  api = await Api.start();
  token = await api.token(['read', 'commands']);
});
afterAll(() => api.stop());

const commands = (...args: readonly string[]): Promise<Outcome> =>
  fixgate(['commands', ...args], '', { FIXGATE_URL: api.url, FIXGATE_TOKEN: token });

it('fixgate commands lists and cancels', async () => {
  const made = await api.call('POST', '/v1/devices/d-01/commands', { type: 'version', protocol: 'teltonika' });
  const id = String(made.body['id']);
  const { code, lines } = await commands('list');
  expect([code, lines]).toEqual([
    0,
    [expect.stringMatching(/^id +device +type +state/), expect.stringMatching(`^${id} +d-01 +version +queued `)],
  ]);
  expect(await commands('cancel', 'd-01', id)).toMatchObject({ code: 0, out: `${id}  cancelled\n` });
  expect(JSON.parse((await commands('list', '--state', 'cancelled', '--state', 'failed', '--json')).out)).toMatchObject({
    id,
    state: 'cancelled',
  });
  expect(await commands('list', '--state', 'queued', '--device', 'd-01')).toMatchObject({ code: 0, out: '' });
  // It has ended.
  expect(await commands('cancel', 'd-01', id)).toMatchObject({ code: 0 });
  expect(await commands('cancel', 'd-01', 'nothing')).toMatchObject({ code: 1, error: 'fixgate: device d-01 has no command nothing\n' });
});

it('fixgate commands says how it is used', async () => {
  for (const args of [[], ['cancel'], ['cancel', 'd-01'], ['list', 'd-01'], ['remove', 'a', 'b']])
    expect(await commands(...args)).toMatchObject({ code: 2, error: expect.stringContaining('usage: fixgate commands list') });
});
