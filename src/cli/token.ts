import { parseArgs } from 'node:util';
import { createToken, listTokens, revokeToken, SCOPES, type Scope } from '../api/tokens.ts';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { stateStore } from './stores.ts';

export const TOKEN_HELP = `fixgate token create|ls|revoke [--name name] [--scope scope …] [--config file] [--json]

Bearer tokens of the HTTP API. Works on the state store of the configuration, beside a running server or one that has run
there before.

  create            makes a token and prints it, once: only its hash is kept
    --name <name>   who uses it: the requester in commands and events
    --scope <scope> ${SCOPES.join(', ')}; may be repeated (default: read)
  ls                names and scopes
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
      const text = await createToken(store, { name, scopes, created: systemClock.now() });
      io().out.write(values.json ? `${JSON.stringify({ name, scopes, token: text })}\n` : `${text}\n`);
    } else if (action === 'ls') {
      const tokens = await listTokens(store);
      if (values.json) io().out.write(`${JSON.stringify(tokens)}\n`);
      else for (const known of tokens) io().out.write(`${known.name.padEnd(24)} ${known.scopes.join(' ')}\n`);
    } else if ((await revokeToken(store, name)) === 0) throw new AppError('USAGE', `unknown token "${name}"; fixgate token ls lists them`);
    return EXIT.Ok;
  } finally {
    await store.close();
  }
}

export function scopeOf(text: string): Scope {
  const scope = SCOPES.find((known) => known === text);
  if (scope === undefined) throw new AppError('USAGE', `--scope "${text}" is not one of ${SCOPES.join(', ')}`);
  return scope;
}
