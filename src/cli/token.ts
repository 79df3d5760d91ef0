import { parseArgs } from 'node:util';
import { createToken, listTokens, revokeToken, SCOPES, type Scope, type Token } from '../api/tokens.ts';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { EXIT } from './exit-code.ts';
import { timeOf } from './fields.ts';
import { io } from './io.ts';
import { stateStore } from './stores.ts';

export const TOKEN_HELP = `fixgate token create|ls|revoke [--name name] [--scope scope …] [--account account …] [--config file] [--json]

Bearer tokens of the HTTP API. Works on the state store of the configuration, beside a running server or one that has run
there before.

  create            makes a token and prints it, once: only its hash is kept
    --name <name>   who uses it: the requester in commands and events
    --scope <scope> ${SCOPES.join(', ')}; may be repeated (default: read)
    --account <a>   it sees devices of this account only; may be repeated (docs/accounts.md)
    --expires <t>   it is refused from then on: 2027-01-01, 2027-01-01T08:00 (UTC) or epoch ms
  ls                names, scopes, accounts and ends
  revoke --name <name>

  --config <file>   YAML or JSON (default: FIXGATE_CONFIG)
  --json            as JSON

  export FIXGATE_TOKEN=$(fixgate token create --name me --scope read --scope commands)
`;

export async function token(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
      name: { type: 'string' },
      scope: { type: 'string', multiple: true, default: ['read'] },
      account: { type: 'string', multiple: true },
      expires: { type: 'string' },
    },
  });
  const { config } = loadConfig({ file: values.config, env: io().env });
  const action = positionals[0] ?? '';
  if (!['create', 'ls', 'revoke'].includes(action)) throw new AppError('USAGE', `fixgate token ${action}: expected create, ls or revoke`);
  if (action !== 'ls' && !/^[\w.@-]{1,64}$/.test(values.name ?? ''))
    throw new AppError('USAGE', '--name must be given: 1 to 64 letters, digits, and . _ @ -');
  const name = values.name ?? '';
  const scopes = values.scope.map(scopeOf);
  const store = await stateStore(config);
  try {
    if (action === 'create') {
      const limits = limitsOf(values.account, values.expires);
      const text = await createToken(store, { name, scopes, created: systemClock.now(), ...limits });
      io().out.write(values.json ? `${JSON.stringify({ name, scopes, ...limits, token: text })}\n` : `${text}\n`);
    } else if (action === 'ls') {
      const tokens = await listTokens(store);
      if (values.json) io().out.write(`${JSON.stringify(tokens)}\n`);
      else for (const known of tokens) io().out.write(lineOf(known));
    } else if ((await revokeToken(store, name)) === 0) throw new AppError('USAGE', `unknown token "${name}"; fixgate token ls lists them`);
    return EXIT.Ok;
  } finally {
    await store.close();
  }
}

function limitsOf(accounts: readonly string[] | undefined, expires: string | undefined): Pick<Token, 'accounts' | 'expires'> {
  const wrong = accounts?.find((account) => account === '' || account.length > 64);
  if (wrong !== undefined) throw new AppError('USAGE', `--account "${wrong}" must have 1 to 64 characters`);
  if (expires === undefined) return accounts === undefined ? {} : { accounts };
  const end = /^\d+$/.test(expires) ? Number(expires) : timeOf(expires, 'UTC');
  if (end === undefined || end <= systemClock.now()) throw new AppError('USAGE', `--expires "${expires}" is not a time in the future`);
  return { ...(accounts === undefined ? {} : { accounts }), expires: end };
}

function lineOf({ name, scopes, accounts, expires }: Token): string {
  const limits = accounts === undefined ? '' : `  accounts: ${accounts.join(', ')}`;
  const end = expires === undefined ? '' : `  until ${new Date(expires).toISOString()}`;
  return `${name.padEnd(24)} ${scopes.join(' ')}${limits}${end}\n`;
}

export function scopeOf(text: string): Scope {
  const scope = SCOPES.find((known) => known === text);
  if (scope === undefined) throw new AppError('USAGE', `--scope "${text}" is not one of ${SCOPES.join(', ')}`);
  return scope;
}
