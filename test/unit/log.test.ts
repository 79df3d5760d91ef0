import { expect, it } from 'vitest';
import { human } from '../../src/base/log-pino.ts';

const line = (fields: object): string =>
  human(JSON.stringify({ level: 30, time: '2026-12-01T02:17:26.123Z', process: 'worker-0', ...fields }));

it('a line of the log for a person has the time, the level, the process, the message and the fields', () => {
  expect(line({ listeners: ['gt06 tcp [::]:5023'], url: 'http://127.0.0.1:8080', n: 3, why: 'a b', msg: 'listening' })).toBe(
    '02:17:26.123 info  worker-0   listening listeners=["gt06 tcp [::]:5023"] url=http://127.0.0.1:8080 n=3 why="a b"\n',
  );
  expect(line({ level: 50, msg: 'x' })).toBe('02:17:26.123 \x1b[31merror\x1b[0m worker-0   x\n');
});

it('no text in it reaches the terminal as an escape or a line of its own', () => {
  const bad = 'a\u001b[2J\u009b\u202e\nb';
  const written = line({ device: bad, msg: bad });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
  expect(written.slice(0, -1)).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
});
