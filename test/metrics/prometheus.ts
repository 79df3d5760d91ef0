import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { eventually } from '../support/wait.ts';

const answer = z.object({
  status: z.literal('success'),
  data: z.object({
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })).optional(),
    alerts: z.array(z.object({ labels: z.record(z.string(), z.string()), state: z.string() })).optional(),
  }),
});

/** A real Prometheus that looks each second at these servers, with these rules. */
export class Prometheus {
  readonly #url: string;
  readonly #directory: string;
  readonly #process: ChildProcess;

  private constructor(url: string, directory: string, running: ChildProcess) {
    this.#url = url;
    this.#directory = directory;
    this.#process = running;
  }

  static async start(rules: string, targets: readonly string[]): Promise<Prometheus> {
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-prometheus-'));
    const config = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yml'],
      scrape_configs: [{ job_name: 'fixgate', static_configs: [{ targets }] }],
    };
    writeFileSync(join(directory, 'prometheus.yml'), JSON.stringify(config));
    writeFileSync(join(directory, 'rules.yml'), rules);
    const args = [`--config.file=${directory}/prometheus.yml`, `--storage.tsdb.path=${directory}/data`, '--web.listen-address=127.0.0.1:0'];
    const running = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    const listens = new Promise<string>((resolve, reject) => {
      running.once('error', reject);
      running.once('exit', () => reject(new Error(said)));
      running.stderr.on('data', (chunk) => {
        said += chunk;
        const found = /msg="Listening on" address=(\S+)/.exec(said);
        if (found !== null) resolve(String(found[1]));
      });
    });
    const prometheus = new Prometheus(`http://${await listens}`, directory, running);
    await eventually(() => prometheus.query('vector(1)'));
    return prometheus;
  }

  /** Labels and value of each series. */
  async query(expr: string): Promise<readonly { readonly metric: Readonly<Record<string, string>>; readonly value: number }[]> {
    const { result = [] } = await this.#ask(`query?${new URLSearchParams({ query: expr })}`);
    return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  /** Labels of the alerts that fire. */
  async firing(): Promise<readonly Readonly<Record<string, string>>[]> {
    const { alerts = [] } = await this.#ask('alerts');
    return alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels);
  }

  async #ask(what: string): Promise<z.infer<typeof answer>['data']> {
    return answer.parse(await (await fetch(`${this.#url}/api/v1/${what}`)).json()).data;
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
