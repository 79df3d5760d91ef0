/**
 * The import law: which folder may import which. A room is a folder of src, or a folder in one of
 * `base`, `codec`, `fleet`, `in` and `out`; each folder of codecs is a room of its own. `test/architecture.test.ts` enforces it, and the map in src/README.md is made from it.
 *
 * 1. A room imports itself, the files of `OPEN`, and what its row names; nothing else.
 * 2. A permission that no import uses is an error: the table describes the code.
 * 3. Imports go down, from folder to folder (`FOLDERS`) and from room to room (`LAYERS`).
 */
export interface Room {
  /** What the room contains, for the map. */
  readonly holds: string;
  /** `x`: a room. `x types`: only its types, and const objects that name kinds. `npm:x`: a package. A path: that file only. */
  readonly imports: readonly string[];
}

/** Open to all rooms. */
export const OPEN = ['base'];

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
  ['explain'],
  ['in/listen', 'in/sms'],
  ['in/intake'],
  ['in/ack', 'in/session', 'out/ship'],
  ['live'],
  ['fleet/privacy'],
  ['out/sink'],
  ['fleet/plan', 'fleet/installation'],
  ['fleet/command'],
  ['fleet/registry'],
  ['state', 'base/metrics', 'simulate', 'embedded'],
  ['journal', 'base/lock'],
  ['out/record', 'codec/kit'],
  ['codec/frame', 'codecs'],
  ['codec'],
  ['base/wire'],
];

/** Imports that go up: `from → to`. An exception that no import needs is an error. */
export const UPWARD: readonly string[] = ['codec → codecs'];

/**
 * The folders of src, from top to bottom: an import goes to a folder further down, so there is no cycle of folders. `codecs` stands beside
 * `codec`, whose list of built-in codecs names them.
 */
export const FOLDERS: readonly string[] = [
  'main',
  'cli',
  'roles',
  'api',
  'cluster',
  'config',
  'explain',
  'in',
  'live',
  'out',
  'fleet',
  'state',
  'embedded',
  'simulate',
  'journal',
  'codec',
  'base',
];

/** In the order in which the data meets them. */
export const ROOMS: Readonly<Record<string, Room>> = {
  base: { holds: 'errors, clock, log, files, secrets, descriptors, JSON: open to all', imports: ['npm:pino'] },
  'base/wire': { holds: 'integers, texts, BCD, checksums, dates: pure functions', imports: [] },
  codec: { holds: 'the codec contract, FrameResult, options, layouts, the list of codecs', imports: ['base/wire', 'npm:binary-parser'] },
  codecs: { holds: 'one folder for each protocol; imports the index files of codec and wire only', imports: ['codec', 'base/wire'] },
  'codec/kit': { holds: 'the checks that every codec must pass', imports: ['codec', 'codec/frame', 'base/wire'] },
  'out/record': {
    holds: 'records as columns and JSON: names, units, times, ids; the envelope of events',
    imports: ['codec', 'base/wire', 'npm:zod'],
  },
  'in/listen': {
    holds: 'TCP and UDP sockets, deadlines, bounds, recognition of the protocol',
    imports: ['in/intake', 'in/session', 'codec types', 'base/wire types', 'src/base/wire/network.ts'],
  },
  'codec/frame': { holds: 'a stream or a datagram cut into frames', imports: ['codec types', 'base/wire types'] },
  'in/intake': {
    holds: 'the way in of one connection, without a socket: cut, decode, admit, keep, append, owe an answer',
    imports: [
      'codec/frame',
      'in/session',
      'journal',
      'in/ack',
      'base/metrics types',
      'fleet/registry types',
      'fleet/plan types',
      'live types',
      'src/out/record/time-rules.ts',
      'codec',
      'base/wire',
    ],
  },
  'in/session': {
    holds: "one device's turn on a connection; live sessions by device; which of several gets the commands; what each device uses",
    imports: [
      'codec types',
      'src/codec/events.ts',
      'src/codec/options.ts',
      'journal',
      'base/metrics types',
      'state types',
      'fleet/command types',
      'fleet/registry types',
      'src/fleet/registry/unit-facts.ts',
      'fleet/plan',
      'src/live/sights.ts',
      'live types',
      'src/out/record/attribute-view.ts',
      'src/out/record/time-rules.ts',
      'base/wire',
      'npm:prom-client',
    ],
  },
  'in/sms': {
    holds: 'text messages, from a gateway into the journal',
    imports: [
      'src/in/intake/keep.ts',
      'src/in/session/terms.ts',
      'in/session types',
      'base/metrics types',
      'fleet/registry types',
      'fleet/plan types',
      'src/fleet/plan/usage.ts',
      'live types',
      'src/live/sights.ts',
      'state types',
      'src/state/pages.ts',
      'src/state/table.ts',
      'journal',
      'codec',
      'src/codec/options.ts',
      'src/codec/registry.ts',
      'npm:zod',
    ],
  },
  journal: { holds: 'append, commit, recovery, reader, cursors, retention, rewriting', imports: ['base/wire'] },
  'in/ack': {
    holds: 'the answers that a connection is owed: encoded by the turn that earned them, in order',
    imports: ['in/session', 'live types', 'base/metrics types', 'codec types', 'base/wire types'],
  },
  explain: {
    holds: 'what bytes mean, for people: the transcript of a connection, and the thread that makes it',
    imports: [
      'base/wire',
      'codec',
      'src/codec/options.ts',
      'codec/frame',
      'src/in/listen/recognise.ts',
      'src/in/session/identity.ts',
      'out/record',
    ],
  },
  live: {
    holds: 'what people look at while it happens: last positions, the feed of what changes, the status of the server',
    imports: [
      'base/metrics types',
      'base/wire',
      'codec',
      'src/codec/options.ts',
      'journal types',
      'out/record types',
      'src/out/record/time-rules.ts',
      'fleet/registry types',
      'src/fleet/registry/device.ts',
      'src/fleet/registry/owners.ts',
      'src/fleet/plan/steps.ts',
      'fleet/plan types',
      'fleet/privacy types',
      'src/fleet/privacy/erasure.ts',
      'state types',
      'src/state/follow.ts',
      'src/state/pages.ts',
    ],
  },
  'out/ship': {
    holds: 'the way out: read, decode again, batch, deliver, move the cursor',
    imports: [
      'codec',
      'journal',
      'out/record',
      'src/out/sink/sink.ts',
      'out/sink types',
      'src/fleet/plan/evidence.ts',
      'base/metrics',
      'base/wire',
    ],
  },
  'out/sink': {
    holds: 'one folder for each delivery target: ClickHouse, Redis streams, sums of usage',
    imports: [
      'codec types',
      'out/record',
      'fleet/plan',
      'state types',
      'src/state/pages.ts',
      'src/state/eviction.ts',
      'npm:@clickhouse/client',
      'npm:ioredis',
      'src/journal/cursor.ts',

      'src/journal/usage.ts',
    ],
  },
  state: { holds: 'the state store: one interface; lmdb and Redis behind it; checks, dumps, repair', imports: ['npm:lmdb', 'npm:ioredis'] },
  'fleet/registry': {
    holds: 'which devices exist and how they are served; accounts; quarantine; networks',
    imports: [
      'codec types',
      'state types',
      'src/state/attempt.ts',
      'src/state/follow.ts',
      'src/state/pages.ts',
      'src/state/table.ts',
      'base/wire',
      'npm:zod',
    ],
  },
  'fleet/plan': {
    holds: 'service plans: cycles, sums against caps, which steps hold, what they mean for a frame',
    imports: [
      'state types',
      'src/state/attempt.ts',
      'src/state/follow.ts',
      'src/state/pages.ts',
      'src/state/table.ts',
      'fleet/command types',
      'src/fleet/registry/account.ts',
      'src/fleet/registry/cases.ts',
      'src/fleet/command/shadow.ts',
      'src/fleet/registry/device.ts',
      'src/fleet/registry/unit-facts.ts',
      'src/fleet/registry/units.ts',
      'npm:zod',
    ],
  },
  'fleet/command': {
    holds: 'commands: checks, ledger, delivery to devices, the Redis stream of commands',
    imports: [
      'codec',
      'fleet/registry types',
      'src/fleet/registry/field-problem.ts',
      'src/fleet/registry/hold.ts',
      'src/fleet/registry/owners.ts',
      'src/fleet/registry/units.ts',
      'state types',
      'src/state/attempt.ts',
      'src/state/follow.ts',
      'src/state/table.ts',
      'npm:ioredis',
      'npm:zod',
    ],
  },
  'fleet/installation': {
    holds: 'installation tests: the checklist, what is seen of it, and what is kept',
    imports: [
      'fleet/command types',
      'fleet/registry types',
      'src/fleet/registry/hold.ts',
      'src/fleet/registry/owners.ts',
      'state types',
      'src/state/attempt.ts',
      'src/state/table.ts',
      'npm:zod',
    ],
  },
  'fleet/privacy': {
    holds: 'erasing a device everywhere; exporting and disclosing its data',
    imports: [
      'fleet/command types',
      'src/fleet/command/command.ts',
      'src/fleet/installation/test-records.ts',
      'fleet/registry types',
      'src/fleet/registry/account.ts',
      'src/fleet/registry/cases.ts',
      'src/fleet/registry/device.ts',
      'src/fleet/registry/hold.ts',
      'src/fleet/registry/owners.ts',
      'src/fleet/registry/units.ts',
      'state types',
      'src/state/attempt.ts',
      'src/state/follow.ts',
      'src/state/pages.ts',
      'src/state/table.ts',
      'npm:yazl',
      'npm:zod',
    ],
  },
  embedded: { holds: "ClickHouse's HTTP interface around the engine of chdb", imports: ['base/lock'] },
  'base/lock': { holds: 'which process owns a directory; how a process ends that must not stay', imports: [] },
  cluster: {
    holds: 'the supervisor, its children, messages between them, where devices are connected, replacement of workers',
    imports: [
      'base/wire',
      'in/session types',
      'src/in/session/claim.ts',
      'in/sms types',
      'fleet/command types',
      'base/metrics',
      'live types',
      'out/record types',
      'config',
      'journal',
      'state',
      'base/lock',
      'src/embedded/secret.ts',
      'src/embedded/socket.ts',
      'out/sink types',
    ],
  },
  'base/metrics': { holds: 'every metric, and the sum over processes', imports: ['npm:prom-client'] },
  config: {
    holds: 'the table of options, loading and explaining',
    imports: [
      'codec',
      'src/fleet/command/critical.ts',
      'src/fleet/registry/field-problem.ts',
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
      'fleet/registry',
      'fleet/plan',
      'fleet/privacy types',
      'src/fleet/privacy/erasure.ts',
      'src/fleet/privacy/hold.ts',
      'src/fleet/privacy/subjects.ts',
      'src/fleet/privacy/trail.ts',
      'codec types',
      'fleet/command types',
      'src/fleet/command/campaign.ts',
      'src/fleet/command/command.ts',
      'src/fleet/command/critical.ts',
      'fleet/installation types',
      'src/fleet/installation/test-records.ts',
      'src/fleet/installation/test-text.ts',
      'out/record types',
      'out/sink types',
      'cluster types',
      'in/sms types',
      'src/live/feed.ts',
      'src/live/positions.ts',
      'src/live/recent-events.ts',
      'live types',
      'explain types',
      'npm:fastify',
      'npm:zod',
    ],
  },
  simulate: { holds: 'simulated devices that check every answer', imports: ['codec', 'base/wire'] },
};
