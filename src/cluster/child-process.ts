import { flushCompileCache } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { every } from '../base/beat.ts';
import { closeInherited } from '../base/descriptors.ts';
import { AppError, messageOf } from '../base/errors.ts';
import { endAtOnce, endOnUncaught, leave } from '../base/lock/end.ts';
import type { Metrics } from '../base/metrics/catalog.ts';
import type { SessionFacts } from '../in/session/session.ts';
import { isMessage, UnknownMessages } from './ipc.ts';
import type { FromChild, Health, SendHandle, Start, ToChild, ToShipper, ToWorker } from './messages.ts';

/** The child's side of the conversation with the supervisor: one `start`, reports once a second, one `drain`, and what the role adds. */
export interface ChildRole {
  /** Health by part, read for each report. */
  health(): Readonly<Record<string, Health>>;
  readonly metrics: Metrics;
  /** Finishes what is owed; the process exits afterwards. */
  drain(deadlineMs: number): Promise<void>;
  /** Takes the messages to this role: one of the two unions, or of an unknown type. */
  take(message: ToWorker | ToShipper, socket: SendHandle | undefined): void;
}

const REPORT_MS = 1000;

/** Runs this process as a child: starts the role when told, reports, drains, and never outlives the supervisor. */
export function runChild(start: (message: Start) => Promise<ChildRole>): void {
  closeInherited();
  let role: ChildRole | undefined;
  let draining = false;
  const drain = (deadlineMs: number): void => {
    if (draining) return;
    draining = true;
    const done = role === undefined ? Promise.resolve() : role.drain(deadlineMs);
    done.then(
      async () => {
        if (role !== undefined) await report(role);
        leave(0);
      },
      (error: unknown) => {
        process.stderr.write(`fixgate: ${messageOf(error)}\n`);
        leave(1);
      },
    );
  };
  const begin = (message: Start): void => {
    start(message).then(
      (started) => {
        role = started;
        tell({ type: 'ready' });
        // Killed processes leave nothing for the next ones.
        flushCompileCache();
        void report(started);
        every(REPORT_MS, () => void report(started));
      },
      (error: unknown) => {
        tell({ type: 'failed', code: error instanceof AppError ? error.code : 'WORKER_FAILED', message: messageOf(error) }, () => leave(1));
      },
    );
  };
  process.on('message', (message, socket: SendHandle | undefined) => {
    if (!isMessage<ToChild>(message)) return;
    switch (message.type) {
      case 'start':
        begin(message);
        break;
      case 'drain':
        drain(message.deadlineMs);
        break;
      default:
        taken(role, message, socket);
    }
  });
  // Ctrl-C and service managers signal every process; the supervisor decides what it means, and in which order.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('SIGHUP', () => {});
  // Before the listener of node:cluster, which would leave through the exit handlers.
  process.prependListener('disconnect', endAtOnce);
  endOnUncaught((message, done) => tell({ type: 'failed', code: 'WORKER_FAILED', message }, done));
}

/** Never rejects: it runs in a timer. */
async function report(role: ChildRole): Promise<void> {
  try {
    const metrics = await role.metrics.registry.getMetricsAsJSON();
    await new Promise<void>((resolve) => tell({ type: 'report', health: role.health(), metrics }, resolve));
  } catch (error) {
    process.stderr.write(`fixgate: a report failed: ${messageOf(error)}\n`);
  }
}

/** A message that cannot be followed must not end the process, and its devices' connections with it. */
function taken(role: ChildRole | undefined, message: ToWorker | ToShipper, socket: SendHandle | undefined): void {
  try {
    role?.take(message, socket);
  } catch (error) {
    process.stderr.write(`fixgate: the message "${message.type}" failed: ${messageOf(error)}\n`);
  }
}

/** Answers a request of the supervisor. */
export function tellDone(ticket: number, work: Promise<Readonly<Record<string, number>>>): void {
  work.then(
    (counts) => tell({ type: 'done', ticket, counts, trouble: '' }),
    (error: unknown) => tell({ type: 'done', ticket, counts: {}, trouble: messageOf(error) || 'it failed' }),
  );
}

/** Answers a request of the supervisor for sessions. */
export function tellSessions(ticket: number, sessions: readonly SessionFacts[]): void {
  tell({ type: 'done', ticket, counts: {}, sessions, trouble: '' });
}

/** Answers a request of the supervisor with a socket, without it when it cannot be sent. */
export function tellSocket(ticket: number, socket: SendHandle | undefined): void {
  const done: FromChild = { type: 'done', ticket, counts: {}, trouble: '' };
  try {
    tell(done, () => {}, socket);
  } catch {
    // Shared by the cluster instead of by the kernel: the other process gets it from there.
    tell(done);
  }
}

/** For the messages to a role that are of an unknown type. */
export function unknownToChild(): UnknownMessages {
  return new UnknownMessages((type) => process.stderr.write(`fixgate: a message of the unknown type "${type}" is ignored\n`));
}

/** Sends to the supervisor; `done` when it has left, or the supervisor is gone. Throws when the socket cannot be sent. */
export function tell(message: FromChild, done: () => void = () => {}, socket?: SendHandle): void {
  if (process.connected !== true || process.send === undefined) done();
  else process.send(message, socket, undefined, () => done());
}

/** Path of a module of this program beside `base`, in source (`.ts`) and in `dist` (`.js`) alike. */
export function modulePath(relative: string, base: string): string {
  return fileURLToPath(new URL(`${relative}${extname(fileURLToPath(base))}`, base));
}
