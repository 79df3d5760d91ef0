import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fixgate } from './command.ts';

const scriptOf = async (shell: string): Promise<string> => (await fixgate(['completion', shell])).out;

/** What bash offers for the last of `words`, by the function that the script registers. */
function offered(script: string, ...words: readonly string[]): string[] {
  const line = words.map((word) => `'${word}'`).join(' ');
  const asked = `${script}
complete -p fixgate >/dev/null || exit 1
COMP_WORDS=(fixgate ${line}); COMP_CWORD=${words.length}; _fixgate; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', asked], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter(Boolean);
}

describe('fixgate completion', () => {
  it('completes commands, actions and options in bash', async () => {
    const script = await scriptOf('bash');
    const overview = (await fixgate(['--help'])).out;
    const names = [...overview.slice(0, overview.indexOf('fixgate <command> --help')).matchAll(/^ {2}([a-z-]+) {2}/gm)].map(
      ([, name]) => name,
    );
    expect(names.length).toBeGreaterThan(20);
    expect(offered(script, '')).toEqual([...names, '--help', '--version']);
    expect(offered(script, 'dec')).toEqual(['decode']);
    expect(offered(script, 'commands', '')).toEqual(expect.arrayContaining(['list', 'cancel', '--state', '--help']));
    expect(offered(script, 'commands', 'list', '--st')).toEqual(['--state']);
    expect(offered(script, 'completion', 'f')).toEqual(['fish']);
    expect(offered(script, 'nonsense', '')).toEqual([]);
  });

  it.each(['zsh', 'fish'])('has the commands and their options for %s', async (shell) => {
    const script = await scriptOf(shell);
    for (const part of ['commands', 'list the commands to devices, or cancel one', '--state', 'check-config'])
      expect(script).toContain(part);
    // In quotes, nothing of a text is code.
    expect(script.split('\n').filter((line) => (line.match(/'/g)?.length ?? 0) % 2 === 1)).toEqual([]);
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-completion-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'script');
    writeFileSync(file, script);
    const checked = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    expect([checked.error, checked.status, checked.stderr]).toEqual([undefined, 0, '']);
    if (shell !== 'fish') return;
    const asked = spawnSync(
      'fish',
      ['--no-config', '-c', `source ${file}; complete -C 'fixgate dec'; complete -C 'fixgate commands --st'`],
      {
        encoding: 'utf8',
      },
    );
    expect(asked.stdout.split('\n').map((line) => line.split('\t')[0])).toEqual(expect.arrayContaining(['decode', '--state']));
  });

  it('names the shells that it knows', async () => {
    for (const args of [[], ['csh'], ['bash', 'zsh'], ['constructor']])
      expect(await fixgate(['completion', ...args])).toMatchObject({
        code: 2,
        error: 'fixgate: usage: fixgate completion bash|zsh|fish\n',
      });
  });
});
