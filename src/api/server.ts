import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Readiness } from '../cluster/supervisor.ts';
import { connectionsWithin, descriptorLimit } from '../descriptors.ts';
import { AppError, messageOf, systemCode } from '../errors.ts';
import { BULK_ROUTES } from './bulk.ts';
import { commandRoutes } from './commands.ts';
import { DATA_ROUTES } from './data.ts';
import { DEVICE_ROUTES } from './devices.ts';
import { docsPage } from './docs.ts';
import type { ApiOffice } from './office.ts';
import { openApi } from './openapi.ts';
import { PLAN_ROUTES } from './plans.ts';
import { problem } from './problem.ts';
import { QUARANTINE_ROUTES } from './quarantine.ts';
import type { Route } from './route.ts';

export interface HttpServer {
  readonly url: string;
  close(): Promise<void>;
}

/** What the HTTP server needs of the supervisor. */
export interface Observed {
  readiness(): Readiness;
  metricsText(): Promise<string>;
  /** Undefined while the server starts. */
  readonly office: ApiOffice | undefined;
}

export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  /** Grave commands take a second request. */
  readonly confirm: boolean;
}

/** Beyond it, connections are closed at once. */
const MOST_CONNECTIONS = 1_000;
/** Largest body of a request, in bytes. */
const BODY_LIMIT = 65_536;

/**
 * HTTP of the supervisor: `/metrics` for Prometheus, `/healthz` (the process lives), `/readyz` (devices are served;
 * 503 when not; a sink that is away makes it `degraded`, which is 200), and below `/v1` the API, with bearer tokens, described in
 * `/openapi.json` and `/docs`.
 * Loopback by default.
 */
export async function startHttp(observed: Observed, options: HttpOptions): Promise<HttpServer> {
  const { host, port } = options;
  const server = Fastify({
    forceCloseConnections: true,
    bodyLimit: BODY_LIMIT,
    // A path that cannot be read reaches no route.
    frameworkErrors: (error, _request, reply) => void refused(error, reply),
  });
  server.setNotFoundHandler((request, reply) => problem(reply, 404, `there is nothing at ${request.method} ${request.url.split('?')[0]}`));
  server.setErrorHandler((error, _request, reply) => refused(error, reply));
  const routes: readonly Route[] = [
    ...DEVICE_ROUTES,
    ...BULK_ROUTES,
    ...DATA_ROUTES,
    ...commandRoutes(options.confirm),
    ...PLAN_ROUTES,
    ...QUARANTINE_ROUTES,
  ];
  for (const route of routes) serve(server, route, observed);
  const description = openApi(routes);
  const page = docsPage(routes);
  server.get('/openapi.json', () => description);
  server.get('/docs', (_request, reply) => reply.type('text/html; charset=utf-8').send(page));
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', (_request, reply) => {
    const readiness = observed.readiness();
    return reply.code(readiness.status === 'unready' ? 503 : 200).send(readiness);
  });
  server.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await observed.metricsText()),
  );
  try {
    // Below what the process may have open: the state store, the event journal and new children need descriptors, too.
    server.server.maxConnections = connectionsWithin(MOST_CONNECTIONS, descriptorLimit());
    const url = await server.listen({ host, port });
    // A connection that cannot be accepted must not end the process.
    server.server.on('error', () => {});
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

function serve(server: FastifyInstance, { method, path, streams, handle }: Route, observed: Observed): void {
  const url = path.replace(/\{(\w+)\}/g, ':$1');
  const handler = (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => handle(observed.office, request, reply);
  if (streams.length === 0) server.route({ method, url, handler });
  // Of this route alone: a scope of its own.
  else
    server.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser([...streams], (_request, payload, done) => done(null, payload));
      scope.route({ method, url, handler });
    });
}

/** What Fastify, the state store or a defect has thrown, as a problem document. */
function refused(error: unknown, reply: FastifyReply): FastifyReply {
  if (error instanceof AppError) return problem(reply, error.code === 'STATE_BUSY' ? 409 : 503, error.message);
  const status = error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (status >= 500) return problem(reply, status, 'a defect of the server, please report it');
  const field = { 414: 'path', 415: 'content-type' }[status] ?? (/URL|url|PARAM/.test(systemCode(error)) ? 'path' : 'body');
  return problem(reply, status, 'the request cannot be understood', [{ field, problem: messageOf(error) }]);
}
