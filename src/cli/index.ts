import { hasTestClock, systemClock, TEST_CLOCK_VARIABLE } from '../base/clock.ts';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { version } from '../base/version.ts';
import { visible } from '../base/wire/index.ts';
import { nearest } from '../config/nearest.ts';
import type { Command } from './completion.ts';
import { EXIT, EXIT_MEANING, exitCodeOf } from './exit-code.ts';
import { type Io, io, withIo } from './io.ts';

/**
 * The command line: finds the command, prints help, maps errors to exit codes.
 *
 * 1. What a program may read goes to standard output; what a person must know (errors, progress) to standard error.
 * 2. An error is one line, `fixgate: <what is wrong; the remedy>`, and an exit code of the table in `exit-code.ts`.
 * 3. Every option of a command is named in its help text: the hint for a mistyped one is taken from there.
 */

const COMMANDS: readonly Command[] = [
  {
    name: 'serve',
    about: 'run the server',
    load: async () => {
      const { SERVE_HELP, serve } = await import('./serve.ts');
      return { help: SERVE_HELP, run: serve };
    },
  },
  {
    name: 'decode',
    about: 'show what device bytes (hex) mean and what the server answers',
    load: async () => {
      const { DECODE_HELP, decode } = await import('./decode.ts');
      return { help: DECODE_HELP, run: decode };
    },
  },
  {
    name: 'encode',
    about: 'show the bytes of a command to a device',
    load: async () => {
      const { ENCODE_HELP, encode } = await import('./encode.ts');
      return { help: ENCODE_HELP, run: encode };
    },
  },
  {
    name: 'simulate',
    about: 'simulate a fleet of devices: send, check every answer, keep a ledger',
    load: async () => {
      const { SIMULATE_HELP, simulateCommand } = await import('./simulate.ts');
      return { help: SIMULATE_HELP, run: simulateCommand };
    },
  },
  {
    name: 'codecs',
    about: 'list the protocols, their options and commands',
    load: async () => {
      const { CODECS_HELP, codecs } = await import('./codecs.ts');
      return { help: CODECS_HELP, run: codecs };
    },
  },
  {
    name: 'send',
    about: 'send a command to a device and show its progress',
    load: async () => {
      const { SEND_HELP, send } = await import('./send.ts');
      return { help: SEND_HELP, run: send };
    },
  },
  {
    name: 'commands',
    about: 'list the commands to devices, or cancel one',
    load: async () => {
      const { COMMANDS_HELP, commands } = await import('./listings.ts');
      return { help: COMMANDS_HELP, run: commands };
    },
  },
  {
    name: 'campaigns',
    about: 'send one command to many devices, and follow that',
    load: async () => {
      const { CAMPAIGNS_HELP, campaigns } = await import('./campaigns.ts');
      return { help: CAMPAIGNS_HELP, run: campaigns };
    },
  },
  {
    name: 'outcome',
    about: 'record the outcome of a command that was sent and not answered',
    load: async () => {
      const { OUTCOME_HELP, outcome } = await import('./outcome.ts');
      return { help: OUTCOME_HELP, run: outcome };
    },
  },
  {
    name: 'test',
    about: 'test a unit that was just installed, against a checklist',
    load: async () => {
      const { TEST_HELP, test } = await import('./test.ts');
      return { help: TEST_HELP, run: test };
    },
  },
  {
    name: 'devices',
    about: 'list, add, change, import and export devices',
    load: async () => {
      const { DEVICES_HELP, devices } = await import('./devices.ts');
      return { help: DEVICES_HELP, run: devices };
    },
  },
  {
    name: 'accounts',
    about: 'list, make, change, suspend, resume and close accounts',
    load: async () => {
      const { ACCOUNTS_HELP, accounts } = await import('./accounts.ts');
      return { help: ACCOUNTS_HELP, run: accounts };
    },
  },
  {
    name: 'plans',
    about: 'list, make and change service plans',
    load: async () => {
      const { PLANS_HELP, plans } = await import('./plans.ts');
      return { help: PLANS_HELP, run: plans };
    },
  },
  {
    name: 'recovery',
    about: 'start, note and end the recovery of a stolen vehicle',
    load: async () => {
      const { RECOVERY_HELP, recovery } = await import('./recovery.ts');
      return { help: RECOVERY_HELP, run: recovery };
    },
  },
  {
    name: 'quarantine',
    about: 'list, adopt or remove unknown devices that the registry has refused',
    load: async () => {
      const { QUARANTINE_HELP, quarantine } = await import('./quarantine.ts');
      return { help: QUARANTINE_HELP, run: quarantine };
    },
  },
  {
    name: 'usage',
    about: 'show the usage of a device, or recompute it from history',
    load: async () => {
      const { USAGE_HELP, usage } = await import('./usage.ts');
      return { help: USAGE_HELP, run: usage };
    },
  },
  {
    name: 'evidence',
    about: 'show what a device did in a billing cycle that it should not',
    load: async () => {
      const { EVIDENCE_HELP, evidence } = await import('./evidence.ts');
      return { help: EVIDENCE_HELP, run: evidence };
    },
  },
  {
    name: 'statement',
    about: 'show or verify the statements of billing cycles',
    load: async () => {
      const { STATEMENT_HELP, statement } = await import('./statement.ts');
      return { help: STATEMENT_HELP, run: statement };
    },
  },
  {
    name: 'token',
    about: 'make, list and revoke tokens of the HTTP API',
    load: async () => {
      const { TOKEN_HELP, token } = await import('./token.ts');
      return { help: TOKEN_HELP, run: token };
    },
  },
  {
    name: 'console',
    about: 'print a link that signs in to the console of a running server',
    load: async () => {
      const { CONSOLE_HELP, consoleLink } = await import('./console.ts');
      return { help: CONSOLE_HELP, run: consoleLink };
    },
  },
  {
    name: 'positions',
    about: 'list where devices are now',
    load: async () => {
      const { POSITIONS_HELP, positions } = await import('./listings.ts');
      return { help: POSITIONS_HELP, run: positions };
    },
  },
  {
    name: 'events',
    about: 'list what has happened, newest first',
    load: async () => {
      const { EVENTS_HELP, events } = await import('./listings.ts');
      return { help: EVENTS_HELP, run: events };
    },
  },
  {
    name: 'audit',
    about: 'list who changed what and who saw what, newest first',
    load: async () => {
      const { AUDIT_HELP, audit } = await import('./listings.ts');
      return { help: AUDIT_HELP, run: audit };
    },
  },
  {
    name: 'recipients',
    about: 'list, make and remove recipients of records',
    load: async () => {
      const { RECIPIENTS_HELP, recipients } = await import('./recipients.ts');
      return { help: RECIPIENTS_HELP, run: recipients };
    },
  },
  {
    name: 'hold',
    about: 'keep the data of a device from being erased',
    load: async () => {
      const { HOLD_HELP, hold } = await import('./data.ts');
      return { help: HOLD_HELP, run: hold };
    },
  },
  {
    name: 'replay',
    about: 'read stored frames anew with this version, and show or write what changes',
    load: async () => {
      const { REPLAY_HELP, replay } = await import('./replay.ts');
      return { help: REPLAY_HELP, run: replay };
    },
  },
  {
    name: 'connections',
    about: 'list the connections of devices, or close one',
    load: async () => {
      const { CONNECTIONS_HELP, connections } = await import('./listings.ts');
      return { help: CONNECTIONS_HELP, run: connections };
    },
  },
  {
    name: 'tail',
    about: 'print positions and events as they come',
    load: async () => {
      const { TAIL_HELP, tail } = await import('./streams.ts');
      return { help: TAIL_HELP, run: tail };
    },
  },
  {
    name: 'trace',
    about: 'print the frames of a device as they come, field by field',
    load: async () => {
      const { TRACE_HELP, trace } = await import('./streams.ts');
      return { help: TRACE_HELP, run: trace };
    },
  },
  {
    name: 'top',
    about: 'show rates, answer times, sinks and processes of a running server',
    load: async () => {
      const { TOP_HELP, top } = await import('./streams.ts');
      return { help: TOP_HELP, run: top };
    },
  },
  {
    name: 'erase',
    about: 'erase everything that a device has sent',
    load: async () => {
      const { ERASE_HELP, erase } = await import('./data.ts');
      return { help: ERASE_HELP, run: erase };
    },
  },
  {
    name: 'export',
    about: 'export everything that is kept of a device or an account, as a zip',
    load: async () => {
      const { EXPORT_HELP, exportData } = await import('./data.ts');
      return { help: EXPORT_HELP, run: exportData };
    },
  },
  {
    name: 'disclose',
    about: 'disclose a period of a device or an account to an authority, as a zip',
    load: async () => {
      const { DISCLOSE_HELP, disclose } = await import('./data.ts');
      return { help: DISCLOSE_HELP, run: disclose };
    },
  },
  {
    name: 'sql',
    about: 'run a statement in ClickHouse, embedded or configured',
    load: async () => {
      const { SQL_HELP, sql } = await import('./sql.ts');
      return { help: SQL_HELP, run: sql };
    },
  },
  {
    name: 'clickhouse',
    about: 'show where ClickHouse listens and where its password is',
    load: async () => {
      const { CLICKHOUSE_HELP, clickhouse } = await import('./clickhouse.ts');
      return { help: CLICKHOUSE_HELP, run: clickhouse };
    },
  },
  {
    name: 'journal',
    about: 'list, verify and print what is in the journal, and retry what a sink refused',
    load: async () => {
      const { JOURNAL_HELP, journal } = await import('./journal.ts');
      return { help: JOURNAL_HELP, run: journal };
    },
  },
  {
    name: 'state',
    about: 'verify, dump, load and rebuild the state store: devices, plans, usage, commands',
    load: async () => {
      const { STATE_HELP, state } = await import('./state.ts');
      return { help: STATE_HELP, run: state };
    },
  },
  {
    name: 'check-config',
    about: 'check the configuration and show every option with its origin',
    load: async () => {
      const { CHECK_CONFIG_HELP, checkConfig } = await import('./check-config.ts');
      return { help: CHECK_CONFIG_HELP, run: checkConfig };
    },
  },
  {
    name: 'completion',
    about: 'print what makes bash, zsh or fish complete commands and options',
    load: async () => {
      const { COMPLETION_HELP, completion } = await import('./completion.ts');
      return { help: COMPLETION_HELP, run: (args) => completion(args, COMMANDS) };
    },
  },
];

/** Runs one command line (without interpreter and script) as this process; resolves with the exit code. Never throws. */
export async function main(argv: string[]): Promise<number> {
  io().out.on('error', (error) => {
    // The reader of our output has gone (`| head`): that is how it says it has enough.
    if (systemCode(error) === 'EPIPE') process.exit(EXIT.Ok);
    throw error;
  });
  return run(argv);
}

/** The same on streams of its own, when they are given. */
export async function run(argv: string[], its?: Io): Promise<number> {
  return its === undefined ? execute(argv) : withIo(its, () => execute(argv));
}

async function execute(argv: string[]): Promise<number> {
  let help = '';
  try {
    const [first, ...rest] = argv;
    if (first === undefined) {
      io().error.write(overview());
      return EXIT.Usage;
    }
    if (first === '--version' || first === '-v' || first === 'version') return printVersion(rest);
    if (first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
      io().out.write(overview());
      return EXIT.Ok;
    }
    const found = find(first === 'help' ? (rest[0] ?? '') : first);
    const loaded = await found.load();
    help = loaded.help;
    if (first === 'help' || rest.includes('--help') || rest.includes('-h')) {
      io().out.write(help);
      return EXIT.Ok;
    }
    if (hasTestClock())
      io().error.write(
        `fixgate: ${TEST_CLOCK_VARIABLE} is set: the time is ${new Date(systemClock.now()).toISOString()}, for tests only\n`,
      );
    return await loaded.run(rest);
  } catch (error) {
    return report(error, help);
  }
}

function find(name: string): Command {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command !== undefined) return command;
  const what = name.startsWith('-') ? 'option' : 'command';
  const names = COMMANDS.map((candidate) => candidate.name);
  const close = nearest(name, what === 'option' ? ['--help', '--version'] : names);
  throw new AppError('USAGE', `unknown ${what} "${name}"${close === undefined ? '; try fixgate --help' : `; did you mean ${close}?`}`);
}

/** Tells a person what went wrong, in one line, and picks the exit code. */
function report(error: unknown, help: string): number {
  const say = (message: string): void => {
    const lines = message.split('\n').map((line) => line.trim());
    io().error.write(`fixgate: ${visible(lines.filter((line) => line !== '').join(' '))}\n`);
  };
  if (error instanceof AppError) {
    say(error.message);
    return exitCodeOf(error.code);
  }
  if (systemCode(error).startsWith('ERR_PARSE_ARGS')) {
    say(argumentHint(messageOf(error), help));
    return EXIT.Usage;
  }
  say(`internal error: ${messageOf(error)}; please report it with the lines below`);
  io().error.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT.Defect;
}

/** The argument parser's message in our words, with the option of the help text that comes nearest. */
function argumentHint(message: string, help: string): string {
  const [sentence = message] = message.split(/\. To specify|\.$/);
  const unknown = /Unknown option '(--?[^' ]+)/.exec(message)?.[1];
  if (unknown === undefined) return sentence.charAt(0).toLowerCase() + sentence.slice(1);
  const known = [...new Set(help.match(/--[a-z][a-z-]*/g) ?? [])];
  const close = nearest(unknown, known);
  return `unknown option ${unknown}; ${close === undefined ? `known are ${known.join(', ')}` : `did you mean ${close}?`}`;
}

function overview(): string {
  const width = Math.max(...COMMANDS.map((command) => command.name.length));
  const commands = COMMANDS.map((command) => `  ${command.name.padEnd(width)}  ${command.about}`).join('\n');
  const codes = EXIT_MEANING.map(([code, meaning]) => `  ${String(code).padStart(width)}  ${meaning}`).join('\n');
  return `fixgate <command> [options]

The server that GPS trackers talk to.

Commands
${commands}

  fixgate <command> --help   options and examples
  fixgate --version

--json gives output that programs read; the log of serve is JSON where it is not a terminal.

Exit codes
${codes}
`;
}

function printVersion(args: readonly string[]): number {
  const found = version();
  io().out.write(args.includes('--json') ? `${JSON.stringify({ version: found, node: process.versions.node })}\n` : `fixgate ${found}\n`);
  return EXIT.Ok;
}
