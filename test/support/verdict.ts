import { appendFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { SerializedError } from 'vitest';
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';

/** Lines of an error that are kept, of a length that a log can show. */
const LINES = 6;
const COLUMNS = 240;

const plain = (text: string): string => text.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g'), '');

/** The first lines of an error's text, and where it was thrown in the repository's own files. */
function excerpt(error: Pick<SerializedError, 'message' | 'stack'>): string {
  const at = plain(error.stack ?? '')
    .split('\n')
    .find((line) => /^\s+at .*\/(test|src|codecs|bench)\//.test(line));
  return [...plain(error.message).split('\n').slice(0, LINES), ...(at === undefined ? [] : [at.trim()])]
    .map((line) => `    ${line.slice(0, COLUMNS)}\n`)
    .join('');
}

/**
 * What makes a run fail, written as it happens to the file that `VERDICT_FILE` names, so that it survives a run that is
 * ended from outside: `FAILED <file> > <test>`, `ERROR …` (a file that did not load, an error that no test awaited),
 * `SKIPPED …`, each with the first lines of its errors; at the end `N passed, N failed`, where each of these counts as
 * failed. With `REQUIRE_ALL=1` a skipped or unfinished test fails the run.
 */
export default class Verdict implements Reporter {
  readonly #file = process.env['VERDICT_FILE'];
  readonly #requireAll = process.env['REQUIRE_ALL'] === '1';
  #passed = 0;
  #failed = 0;

  onTestRunStart(): void {
    if (this.#file !== undefined) writeFileSync(this.#file, '');
  }

  onTestCaseResult(test: TestCase): void {
    const { state, errors } = test.result();
    if (state === 'passed') this.#passed++;
    else if (state === 'failed') this.#problem(`FAILED ${named(test)}`, errors);
  }

  /** A failing `beforeAll`, or a file without tests that loaded. */
  onTestSuiteResult(suite: TestSuite): void {
    if (suite.errors().length > 0) this.#problem(`ERROR ${named(suite)}`, suite.errors());
  }

  onTestModuleEnd(module: TestModule): void {
    if (module.errors().length > 0) this.#problem(`ERROR ${fileOf(module)}`, module.errors());
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    for (const error of unhandled) this.#problem('ERROR that no test awaited', [error]);
    if (this.#requireAll)
      for (const module of modules)
        for (const test of module.children.allTests())
          if (test.result().state === 'skipped' || test.result().state === 'pending') this.#skipped(test);
    this.#write(`${this.#passed} passed, ${this.#failed} failed\n`);
  }

  #skipped(test: TestCase): void {
    this.#problem(`SKIPPED ${named(test)}`);
    console.error(`skipped, but REQUIRE_ALL=1: ${named(test)}`);
    process.exitCode = 1;
  }

  #problem(title: string, errors: readonly Pick<SerializedError, 'message' | 'stack'>[] = []): void {
    this.#failed++;
    this.#write(`${title}\n${errors.slice(0, 2).map(excerpt).join('')}`);
  }

  #write(text: string): void {
    if (this.#file !== undefined) appendFileSync(this.#file, text);
  }
}

function fileOf(module: TestModule): string {
  return relative(process.cwd(), module.moduleId);
}

function named(item: TestCase | TestSuite): string {
  return `${fileOf(item.module)} > ${item.fullName}`;
}
