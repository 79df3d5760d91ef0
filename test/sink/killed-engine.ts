import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { ask, freshDirectory, keyOf, type Running, start } from '../embedded/child.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { until } from '../support/wait.ts';

/** When the engine is killed: with the statement on its way into it, or with its answer on the way out. */
type Moment = 'during' | 'after';

/** What stands between the server and the engine, and ends the engine at a statement. */
class Between {
  url = '';
  engine: Running | undefined;
  /** Writing statements of the migration in the order in which they came. */
  readonly seen: string[] = [];
  #armed: { readonly statement: string; readonly moment: Moment; readonly done: () => void } | undefined;
  readonly #server = createServer((from, to) => void this.#pass(from, to).catch(() => to.destroy()));

  async open(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    this.url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  /** The engine is killed at this statement; resolves when it is. */
  arm(statement: string, moment: Moment): Promise<void> {
    return new Promise((done) => {
      this.#armed = { statement, moment, done };
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #pass(from: IncomingMessage, to: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of from) chunks.push(Buffer.from(chunk));
    const body = Buffer.concat(chunks);
    const text = new URL(from.url ?? '/', this.url).searchParams.get('query') ?? body.toString();
    const { engine } = this;
    if (engine === undefined) return void to.destroy();
    if (/^(CREATE|ALTER|DROP|INSERT INTO \S+\.migrations )/.test(text) && !this.seen.includes(text)) this.seen.push(text);
    const armed = this.#armed?.statement === text ? this.#armed : undefined;
    const end = async (): Promise<void> => {
      this.#armed = undefined;
      this.engine = undefined;
      await engine.end('SIGKILL');
      to.destroy();
      armed?.done();
    };
    const answered = new Promise<{ status: number; bytes: Buffer }>((resolve, reject) => {
      const { authorization: _, ...headers } = from.headers;
      const asked = request(`${engine.url}${from.url}`, { method: from.method ?? 'GET', headers: { ...headers, ...keyOf(engine.url) } });
      asked.on('response', (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part) => parts.push(Buffer.from(part)));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(parts) }));
        response.on('error', reject);
      });
      asked.on('error', reject);
      asked.end(body, () => armed?.moment === 'during' && void end());
    });
    const { status, bytes } = await answered;
    if (armed?.moment === 'after') return await end();
    to.writeHead(status).end(bytes);
  }
}

/**
 * A running server gets one fresh engine after the other; each is killed at statements of its first migration, so many (`kills`) one
 * after the other, and started again each time. Every `step`th statement has its turn. Resolves when each engine has its row; returns how
 * often one was killed.
 */
export async function killedAtFirstMigration({ step, kills }: { readonly step: number; readonly kills: number }): Promise<number> {
  const proxy = new Between();
  await proxy.open();
  const server = await Server.start({ FIXGATE_CLICKHOUSE_URL: proxy.url, FIXGATE_WORKERS: '1', FIXGATE_DRAIN_MS: '500' });
  try {
    const device = await TcpDevice.connect(await server.port('teltonika'));
    device.send(handshake('356307042000001'));
    await device.until((d) => d.received.length >= 1);
    let sent = 0;
    const report = async (): Promise<void> => {
      device.send(packet(Date.UTC(2026, 9, 1) + 1000 * sent++));
      await device.until((d) => d.received.length >= 1 + 4 * sent);
    };
    const whole = await start(await freshDirectory());
    proxy.engine = whole;
    await report();
    await arrived(whole);
    await whole.end();
    const statements = proxy.seen.filter((_, index) => index % step === 0);
    for (let from = 0; from < statements.length; from += kills) {
      const directory = await freshDirectory();
      for (const [index, statement] of statements.slice(from, from + kills).entries()) {
        const engine = await start(directory);
        const killed = proxy.arm(statement, (from + index) % 2 === 0 ? 'during' : 'after');
        proxy.engine = engine;
        if (index === 0) await report();
        await killed;
      }
      const last = await start(directory);
      proxy.engine = last;
      await arrived(last);
      await last.end();
    }
    device.close();
    return statements.length;
  } finally {
    await server.stop();
    proxy.close();
  }
}

/** Resolves when the engine holds the row, or the one before it as well, whose answer the last engine could not give any more. */
async function arrived(engine: Running): Promise<void> {
  await until(async () => Number((await ask(engine.url, 'SELECT count() FROM fixgate.positions FINAL FORMAT TSV')).text) > 0);
}
