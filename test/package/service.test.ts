import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { loadConfig } from '../../src/config/load.ts';

/** What starts the server elsewhere: the unit of systemd with systemd's own tools, the manifests of Kubernetes with its types. */
const ROOT = join(import.meta.dirname, '../..');
const temporary = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-service-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
};

describe('the systemd unit', () => {
  const unit = readFileSync(join(ROOT, 'deploy/systemd/fixgate.service'), 'utf8');
  const setting = (name: string): string | undefined => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];

  it('is valid, with programs that are there', () => {
    const file = join(temporary(), 'fixgate.service');
    // Where the package is installed.
    const installed = unit.replaceAll('/usr/bin/node', process.execPath).replaceAll('/opt/fixgate/lib/node_modules/fixgate', ROOT);
    writeFileSync(file, installed);
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
    expect({ status, stdout, stderr: stderr.split('\n').filter((line) => line.includes('fixgate')) }).toEqual({
      status: 0,
      stdout: '',
      stderr: [],
    });
  });

  it('is exposed by at most 2.0 of 10', () => {
    const args = ['security', '--offline=true', '--threshold=20', '--no-pager', 'deploy/systemd/fixgate.service'];
    const { status, stdout } = spawnSync('systemd-analyze', args, { cwd: ROOT, encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, expect.stringMatching(/Overall exposure level for fixgate\.service: [01]\.\d/)]);
  });

  it('sets variables that the server knows, gives it time to drain and replaces workers at a reload', () => {
    const env = Object.fromEntries((setting('Environment') ?? '').split(' ').map((pair) => pair.split('=', 2)));
    const { config } = loadConfig({ env });
    expect(config.dataDir).toBe(`/var/lib/${setting('StateDirectory')}`);
    expect(Number(setting('TimeoutStopSec')) * 1000).toBeGreaterThan(config.drainMs);
    expect(Number(setting('LimitNOFILE'))).toBeGreaterThan(config.limits.connections);
    expect(setting('ExecReload')).toBe('/bin/kill -HUP $MAINPID');
  });
});

describe('the manifests of Kubernetes', () => {
  const documents = globSync('deploy/kubernetes/*.yaml', { cwd: ROOT })
    .sort()
    .flatMap((file) => parseAllDocuments(readFileSync(join(ROOT, file), 'utf8')).map((one) => one.toJS()));
  const kinds: readonly string[] = documents.map(({ kind }) => kind);
  /** Where kubernetes-types has a kind. */
  const GROUPS: Readonly<Record<string, string>> = { v1: 'core/v1', 'apps/v1': 'apps/v1' };
  const statefulSet = documents[kinds.indexOf('StatefulSet')];
  const pod = statefulSet.spec.template.spec;
  const [container] = pod.containers;
  const map = documents[kinds.indexOf('ConfigMap')];
  const services = documents.filter(({ kind }) => kind === 'Service');

  it('have the fields and types of the API, and no other', () => {
    const directory = temporary();
    symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    const checked = (name: string, made: readonly object[]): string => {
      // Literals: the compiler refuses a field that the type does not have.
      const lines = made.map((one, index) => {
        const { kind, apiVersion } = z.object({ kind: z.string(), apiVersion: z.string() }).parse(one);
        return `export const d${index}: import('kubernetes-types/${GROUPS[apiVersion]}').${kind} = ${JSON.stringify(one)};`;
      });
      writeFileSync(join(directory, name), lines.join('\n'));
      const compilerOptions = { strict: true, module: 'esnext', moduleResolution: 'bundler', target: 'es2024', types: [], noEmit: true };
      writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [name] }));
      return spawnSync('node_modules/.bin/tsc', ['-p', directory, '--pretty', 'false'], { cwd: ROOT, encoding: 'utf8' }).stdout;
    };
    expect(checked('documents.ts', documents)).toBe('');
    expect(kinds.toSorted()).toEqual(['ConfigMap', 'Service', 'Service', 'StatefulSet']);
    // It does find what is wrong.
    const wrong = structuredClone(statefulSet);
    wrong.spec.template.spec.containers[0].readinesProbe = {};
    expect(checked('wrong.ts', [wrong])).toContain('"readinesProbe"');
  });

  it('give the server options that it knows, and a volume that holds what it may write', () => {
    const file = join(temporary(), 'fixgate.yaml');
    writeFileSync(file, map.data['fixgate.yaml']);
    const env = Object.fromEntries(
      container.env.map(({ name, value }: { name: string; value?: string }) => [name, value ?? 'redis://redis:6379']),
    );
    const { FIXGATE_CONFIG: path, ...variables } = env;
    const { config } = loadConfig({ file, env: { ...variables, FIXGATE_DATA_DIR: '/data' } });
    const mounted = container.volumeMounts.find(({ name }: { name: string }) => name === 'config').mountPath;
    expect(path).toBe(`${mounted}/${Object.keys(map.data)[0]}`);
    const storage = /^(\d+)Gi$/.exec(statefulSet.spec.volumeClaimTemplates[0].spec.resources.requests.storage)?.[1];
    expect(config.workers * config.journal.maxBytes + config.journal.minFreeBytes).toBeLessThan(Number(storage) * 2 ** 30);
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(config.drainMs);
    expect(container.volumeMounts).toContainEqual({ name: 'data', mountPath: '/data' });
  });

  it('have no secret in them: passwords come from a Secret', () => {
    const secret = container.env.filter(({ name }: { name: string }) => /PASSWORD|REDIS_URL|TOKEN/.test(name));
    expect(secret).toHaveLength(2);
    for (const one of secret)
      expect(one).toEqual({ name: one.name, valueFrom: { secretKeyRef: { name: 'fixgate', key: expect.any(String) } } });
    expect(map.data['fixgate.yaml']).not.toMatch(/password|token/i);
    expect(kinds).not.toContain('Secret');
  });

  it('ask for health where the server answers, and let one server have the volume', () => {
    const probes = ['startupProbe', 'readinessProbe', 'livenessProbe'].map((name) => container[name].httpGet);
    expect(probes).toEqual([
      { path: '/healthz', port: 'http' },
      { path: '/readyz', port: 'http' },
      { path: '/healthz', port: 'http' },
    ]);
    expect(container.ports).toEqual([{ name: 'http', containerPort: loadConfig({ env: {} }).config.http.port }]);
    expect(statefulSet.spec.replicas).toBe(1);
    expect([pod.securityContext.runAsNonRoot, container.securityContext.readOnlyRootFilesystem]).toEqual([true, true]);
  });

  it('lead every port of devices to the pod, and HTTP inside the cluster only', () => {
    const [devices, http] = services;
    const opened = loadConfig({ env: {} }).config.listeners.map(({ port, transport }) => `${port}/${transport.toUpperCase()}`);
    const ports = devices.spec.ports.map((one: { port: number; targetPort: number; protocol: string }) => {
      expect(one.targetPort).toBe(one.port);
      return `${one.port}/${one.protocol}`;
    });
    expect(ports.sort()).toEqual(opened.sort());
    expect([devices.spec.type, http.spec.type, http.spec.clusterIP]).toEqual(['LoadBalancer', undefined, 'None']);
    const { labels } = statefulSet.spec.template.metadata;
    for (const one of services) expect(one.spec.selector).toEqual(labels);
    expect(statefulSet.spec.serviceName).toBe(http.metadata.name);
  });
});

describe('a release', () => {
  it('is a package that names its Node, a bill of materials, and an image with labels on a base that is pinned', () => {
    const bin = temporary();
    const out = join(temporary(), 'release');
    // Nothing is fetched: the packages are those of this checkout, and the pages are built by another test.
    writeFileSync(
      join(bin, 'npm'),
      `#!/bin/sh
PATH=$(echo "$PATH" | sed "s|^[^:]*:||")
case $1 in
ci) ln -s "${ROOT}/node_modules" node_modules ;;
pack) mkdir -p dist && exec npm "$@" --ignore-scripts ;;
*) exec npm "$@" ;;
esac
`,
      { mode: 0o755 },
    );
    writeFileSync(
      join(bin, 'docker'),
      `#!/bin/sh
echo "$*" >>"${bin}/asked"
[ "$2" != imagetools ] || echo "sha256:$(printf %s "$5" | sha256sum | cut -c1-64)"
`,
      { mode: 0o755 },
    );
    const { status, stderr, stdout } = spawnSync(join(ROOT, 'tools/release.sh'), [out, '--image', 'example/fixgate'], {
      encoding: 'utf8',
      env: { PATH: `${bin}:${process.env['PATH']}`, HOME: bin, npm_config_update_notifier: 'false' },
    });
    expect([status, stderr]).toEqual([0, expect.any(String)]);
    const { version, bin: commands } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const sums = stdout.match(/^[0-9a-f]{64} {2}.*$/gm)?.map((line) => line.slice(66));
    expect(sums).toEqual([`fixgate-${version}.tgz`, `fixgate-${version}.cdx.json`, 'compose.override.yaml']);

    const manifest = spawnSync('tar', ['-xzOf', join(out, `fixgate-${version}.tgz`), 'package/package.json'], { encoding: 'utf8' }).stdout;
    expect(JSON.parse(manifest)).toMatchObject({ version, bin: commands, engines: { node: '>=24' } });

    const bill: { components: { name: string }[] } = JSON.parse(readFileSync(join(out, `fixgate-${version}.cdx.json`), 'utf8'));
    const names = bill.components.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['fastify', 'ioredis', 'lmdb']));
    expect(names).not.toContain('vitest');

    const build = readFileSync(join(bin, 'asked'), 'utf8')
      .split('\n')
      .find((line) => line.startsWith('buildx build '));
    const given = Object.fromEntries([...(build ?? '').matchAll(/--build-arg (\w+)=(\S+)/g)].map(([, name, value]) => [name, value]));
    expect(given).toEqual({
      NODE_IMAGE: expect.stringMatching(/^node:24-[\w-]+@sha256:[0-9a-f]{64}$/),
      BASE_DIGEST: expect.stringMatching(/^sha256:/),
      VERSION: version,
      REVISION: expect.stringMatching(/^[0-9a-f]{40}$/),
      CREATED: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    expect(build).toContain(`--tag example/fixgate:${version}`);
    expect(parse(readFileSync(join(out, 'compose.override.yaml'), 'utf8'))).toMatchObject({ services: { redis: {} } });
  });

  it('says how it is used', () => {
    const { status, stderr } = spawnSync(join(ROOT, 'tools/release.sh'), [], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([64, 'usage: tools/release.sh <directory> [--image <name>]\n']);
  });
});
