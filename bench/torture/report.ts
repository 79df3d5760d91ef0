import type { WrongAnswer } from '../../src/simulate/fleet.ts';
import type { MemoryResult } from './memory.ts';
import { kept, type Verdict } from './verdict.ts';
import type { Noticed } from './watch.ts';

/** One fault as it came about. */
export interface Happened {
  readonly fault: string;
  readonly atMs: number;
  readonly lastedMs: number;
  readonly said: string;
  /** Why the server or a store did not come back from it; '' when they did. */
  readonly failure: string;
  /** Undefined for one that is not supported here. */
  readonly noticed: Noticed | undefined;
}

export interface Outcome {
  readonly seed: number;
  readonly minutes: number;
  readonly happened: readonly Happened[];
  readonly verdict: Verdict;
  readonly sent: number;
  /** Sent, and not acknowledged although everything was well again for long. */
  readonly unacknowledged: number;
  readonly resent: number;
  readonly stored: number;
  readonly wrongAnswers: number;
  readonly wrong: readonly WrongAnswer[];
  /** Both sinks took all that was durable in the time given. */
  readonly settled: boolean;
  /** Times that the server ended without being killed. */
  readonly surprises: number;
  readonly memory: MemoryResult;
  readonly exitCode: number | null;
}

/** What was not kept, in words; empty when all was. */
function broken(outcome: Outcome): string[] {
  const { verdict, memory } = outcome;
  const found: string[] = [];
  if (!kept(verdict)) found.push('records are lost, extra, twice or out of order');
  if (verdict.acknowledged === 0) found.push('nothing was acknowledged at all');
  if (outcome.unacknowledged > 0) found.push(`${outcome.unacknowledged} records were never acknowledged`);
  if (outcome.wrongAnswers > 0) found.push(`${outcome.wrongAnswers} wrong answers`);
  if (!outcome.settled) found.push('the sinks did not catch up');
  if (outcome.surprises > 0) found.push(`the server ended by itself, ${outcome.surprises} times`);
  for (const { fault, failure } of outcome.happened) if (failure !== '') found.push(`${fault}: ${failure}`);
  if (memory.afterBytes > memory.limitBytes) found.push('memory did not come back');
  if (outcome.exitCode !== 0) found.push(`the server ended with code ${outcome.exitCode}`);
  return found;
}

/** The tables, or one JSON line. True when every promise was kept. */
export function print(outcome: Outcome, json: boolean): boolean {
  const failures = broken(outcome);
  if (json) process.stdout.write(`${JSON.stringify({ ...outcome, broken: failures })}\n`);
  else process.stdout.write(tables(outcome, failures));
  return failures.length === 0;
}

function tables(outcome: Outcome, failures: readonly string[]): string {
  const { verdict, memory } = outcome;
  const rows = byFault(outcome.happened);
  const width = Math.max(...rows.map((row) => row[0]?.length ?? 0), 10) + 2;
  const line = (cells: readonly string[]): string =>
    `${cells.map((cell, k) => (k === 0 ? cell.padEnd(width) : k < 7 ? cell.padStart(13) : `  ${cell}`)).join('')}\n`;
  let text = `\n${line(['fault', 'times', 'lasted s', 'acked during', 'acked after', 'silence s', 'reconnects', ''])}`;
  for (const row of rows) text += line(row);
  const pair = (name: string, value: string | number): string => `${name.padEnd(44)}${String(value).padStart(12)}\n`;
  text += '\n';
  text += pair('records sent', outcome.sent);
  text += pair('… sent again, or kept without coverage first', `${outcome.resent} / ${outcome.stored}`);
  text += pair('acknowledged', verdict.acknowledged);
  text += pair('acknowledged and not in ClickHouse', verdict.lostInTable);
  text += pair('acknowledged and not in the Redis stream', verdict.lostInStream);
  text += pair('extra rows (FINAL), twice', `${verdict.extraInTable}, ${verdict.twiceInTable}`);
  text += pair('extra stream entries, twice', `${verdict.extraInStream}, ${verdict.twiceInStream}`);
  text += pair('stream entries out of order', verdict.outOfOrder);
  text += pair('never acknowledged', outcome.unacknowledged);
  text += pair('wrong answers', outcome.wrongAnswers);
  text += pair('memory before, after, limit (MiB)', [memory.beforeBytes, memory.afterBytes, memory.limitBytes].map(mib).join(' / '));
  for (const example of verdict.examples) text += `  ${example}\n`;
  for (const { device, transport, expected, got } of outcome.wrong)
    text += `  wrong answer to ${device} over ${transport}: ${got} instead of ${expected}\n`;
  text += failures.length === 0 ? '\nevery promise was kept\n' : `\nBROKEN: ${failures.join('; ')}\n`;
  return text;
}

/** One row a fault, however often it came: sums, and the longest silence. */
function byFault(happened: readonly Happened[]): string[][] {
  const names = [...new Set(happened.map(({ fault }) => fault))].sort();
  return names.map((name) => {
    const all = happened.filter(({ fault }) => fault === name);
    const noticed = all.flatMap((one) => (one.noticed === undefined ? [] : [one.noticed]));
    const sum = (of: (one: Noticed) => number): string => String(noticed.reduce((total, one) => total + of(one), 0));
    const silence = Math.max(0, ...noticed.map((one) => one.longestSilenceMs));
    const lasted = all.reduce((total, one) => total + one.lastedMs, 0);
    return [
      name,
      String(noticed.length),
      (lasted / 1000).toFixed(1),
      sum((one) => one.acknowledgedDuring),
      sum((one) => one.acknowledgedAfter),
      (silence / 1000).toFixed(1),
      sum((one) => one.reconnects),
      [...new Set(all.map((one) => one.said))].filter((said) => said !== '').join('; '),
    ];
  });
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}
