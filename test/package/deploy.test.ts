import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { loadConfig } from '../../src/config/load.ts';

/** What an operator starts from, against what the program knows; where there is no container engine, that is all one can check. */
const ROOT = join(import.meta.dirname, '../..');
const text = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

const DOCKERFILE = text('Dockerfile').replaceAll(/\\\n\s*/g, '');
/** The arguments of every instruction of this name, in order. */
function instructions(name: string): string[] {
  return DOCKERFILE.split('\n').flatMap((line) => (line.startsWith(`${name} `) ? [line.slice(name.length + 1)] : []));
}
const commandOf = (json: string): string[] => z.array(z.string()).parse(JSON.parse(json));

const service = z.strictObject({
  image: z
    .string()
    .regex(/:v?\d+\.\d+/, 'a version, so that two machines run the same')
    .optional(),
  build: z.string().optional(),
  restart: z.literal('unless-stopped'),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal('ALL')]),
  // Not root; the images of the server and of Prometheus say so themselves.
  user: z.enum(['clickhouse', 'redis']).optional(),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  mem_limit: z.string().regex(/^\d+[mg]$/),
  pids_limit: z.int().min(1),
  tmpfs: z.array(z.string().regex(/^\//)),
  stop_grace_period: z
    .string()
    .regex(/^\d+s$/)
    .optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.literal('service_healthy') })).optional(),
  environment: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
  command: z.array(z.string()).optional(),
  ulimits: z.strictObject({ nofile: z.int().min(65_536) }),
  ports: z.array(z.string().regex(/^(127\.0\.0\.1:)?(\d+):(\d+)(\/(tcp|udp))?$/)).default([]),
  volumes: z.array(z.string().regex(/^[^:]+:\/[^:]+(:ro)?$/)).default([]),
  healthcheck: z
    .strictObject({ test: z.tuple([z.literal('CMD')], z.string()), interval: z.string().regex(/^\d+s$/), retries: z.int().min(1) })
    .optional(),
});
const COMPOSE = z
  .strictObject({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.null()), 'x-hardened': z.unknown() })
  .parse(parse(text('deploy/compose.yaml'), { merge: true }));
const FIXGATE = service.parse(COMPOSE.services['fixgate']);
/** As compose reads `${NAME:?message}` where NAME is set. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(FIXGATE.environment).map(([name, value]) => [name, String(value).replaceAll(/\$\{\w+:\?[^}]*\}/g, 'given')]),
);

const PROMETHEUS = z
  .strictObject({
    global: z.strictObject({ scrape_interval: z.literal('10s'), evaluation_interval: z.literal('10s') }),
    rule_files: z.array(z.string()),
    scrape_configs: z.array(
      z.strictObject({ job_name: z.string(), static_configs: z.array(z.strictObject({ targets: z.array(z.string()) })) }),
    ),
  })
  .parse(parse(text('deploy/prometheus/prometheus.yml')));
const rule = z.strictObject({
  alert: z.string().regex(/^Fixgate[A-Z]\w+$/),
  expr: z.string(),
  for: z
    .string()
    .regex(/^([1-5]0s|1m)$/, 'an outage is told of within a minute or so')
    .optional(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
  annotations: z.strictObject({ summary: z.string(), runbook_url: z.string() }),
});
const RULES = z
  .strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule) })) })
  .parse(parse(text('deploy/prometheus/rules.yml')))
  .groups.flatMap((group) => group.rules);

/** Ports as `number/transport`, sorted. */
function devicePorts(): string[] {
  const { config } = loadConfig({ env: {} });
  return [...config.listeners.map((listener) => `${listener.port}/${listener.transport}`), `${config.http.port}/tcp`].sort();
}

describe('the image', () => {
  it('is built from files that are there, and leaves out only what is said to be', () => {
    const copied = instructions('COPY').flatMap((line) => (line.startsWith('--from') ? [] : line.split(' ').slice(0, -1)));
    expect(copied).toEqual(expect.arrayContaining(['package.json', 'package-lock.json', 'src', 'codecs', 'bin']));
    expect(copied.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
    const ignored = text('.dockerignore').split('\n').filter(Boolean);
    expect(copied.filter((file) => ignored.includes(file))).toEqual([]);
    // What was installed or built outside must not come in.
    expect(ignored).toEqual(expect.arrayContaining(['node_modules', 'dist', 'data']));
    const { optionalDependencies } = JSON.parse(text('package.json'));
    const left = [...DOCKERFILE.matchAll(/npm pkg delete optionalDependencies\.([\w-]+)/g)].map((match) => match[1]);
    expect(left).toEqual(Object.keys(optionalDependencies));
    expect(DOCKERFILE).not.toContain('--omit=optional');
  });

  it('runs the needed Node as another user than root, with its data in a volume that is this user’s', () => {
    const major = /needed = (\d+)/.exec(text('bin/fixgate.js'))?.[1];
    expect(instructions('ARG')[0]).toMatch(new RegExp(`^NODE_IMAGE=node:${major}-`));
    expect(instructions('FROM').map((line) => line.replace(/^\$\{(\w+)\}/, '$1'))).toEqual(['NODE_IMAGE AS build', 'NODE_IMAGE']);
    expect(instructions('USER')).toEqual(['node']);
    expect(instructions('VOLUME')).toEqual(['/data']);
    expect(instructions('RUN').at(-1)).toBe('mkdir /data && chown node:node /data');
    expect(commandOf(instructions('CMD').at(-1) ?? '')).toEqual(['node', 'bin/fixgate.js', 'serve']);
  });

  it('says what it is, by the labels of OCI', () => {
    const labels = Object.fromEntries(
      [...(instructions('LABEL')[0] ?? '').matchAll(/([\w.]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    );
    const { name, license } = JSON.parse(text('package.json'));
    const of = (label: string): string | undefined => labels[`org.opencontainers.image.${label}`];
    expect([of('title'), of('licenses')]).toEqual([name, license]);
    const declared = instructions('ARG').at(-1);
    const used = Object.values(labels).flatMap((value) =>
      [...String(value).matchAll(/\$\{(\w+)\}/g)].map(([, variable]) => `${variable}=`),
    );
    expect(used.join(' ')).toBe(declared);
  });

  it('sets variables that the server knows, and exposes the ports that it opens', () => {
    const env = Object.fromEntries((instructions('ENV')[0] ?? '').split(' ').map((pair) => [pair.split('=')[0] ?? '', pair.split('=')[1]]));
    expect(loadConfig({ env }).config).toMatchObject({ dataDir: '/data', http: { host: '0.0.0.0' } });
    const exposed = (instructions('EXPOSE')[0] ?? '').split(' ').map((port) => (port.includes('/') ? port : `${port}/tcp`));
    expect(exposed.sort()).toEqual(devicePorts());
  });

  it('is healthy while the server is ready, and not when it is not or does not answer', async () => {
    const line = instructions('HEALTHCHECK')[0] ?? '';
    const [program, ...args] = commandOf(line.slice(line.indexOf('[')));
    expect(program).toBe('node');
    let status = 200;
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      response.writeHead(status).end('{}');
    });
    const port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      }),
    );
    const check = (): Promise<number | null> =>
      new Promise((resolve) => {
        spawn(process.execPath, args, { env: { FIXGATE_HTTP_PORT: String(port) }, stdio: 'inherit' }).once('exit', resolve);
      });
    try {
      expect(await check()).toBe(0);
      status = 503;
      expect(await check()).toBe(1);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    expect(await check()).toBe(1);
    expect(asked).toEqual(['/readyz', '/readyz']);
  });
});

describe('the compose file', () => {
  it('builds this repository and gives the server time to drain', () => {
    expect(existsSync(join(ROOT, 'deploy', FIXGATE.build ?? '', 'Dockerfile'))).toBe(true);
    expect(Number.parseInt(FIXGATE.stop_grace_period ?? '10s', 10) * 1000).toBeGreaterThan(loadConfig({ env: {} }).config.drainMs);
  });

  it('has no password of its own: it does not start without one', () => {
    const secrets = Object.values(COMPOSE.services).flatMap((one) =>
      Object.entries(one.environment).filter(([name]) => /PASSWORD|SECRET|TOKEN/.test(name)),
    );
    expect(secrets.length).toBeGreaterThan(0);
    for (const [, value] of secrets) expect(value).toMatch(/^\$\{\w+:\?[^}]+\}$/);
  });

  it('lets each container write where it must, and nowhere else', () => {
    for (const [name, one] of Object.entries(COMPOSE.services)) {
      const written = one.volumes.filter((volume) => !volume.endsWith(':ro'));
      expect([name, written.length, one.tmpfs.includes('/tmp')]).toEqual([name, 1, true]);
    }
    expect([COMPOSE.services['clickhouse']?.user, COMPOSE.services['redis']?.user]).toEqual(['clickhouse', 'redis']);
  });

  it('has a script that pins every image by its digest', () => {
    const script = join(ROOT, 'deploy/pin-digests.sh');
    expect(statSync(script).mode & 0o111).not.toBe(0);
    const bin = mkdtempSync(join(tmpdir(), 'fixgate-docker-'));
    try {
      // What the real one says of an image's manifest.
      writeFileSync(join(bin, 'docker'), '#!/bin/sh\necho "sha256:$(printf %s "$5" | sha256sum | cut -c1-64)"\n', { mode: 0o755 });
      const { status, stdout, stderr } = spawnSync(script, { encoding: 'utf8', env: { PATH: `${bin}:${process.env['PATH']}` } });
      expect([status, stderr]).toEqual([0, expect.stringMatching(/NODE_IMAGE=node:24-[\w-]+@sha256:[0-9a-f]{64}\n$/)]);
      const pinned = z
        .strictObject({ services: z.record(z.string(), z.strictObject({ image: z.string().regex(/@sha256:[0-9a-f]{64}$/) })) })
        .parse(parse(stdout));
      const images = Object.entries(COMPOSE.services).flatMap(([name, { image }]) => (image === undefined ? [] : [[name, image]]));
      expect(Object.entries(pinned.services).map(([name, { image }]) => [name, image.split('@')[0]])).toEqual(images);
    } finally {
      rmSync(bin, { recursive: true });
    }
  });

  it('waits only for services that say whether they are healthy', () => {
    const awaited = Object.values(COMPOSE.services).flatMap((one) => Object.keys(one.depends_on ?? {}));
    expect(awaited.sort()).toEqual(['clickhouse', 'redis']);
    expect(awaited.filter((name) => COMPOSE.services[name]?.healthcheck === undefined)).toEqual([]);
  });

  it('configures the server with variables that it knows and services that are there', () => {
    const { clickhouse, redis } = loadConfig({ env: ENVIRONMENT }).config;
    expect(Object.keys(COMPOSE.services)).toEqual(
      expect.arrayContaining([clickhouse.url, redis.url].map((url) => new URL(String(url)).hostname)),
    );
    expect(COMPOSE.services['clickhouse']?.environment).toMatchObject({
      CLICKHOUSE_USER: clickhouse.user,
      CLICKHOUSE_PASSWORD: FIXGATE.environment['FIXGATE_CLICKHOUSE_PASSWORD'],
    });
  });

  it('publishes the ports of devices to everyone and all others to this machine only', () => {
    const inside = FIXGATE.ports.map((port) => `${/(\d+)(\/\w+)?$/.exec(port)?.[1]}/${port.split('/')[1] ?? 'tcp'}`);
    expect(inside.sort()).toEqual(devicePorts());
    const open = Object.entries(COMPOSE.services).flatMap(([name, one]) =>
      one.ports.filter((port) => !port.startsWith('127.0.0.1:')).map((port) => `${name} ${port}`),
    );
    const devices = loadConfig({ env: {} }).config.listeners.map(({ port, transport }) => `fixgate ${port}:${port}/${transport}`);
    expect(open.sort()).toEqual(devices.sort());
  });

  it('declares every volume that it uses, and mounts directories that are there', () => {
    const sources = Object.values(COMPOSE.services).flatMap((one) => one.volumes.map((volume) => volume.split(':')[0] ?? ''));
    const named = sources.filter((source) => !source.startsWith('.'));
    expect(named.sort()).toEqual(Object.keys(COMPOSE.volumes).sort());
    expect(sources.filter((source) => source.startsWith('.') && !existsSync(join(ROOT, 'deploy', source)))).toEqual([]);
    expect(FIXGATE.volumes).toEqual(['fixgate:/data']);
  });
});

describe('Prometheus', () => {
  it('reads rules that are there and scrapes the server where it listens', () => {
    expect(PROMETHEUS.rule_files.filter((file) => !existsSync(join(ROOT, 'deploy/prometheus', file)))).toEqual([]);
    const targets = PROMETHEUS.scrape_configs.flatMap((job) => job.static_configs.flatMap((set) => set.targets));
    expect(targets).toEqual([`fixgate:${loadConfig({ env: {} }).config.http.port}`]);
  });

  const metrics = createMetrics().registry.getMetricsAsArray();
  const jobs = PROMETHEUS.scrape_configs.map((job) => job.job_name);

  it.each(RULES)('$alert asks for metrics and labels that the server exports', ({ expr }) => {
    const names = [...expr.matchAll(/\bfixgate_\w+|\bup\b/g)].map((match) => match[0]);
    expect(names).not.toEqual([]);
    const exported = metrics.flatMap(({ name, type }) =>
      String(type) === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    );
    expect(names.filter((name) => name !== 'up' && !exported.includes(name))).toEqual([]);
    for (const [, name] of expr.matchAll(/\b(?:rate|increase)\((\w+)/g)) expect(name).toMatch(/_(total|bucket|sum|count)$/);
    const given = [...expr.matchAll(/(\w+)\{([^}]*)\}/g)].flatMap(([, name, inside = '']) =>
      [...inside.matchAll(/(\w+)\s*(?:=~?|!=|!~)\s*"([^"]*)"/g)].map(([, label, value]) => ({ name, label, value })),
    );
    for (const { name, label, value } of given) {
      if (label === 'job') expect(jobs).toContain(value);
      else expect(metrics.find((metric) => metric.name === name)).toMatchObject({ labelNames: expect.arrayContaining([label]) });
    }
  });

  it('has no two alerts of one name', () => {
    expect(new Set(RULES.map((one) => one.alert)).size).toBe(RULES.length);
    expect(RULES.length).toBeGreaterThan(0);
  });
});
