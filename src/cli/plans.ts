import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { AppError, messageOf } from '../base/errors.ts';
import { readYaml } from '../config/yaml.ts';
import { planSchema } from '../fleet/plan/plan.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { fieldsOf, lines, listOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

export const PLANS_HELP = `fixgate plans list|get|versions|set|remove [options]

Service plans, through the API of a running server. docs/plans.md explains the fields.

  list
  get <name>                  what is in force now
  versions <name>             what was, is and will be in force
  set <name> [name=value …]   creates the plan, or a new version of it; name= resets a field to its default
    --effective <when>        now, next_cycle, or a date YYYY-MM-DD: the first cycle that begins then or later.
                              Default: next_cycle; now when no device is on the plan
    --file <file>             the whole plan, YAML or JSON, instead of what is there
  remove <name>               only when no device is on it

${API_HELP} read --scope plans

  fixgate plans set gold bytes_cap=50MB 'steps=[{"action":"notify","at_pct":80},{"action":"decimate","at_pct":100,"keep_every_s":300}]'
`;

/** What a version has beside the fields of the plan. */
const VERSION_FIELDS = ['version', 'from', 'made', 'by', 'in_force'];
const SHOWN = ['name', 'bytes_cap', 'records_cap', 'anchor_day', 'time_zone', 'steps'];

export async function plans(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, file: { type: 'string' }, effective: { type: 'string' } },
  });
  const [action = '', name, ...pairs] = positionals;
  const api = new Api(values.url);
  if (action === 'list') {
    const found = listOf(await api.call('GET', '/v1/plans'), 'plans');
    if (values.json) for (const plan of found) io().out.write(`${JSON.stringify(plan)}\n`);
    else table(found, SHOWN);
    return EXIT.Ok;
  }
  if (!['get', 'versions', 'set', 'remove'].includes(action))
    throw new AppError('USAGE', `fixgate plans ${action}: expected list, get, versions, set or remove`);
  if (name === undefined) throw new AppError('USAGE', `usage: fixgate plans ${action} <name>`);
  const path = `/v1/plans/${encodeURIComponent(name)}`;
  let found: unknown;
  if (action === 'set') found = await set(api, path, pairs, values);
  else if (action === 'versions') found = await api.find('GET', `${path}/versions`);
  else found = await api.find(action === 'get' ? 'GET' : 'DELETE', path);
  if (found === undefined) {
    io().error.write(`fixgate: unknown plan "${name}"\n`);
    return EXIT.Found;
  }
  if (action === 'versions' && !values.json)
    table(listOf(found, 'versions').map(dated), ['version', 'from', 'in_force', 'by', ...SHOWN.slice(1)]);
  else if (action !== 'remove') io().out.write(values.json ? `${JSON.stringify(found)}\n` : lines(found));
  return EXIT.Ok;
}

async function set(
  api: Api,
  path: string,
  pairs: readonly string[],
  { file, effective }: { readonly file?: string | undefined; readonly effective?: string | undefined },
): Promise<unknown> {
  const before = file === undefined ? await basis(api, path, effective) : read(file);
  const fields = Object.entries({ ...(typeof before === 'object' ? before : {}), ...fieldsOf(pairs, planSchema) });
  const query = effective === undefined ? '' : `?effective=${encodeURIComponent(effective)}`;
  return api.call('PUT', path + query, Object.fromEntries(fields.filter(([, value]) => value !== null)));
}

function dated(version: object): object {
  const from: unknown = Reflect.get(version, 'from');
  return { ...version, from: typeof from === 'number' && from > 0 ? new Date(from).toISOString() : 'the beginning' };
}

/** What a change is made to: the newest version, also one that is still to come; with `now`, what is in force. */
async function basis(api: Api, path: string, effective: string | undefined): Promise<unknown> {
  if (effective === 'now') return api.find('GET', path);
  const newest = listOf((await api.find('GET', `${path}/versions`)) ?? { versions: [] }, 'versions').at(-1);
  return newest === undefined ? undefined : Object.fromEntries(Object.entries(newest).filter(([name]) => !VERSION_FIELDS.includes(name)));
}

function read(file: string): unknown {
  try {
    return readYaml(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new AppError('USAGE', `cannot read ${file}: ${messageOf(error)}`, error);
  }
}
