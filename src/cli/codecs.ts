import { parseArgs } from 'node:util';
import type { Codec, OptionRule } from '../codec/index.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { codecNamed, installed } from './protocol.ts';

export const CODECS_HELP = `fixgate codecs [codec] [--config file] [--json]

Lists the protocols that this server speaks: the shipped ones and those of the configured packages. With a name: its
options (codecs.options.<codec> in the configuration, --option of fixgate decode), commands and messages.

  --config <file>   configuration that names codec packages (default: FIXGATE_CONFIG)
  --json            as JSON
`;

export async function codecs(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { config: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const known = await installed(values.config);
  const [name] = positionals;
  if (name !== undefined) {
    const codec = codecNamed(name, known);
    io().out.write(values.json ? `${JSON.stringify(described(codec))}\n` : page(codec));
    return EXIT.Ok;
  }
  const all = [...known.codecs.values()];
  if (values.json) io().out.write(`${JSON.stringify(all.map(described))}\n`);
  else for (const codec of all) io().out.write(`${codec.name.padEnd(16)} ${transports(codec).join(' ').padEnd(11)} ${codec.about}\n`);
  return EXIT.Ok;
}

function transports(codec: Codec): string[] {
  return (['tcp', 'udp', 'sms'] as const).filter((transport) => codec[transport] !== undefined);
}

function described(codec: Codec): Readonly<Record<string, unknown>> {
  return {
    name: codec.name,
    about: codec.about,
    transports: transports(codec),
    options: codec.options,
    commands: codec.commands,
    messages: codec.messages,
    reasons: codec.reasons,
    attributes: Object.fromEntries([...codec.attributes].map(([id, attribute]) => [String(id), attribute])),
  };
}

function page(codec: Codec): string {
  let text = `${codec.name}: ${codec.about}\n${transports(codec).join(', ')}; frames up to ${codec.maxFrameBytes} bytes\n\nOptions\n`;
  for (const [name, rule] of Object.entries(codec.options)) text += ruleText(name, rule);
  if (codec.commands.length > 0) text += '\nCommands (fixgate encode --type)\n';
  for (const command of codec.commands) {
    text += `  ${command.type.padEnd(18)} ${command.about}\n`;
    for (const [name, rule] of Object.entries(command.parameters)) text += `  ${ruleText(name, rule)}`;
  }
  return `${text}\nMessages\n  ${codec.messages.join(', ')}\n\nReasons of unreadable frames\n  ${codec.reasons.join(', ')}\n`;
}

function ruleText(name: string, rule: OptionRule): string {
  const values =
    rule.oneOf?.join(' | ') ?? (rule.min !== undefined || rule.max !== undefined ? `${rule.min ?? '…'} to ${rule.max ?? '…'}` : rule.type);
  const fallback = rule.fallback === undefined ? 'must be given' : `default ${rule.fallback === '' ? '""' : rule.fallback}`;
  return `  ${name.padEnd(18)} ${rule.about} (${values}; ${fallback})\n`;
}
