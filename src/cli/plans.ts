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

export const PLANS_HELP = `fixgate plans list|get|set|remove [options]

Service plans, through the API of a running server. docs/plans.md explains the fields.

  list
  get <name>
  set <name> [name=value …]   creates the plan or changes it; name= resets a field to its default
    --file <file>             the whole plan, YAML or JSON, instead of what is there
  remove <name>               only when no device is on it

${API_HELP} read --scope plans

  fixgate plans set gold bytes_cap=50MB 'steps=[{"action":"notify","at_pct":80},{"action":"decimate","at_pct":100,"keep_every_s":300}]'
`;

const SHOWN = ['name', 'bytes_cap', 'records_cap', 'anchor_day', 'time_zone', 'steps'];

export async function plans(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { ...API_OPTIONS, file: { type: 'string' } } });
  const [action = '', name, ...pairs] = positionals;
  const api = new Api(values.url);
  if (action === 'list') {
    const found = listOf(await api.call('GET', '/v1/plans'), 'plans');
    if (values.json) for (const plan of found) io().out.write(`${JSON.stringify(plan)}\n`);
    else table(found, SHOWN);
    return EXIT.Ok;
  }
  if (!['get', 'set', 'remove'].includes(action)) throw new AppError('USAGE', `fixgate plans ${action}: expected list, get, set or remove`);
  if (name === undefined) throw new AppError('USAGE', `usage: fixgate plans ${action} <name>`);
  const path = `/v1/plans/${encodeURIComponent(name)}`;
  let found: unknown;
  if (action === 'set') {
    const before = values.file === undefined ? await api.find('GET', path) : read(values.file);
    const fields = Object.entries({ ...(typeof before === 'object' ? before : {}), ...fieldsOf(pairs, planSchema) });
    found = await api.call('PUT', path, Object.fromEntries(fields.filter(([, value]) => value !== null)));
  } else found = await api.find(action === 'get' ? 'GET' : 'DELETE', path);
  if (found === undefined) {
    io().error.write(`fixgate: unknown plan "${name}"\n`);
    return EXIT.Found;
  }
  if (action !== 'remove') io().out.write(values.json ? `${JSON.stringify(found)}\n` : lines(found));
  return EXIT.Ok;
}

function read(file: string): unknown {
  try {
    return readYaml(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new AppError('USAGE', `cannot read ${file}: ${messageOf(error)}`, error);
  }
}
