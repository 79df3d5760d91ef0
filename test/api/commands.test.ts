import { afterEach, describe, expect, it } from 'vitest';
import { CRITICAL_SCOPES, CRITICAL_TYPES, isAllowed } from '../../src/command/critical.ts';
import { configSchema } from '../../src/config/schema.ts';
import { Api } from './rig.ts';

let api: Api | undefined;
afterEach(async () => {
  await api?.stop();
  api = undefined;
});

/** One of each critical type that Teltonika encodes. */
const PARAMETERS: Readonly<Record<(typeof CRITICAL_TYPES)[number], object>> = {
  engine_stop: {},
  engine_resume: {},
  set_output: { on: true },
  set_server: { host: 'example.org', port: 5027 },
  custom: { text: 'getver' },
};
const PATH = '/v1/devices/356307042440001/commands';
const wanted = (type: keyof typeof PARAMETERS): object => ({ type, parameters: PARAMETERS[type], protocol: 'teltonika' });

describe('critical commands', () => {
  it.each(CRITICAL_TYPES)('%s needs its scope', async (type) => {
    api = await Api.start(['read', 'commands']);
    const scope = CRITICAL_SCOPES[type];
    expect(await api.call('POST', PATH, wanted(type))).toMatchObject({
      status: 403,
      body: { title: expect.stringContaining(`\`${scope}\``) },
    });
    const token = await api.token(['commands', scope]);
    expect(await api.call('POST', PATH, wanted(type), { authorization: `Bearer ${token}` })).toMatchObject({ status: 201 });
  });

  it.each(CRITICAL_TYPES)('%s is confirmed by a second request where that is configured', async (type) => {
    api = await Api.start(['admin'], {}, true);
    const asked = await api.call('POST', PATH, wanted(type));
    expect(asked).toMatchObject({ status: 428, body: { confirm: expect.any(String) } });
    expect(await api.call('POST', PATH, { ...wanted(type), confirm: asked.body['confirm'] })).toMatchObject({ status: 201 });
    expect(await api.call('POST', PATH, { type: 'version', protocol: 'teltonika' })).toMatchObject({ status: 201 });
  });

  it('come from the stream only where the configuration names them; who may stop may resume', () => {
    for (const type of CRITICAL_TYPES) expect([type, isAllowed(type, []), isAllowed(type, [type])]).toEqual([type, false, true]);
    expect([isAllowed('engine_resume', ['engine_stop']), isAllowed('engine_stop', ['engine_resume'])]).toEqual([true, false]);
    expect(isAllowed('version', [])).toBe(true);
  });
});

it('`commands.streamAllows` knows every critical type', () => {
  const streamAllows = (types: readonly string[]): unknown =>
    configSchema.safeParse({ commands: { streamAllows: types } }).data?.commands.streamAllows;
  expect(streamAllows(CRITICAL_TYPES)).toEqual(CRITICAL_TYPES);
  // As earlier versions had it.
  expect(streamAllows(['engine_stop', 'custom'])).toEqual(['engine_stop', 'custom']);
  expect(streamAllows(['version'])).toBeUndefined();
});
