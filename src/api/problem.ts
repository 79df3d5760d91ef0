import type { FastifyReply } from 'fastify';
import type { FieldProblem } from '../fleet/registry/field-problem.ts';

/** Answers with a problem document (RFC 9457). */
export function problem(
  reply: FastifyReply,
  status: number,
  title: string,
  problems: readonly FieldProblem[] = [],
  more: object = {},
): FastifyReply {
  return reply
    .code(status)
    .type('application/problem+json; charset=utf-8')
    .send({ type: 'about:blank', status, title, ...(problems.length === 0 ? {} : { problems }), ...more });
}
