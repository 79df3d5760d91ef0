import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { type Call, newId, type Trail } from '../fleet/privacy/trail.ts';
import type { Route } from './route.ts';

const MOST_NAME = 200;

/** What the audit is told of a request, as far as its head says. */
export function callOf(request: FastifyRequest, { method, path }: Pick<Route, 'method' | 'path'>): Call {
  const id = newId();
  const { params } = request;
  const value = (name: string): string => String(Reflect.get(Object(params), name) ?? '');
  // Up to the last parameter: `devices/356307042441013` of `/v1/devices/{id}/positions`.
  const named = path.slice('/v1/'.length, path.lastIndexOf('}') + 1 || undefined);
  const object = named.replace(/\{(\w+)\}/g, (_, name: string) => value(name)).slice(0, MOST_NAME);
  const operation = `${method} ${path}`;
  return {
    id,
    request: id,
    time: systemClock.now(),
    address: request.ip,
    operation,
    by: '',
    object,
    account: '',
    devices: [],
    asked: false,
  };
}

/** Before an answer leaves: what it has come to is in the audit. Returns what is sent. */
export async function settle(
  trail: Trail,
  { audits }: Pick<Route, 'audits'>,
  call: Call,
  reply: FastifyReply,
  payload: unknown,
): Promise<unknown> {
  const { statusCode: status } = reply;
  if (!call.asked) {
    if (status === 401 || status === 403 || status === 429) trail.refused(call, status);
    else if (audits === 'read' && status < 400) await trail.read(call, status);
    return payload;
  }
  try {
    await trail.done(call, status);
    return payload;
  } catch (error) {
    if (payload instanceof Readable) payload.destroy();
    reply.code(503).removeHeader('content-length').type('application/problem+json');
    const title = `the audit could not take the outcome, ${status}: ${messageOf(error)}; look what was changed before repeating it`;
    return JSON.stringify({ type: 'about:blank', status: 503, title });
  }
}
