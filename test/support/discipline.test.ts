import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/**
 * What no test does. A wait is on an event (support/wait.ts, which also has the pauses of a device that the test plays),
 * a number comes from a seed, and no outcome depends on how long something takes.
 */
const ROOT = new URL('../', import.meta.url);
const WAIT = 'support/wait.ts';

const BANNED: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['a sleep: wait for what it is about with support/wait.ts', /\bsetTimeout\(|\btimers\/promises\b|\bAtomics\.wait\(/g],
  ['a wait with a limit of its own: eventually() has one that no machine reaches', /\bvi\.wait(For|Until)\(/g],
  [
    'a time limit of its own: the one of vitest.config.ts ends a test that hangs, on any machine',
    /^ {0,4}\}, (\d{2,}_?000|DEADLINE)\);$|\},\n +(\d+_000|DEADLINE),\n +\);/gm,
  ],
  ['a number without a seed: src/simulate/random.ts', /\bMath\.random\(/g],
  ['an assertion on the clock', /expect\((performance|Date)\.now\(\) - [^)]*\)\.toBeLess/g],
  ['a test that runs alone', /\b(it|test|describe)\.only\b/g],
  ['a test that never runs', /\b(it|test|describe)\.(skip|todo)\b/g],
];

/** The text without comments, line by line as it was. */
function code(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/[^\n]*/gm, (text) => '\n'.repeat(text.split('\n').length - 1));
}

function violations(file: string, source: string): string[] {
  return BANNED.flatMap(([what, pattern]) =>
    [...code(source).matchAll(pattern)].map((match) => `${file}:${source.slice(0, match.index).split('\n').length}: ${what} (${match[0]})`),
  );
}

describe('the tests', () => {
  it('wait for events, take their numbers from seeds, and assert nothing on the clock', () => {
    const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && name !== WAIT && name !== 'support/discipline.test.ts' && name !== 'architecture.test.ts',
    );
    expect(files.length).toBeGreaterThan(100);
    expect(files.sort().flatMap((name) => violations(name, readFileSync(new URL(name, ROOT), 'utf8')))).toEqual([]);
  });
});

describe('the rule itself', () => {
  it.each([
    'await new Promise((resolve) => setTimeout(resolve, 100));',
    "import { setTimeout as sleep } from 'node:timers/promises';",
    'await vi.waitFor(() => expect(done).toBe(true), { timeout: 1000 });',
    "it('waits', async () => {\n  }, 60_000);",
    'const delay = 100 * Math.random();',
    'expect(performance.now() - since).toBeLessThan(1000);',
    "it.skip('some day', () => {});",
  ])('finds %s', (source) => {
    expect(violations('x.test.ts', source)).toHaveLength(1);
  });

  it('takes comments for what they are', () => {
    expect(violations('x.test.ts', '/** setTimeout( */\n// Math.random()\nawait eventually(() => {});')).toEqual([]);
  });
});
