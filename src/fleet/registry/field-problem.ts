import type { z } from 'zod';
import { isPlainText } from '../../base/wire/index.ts';

/** One field of a request or record that is wrong, and what to do about it. */
export interface FieldProblem {
  readonly field: string;
  readonly problem: string;
}

/** What a schema has found, by field. */
export function problemsOf(issues: readonly z.core.$ZodIssue[]): FieldProblem[] {
  return issues.flatMap((issue) => {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [];
    if (keys.length === 0) return [{ field: issue.path.join('.') || 'body', problem: issue.message }];
    return keys.map((key) => ({ field: [...issue.path, key].join('.'), problem: 'is an unknown field; remove it' }));
  });
}

const DEEPEST = 16;

/** Texts anywhere in a request or record that hold what is kept in none: control characters and lone surrogates. */
export function textProblems(value: unknown, path = '', depth = 0): FieldProblem[] {
  if (typeof value === 'string')
    return isPlainText(value) && !value.includes('\n')
      ? []
      : [{ field: path || 'body', problem: 'must be text without control characters and lone surrogates' }];
  if (typeof value !== 'object' || value === null || depth > DEEPEST) return [];
  return Object.entries(value).flatMap(([key, inner]) => textProblems(inner, path === '' ? key : `${path}.${key}`, depth + 1));
}
