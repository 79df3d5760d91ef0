import { VOCABULARY } from '../../codecs/vocabulary.ts';
import { EVENTS } from '../../src/codec/events.ts';
import { NOTICE, table } from './table.ts';

/** docs/vocabulary.md, from `codecs/vocabulary.ts` and `src/codec/events.ts`. */
export function vocabularyPage(): string {
  const attributes = VOCABULARY.map(({ name, type, unit, meaning }) => [`\`${name}\``, type, unit, meaning]);
  const events = EVENTS.filter((name) => name !== '').map((name) => `\`${name}\``);
  return `${NOTICE}

# Vocabulary

Standard names of attributes and alarms, the same for every protocol. The tables are in \`codecs/vocabulary.ts\` and \`src/codec/events.ts\`.

## Attributes

Keys of \`attrs\` in a record (\`formats/tables.md\`). The unit is part of the name. \`<n>\` stands for a number from 1 on, in the device's order. A
value without a standard name keeps the vendor's own in snake_case; \`codecs/<name>/README.md\` lists them.

${table(['name', 'type', 'unit', 'meaning'], attributes)}
## Alarms

Values of \`event\` in a record. A code without a standard name is \`unknown_<code>\`. Events around devices, plans and commands are another thing:
\`events.md\`.

${wrapped(events)}
`;
}

/** Comma-separated, in lines of at most 140 characters. */
function wrapped(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const line = lines.at(-1);
    if (line === undefined || line.length + word.length > 136) lines.push(word);
    else lines[lines.length - 1] = `${line}, ${word}`;
  }
  return `${lines.join(',\n')}.`;
}
