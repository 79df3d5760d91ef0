import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { Secret, SecretUrl } from '../../src/base/secret.ts';
import { loadConfig } from '../../src/config/load.ts';
import { packConfig, unpackConfig } from '../../src/config/pack.ts';
import { plainError } from '../../src/out/sink/clickhouse/errors.ts';

/** As in a URL, and as it is. */
const [WRITTEN, MEANT] = ['hush%40W0rd', 'hush@W0rd'];

function printed(value: unknown): string {
  return [
    String(value),
    `${value}`,
    JSON.stringify({ value }),
    inspect(value, { showHidden: true }),
    inspect({ value }),
    `${[value]}`,
  ].join(' ');
}

it.each([
  [`redis://me:${WRITTEN}@example.test:6379/2`, 'redis://example.test:6379/2'],
  [`http://me:${WRITTEN}@example.test:8123/`, 'http://example.test:8123'],
  [`http://example.test/db?password=${WRITTEN}&x=1#${WRITTEN}`, 'http://example.test/db'],
  [`/run/redis.sock?password=${WRITTEN}`, '/run/redis.sock'],
  [`localhost:${WRITTEN}`, '***'],
  [`http://me:${WRITTEN}@[broken`, '***'],
  [`me:${WRITTEN}@example.test:6379`, '***'],
])('%s is printed as %s, however it is printed', (text, shown) => {
  const url = new SecretUrl(text);
  expect(String(url)).toBe(shown);
  for (const secret of [WRITTEN, MEANT]) expect(printed(url)).not.toContain(secret);
  expect(url.reveal()).toBe(text);
});

it('takes what is secret out of the texts of others', () => {
  const url = new SecretUrl(`http://me:${WRITTEN}@example.test:8123/?key=k3y-k3y`);
  const said = `cannot fetch ${url.reveal()} as me with ${MEANT} or ${WRITTEN} and k3y-k3y`;
  const error = plainError(new Error(said), { url, password: new Secret('0ther') });
  expect(error.message).toBe(
    'ClickHouse at http://example.test:8123 does not answer (cannot fetch http://example.test:8123 as me with *** or *** and ***)',
  );
  expect(plainError(new Error('0ther'), { url, password: new Secret('0ther') }).message).not.toContain('0ther');
  expect(printed(new Secret('0ther'))).not.toContain('0ther');
  expect([new Secret('0ther'), new Secret('')].map((secret) => inspect(secret))).toEqual(['***', '']);
  const part = new SecretUrl('http://me:k3y-k3y@example.test/?key=k3y-k3y-long');
  expect(part.scrub('k3y-k3y-long and k3y-k3y')).toBe('*** and ***');
});

it('travels between processes as a configuration, and nowhere else', () => {
  const env = { FIXGATE_REDIS_URL: `redis://:${WRITTEN}@r`, FIXGATE_CLICKHOUSE_PASSWORD: MEANT, FIXGATE_STATE_URL: '/run/redis.sock' };
  const { config } = loadConfig({ env });
  expect(JSON.stringify(config) + inspect(config, { depth: 9 })).not.toMatch(/hush/);
  const arrived = unpackConfig(JSON.parse(JSON.stringify(packConfig(config))));
  expect(arrived.redis.url?.reveal()).toBe(env.FIXGATE_REDIS_URL);
  expect(arrived.clickhouse.password.reveal()).toBe(MEANT);
  expect(arrived.clickhouse.url).toBeUndefined();
  expect(arrived.state.url?.reveal()).toBe('/run/redis.sock');
  expect(packConfig(arrived)).toEqual(packConfig(config));
});

it.each([
  ['FIXGATE_CLICKHOUSE_URL', `localhost:${WRITTEN}`],
  ['FIXGATE_CLICKHOUSE_URL', `redis://:${WRITTEN}@r`],
  ['FIXGATE_REDIS_URL', `:${WRITTEN}@localhost:6379`],
  ['FIXGATE_STATE_URL', `http://:${WRITTEN}@r`],
])('%s = %s is refused by the name of the field, with an example and without the text', (name, value) => {
  const field = name.slice('FIXGATE_'.length).toLowerCase().replace('_', '.');
  const load = () => loadConfig({ env: { [name]: value } });
  expect(load).toThrow(new RegExp(`${field}: not a URL that can be used here; expected (http|redis)`));
  expect(load).not.toThrow(/hush/);
});
