import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { isMessage, Requests, UnknownMessages } from '../../../src/cluster/ipc.ts';

type Fruit = { readonly type: 'apple'; readonly weight: number } | { readonly type: 'pear' } | { readonly type: 'plum' };

describe('invariant 1: a switch over messages', () => {
  it('does not compile when it leaves a member out', () => {
    const unknown = new UnknownMessages(() => {});
    const whole = (message: Fruit): number => {
      switch (message.type) {
        case 'apple':
          return message.weight;
        case 'pear':
        case 'plum':
          return 0;
        default:
          unknown.ignore(message);
          return -1;
      }
    };
    const partial = (message: Fruit): number => {
      switch (message.type) {
        case 'apple':
          return message.weight;
        case 'pear':
          return 0;
        default:
          // @ts-expect-error: there is no case for plum
          unknown.ignore(message);
          return -1;
      }
    };
    expect([whole({ type: 'plum' }), partial({ type: 'plum' })]).toEqual([0, -1]);
  });
});

describe('invariant 2: a message of an unknown type', () => {
  it('is reported once for each type, and of few types', () => {
    const reported: string[] = [];
    const unknown = new UnknownMessages((type) => reported.push(type));
    const take = (message: unknown): void => {
      if (!isMessage<Fruit>(message)) return;
      switch (message.type) {
        case 'apple':
        case 'pear':
        case 'plum':
          break;
        default:
          unknown.ignore(message);
      }
    };
    for (const message of [{ type: 'nut' }, { type: 'nut' }, { type: 'leaf' }, { type: 'pear' }, null, 'nut', { type: 1 }, {}])
      take(message);
    expect(reported).toEqual(['nut', 'leaf']);
    for (let n = 0; n < 1000; n++) take({ type: `nut ${n}` });
    expect(reported).toHaveLength(100);
  });

  it('neither ends a child nor keeps it from the next message', async () => {
    const source = join(import.meta.dirname, '../../../src/cluster/child-process.ts');
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-ipc-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const path = join(directory, 'child.mjs');
    writeFileSync(
      path,
      `import { runChild, unknownToChild } from ${JSON.stringify(source)};
      const unknown = unknownToChild();
      runChild(async () => ({
        health: () => ({}),
        metrics: { registry: { getMetricsAsJSON: async () => [] } },
        drain: async () => {},
        take: (message) => unknown.ignore(message),
      }));`,
    );
    const child: ChildProcess = fork(path, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let said = '';
    child.stderr?.on('data', (text) => {
      said += String(text);
    });
    const ready = once(child, 'message');
    child.send({ type: 'start' });
    expect((await ready)[0]).toEqual({ type: 'ready' });
    for (const message of [{ type: 'nut' }, { type: 'nut' }, 'text', { type: 'drain', deadlineMs: 0 }]) child.send(message);
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(said).toBe('fixgate: a message of the unknown type "nut" is ignored\n');
  });
});

describe('invariant 3: a request', () => {
  it('is settled by its answer, which is found by its ticket', async () => {
    const requests = new Requests('worker-0');
    const tickets: number[] = [];
    const asked = ['a', 'b'].map(() => requests.ask((ticket) => tickets.push(ticket), 60_000));
    const [one = 0, two = 0] = tickets;
    requests.done({ type: 'done', ticket: two, counts: { entries: 2 }, trouble: '' }, 'a socket');
    requests.done({ type: 'done', ticket: one, counts: {}, trouble: 'the disk is full' }, undefined);
    // Twice, and one of another life of the child.
    requests.done({ type: 'done', ticket: two, counts: { entries: 3 }, trouble: '' }, undefined);
    requests.done({ type: 'done', ticket: 99, counts: {}, trouble: '' }, undefined);
    await expect(asked[1]).resolves.toEqual({ counts: { entries: 2 }, socket: 'a socket' });
    await expect(asked[0]).rejects.toMatchObject({ code: 'WORKER_FAILED', message: 'the disk is full' });
  });

  it('is rejected when the other process has ended, and when it does not answer in time', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const requests = new Requests('shipper');
    const ended = requests.ask(() => {}, 60_000);
    requests.abandon('shipper has ended');
    await expect(ended).rejects.toMatchObject({ code: 'WORKER_FAILED', message: 'shipper has ended' });
    const late = requests.ask(() => {}, 2_000);
    vi.advanceTimersByTime(2_000);
    await expect(late).rejects.toMatchObject({ code: 'WORKER_FAILED', message: 'shipper has not answered within 2 s' });
    expect(vi.getTimerCount()).toBe(0);
  });
});
