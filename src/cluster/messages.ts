import type { Config } from '../config/schema.ts';
import type { ErrorCode } from '../errors.ts';
import type { MetricsJson } from '../metrics/aggregate.ts';

/** Every message between the supervisor and its children, with its direction. */

/** What one child reports of its parts; the supervisor derives readiness from it. */
export interface Health {
  readonly state: 'up' | 'degraded' | 'down';
  readonly reason: string;
}

/** Supervisor → worker or shipper. */
export type ToChild =
  | {
      readonly type: 'start';
      readonly config: Config;
      /** Random name of this installation, kept in the data directory: tokens and cursors carry it. */
      readonly instance: string;
      /** Of a worker. */
      readonly slot: number;
      /** Of the shipper: the ClickHouse to use, configured or embedded. */
      readonly clickhouseUrl: string;
    }
  | { readonly type: 'drain'; readonly deadlineMs: number };

/** Worker, shipper or embedded ClickHouse → supervisor. */
export type FromChild =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'report'; readonly health: Readonly<Record<string, Health>>; readonly metrics: MetricsJson };

const TO_CHILD: readonly string[] = ['start', 'drain'] satisfies ToChild['type'][];
const FROM_CHILD: readonly string[] = ['ready', 'failed', 'report'] satisfies FromChild['type'][];

/** Both ends are ours and of one version: the tag is enough to tell a message of ours from another library's. */
export function isToChild(message: unknown): message is ToChild {
  return TO_CHILD.includes(tagOf(message));
}

export function isFromChild(message: unknown): message is FromChild {
  return FROM_CHILD.includes(tagOf(message));
}

function tagOf(message: unknown): string {
  return typeof message === 'object' && message !== null && 'type' in message ? String(message.type) : '';
}
