import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { newRecipientSchema } from '../fleet/registry/recipient.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldsOf, lines, listOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

export const RECIPIENTS_HELP = `fixgate recipients list|set|remove [options]

Who gets records in a Redis stream of its own, fixgate:to:<id>, through the API of a running server. docs/accounts.md explains it.

  list
  set <id> name=value …   makes or changes it: purpose (of the accounts that consent to it), or account (its own records); name
  remove <id>             its stream gets nothing more

${API_HELP} read --scope admin

  fixgate recipients set alpha-insurance purpose=insurer 'name=Alpha Insurance plc'
  fixgate recipients set acme account=acme
`;

const SHOWN = ['id', 'purpose', 'account', 'name', 'since'];

export async function recipients(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: API_OPTIONS });
  const [action = '', id = '', ...pairs] = positionals;
  const api = new Api(values.url);
  if (action === 'list') {
    const found = listOf(await api.call('GET', '/v1/recipients'), 'recipients');
    if (values.json) for (const one of found) io().out.write(`${JSON.stringify(one)}\n`);
    else table(found, SHOWN);
    return EXIT.Ok;
  }
  if (!['set', 'remove'].includes(action) || id === '')
    throw new AppError('USAGE', 'usage: fixgate recipients list, or fixgate recipients set|remove <id>');
  const path = `/v1/recipients/${encodeURIComponent(id)}`;
  if (action === 'set') {
    const made = await api.call('PUT', path, fieldsOf(pairs, newRecipientSchema));
    io().out.write(values.json ? `${JSON.stringify(made)}\n` : lines(made));
    return EXIT.Ok;
  }
  if ((await api.find('DELETE', path)) !== undefined) return EXIT.Ok;
  io().error.write(`fixgate: recipient ${id} is not known\n`);
  return EXIT.Found;
}
