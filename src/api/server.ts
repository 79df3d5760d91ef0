import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { connectionsWithin, descriptorLimit } from '../base/descriptors.ts';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Readiness } from '../cluster/supervisor.ts';
import type { Call } from '../fleet/privacy/trail.ts';
import { tokenOf } from './access.ts';
import { TOKEN_ROUTES } from './access-tokens.ts';
import { ACCOUNT_ROUTES } from './accounts.ts';
import { AUDIT_ROUTES } from './audit.ts';
import { callOf, settle } from './audited.ts';
import { BULK_ROUTES } from './bulk.ts';
import { campaignRoutes } from './campaigns.ts';
import { commandRoutes } from './commands.ts';
import { Confirmations } from './confirmations.ts';
import { CONNECTION_ROUTES } from './connections.ts';
import { CONSOLE_PATHS, type Console } from './console.ts';
import { DATA_ROUTES } from './data.ts';
import { DECODE_ROUTES } from './decode.ts';
import { DEVICE_ROUTES } from './devices.ts';
import { DISCLOSURE_ROUTES } from './disclosures.ts';
import { docsPage } from './docs.ts';
import { Downloads, downloadRoutes } from './downloads.ts';
import { guardEdge, limitBody, refuseRaw, WrongTokens } from './edge.ts';
import { EVENT_ROUTES } from './events.ts';
import { EVIDENCE_ROUTES } from './evidence.ts';
import { HOLD_ROUTES } from './holds.ts';
import { LIVE_ROUTES } from './live.ts';
import { MAPS_PATH, type Maps, mapRoutes } from './maps.ts';
import type { ApiOffice } from './office.ts';
import { openApi } from './openapi.ts';
import { PARKED_ROUTES } from './parked.ts';
import { PLAN_ROUTES } from './plans.ts';
import { problem } from './problem.ts';
import { QUARANTINE_ROUTES } from './quarantine.ts';
import { RECIPIENT_ROUTES } from './recipients.ts';
import { RECOVERY_ROUTES } from './recovery.ts';
import { REPLAY_ROUTES } from './replay.ts';
import { pathPattern, type Route } from './route.ts';
import { SERVICE_ROUTES } from './service.ts';
import { sessionRoutes } from './session.ts';
import { STATEMENT_ROUTES } from './statements.ts';
import { STATUS_ROUTES } from './status.ts';
import { testRoutes } from './tests.ts';
import { type TextSecrets, textRoutes } from './texts.ts';
import type { Token } from './tokens.ts';
import { TRACE_ROUTES } from './trace.ts';
import { TRACK_ROUTES } from './track.ts';
import { UNIT_ROUTES } from './units.ts';
import { USAGE_ROUTES } from './usage.ts';

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
  /** URL under which people and programs reach the server, '' for none. */
  readonly publicUrl: string;
  /** Addresses and networks of proxies whose word about the client is believed. */
  readonly trustedProxies: readonly string[];
  /** Grave commands take a second request. */
  readonly confirm: boolean;
  readonly log: Log;
  /** Keys of the gateways of text messages; absent: none is taken. */
  readonly sms?: TextSecrets | undefined;
  /** The pages at `/`; undefined when they are switched off. */
  readonly pages?: { readonly console: Console; readonly maps: Maps } | undefined;
  /** Time for the head of a request, 10 s, and for the body of an ordinary one, 15 s. */
  readonly headMs?: number | undefined;
  readonly bodyMs?: number | undefined;
}

/** Beyond it, connections are closed at once. */
const MOST_CONNECTIONS = 1_000;
/** What is answered without a token. */
const WITHOUT_TOKEN = ['/openapi.json', '/docs', '/healthz', '/readyz', '/metrics'];

/** Largest body of a request, in bytes. */
const BODY_LIMIT = 65_536;
/** Wrong tokens of one address in a minute, beyond which it has to wait. */
const MOST_WRONG = 100;
/** Codes of errors that are answered 409; others 503. */
const CONFLICTS: readonly string[] = ['STATE_BUSY', 'UNDER_HOLD'];
const HEAD_MS = 10_000;
const BODY_MS = 15_000;
/** For the whole of a request with its body: an upload of many devices. */
const REQUEST_MS = 600_000;

/**
 * HTTP of the supervisor: `/metrics` for Prometheus, `/healthz` (the process lives), `/readyz` (devices are served;
 * 503 when not; a sink that is away makes it `degraded`, which is 200), and below `/v1` the API, with bearer tokens, described in
 * `/openapi.json` and `/docs`.
 * Loopback by default.
 */
export async function startHttp(observed: Observed, options: HttpOptions): Promise<HttpServer> {
  const { host, port, publicUrl, trustedProxies, log, headMs = HEAD_MS, bodyMs = BODY_MS } = options;
  const downloads = new Downloads();
  const server = Fastify({
    forceCloseConnections: true,
    rewriteUrl: (request) => downloads.meant(request),
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_MS,
    trustProxy: trustedProxies.length === 0 ? false : [...trustedProxies],
    // The hook of the edge says what is missing.
    http: { headersTimeout: headMs, requireHostHeader: false, connectionsCheckingInterval: Math.min(5_000, headMs) },
    clientErrorHandler: refuseRaw,
    // A path that cannot be read reaches no route.
    frameworkErrors: (error, _request, reply) => void refused(error, reply),
  });
  guardEdge(server, { host, publicUrl });
  const own = apiRoutes(options);
  const routes = [...own, ...downloadRoutes(downloads, own)];
  const wrong = new WrongTokens(log, MOST_WRONG, 'request with an unknown token refused');
  for (const route of routes) serve(server, route, observed, wrong, bodyMs);
  refuseMisses(server, routes, [...WITHOUT_TOKEN, ...(options.pages === undefined ? [] : [...CONSOLE_PATHS, MAPS_PATH])]);
  server.setErrorHandler((error, _request, reply) => refused(error, reply));
  // Made when it is first asked for: it takes a tenth of a second.
  let description: object | undefined;
  let page: string | undefined;
  options.pages?.console.serve(server);
  options.pages?.maps.serve(server);
  server.get('/openapi.json', () => (description ??= openApi(routes, publicUrl)));
  server.get('/docs', (_request, reply) => reply.type('text/html; charset=utf-8').send((page ??= docsPage(routes))));
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

/** Every operation of the API. */
export function apiRoutes(options: Pick<HttpOptions, 'confirm' | 'log' | 'pages' | 'sms' | 'publicUrl'>): readonly Route[] {
  const { confirm, log, pages } = options;
  const confirmations = new Confirmations(confirm);
  return [
    ...DEVICE_ROUTES,
    ...UNIT_ROUTES,
    ...ACCOUNT_ROUTES,
    ...RECIPIENT_ROUTES,
    ...BULK_ROUTES,
    ...DATA_ROUTES,
    ...commandRoutes(confirmations),
    ...PLAN_ROUTES,
    ...QUARANTINE_ROUTES,
    ...sessionRoutes(log),
    ...STATUS_ROUTES,
    ...LIVE_ROUTES,
    ...TOKEN_ROUTES,
    ...mapRoutes(pages?.maps),
    ...TRACK_ROUTES,
    ...EVENT_ROUTES,
    ...CONNECTION_ROUTES,
    ...DECODE_ROUTES,
    ...TRACE_ROUTES,
    ...USAGE_ROUTES,
    ...SERVICE_ROUTES,
    ...STATEMENT_ROUTES,
    ...EVIDENCE_ROUTES,
    ...DISCLOSURE_ROUTES,
    ...AUDIT_ROUTES,
    ...HOLD_ROUTES,
    ...RECOVERY_ROUTES,
    ...testRoutes(confirmations),
    ...REPLAY_ROUTES,
    ...textRoutes(options),
    ...PARKED_ROUTES,
    ...campaignRoutes(confirmations),
  ];
}

/** What is asked for and is not there, or not by this method, is answered before its body is read. `open`: paths that are read without a token. */
function refuseMisses(server: FastifyInstance, routes: readonly Route[], open: readonly string[]): void {
  const read = open.map((path) => ({ method: 'GET', path }));
  const known = [...routes, ...read].map(({ method, path }) => ({ method, pattern: pathPattern(path) }));
  server.addHook('onRequest', async (request, reply) => {
    if (!request.is404) return;
    const path = request.url.split('?')[0] ?? '';
    const allowed = known.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    if (allowed.length === 0) return problem(reply, 404, `not found: ${request.method} ${path}`);
    reply.header('allow', allowed.join(', '));
    return problem(reply, 405, `${path} allows ${allowed.join(' and ')}, not ${request.method}`);
  });
}

function serve(server: FastifyInstance, route: Route, observed: Observed, wrong: WrongTokens, bodyMs: number): void {
  const { method, path, scope: needed, limits, streams, handle } = route;
  const url = path.replace(/\{(\w+)\}/g, ':$1');
  const calls = new WeakMap<FastifyRequest, Call>();
  const admitted = new WeakMap<FastifyRequest, { readonly office: ApiOffice; readonly token: Token; readonly call: Call }>();
  const onRequest = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const { office } = observed;
    if (office === undefined) return problem(reply.header('retry-after', 1), 503, 'the server is starting or stopping; retry');
    const call = callOf(request, route);
    calls.set(request, call);
    reply.header('x-request-id', call.request);
    const token = await tokenOf(request, reply, office.state, needed, wrong, call);
    if (token === undefined) return reply;
    if (token.accounts !== undefined && limits === 'operator')
      return problem(reply, 403, `the token "${token.name}" is limited to accounts, and ${method} ${path} is for tokens that are not`);
    admitted.set(request, { office, token, call });
    if (streams.length === 0) limitBody(request, reply, bodyMs);
    return undefined;
  };
  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const by = admitted.get(request);
    if (by === undefined) return problem(reply, 401, 'bearer token required');
    return handle(by.office, by.token, by.call, request, reply);
  };
  const onSend = async (request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> => {
    const call = calls.get(request);
    return call === undefined || observed.office === undefined ? payload : settle(observed.office.trail, route, call, reply, payload);
  };
  if (streams.length === 0) server.route({ method, url, onRequest, onSend, handler });
  // Of this route alone: a scope of its own.
  else
    server.register((scope, _options, registered) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser([...streams], (_request, payload, done) => done(null, payload));
      scope.route({ method, url, onRequest, onSend, handler });
      registered();
    });
}

/** What Fastify, the state store or a defect has thrown, as a problem document. */
function refused(error: unknown, reply: FastifyReply): FastifyReply {
  if (error instanceof AppError) return problem(reply, CONFLICTS.includes(error.code) ? 409 : 503, error.message);
  const status = error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (status >= 500) return problem(reply, status, 'internal error; please report it');
  const field = { 414: 'path', 415: 'content-type' }[status] ?? (/URL|url|PARAM/.test(systemCode(error)) ? 'path' : 'body');
  return problem(reply, status, 'invalid request', [{ field, problem: messageOf(error) }]);
}
