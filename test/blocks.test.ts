import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CsvReader } from '../src/api/device-lines.ts';
import { pathPattern } from '../src/api/route.ts';
import { apiRoutes } from '../src/api/server.ts';
import { messageOf } from '../src/base/errors.ts';
import { silentLog } from '../src/base/log.ts';
import { EXIT } from '../src/cli/exit-code.ts';
import { readConfig } from '../src/config/load.ts';
import { CLIENT_VARIABLES, CONFIG_FILE_VARIABLE, ENVIRONMENT } from '../src/config/schema.ts';
import { EVENT_DATA, eventSchema } from '../src/out/record/contract.ts';
import { blocksOf, type CodeBlock, codeBlocks } from '../tools/docs/code-blocks.ts';
import { fixgate } from './cli/command.ts';
import { RedisServer } from './ship/rig.ts';
import { type Call, callsOf } from './support/shell-calls.ts';

/**
 * Every fenced block of the documents, by its language. bash itself takes shell apart, with programs that only note how they are called.
 * `fixgate` then runs with these arguments, beside no store, and what it asks of the API is checked against the table of its operations;
 * so is what curl would ask. `test/sink/queries.test.ts` runs the statements. What nothing checks says `<!-- no-run: reason -->` on the line before; docs/testing.md
 * lists these.
 */

const directory = mkdtempSync(join(tmpdir(), 'fixgate-blocks-'));
afterAll(() => rmSync(directory, { recursive: true }));

interface Request {
  readonly method: string;
  readonly url: URL;
  readonly type: string;
  readonly body: string;
}

/** fetch refuses this port by itself: nothing is asked. */
const NOWHERE = 'http://127.0.0.1:9';
const ROUTES = apiRoutes({ confirm: true, log: silentLog, publicUrl: '' });

/** Why the API would not take a request; undefined when it would. */
function refusalOf({ method, url, type, body }: Request): string | undefined {
  const found = ROUTES.filter((one) => one.method === method && pathPattern(one.path).test(url.pathname));
  // `/v1/devices/export` is no id.
  const route = found.find(({ path }) => path === url.pathname) ?? found[0];
  if (route === undefined) return `${method} ${url.pathname}: no such operation`;
  const checked = [z.safeParse(route.query, Object.fromEntries(url.searchParams))];
  // A stream is read line by line, or as its sender has signed it.
  if (body !== '' && type.startsWith('application/json') && route.streams.length === 0)
    checked.push(z.safeParse(route.body ?? z.never(), JSON.parse(body)));
  const wrong = checked.flatMap(({ error }) => (error === undefined ? [] : [z.prettifyError(error)]));
  return wrong.length === 0 ? undefined : `${method} ${url.pathname}: ${wrong.join()}`;
}

/** Says what is wrong with a request, and answers none. */
const api = createServer((request, response) => {
  void textOf(request).then((body) => {
    const { method = '', url = '', headers } = request;
    const title = refusalOf({ method, url: new URL(url, NOWHERE), type: headers['content-type'] ?? '', body });
    response.writeHead(title === undefined ? 503 : 400, { 'content-type': 'application/problem+json', connection: 'close' });
    response.end(JSON.stringify({ title: title ?? 'nobody is here' }));
  });
});
let environment: Readonly<Record<string, string>>;
let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start();
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  const address = api.address();
  environment = {
    FIXGATE_URL: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    FIXGATE_TOKEN: 'token',
    FIXGATE_CLICKHOUSE_URL: NOWHERE,
    FIXGATE_DATA_DIR: join(directory, 'data'),
  };
});
afterAll(async () => {
  api.close();
  await redis.stop();
});

/** These would go on; of them only the options are looked at, in their help text. */
const GO_ON = ['serve', 'simulate', 'tail', 'trace', 'top'];
const DONE: readonly (number | null)[] = [EXIT.Ok, EXIT.Found, EXIT.Unavailable, EXIT.Directory, EXIT.Disk];

const VARIABLES: readonly string[] = [
  ...ENVIRONMENT.map(([name]) => name),
  CONFIG_FILE_VARIABLE,
  ...CLIENT_VARIABLES,
  // Of an example: a key that the gateway's owner has.
  'FIXGATE_SMS_KEY',
];
const SCRIPTS = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(readFileSync('package.json', 'utf8'))).scripts;

async function fixgateProblems(args: readonly string[]): Promise<string[]> {
  const [command = ''] = args;
  const said = `fixgate ${args.join(' ')}`;
  if (GO_ON.includes(command)) {
    const help = (await fixgate(['help', command])).out;
    return args.filter((arg) => arg.startsWith('--') && !new RegExp(`${arg}\\b(?!-)`).test(help)).map((arg) => `${said}: no option ${arg}`);
  }
  const { code, error } = await fixgate(args, '', environment);
  // A file of the reader's.
  const lacks = args.some((arg) => error.includes(`cannot read ${arg}: ENOENT`));
  return DONE.includes(code) || lacks ? [] : [`${said}: ${error}`];
}

/** Options of a script of this repository: `name: { type: …` of its `parseArgs`. */
function optionProblems(script: string, args: readonly string[]): string[] {
  const source = readFileSync(script, 'utf8');
  const unknown = args.filter((arg) => arg.startsWith('--') && !new RegExp(`\\b${arg.slice(2)}'?: \\{ type: `).test(source));
  return unknown.map((arg) => `${script} has no option ${arg}`);
}

function npmProblems([action = '', ...args]: readonly string[]): string[] {
  if (action === 'ci' || action === 'install' || action === 'sbom') return [];
  if (action === 'exec') return args.filter((arg) => /[/.]/.test(arg) && !existsSync(arg)).map((arg) => `${arg} does not exist`);
  const [name = '', ...rest] = action === 'run' ? args : [action, ...args];
  const script = SCRIPTS[name];
  if (script === undefined) return [`npm run ${name}: no such script`];
  const [, file = ''] = /^(?:exec )?node (\S+\.ts)/.exec(script) ?? [];
  return file === '' ? [] : optionProblems(file, rest);
}

/** The options of curl that the documents use. */
function curlProblems(args: readonly string[]): string[] {
  const given = new Map<string, string>();
  let type = '';
  let url = '';
  for (let k = 0; k < args.length; k++) {
    const arg = args[k] ?? '';
    if (arg === '-H') type = /^content-type: (.*)/i.exec(args[++k] ?? '')?.[1] ?? type;
    else if (['-X', '-d', '--data-binary', '-K', '-o'].includes(arg)) given.set(arg, args[++k] ?? '');
    else if (!arg.startsWith('-')) url = arg;
    else if (!['-N', '-s', '-sS', '-f'].includes(arg)) return [`curl ${arg}: not an option that this test knows`];
  }
  // ClickHouse.
  if (new URL(url).port === '8123') return [];
  const body = given.get('-d') ?? given.get('--data-binary');
  const method = given.get('-X') ?? (body === undefined ? 'GET' : 'POST');
  return [refusalOf({ method, url: new URL(url), type, body: body ?? '' }) ?? []].flat();
}

/** Which keys a command has is known of those that Redis has, with so many arguments. */
async function redisProblems(args: readonly string[]): Promise<string[]> {
  const refused = (error: unknown): string[] => [`redis-cli ${args.join(' ')}: ${messageOf(error)}`];
  return redis
    .client()
    .call('COMMAND', 'GETKEYS', ...args)
    .then(() => [], refused);
}

async function problemsOfCall({ program, args, variables }: Call): Promise<string[]> {
  const unknown = variables.filter((name) => !VARIABLES.includes(name)).map((name) => `no variable ${name}`);
  return [...unknown, ...(await programProblems(program, args))];
}

async function programProblems(program: string, args: readonly string[]): Promise<string[]> {
  const [first = '', ...rest] = args;
  if (program === 'fixgate') return fixgateProblems(args);
  if (program === 'npx') return first === 'fixgate' ? fixgateProblems(rest) : [`npx ${first}: only fixgate is known here`];
  if (program === 'npm') return npmProblems(args);
  if (program === 'node') return existsSync(first) ? optionProblems(first, rest) : [`${first} does not exist`];
  if (program === 'curl') return curlProblems(args);
  if (program === 'redis-cli') return redisProblems(args);
  if (program === 'sudo') return rest.filter((arg) => arg.startsWith('deploy/') && !existsSync(arg)).map((arg) => `${arg} does not exist`);
  return program.startsWith('?') ? [`unknown program ${program.slice(1)}`] : [];
}

async function shellProblems({ text }: CodeBlock): Promise<string[]> {
  const { calls, problem } = callsOf(text);
  if (problem !== '') return [problem];
  if (calls.length === 0) return ['it calls nothing'];
  const found: string[] = [];
  for (const call of calls) found.push(...(await problemsOfCall(call)));
  return found;
}

function yamlProblems({ text }: CodeBlock): string[] {
  const file = join(directory, 'block.yaml');
  writeFileSync(file, text);
  // A comment says which secret comes from the environment.
  const secrets = Object.fromEntries([...text.matchAll(/FIXGATE_\w+/g)].map(([name]) => [name, 'secret']));
  return readConfig({ file, env: secrets }).problems;
}

function jsonProblems({ text }: CodeBlock): string[] {
  const value: unknown = JSON.parse(text);
  const event = eventSchema.safeParse(value);
  if (!event.success) return [z.prettifyError(event.error)];
  const schema = new Map<string, z.ZodType>(Object.entries(EVENT_DATA)).get(event.data.type);
  const data = z.safeParse(schema ?? z.never(), event.data.data);
  return data.error === undefined ? [] : [z.prettifyError(data.error)];
}

function csvProblems({ text }: CodeBlock): string[] {
  const reader = new CsvReader();
  return text.split('\n').flatMap((line) => {
    const read = reader.read(line);
    return read !== undefined && 'problem' in read ? [`${line}: ${read.problem}`] : [];
  });
}

/** Frames of the protocol whose folder the document is in. */
async function hexProblems({ file, text }: CodeBlock): Promise<string[]> {
  const { code, out, error } = await fixgate(['decode', '--protocol', file.split('/')[1] ?? '', '--json'], text);
  return code === EXIT.Ok && !out.includes('malformed') ? [] : [`${out}${error}`];
}

const CHECKS: Readonly<Record<string, (block: CodeBlock) => string[] | Promise<string[]>>> = {
  sh: shellProblems,
  yaml: yamlProblems,
  json: jsonProblems,
  csv: csvProblems,
  hex: hexProblems,
  sql: () => [],
};

async function problemsOf(block: CodeBlock): Promise<string[]> {
  const found = await CHECKS[block.language]?.(block);
  if (found === undefined && block.noRun !== undefined) return [];
  return found ?? [`nothing checks a block of "${block.language}": ${Object.keys(CHECKS).join(', ')}`];
}

const BLOCKS = codeBlocks();

describe('a block of a document', () => {
  it('has a language, and is found in each kind of document', () => {
    expect(BLOCKS.length).toBeGreaterThan(80);
    expect(new Set(BLOCKS.map(({ language }) => language))).toEqual(new Set([...Object.keys(CHECKS), 'mermaid', 'text']));
  });

  it.each(BLOCKS)('$at ($language)', async (block) => {
    expect(await problemsOf(block)).toEqual([]);
  });

  it.each([
    ['sh', 'npx fixgate devices list --acount acme', 'did you mean --account'],
    ['sh', 'FIXGATE_LISTN=auto:5000 npx fixgate serve', 'no variable FIXGATE_LISTN'],
    ['sh', 'npx fixgate serve --confg x', 'no option --confg'],
    ['sh', 'npx fixgate devices set 356307042441013 plann=basic', 'plann'],
    ['sh', 'npx fixgate plans set basic bytes_cap=1 | grepp x', 'unknown program grepp'],
    ['sh', 'npx fixgate (', 'syntax error'],
    ['sh', 'npm run bensh', 'no such script'],
    ['sh', 'npm run bench -- --ful', 'no option --ful'],
    ['sh', 'curl http://127.0.0.1:8080/v1/divices', 'no such operation'],
    ['sh', "curl 'http://127.0.0.1:8080/v1/live?topic=positions'", 'topic'],
    ['sh', 'redis-cli XGRUOP CREATE a b 0', 'Invalid command'],
    ['yaml', 'codecs: { optoins: {} }', 'optoins'],
    ['json', '{"kind":"event"}', 'version'],
    ['csv', 'id,aliases\n"a', 'unterminated'],
    ['ts', 'let x;', 'nothing checks'],
    ['', 'x', 'nothing checks'],
  ])('that is wrong is found: %s %s', async (language, text, problem) => {
    const [block] = blocksOf('codecs/h02/README.md', `\`\`\`${language}\n${text}\n\`\`\``);
    if (block === undefined) throw new Error('no block');
    expect((await problemsOf(block)).join('\n')).toContain(problem);
  });
});
