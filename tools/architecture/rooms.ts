/**
 * The import law: which folder may import which. A room is the first folder below src (of `src/in` the second), or a file that
 * lies directly in src; each folder of codecs is a room of its own. `test/architecture.test.ts` enforces it, and the map in src/README.md is made from it.
 *
 * 1. A room imports itself, the files of `OPEN`, and what its row names; nothing else.
 * 2. A permission that no import uses is an error: the table describes the code.
 * 3. Imports go down (`LAYERS`).
 */
export interface Room {
  /** What the room contains, for the map. */
  readonly holds: string;
  /** `x`: a room. `x types`: only its types, and const objects that name kinds. `npm:x`: a package. A path: that file only. */
  readonly imports: readonly string[];
}

/** Open to all rooms. */
export const OPEN = ['errors', 'clock', 'log', 'secret', 'descriptors', 'json', 'seldom'];

/** Rooms that put the others together: they may import everything. */
export const FREE = ['roles', 'cli', 'main'];

/**
 * From top to bottom. An import goes down, or stays in its row; so there is no cycle of rooms. `UPWARD` has the exceptions.
 * Open files stand below all of them.
 */
export const LAYERS: readonly (readonly string[])[] = [
  ['main'],
  ['cli'],
  ['roles'],
  ['api'],
  ['cluster'],
  ['config'],
  ['listen'],
  ['in/intake'],
  ['in/ack', 'in/session', 'ship'],
  ['privacy'],
  ['sink'],
  ['plan'],
  ['command'],
  ['registry'],
  ['state', 'metrics', 'simulate', 'embedded'],
  ['journal', 'lock', 'log-pino'],
  ['record', 'kit'],
  ['frame', 'codecs'],
  ['codec'],
  ['wire'],
];

/** Imports that go up: `from → to`. An exception that no import needs is an error. */
export const UPWARD: readonly string[] = ['codec → codecs'];

/** In the order in which the data meets them. */
export const ROOMS: Readonly<Record<string, Room>> = {
  wire: { holds: 'integers, texts, BCD, checksums, dates: pure functions', imports: [] },
  codec: { holds: 'the codec contract, FrameResult, options, layouts, the list of codecs', imports: ['wire', 'npm:binary-parser'] },
  codecs: { holds: 'one folder for each protocol; imports the index files of codec and wire only', imports: ['codec', 'wire'] },
  kit: { holds: 'the checks that every codec must pass', imports: ['codec', 'frame', 'wire'] },
  record: { holds: 'records as columns and JSON: names, units, times, ids; the envelope of events', imports: ['codec', 'wire'] },
  listen: {
    holds: 'TCP and UDP sockets, deadlines, bounds, recognition of the protocol',
    imports: ['in/intake', 'metrics', 'codec types', 'wire types', 'src/wire/network.ts'],
  },
  frame: { holds: 'a stream or a datagram cut into frames', imports: ['codec types', 'wire types'] },
  'in/intake': {
    holds: 'the way in of one connection, without a socket: cut, decode, admit, keep, append, owe an answer',
    imports: [
      'frame',
      'in/session',
      'journal',
      'in/ack',
      'metrics types',
      'registry types',
      'plan types',
      'src/record/time-rules.ts',
      'codec',
      'wire',
    ],
  },
  'in/session': {
    holds: "one device's turn on a connection; live sessions by device; which of several gets the commands; what each device uses",
    imports: [
      'codec types',
      'journal',
      'metrics types',
      'state types',
      'command types',
      'registry types',
      'plan',
      'src/record/attribute-view.ts',
      'src/record/time-rules.ts',
      'wire',
    ],
  },
  journal: { holds: 'append, commit, recovery, reader, cursors, retention, rewriting', imports: ['wire'] },
  'in/ack': {
    holds: 'the answers that a connection is owed: encoded by the turn that earned them, in order',
    imports: ['in/session', 'metrics types', 'codec types', 'wire types'],
  },
  ship: {
    holds: 'the way out: read, decode again, batch, deliver, move the cursor',
    imports: ['codec', 'journal', 'record', 'src/sink/sink.ts', 'metrics', 'wire'],
  },
  sink: {
    holds: 'one folder for each delivery target: ClickHouse, Redis streams, sums of usage',
    imports: [
      'codec types',
      'record',
      'plan',
      'state types',
      'src/state/pages.ts',
      'src/state/eviction.ts',
      'npm:@clickhouse/client',
      'npm:ioredis',
      'src/journal/cursor.ts',
      'src/journal/storage.ts',
      'src/journal/usage.ts',
    ],
  },
  state: { holds: 'the state store: one interface; lmdb and Redis behind it; checks, dumps, repair', imports: ['npm:lmdb', 'npm:ioredis'] },
  registry: {
    holds: 'which devices exist and how they are served; quarantine; networks',
    imports: [
      'codec types',
      'state types',
      'src/state/attempt.ts',
      'src/state/follow.ts',
      'src/state/pages.ts',
      'src/state/table.ts',
      'wire',
      'npm:zod',
    ],
  },
  plan: {
    holds: 'service plans: cycles, sums against caps, which steps hold, what they mean for a frame',
    imports: [
      'state types',
      'src/state/attempt.ts',
      'src/state/follow.ts',
      'src/state/pages.ts',
      'src/state/table.ts',
      'command types',
      'src/registry/device.ts',
      'npm:zod',
    ],
  },
  command: {
    holds: 'commands: checks, ledger, delivery to devices, the Redis stream of commands',
    imports: [
      'codec',
      'registry types',
      'src/registry/field-problem.ts',
      'state types',
      'src/state/attempt.ts',
      'src/state/follow.ts',
      'src/state/table.ts',
      'npm:ioredis',
    ],
  },
  privacy: {
    holds: 'erasing a device everywhere, and exporting its data',
    imports: [
      'command types',
      'src/command/command.ts',
      'registry types',
      'src/registry/device.ts',
      'state types',
      'src/state/attempt.ts',
      'src/state/follow.ts',
      'src/state/pages.ts',
      'src/state/table.ts',
      'src/record/event.ts',
      'src/sink/clickhouse/device-rows.ts',
      'sink types',
      'npm:yazl',
      'npm:zod',
    ],
  },
  embedded: { holds: "ClickHouse's HTTP interface around the engine of chdb", imports: ['lock', 'src/journal/storage.ts'] },
  lock: { holds: 'which process owns a directory; how a process ends that must not stay', imports: [] },
  cluster: {
    holds: 'the supervisor, its children, messages between them, where devices are connected, replacement of workers',
    imports: [
      'wire',
      'in/session types',
      'src/in/session/claim.ts',
      'command types',
      'metrics',
      'config',
      'journal',
      'state',
      'lock',
      'src/embedded/secret.ts',
      'src/embedded/socket.ts',
      'sink types',
    ],
  },
  metrics: { holds: 'every metric, and the sum over processes', imports: ['codec types', 'npm:prom-client'] },
  config: {
    holds: 'the table of options, loading and explaining',
    imports: [
      'codec',
      'src/command/critical.ts',
      'src/registry/field-problem.ts',
      'src/state/eviction.ts',
      'npm:ioredis',
      'npm:zod',
      'npm:yaml',
    ],
  },
  api: {
    holds: 'HTTP for people and programs: one table of operations',
    imports: [
      'state types',
      'src/state/attempt.ts',
      'src/state/pages.ts',
      'src/state/table.ts',
      'registry',
      'plan',
      'privacy types',
      'src/privacy/erasure.ts',
      'codec types',
      'command types',
      'src/command/command.ts',
      'src/command/critical.ts',
      'cluster types',
      'npm:fastify',
      'npm:zod',
    ],
  },
  simulate: { holds: 'simulated devices that check every answer', imports: ['codec', 'wire'] },
  'log-pino': { holds: 'the logger behind `log.ts`', imports: ['npm:pino'] },
  log: { holds: 'the log as the rooms see it', imports: [] },
  clock: { holds: 'the only reader of wall clock and monotonic time', imports: [] },
  errors: { holds: 'AppError and its codes', imports: [] },
  descriptors: { holds: 'file descriptors and memory of this process', imports: [] },
  secret: { holds: 'secrets that no log or error prints', imports: [] },
  json: { holds: 'JSON that may be invalid', imports: [] },
  seldom: { holds: 'a warning that is logged at most once a minute', imports: [] },
};
