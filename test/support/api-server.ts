import { fixgate } from '../cli/command.ts';
import { Server } from '../helpers/server.ts';

export interface Answer {
  readonly status: number;
  /** Empty for an answer without one. */
  readonly body: Record<string, unknown>;
}

/** A whole server with two workers, and what asks its API. */
export class ApiServer {
  readonly running: Server;
  readonly url: string;
  readonly token: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(running: Server, url: string, token: string, env: Readonly<Record<string, string>>) {
    this.running = running;
    this.url = url;
    this.token = token;
    this.#env = env;
  }

  /** `dataDir`: of the server that had the data before, whose token is `known`. */
  static async start(
    env: Readonly<Record<string, string>> = {},
    { scopes = ['admin'], dataDir, known }: { scopes?: readonly string[]; dataDir?: string; known?: string } = {},
  ): Promise<ApiServer> {
    const running = await Server.start({ FIXGATE_WORKERS: '2', ...env }, dataDir);
    const { http } = await running.logged('metrics and health');
    return new ApiServer(running, String(http), known ?? (await tokenOf(running, env, scopes)), env);
  }

  /** The same server for one who may do other things. */
  async as(...scopes: string[]): Promise<ApiServer> {
    return new ApiServer(this.running, this.url, await tokenOf(this.running, this.#env, scopes), this.#env);
  }

  /** What a command of the command line needs to ask it. */
  get env(): Readonly<Record<string, string>> {
    return { FIXGATE_URL: this.url, FIXGATE_TOKEN: this.token };
  }

  fetch(path: string): Promise<Response> {
    return fetch(`${this.url}${path}`, { headers: { authorization: `Bearer ${this.token}` } });
  }

  /** A text is sent as it is, though it may not be JSON. */
  async call(method: string, path: string, body?: object | string): Promise<Answer> {
    const headers = { authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const sent = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
    const response = await fetch(`${this.url}${path}`, { method, headers, ...sent });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : Object(JSON.parse(text)) };
  }
}

/** Tokens by data directory. */
const tokens = new Map<string, number>();

async function tokenOf(running: Server, env: Readonly<Record<string, string>>, scopes: readonly string[]): Promise<string> {
  const nth = (tokens.get(running.dataDir) ?? 0) + 1;
  tokens.set(running.dataDir, nth);
  const name = nth === 1 ? 'tester' : `tester-${nth}`;
  const args = ['token', 'create', '--name', name, ...scopes.flatMap((scope) => ['--scope', scope])];
  const { code, out, error } = await fixgate(args, '', { ...env, FIXGATE_DATA_DIR: running.dataDir });
  if (code !== 0) throw new Error(error);
  return out.trim();
}
