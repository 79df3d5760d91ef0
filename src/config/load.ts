import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { TEST_CLOCK_VARIABLE } from '../base/clock.ts';
import { AppError, messageOf } from '../base/errors.ts';
import { Secret, SecretUrl } from '../base/secret.ts';
import { textProblems } from '../fleet/registry/field-problem.ts';
import { nearest, nearestVariable } from './nearest.ts';
import { CLIENT_VARIABLES, CONFIG_FILE_VARIABLE, type Config, configSchema, ENVIRONMENT } from './schema.ts';
import { readYaml } from './yaml.ts';

const PREFIX = 'FIXGATE_';

export interface Loaded {
  readonly config: Config;
  /** Where each option that is not a default came from: path → `file …` or `FIXGATE_…`. */
  readonly origins: ReadonlyMap<string, string>;
}

export interface ConfigSource {
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Problems that are named; the others are counted. */
const MOST_NAMED = 50;
/** Wrong names for which the nearest known one is looked for. */
const MOST_HINTS = 20;
/** What a listener that is wrong is taken for while the rest is looked at: it disturbs no other. */
const NO_LISTENER = { codec: 'auto', transport: 'tcp', port: 0 };

/**
 * One YAML or JSON file plus FIXGATE_* variables into a checked config. Variables win over the file. Throws AppError
 * CONFIG_INVALID that lists every problem with its key and remedy.
 */
export function loadConfig(from: ConfigSource): Loaded {
  const { loaded, problems } = readConfig(from);
  refuse(problems);
  return loaded;
}

/** Throws AppError CONFIG_INVALID when there are problems. */
export function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return;
  const named = problems.slice(0, MOST_NAMED).join('; ');
  const more = problems.length > MOST_NAMED ? `; and ${problems.length - MOST_NAMED} more` : '';
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  throw new AppError('CONFIG_INVALID', `the configuration has ${count}: ${named}${more}`);
}

/** The same with the problems; what is wrong is left out of the config, so that the rest can be looked at further. */
export function readConfig(from: ConfigSource): { readonly loaded: Loaded; readonly problems: string[] } {
  const problems: string[] = [];
  const origins = new Map<string, string>();
  const file = from.file ?? from.env[CONFIG_FILE_VARIABLE];
  const raw = file === undefined ? {} : readFile(file, problems);
  for (const path of leaves(raw)) origins.set(path, `file ${file}`);
  for (const [name, path, reading] of ENVIRONMENT) {
    const text = from.env[name];
    if (text === undefined || text === '') continue;
    put(raw, path.split('.'), READINGS[reading](name, text, problems));
    origins.set(path, name);
  }
  const known: readonly string[] = [...ENVIRONMENT.map(([name]) => name), CONFIG_FILE_VARIABLE, TEST_CLOCK_VARIABLE, ...CLIENT_VARIABLES];
  for (const name of Object.keys(from.env)) {
    if (!name.startsWith(PREFIX) || known.includes(name)) continue;
    const close = nearestVariable(name, known, PREFIX);
    problems.push(
      `${name}: unknown variable${close === undefined ? '; fixgate check-config --help lists them' : `; did you mean ${close}?`}`,
    );
  }
  for (const { field, problem } of textProblems(raw)) problems.push(`${field}: ${problem}`);
  const checked = configSchema.safeParse(raw);
  if (checked.success) return { loaded: { config: checked.data, origins }, problems };
  let hints = MOST_HINTS;
  for (const issue of checked.error.issues) problems.push(...explainIssue(issue, () => hints-- > 0));
  for (const issue of checked.error.issues) leaveOut(raw, issue);
  const rest = configSchema.safeParse(raw);
  return { loaded: { config: rest.success ? rest.data : configSchema.parse({}), origins }, problems };
}

/** Takes what is wrong out, so that its default holds. */
function leaveOut(raw: Record<string, unknown>, issue: z.core.$ZodIssue): void {
  const [first, index] = issue.path;
  if (first === 'listeners' && typeof index === 'number' && Array.isArray(raw['listeners'])) {
    raw['listeners'][index] = NO_LISTENER;
    return;
  }
  const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
  for (const path of paths) {
    let at: unknown = raw;
    for (const part of path.slice(0, -1)) at = typeof at === 'object' && at !== null ? Reflect.get(at, part) : undefined;
    const last = path.at(-1);
    if (typeof at === 'object' && at !== null && last !== undefined) Reflect.deleteProperty(at, last);
  }
}

function readFile(file: string, problems: string[]): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    problems.push(`cannot read the configuration file ${file}: ${messageOf(error)}`);
    return {};
  }
  let value: unknown;
  try {
    value = readYaml(text);
  } catch (error) {
    problems.push(`${file} is neither YAML nor JSON: ${messageOf(error).split('\n')[0]}`);
    return {};
  }
  if (value === null || value === undefined) return {};
  if (isObject(value)) {
    // For editors.
    const { $schema, ...options } = value;
    return options;
  }
  problems.push(`${file} must hold keys and values, like "workers: 4"`);
  return {};
}

function explainIssue(issue: z.core.$ZodIssue, mayHint: () => boolean): string[] {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(issue.path);
    return issue.keys.map((key) => `${path === '' ? key : `${path}.${key}`}: unknown key${mayHint() ? hint(key, known) : ''}`);
  }
  return [`${path || 'configuration'}: ${issue.message}`];
}

/** Keys of the object schema at a path, for the hint. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let at: z.core.$ZodType = configSchema;
  for (const part of path) {
    at = unwrapped(at);
    if (at instanceof z.ZodObject) at = at.shape[String(part)] ?? at;
    else if (at instanceof z.ZodArray) at = at.element;
  }
  at = unwrapped(at);
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  let at = schema;
  while (at instanceof z.ZodDefault || at instanceof z.ZodPrefault) at = at.unwrap();
  return at;
}

function hint(word: string, known: readonly string[]): string {
  const close = nearest(word, known);
  return close === undefined ? (known.length > 0 ? `; known keys: ${known.join(', ')}` : '') : `; did you mean ${close}?`;
}

const READINGS = {
  text: (_: string, text: string): unknown => text,
  number: numberOf,
  list: listOf,
  listeners: listenersOf,
  switch: switchOf,
} as const;

function listOf(_: string, text: string): unknown {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);
}

function switchOf(name: string, text: string, problems: string[]): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  problems.push(`${name}: "${text}" is neither true nor false`);
  return undefined;
}

function numberOf(name: string, text: string, problems: string[]): unknown {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  problems.push(`${name}: "${text}" is not a number`);
  return undefined;
}

/**
 * `codec[/tcp|/udp][@host]:port`, several separated by commas; without a transport both are opened. The host may be `[::1]`.
 * Example: `teltonika:5027,gt06/tcp:5023,auto/udp@127.0.0.1:5000`.
 */
function listenersOf(name: string, text: string, problems: string[]): unknown {
  const list: Record<string, unknown>[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*([a-z][a-z0-9-]*)(?:\/(tcp|udp))?(?:@(.+))?:(\d+)\s*$/.exec(part);
    if (match === null) {
      problems.push(`${name}: "${part.trim()}" is not codec[/tcp|/udp][@host]:port, for example teltonika/tcp:5027`);
      continue;
    }
    const [, codec, transport, host, port] = match;
    for (const t of transport === undefined ? ['tcp', 'udp'] : [transport])
      list.push({ codec, transport: t, port: Number(port), ...(host === undefined ? {} : { host }) });
  }
  return list;
}

function put(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path;
  if (key === undefined || value === undefined) return;
  if (rest.length === 0) {
    target[key] = value;
    return;
  }
  const inner = target[key];
  const object = isObject(inner) ? inner : {};
  target[key] = object;
  put(object, rest, value);
}

export function leaves(value: unknown, path = ''): string[] {
  if (!isObject(value)) return path === '' ? [] : [path];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Secret || value instanceof SecretUrl);
}
