import { globSync, readFileSync } from 'node:fs';

/** The fenced blocks of the repository's documents. */
export interface CodeBlock {
  /** `docs/plans.md:12`, where its fence is. */
  readonly at: string;
  readonly file: string;
  readonly language: string;
  readonly text: string;
  /** The reason of a `<!-- no-run: reason -->` on the line before the fence: nothing runs or parses it. */
  readonly noRun: string | undefined;
}

const FENCE = /^( *)```(.*)$/;
const NO_RUN = /^ *<!-- no-run: (.+) -->$/;

export function codeBlocks(): CodeBlock[] {
  const files = globSync('{*,{.github,bench,codecs,deploy,docs,examples,fixtures,src,test,web}/**/*}.md').filter(
    (file) => !file.includes('node_modules') && file !== 'CHANGELOG.md',
  );
  return files.sort().flatMap((file) => blocksOf(file, readFileSync(file, 'utf8')));
}

/** Those of one document; throws for a fence without an end. */
export function blocksOf(file: string, document: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  const lines = document.split('\n');
  for (let k = 0; k < lines.length; k++) {
    const [, indent = '', language = ''] = FENCE.exec(lines[k] ?? '') ?? ['', undefined, undefined];
    if (FENCE.exec(lines[k] ?? '') === null) continue;
    const end = lines.findIndex((line, at) => at > k && line === `${indent}\`\`\``);
    if (end < 0) throw new Error(`${file}:${k + 1}: the block has no end`);
    const text = lines.slice(k + 1, end).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    const noRun = NO_RUN.exec(lines[k - 1] ?? '')?.[1];
    blocks.push({ at: `${file}:${k + 1}`, file, language, text: text.join('\n'), noRun });
    k = end;
  }
  return blocks;
}

/** The blocks that nothing runs or parses, as rows for docs/testing.md. */
export function noRunTable(): string {
  const rows = codeBlocks().flatMap(({ file, text, noRun }) =>
    noRun === undefined ? [] : [`| \`${file}\` | ${firstWords(text)} | ${noRun} |`],
  );
  return `| document | block | reason |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function firstWords(text: string): string {
  const line = text.split('\n').find((one) => one.trim() !== '') ?? '';
  return `\`${line.trim().slice(0, 40).trim().replaceAll('|', '\\|')}\``;
}
