import { Redis } from 'ioredis';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { SecretUrl } from '../../base/secret.ts';
import type { StateStore } from '../../state/store.ts';
import { isRowDamaged } from '../../state/table.ts';
import { type CriticalType, isAllowed } from './critical.ts';
import type { CommandIntake, Draft, Outcome, Problem } from './intake.ts';

/**
 * Commands from the Redis stream `<prefix>commands`, for backend services. Fields of an entry: `device`, `type`, and where needed
 * `parameters` (a JSON object), `requester`, `reason`, `ref`, `priority`, `when`, `not_before`, `expires` (epoch ms), `again`
 * (`true`), `protocol`.
 *
 * 1. At least once: an entry is acknowledged when its command is in the ledger, or refused. The command's id is the entry's, so
 *    that reading an entry again makes no second command. The id of the entry read last is in the state store too: a consumer
 *    group that was lost is made again behind it, and commands from long ago are not given a second time.
 * 2. What is refused, malformed entries included, becomes an event `command_refused` with `ref`, the entry and the problems, each
 *    cut to a bounded length, and one line of the log a minute.
 * 3. A Redis that is away is waited for; entries wait there. Each attempt has a connection of its own: one that ioredis reopens
 *    by itself would, closed in between, never settle the commands that wait for it.
 */
export interface CommandStreamOptions {
  readonly url: SecretUrl;
  /** In front of every key. */
  readonly prefix: string;
  /** Name of this consumer: the installation's. */
  readonly instance: string;
  readonly commandIntake: Pick<CommandIntake, 'submit'>;
  readonly store: Pick<StateStore, 'get' | 'write'>;
  /** Critical types that may come this way. */
  readonly allows: readonly string[];
  readonly record: (device: string, event: object) => void;
  readonly log: Log;
}

const GROUP = 'fixgate';
/** In the table `cursors`. */
const CURSOR = 'commands stream';
const COUNT = 100;
const BLOCK_MS = 2_000;
const RETRY_MS = 1_000;
const CONNECT_MS = 3_000;
/** Longer than a read blocks: then Redis is silent. */
const COMMAND_MS = BLOCK_MS + 3_000;
const QUIET_MS = 60_000;
/** As the body of a request to the API. */
const MAX_BYTES = 65_536;
/** Of what is refused, an event tells this much. */
const MOST_NAMED = 20;
const MOST_TOLD = 300;
const NUMBERS = ['priority', 'not_before', 'expires'] as const;
const TEXTS = ['requester', 'reason', 'ref', 'when', 'via', 'protocol'] as const;
const FIELDS: readonly string[] = ['device', 'type', 'parameters', 'again', ...NUMBERS, ...TEXTS];

export class CommandStream {
  readonly #o: CommandStreamOptions;
  readonly #key: string;
  #redis: Redis | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  #said = Number.NEGATIVE_INFINITY;
  #refused = Number.NEGATIVE_INFINITY;

  constructor(options: CommandStreamOptions) {
    this.#o = options;
    this.#key = `${options.prefix}commands`;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#redis?.disconnect();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const redis = new Redis(this.#o.url.reveal(), {
        connectionName: 'fixgate-commands',
        lazyConnect: true,
        retryStrategy: () => null,
        autoResendUnfulfilledCommands: false,
        enableOfflineQueue: false,
        connectTimeout: CONNECT_MS,
        commandTimeout: COMMAND_MS,
      });
      this.#redis = redis;
      // What went wrong comes as an event; `connect` itself only says that it is closed.
      let reason: unknown;
      redis.on('error', (error) => {
        reason ??= error;
      });
      try {
        await redis.connect();
        await this.#read(redis);
      } catch (error) {
        redis.disconnect();
        this.#failed(reason ?? error);
        if (!this.#stopped) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  async #read(redis: Redis): Promise<void> {
    await this.#group(redis);
    // First what was given to this consumer and not acknowledged: a crash came between.
    let from = '0';
    while (!this.#stopped) {
      const read = ['GROUP', GROUP, this.#o.instance, 'COUNT', COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', this.#key, from] as const;
      const entries = entriesOf(await redis.xreadgroup(...read));
      for (const [id, fields] of entries) {
        await this.#take(id, fields);
        await redis.xack(this.#key, GROUP, id);
      }
      const last = entries.at(-1)?.[0];
      if (from === '>' && last !== undefined) await this.#o.store.write([{ table: 'cursors', key: CURSOR, put: last }], 'visible');
      if (from !== '>' && entries.length === 0) from = '>';
    }
  }

  async #group(redis: Redis): Promise<void> {
    try {
      const last = await this.#o.store.get('cursors', CURSOR);
      await redis.xgroup('CREATE', this.#key, GROUP, last ?? '0', 'MKSTREAM');
    } catch (error) {
      if (!messageOf(error).startsWith('BUSYGROUP')) throw error;
    }
  }

  async #take(id: string, fields: ReadonlyMap<string, string>): Promise<void> {
    const problems: Problem[] = [];
    let bytes = 0;
    for (const [name, value] of fields) bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    if (bytes > MAX_BYTES) problems.push({ field: 'entry', problem: `has ${bytes} bytes; a command has ${MAX_BYTES} at most` });
    const draft = problems.length > 0 ? undefined : draftOf(id, fields, problems);
    if (draft !== undefined) {
      const outcome = await this.#submitted({ ...draft, permits: (critical) => permits(draft.type, critical, this.#o.allows) });
      if ('command' in outcome) return;
      problems.push(...outcome.problems);
    }
    const device = fields.get('device') ?? '';
    // Bounded: an event that does not fit in the journal would be lost.
    const [ref, command] = [cut(fields.get('ref')), cut(fields.get('type'))];
    const named = problems.slice(0, MOST_NAMED).map(({ field, problem }) => ({ field: cut(field), problem: cut(problem) }));
    const event = { type: 'command_refused', entry: id, ref, command, problems: named };
    this.#o.record(isDeviceName(device) ? device : '', event);
    if (systemClock.elapsed() - this.#refused < QUIET_MS) return;
    this.#refused = systemClock.elapsed();
    this.#o.log.warn({ stream: this.#key, entry: id, problems: named }, 'command from Redis refused; see the event command_refused');
  }

  /** A damaged record of one device does not hold up the commands of others. */
  async #submitted(draft: Draft): Promise<Outcome> {
    try {
      return await this.#o.commandIntake.submit(draft);
    } catch (error) {
      if (!isRowDamaged(error)) throw error;
      return { refused: 'invalid', problems: [{ field: 'device', problem: messageOf(error) }] };
    }
  }

  #failed(error: unknown): void {
    if (this.#stopped || systemClock.elapsed() - this.#said < QUIET_MS) return;
    this.#said = systemClock.elapsed();
    this.#o.log.warn({ stream: this.#key, error: this.#o.url.scrub(messageOf(error)) }, 'commands cannot be read from Redis; retrying');
  }
}

/** Why a command that amounts to this critical type may not come by the stream, which allows these. */
export function permits(type: string, critical: CriticalType, allows: readonly string[]): Problem | undefined {
  if (isAllowed(critical, allows)) return undefined;
  const what = critical === type ? type : `this ${type}, which acts as ${critical},`;
  return { field: 'type', problem: `${what} does not come this way unless commands.streamAllows names ${critical}` };
}

/** Undefined, with what is wrong added to `problems`, if the entry is not a command. */
function draftOf(id: string, fields: ReadonlyMap<string, string>, problems: Problem[]): Draft | undefined {
  for (const name of fields.keys())
    if (!FIELDS.includes(name)) problems.push({ field: name, problem: `unknown; known are ${FIELDS.join(', ')}` });
  const device = fields.get('device') ?? '';
  const type = fields.get('type') ?? '';
  if (!isDeviceName(device)) problems.push({ field: 'device', problem: 'must be a device id' });
  if (type === '') problems.push({ field: 'type', problem: 'must be given' });
  const numbers: Partial<Record<(typeof NUMBERS)[number], number>> = {};
  for (const name of NUMBERS) {
    const text = fields.get(name);
    if (text === undefined) continue;
    if (/^-?\d{1,16}$/.test(text)) numbers[name] = Number(text);
    else problems.push({ field: name, problem: 'must be a whole number' });
  }
  const texts: Partial<Record<(typeof TEXTS)[number], string>> = {};
  for (const name of TEXTS) {
    const text = fields.get(name);
    if (text !== undefined) texts[name] = text;
  }
  const parameters = parametersOf(fields.get('parameters') ?? '{}', problems);
  if (problems.length > 0 || parameters === undefined) return undefined;
  return { requester: 'stream', ...texts, ...numbers, device, type, parameters, again: fields.get('again') === 'true', id: `s${id}` };
}

function cut(text = ''): string {
  return text.length > MOST_TOLD ? `${text.slice(0, MOST_TOLD)}…` : text;
}

function parametersOf(text: string, problems: Problem[]): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.fromEntries(Object.entries(value));
  } catch {
    // Said below.
  }
  problems.push({ field: 'parameters', problem: 'must be a JSON object' });
  return undefined;
}

function isDeviceName(text: string): boolean {
  return /^[A-Za-z0-9:_-]{3,32}$/.test(text);
}

/** `[[stream, [[id, [field, value, …]], …]]]`, or null when nothing came. An entry that was trimmed meanwhile has no fields. */
function entriesOf(answer: unknown): [id: string, fields: ReadonlyMap<string, string>][] {
  const [stream] = Array.isArray(answer) ? answer : [];
  const entries: unknown = Array.isArray(stream) ? stream[1] : [];
  if (!Array.isArray(entries)) return [];
  return entries.map((entry: unknown) => {
    const [id, list] = Array.isArray(entry) ? entry : ['', []];
    const fields = new Map<string, string>();
    const flat: unknown[] = Array.isArray(list) ? list : [];
    for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]));
    return [String(id), fields];
  });
}
