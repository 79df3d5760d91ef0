import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HttpOptions, type HttpServer, startHttp } from '../../src/api/server.ts';
import { createToken, type Scope } from '../../src/api/tokens.ts';
import { AppError } from '../../src/base/errors.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { SecretUrl } from '../../src/base/secret.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { TextFrame } from '../../src/in/sms/inbox.ts';
import { type Office, openOffice } from '../../src/roles/office.ts';

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

interface Logs {
  readonly events: { device: string; [field: string]: unknown }[];
  readonly audit: Record<string, unknown>[];
  readonly texts: TextFrame[];
  refuses: string;
}

/** The HTTP server and what is behind it, on a free port and a state store of its own, without workers. */
export class Api {
  readonly url: string;
  readonly office: Office;
  readonly #logs: Logs;
  readonly #token: string;
  readonly #http: HttpServer;
  readonly #directory: string;

  private constructor(http: HttpServer, office: Office, token: string, logs: Logs, directory: string) {
    this.url = http.url;
    this.office = office;
    this.#logs = logs;
    this.#token = token;
    this.#http = http;
    this.#directory = directory;
  }

  /** `yaml`: the configuration file. */
  static async start(
    scopes: readonly Scope[] = ['admin'],
    env: Readonly<Record<string, string>> = {},
    { confirm = false, yaml = '', edge = {} }: { confirm?: boolean; yaml?: string; edge?: Partial<HttpOptions> } = {},
  ): Promise<Api> {
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-api-'));
    const file = join(directory, 'fixgate.yaml');
    writeFileSync(file, yaml);
    const { config } = loadConfig({ file, env: { FIXGATE_DATA_DIR: directory, ...env } });
    const logs: Logs = { events: [], audit: [], texts: [], refuses: '' };
    const record = (device: string, event: object): number => logs.events.push({ device, ...event });
    const office = await openOffice({
      config,
      instance: 'test',
      log: silentLog,
      metrics: createMetrics(),
      // Nothing listens at that address.
      clickhouse: { url: new SecretUrl('http://127.0.0.1:9') },
      stateDamage: '',
      poke: () => {},
      record,
      async audit(entry) {
        if (logs.refuses !== '') throw new AppError('JOURNAL_FAILED', logs.refuses);
        logs.audit.push(JSON.parse(JSON.stringify(entry)));
      },
      async text(frame) {
        if (logs.refuses !== '') throw new AppError('JOURNAL_FAILED', logs.refuses);
        logs.texts.push(frame);
      },
      suspectState: () => {},
      isConnected: () => false,
      watch: () => {},
      trace: () => {},
      connections: async () => ({ sessions: [], partial: false }),
      disconnect: async () => 0,
      facts: {
        readiness: () => ({ status: 'ready', parts: {} }),
        processes: () => [],
        metrics: async () => [],
        connected: () => 0,
        listeners: () => [],
      },
      rotate: async () => {},
      erase: async () => ({ rows: 0 }),
    });
    const token = await createToken(office.state, { name: 'tester', scopes, created: Date.now() });
    const observed = { office, readiness: () => ({ status: 'ready', parts: {} }) as const, metricsText: async () => '' };
    const http = await startHttp(observed, { ...config.http, port: 0, confirm, sms: config.sms, log: silentLog, ...edge });
    return new Api(http, office, token, logs, directory);
  }

  get events(): Logs['events'] {
    return this.#logs.events;
  }

  /** Entries of the audit, as they are journaled. */
  get audit(): Logs['audit'] {
    return this.#logs.audit;
  }

  /** Text messages, as they are journaled. */
  get texts(): Logs['texts'] {
    return this.#logs.texts;
  }

  /** Why the journal takes no entry of the audit and no text message; '': it does. */
  set refuses(reason: string) {
    this.#logs.refuses = reason;
  }

  async token(scopes: readonly Scope[]): Promise<string> {
    return createToken(this.office.state, { name: scopes.join(' '), scopes, created: Date.now() });
  }

  /** A string or bytes are sent as they are, anything else as JSON. */
  async call(method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const plain = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: plain ? new Blob([body]) : JSON.stringify(body) }),
    });
    const type = response.headers.get('content-type') ?? '';
    // It has no end.
    if (type.startsWith('text/event-stream')) {
      await response.body?.cancel();
      return { status: response.status, type, text: '', body: {} };
    }
    const text = await response.text();
    return {
      status: response.status,
      type,
      text,
      body: /json(;|$)/.test(type) && !type.includes('ndjson') ? Object(JSON.parse(text)) : {},
    };
  }

  async stop(): Promise<void> {
    await this.#http.close();
    await this.office.close();
    rmSync(this.#directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
  }
}

/** Names of the fields that a problem document complains of. */
export function fieldsOf(answer: Answer): unknown[] {
  const problems = answer.body['problems'];
  return Array.isArray(problems) ? problems.map((one: unknown) => Reflect.get(Object(one), 'field')) : [];
}
