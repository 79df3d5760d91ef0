import type { z } from 'zod';

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
    return keys.map((key) => ({ field: [...issue.path, key].join('.'), problem: 'is not known; take it out' }));
  });
}
