import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

/** The alerts of deploy/prometheus/rules.yml, and what each of them says. */

export const RULES_FILE = join(import.meta.dirname, '../../deploy/prometheus/rules.yml');
export const RULES_TEXT = readFileSync(RULES_FILE, 'utf8');
export const RULES = z
  .object({
    groups: z.array(
      z.object({
        rules: z.array(
          z.object({
            alert: z.string(),
            labels: z.record(z.string(), z.string()),
            annotations: z.object({ summary: z.string(), runbook_url: z.string() }),
          }),
        ),
      }),
    ),
  })
  .parse(parse(RULES_TEXT))
  .groups.flatMap(({ rules }) => rules);
