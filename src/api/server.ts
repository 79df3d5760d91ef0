import Fastify from 'fastify';
import type { Readiness } from '../cluster/supervisor.ts';
import { AppError, messageOf, systemCode } from '../errors.ts';

export interface HttpServer {
  readonly url: string;
  close(): Promise<void>;
}

/** What the HTTP server needs of the supervisor. */
export interface Observed {
  readiness(): Readiness;
  metricsText(): Promise<string>;
}

/**
 * HTTP of the supervisor: `/metrics` for Prometheus, `/healthz` (the process lives), `/readyz` (devices are served;
 * 503 when not; a sink that is away makes it `degraded`, which is 200). Loopback by default.
 */
export async function startHttp(observed: Observed, host: string, port: number): Promise<HttpServer> {
  const server = Fastify({ forceCloseConnections: true });
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', (_request, reply) => {
    const readiness = observed.readiness();
    return reply.code(readiness.status === 'unready' ? 503 : 200).send(readiness);
  });
  server.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await observed.metricsText()),
  );
  try {
    const url = await server.listen({ host, port });
    return { url, close: () => server.close() };
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE')
      throw new AppError(
        'PORT_IN_USE',
        `HTTP ${host}:${port} is held by another program; stop it or set FIXGATE_HTTP_PORT to another port`,
        error,
      );
    throw new AppError(
      'PORT_DENIED',
      `cannot listen for HTTP on ${host}:${port}: ${messageOf(error)}; check http.host and http.port`,
      error,
    );
  }
}
