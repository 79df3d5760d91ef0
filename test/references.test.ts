import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';

/** Every text of the repository that may cite a document. */
const FILES = globSync(
  ['{src,codecs,test,bench,tools,bin,docs,fixtures,.github}/**/*.{ts,js,md,lua,json,yml,yaml}', '*.md', '.ci/*', 'deploy/**/*.*'],
  { exclude: (path) => path.includes('node_modules') },
).filter((path) => !path.endsWith('references.test.ts'));

/** `x.md` with the sections named behind it: `x.md section 2`, `x.md sections 2.1, 3 and 5 to 7`. */
const DOCUMENT = /(?<![\w./>*-])([\w./-]*\w\.md)\b(?:#[\w-]+)?(?: sections? (\d+(?:\.\d+)*(?:(?:, | and |, and | to )\d+(?:\.\d+)*)*))?/g;
const SECTION = /\bsections? \d+/g;
/** Files and folders of the repository that a document names. */
const PATH = /`((?:src|codecs|test|bench|tools|bin|docs|fixtures|deploy|\.ci)\/[\w./-]*)`/g;

const texts = new Map<string, string>();
function textOf(path: string): string {
  let text = texts.get(path);
  if (text === undefined) {
    text = readFileSync(path, 'utf8');
    texts.set(path, text);
  }
  return text;
}

/** A document as named from the repository root, from the file's own folder, or from docs. */
function resolve(from: string, document: string): string | undefined {
  return [document, join(dirname(from), document), join('docs', document)].find((path) => existsSync(path));
}

const known = new Map<string, ReadonlySet<string>>();
/** Numbers of headings (`## 2.1 Name`) and of rows of numbered tables (`| 11.5 | …`). */
function sectionsOf(document: string): ReadonlySet<string> {
  let sections = known.get(document);
  if (sections === undefined) {
    const numbers = textOf(document).matchAll(/^(?:#+ (\d+(?:\.\d+)*)\.?\s|\| *(\d+(?:\.\d+)+) *\|)/gm);
    sections = new Set([...numbers].map(([, heading, row]) => heading ?? row ?? ''));
    known.set(document, sections);
  }
  return sections;
}

function numbersIn(text: string | undefined): readonly string[] {
  return text?.match(/\d+(?:\.\d+)*/g) ?? [];
}

/** What is wrong with the references of one text. */
function broken(path: string, text: string): string[] {
  const flat = text.replace(/\n\s*(?:\*|\/\/|#)?\s*/g, ' ');
  const problems: string[] = [];
  for (const [, document = '', sections] of flat.matchAll(DOCUMENT)) {
    const found = resolve(path, document);
    if (found === undefined) problems.push(`${path}: ${document} does not exist`);
    else
      for (const section of numbersIn(sections))
        if (!sectionsOf(found).has(section)) problems.push(`${path}: ${document} has no section ${section}`);
  }
  if (path.endsWith('.md'))
    for (const [, named = ''] of text.matchAll(PATH)) if (!existsSync(named)) problems.push(`${path}: ${named} does not exist`);
  if (path.endsWith('protocol.md')) {
    for (const [, section = ''] of text.matchAll(/(?:\bsections? |§)(\d+(?:\.\d+)*)/g))
      if (!sectionsOf(path).has(section)) problems.push(`${path}: no section ${section}`);
    return problems;
  }
  for (const [section] of flat.replace(DOCUMENT, '').matchAll(SECTION)) problems.push(`${path}: "${section}" of no document`);
  return problems;
}

describe('references to documents', () => {
  test('lead to a document of the repository and to a section that it has', () => {
    expect(FILES.length).toBeGreaterThan(400);
    expect(FILES.flatMap((path) => broken(path, textOf(path)))).toEqual([]);
  });

  test.each([
    ['src/x.ts', '/** See design.md. */', 'design.md does not exist'],
    ['src/x.ts', '/** See section 4.2. */', '"section 4" of no document'],
    ['docs/x.md', 'The code is `src/nowhere/x.ts`.', 'src/nowhere/x.ts does not exist'],
    ['codecs/gt06/x.ts', '/** See protocol.md section 99. */', 'protocol.md has no section 99'],
    ['codecs/gt06/x.ts', '/** See protocol.md sections 2,\n * 3 and 77.1. */', 'protocol.md has no section 77.1'],
  ])('a broken one is found: %s %s', (path, text, problem) => {
    expect(broken(path, text).join()).toContain(problem);
  });
});
