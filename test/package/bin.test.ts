import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const BIN = join(import.meta.dirname, '../../bin/fixgate.js');
const temporary = mkdtempSync(join(tmpdir(), 'fixgate-bin-'));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

/** The command in a tree of its own, in which each of `files` says its own name. */
function started(
  name: string,
  files: readonly string[],
  execArgv: readonly string[] = [],
): { status: number | null; out: string; error: string } {
  const tree = join(temporary, name);
  for (const file of ['bin/fixgate.js', ...files]) mkdirSync(dirname(join(tree, file)), { recursive: true });
  writeFileSync(join(tree, 'package.json'), '{"type":"module"}');
  cpSync(BIN, join(tree, 'bin/fixgate.js'));
  for (const file of files) writeFileSync(join(tree, file), `process.stdout.write('${file}');`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [...execArgv, join(tree, 'bin/fixgate.js')], { encoding: 'utf8' });
  return { status, out: stdout, error: stderr };
}

describe('the command', () => {
  it('runs the source of a checkout, whatever an earlier build left there', () => {
    expect(started('checkout', ['src/main.ts', 'dist/src/main.js'])).toEqual({ status: 0, out: 'src/main.ts', error: '' });
  });

  it('runs what was built where there is no source', () => {
    expect(started('package', ['dist/src/main.js'])).toEqual({ status: 0, out: 'dist/src/main.js', error: '' });
  });

  it('says in one line that this Node is too old, and loads nothing', () => {
    const old = join(temporary, 'old.cjs');
    writeFileSync(old, "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } });");
    const { status, out, error } = started('old', ['src/main.ts'], ['--require', old]);
    expect({ status, out }).toEqual({ status: 1, out: '' });
    expect(error).toMatch(/^fixgate: needs Node 24 or newer, this is 20\.1\.0 [^\n]*npm start[^\n]*\n$/);
  });
});
