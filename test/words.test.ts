import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

/** Words of STYLE.md, "Words": what a text must not say, and what it says instead. */
const BANNED: readonly (readonly [RegExp, string])[] = [
  [/\b(?:nobody|somebody|anybody|everybody|whom|whoever)\b/i, 'name the process, device, caller or operator'],
  [/\b(?:what|that|it|which) is none\b/i, 'say "not a …", or "if there is none"'],
  [
    /(?<!\bthere )\b(?:is|are|was|were) no (?!longer\b|more\b|reason\b|such\b|other\b|later\b|older\b|newer\b|slower\b|faster\b)[a-z]/i,
    'is not a …',
  ],
  [/\bturn(?:s|ed)? away\b/i, 'refused, rejected'],
  [/\bwhat it is given\b/i, 'name the thing'],
  [/\bsay (?:fixgate|name=value)\b/i, 'usage: …; expected …'],
  [/\bshall\b/i, 'present tense'],
  [/\btrying on\b/i, 'retrying'],
  [/\bas ever\b/i, 'as usual'],
  [/\bat (?:the|its) door\b/i, 'waiting to be accepted'],
  [/\bgoes? on without (?:us|it|them)\b/i, 'continues'],
  [/\ban hour of sailing\b/i, 'nothing'],
];

const DOCUMENTS = globSync([
  '*.md',
  'docs/**/*.md',
  'src/**/*.md',
  'codecs/**/README.md',
  'bench/*.md',
  'fixtures/**/*.md',
  'deploy/**/*.*',
]);
const SOURCES = globSync(['{src,codecs,tools,bench}/**/*.ts']);

function found(path: string, text: string): string[] {
  return text.split('\n').flatMap((line, index) =>
    BANNED.flatMap(([pattern, instead]) => {
      const match = pattern.exec(line);
      return match === null ? [] : [`${path}:${index + 1}: "${match[0]}": ${instead}`];
    }),
  );
}

describe('words', () => {
  test('of documents are plain (the list is BANNED above)', () => {
    expect(DOCUMENTS.length).toBeGreaterThan(30);
    expect(DOCUMENTS.filter((path) => path !== 'STYLE.md').flatMap((path) => found(path, readFileSync(path, 'utf8')))).toEqual([]);
  });

  test('of messages and comments are plain (the list is BANNED above)', () => {
    expect(SOURCES.length).toBeGreaterThan(300);
    expect(SOURCES.flatMap((path) => found(path, readFileSync(path, 'utf8')))).toEqual([]);
  });

  test.each([
    '/** Throws for what is none. */',
    "log.warn({}, 'nobody answers');",
    'no device can be like this: it is no tracker',
    'say fixgate devices set',
  ])('a banned one is found: %s', (text) => {
    expect(found('x.ts', text)).toHaveLength(1);
  });

  test.each(['there is no room', 'it is no longer there', 'an address that has no device'])('a plain one is not: %s', (text) => {
    expect(found('x.ts', text)).toEqual([]);
  });
});
