import { AppError } from '../base/errors.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';

/** One command; its module is loaded when it is asked for. */
export interface Command {
  readonly name: string;
  readonly about: string;
  load(): Promise<{ readonly help: string; run(args: string[]): Promise<number> }>;
}

export const COMPLETION_HELP = `fixgate completion bash|zsh|fish

What makes a shell complete the names of commands, their actions and options.

  bash   source <(fixgate completion bash)               in ~/.bashrc
  zsh    source <(fixgate completion zsh)                in ~/.zshrc, behind compinit
  fish   fixgate completion fish > ~/.config/fish/completions/fixgate.fish
`;

interface Words {
  readonly name: string;
  readonly about: string;
  /** Actions and options, as the help text has them. */
  readonly words: readonly string[];
}

const SHELLS: Readonly<Record<string, (commands: readonly Words[]) => string>> = { bash, zsh, fish };

export async function completion(args: readonly string[], commands: readonly Command[]): Promise<number> {
  const [shell = '', ...more] = args;
  const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (script === undefined || more.length > 0) throw new AppError('USAGE', 'usage: fixgate completion bash|zsh|fish');
  io().out.write(script(await Promise.all(commands.map(wordsOf))));
  return EXIT.Ok;
}

async function wordsOf({ name, about, load }: Command): Promise<Words> {
  const { help } = await load();
  const actions = [...help.matchAll(new RegExp(`^fixgate ${name} ([a-z][a-z|-]*)`, 'gm'))].flatMap(([, word = '']) => word.split('|'));
  const options = help.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [];
  return { name, about, words: [...new Set([...actions, ...options, '--help'])] };
}

function bash(commands: readonly Words[]): string {
  const cases = commands.map(({ name, words }) => `    ${name}) words='${words.join(' ')}' ;;`).join('\n');
  return `_fixgate() {
  local words='${commands.map(({ name }) => name).join(' ')} --help --version'
  [ "$COMP_CWORD" -eq 1 ] || case \${COMP_WORDS[1]} in
${cases}
    *) words='' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _fixgate fixgate
`;
}

function zsh(commands: readonly Words[]): string {
  const cases = commands.map(({ name, words }) => `    ${name}) compadd -- ${words.join(' ')} && return ;;`).join('\n');
  return `#compdef fixgate
_fixgate() {
  if (( CURRENT == 2 )); then
    local -a commands=(
${commands.map(({ name, about }) => `      '${name}:${about.replaceAll("'", '’')}'`).join('\n')}
    )
    _describe command commands
    return
  fi
  case $words[2] in
${cases}
  esac
  _files
}
compdef _fixgate fixgate
`;
}

function fish(commands: readonly Words[]): string {
  const lines = commands.flatMap(({ name, about, words }) => [
    `complete -c fixgate -n __fish_use_subcommand -f -a ${name} -d '${about.replaceAll("'", '’')}'`,
    `complete -c fixgate -n '__fish_seen_subcommand_from ${name}' -a '${words.join(' ')}'`,
  ]);
  return `${lines.join('\n')}\n`;
}
