import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ALERT_CASES } from './alert-cases.ts';
import { RULES, RULES_FILE } from './rules.ts';

/** The alerts, as Prometheus itself reads and evaluates them. */

const DEPLOY = join(import.meta.dirname, '../../deploy/prometheus');
const PLACE = { job: 'fixgate', instance: 'fixgate:8080' };
const IN_PLACE = Object.entries(PLACE).map(([label, value]) => `${label}="${value}"`);

const directory = mkdtempSync(join(tmpdir(), 'fixgate-alerts-'));
afterAll(() => rmSync(directory, { recursive: true }));

const promtool = (...args: string[]): { status: number | null; said: string } => {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { encoding: 'utf8' });
  return { status, said: error === undefined ? `${stdout}${stderr}` : error.message };
};

function placed(series: string): string {
  const [name = '', labels = ''] = series.replace(/\}$/, '').split('{');
  return `${name}{${[labels, ...IN_PLACE].filter((part) => part !== '').join(',')}}`;
}

/** In the format of `promtool test rules`. */
function testOf({ alert, series, fires, quiet }: (typeof ALERT_CASES)[number]): object {
  const rule = RULES.find((one) => one.alert === alert);
  return {
    interval: '10s',
    name: alert,
    input_series: Object.entries(series).map(([one, values]) => ({ series: placed(one), values })),
    alert_rule_test: [
      ...fires.map(({ at, labels = {} }) => ({
        eval_time: at,
        alertname: alert,
        exp_alerts: [{ exp_labels: { ...rule?.labels, ...PLACE, ...labels }, exp_annotations: rule?.annotations }],
      })),
      ...quiet.map((at) => ({ eval_time: at, alertname: alert, exp_alerts: [] })),
    ],
  };
}

describe('the alerts', () => {
  it('and the configuration are what Prometheus reads', () => {
    expect(promtool('check', 'config', join(DEPLOY, 'prometheus.yml'))).toMatchObject({ status: 0 });
  });

  it('each have a case that makes them fire, and one that does not', () => {
    const fired = ALERT_CASES.filter(({ fires }) => fires.length > 0).map(({ alert }) => alert);
    expect(new Set(fired)).toEqual(new Set(RULES.map(({ alert }) => alert)));
    expect(ALERT_CASES.filter(({ quiet }) => quiet.length === 0)).toEqual([]);
  });

  it.each(ALERT_CASES)('$alert fires and does not, as its case says', (one) => {
    const file = join(directory, 'case.json');
    writeFileSync(file, JSON.stringify({ rule_files: [RULES_FILE], evaluation_interval: '10s', tests: [testOf(one)] }));
    expect(promtool('test', 'rules', file)).toMatchObject({ status: 0, said: expect.stringContaining('SUCCESS') });
  });

  it('each lead to their heading of the runbook, where stands what is seen, where to look and what to do', () => {
    const runbook = readFileSync(join(DEPLOY, '../../docs/runbook.md'), 'utf8');
    const sections = new Map(
      runbook
        .split(/^## /m)
        .slice(1)
        .map((section) => [section.slice(0, section.indexOf('\n')), section]),
    );
    for (const { alert, annotations } of RULES) {
      expect(annotations.runbook_url).toBe(`docs/runbook.md#${alert.toLowerCase()}`);
      const section = sections.get(alert) ?? '';
      for (const part of ['**Symptom.**', '**Look.**', '**Do.**']) expect([alert, section.includes(part)]).toEqual([alert, true]);
    }
    expect([...sections.keys()].filter((name) => name.startsWith('Fixgate')).sort()).toEqual(RULES.map(({ alert }) => alert).sort());
  });
});
