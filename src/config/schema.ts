import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { Secret, type SecretUrl, secretUrl } from '../base/secret.ts';
import { CRITICAL_TYPES } from '../fleet/command/critical.ts';

/**
 * The one table of options (docs/configuration.md): type, validator, default and documentation. Times in ms, sizes in
 * bytes. Unknown keys are refused.
 */
const port = z.int().min(0).max(65535);
const mib = (n: number): number => n * 1024 * 1024;

/** As it stands in a URL, `[::1]`, or without the brackets. */
const host = z.string().overwrite((text) => text.trim().replace(/^\[(.*)\]$/, '$1'));

const listener = z
  .strictObject({
    codec: z.string().describe('teltonika, gt06, h02, jt808, queclink, the name of an installed codec, or auto: the first bytes decide'),
    transport: z.enum(['tcp', 'udp']).describe('a codec on both transports takes two entries'),
    host: host.default('::').describe('address to listen on; `::` (or `[::]`): every one, IPv6 and IPv4'),
    port: port.describe('0 takes a free one'),
    idleMs: z.int().min(1000).default(900_000).describe('silence after which a connection is closed'),
    shared: z
      .boolean()
      .optional()
      .describe('the devices connect through a gateway: the bounds of ids per connection and address are a hundred times as high'),
  })
  .describe('one port that devices talk to');

const both = (codec: string, at: number): z.input<typeof listener>[] => [
  { codec, transport: 'tcp', port: at },
  { codec, transport: 'udp', port: at },
];

/** A URL of one of these schemes; '' is undefined. The text itself is in no message: it may carry a password. */
const urlOf = (example: string, schemes: readonly string[], takesPath: boolean) =>
  z
    .string()
    .default('')
    .transform(secretUrl)
    .refine((url) => url === undefined || isUsable(url, schemes, takesPath), `not a URL that can be used here; expected ${example}`);

function isUsable(url: SecretUrl, schemes: readonly string[], takesPath: boolean): boolean {
  return (takesPath && url.reveal().startsWith('/')) || (schemes.includes(url.protocol) && url.hasHost);
}

const redisUrl = urlOf('redis://[user:password@]host:port[/db] or rediss://…', ['redis:', 'rediss:'], true);

const secret = (about: string) =>
  z
    .string()
    .default('')
    .transform((text) => new Secret(text))
    .describe(about);

export const configSchema = z
  .strictObject({
    dataDir: z.string().min(1).default('./data').describe('directory of the journal, cursors and the embedded stores'),
    workers: z
      .int()
      .min(1)
      .max(64)
      .default(Math.min(8, availableParallelism()))
      .describe('edge worker processes')
      .meta({ defaultText: 'one per core, at most 8' }),
    drainMs: z.int().min(0).max(600_000).default(10_000).describe('time to finish after SIGTERM'),
    logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('least severe level that is logged'),
    listeners: z
      .array(listener)
      .min(1)
      .prefault(() => [
        ...both('teltonika', 5027),
        ...both('gt06', 5023),
        ...both('h02', 5013),
        ...both('jt808', 5015),
        ...both('queclink', 5004),
        ...both('auto', 5000),
      ])
      .describe('ports that devices talk to')
      .meta({ defaultText: 'teltonika 5027, gt06 5023, h02 5013, jt808 5015, queclink 5004, auto 5000, each TCP and UDP' }),
    codecs: z
      .strictObject({
        packages: z.array(z.string()).default([]).describe('npm packages that export a codec'),
        options: z
          .record(z.string(), z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])))
          .default({})
          .describe('options by codec name; `fixgate codecs` lists them'),
      })
      .prefault({}),
    devices: z
      .record(z.string(), z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])))
      .default({})
      .describe('codec options of single devices, by device id: values that the server need not learn, like variant or time_zone'),
    limits: z
      .strictObject({
        connections: z
          .int()
          .min(1)
          .default(50_000)
          .describe(
            'TCP connections per worker over all listeners, fewer if the limit of file descriptors requires it; and as many UDP peers',
          ),
        pendingBytes: z.int().min(65_536).default(mib(16)).describe('bytes not yet durable, per worker; above, sockets are paused'),
        connectionPendingBytes: z.int().min(4096).default(mib(1)).describe('the same per connection'),
        identifyMs: z.int().min(1000).default(30_000).describe('time for a device to identify itself'),
        frameMs: z.int().min(1000).default(10_000).describe('time to finish a frame once begun'),
        idsPerConnection: z.int().min(1).default(64).describe('device ids that one connection may name; see `shared` of the listener'),
        idsPerAddress: z
          .int()
          .min(1)
          .default(3_000)
          .describe('identifications a minute from one address (IPv4, or /64 of IPv6), over all workers'),
        quietMs: z.int().min(1000).default(3_000).describe('silence within a frame after which a codec may use the bytes received so far'),
      })
      .prefault({}),
    journal: z
      .strictObject({
        segmentBytes: z.int().min(65_536).default(mib(64)).describe('size at which a segment is closed'),
        segmentAgeMs: z.int().min(1000).default(600_000).describe('age at which a segment is closed'),
        paceMs: z
          .int()
          .min(0)
          .max(100)
          .default(4)
          .describe('pause between two commits while few frames arrive: an answer waits so long at most, and each commit costs less'),
        keepMs: z.int().min(0).default(86_400_000).describe('how long delivered segments are kept for replay'),
        maxBytes: z
          .int()
          .min(mib(1))
          .default(mib(20 * 1024))
          .describe('budget of one slot; when undelivered data fills it, devices are no longer answered'),
        minFreeBytes: z.int().min(0).default(mib(256)).describe('free disk space kept in reserve'),
      })
      .prefault({}),
    clickhouse: z
      .strictObject({
        url: urlOf('http(s)://host:port', ['http:', 'https:'], false).describe(
          'http(s)://host:port of a ClickHouse server; empty: the embedded one',
        ),
        user: z.string().default('default').describe('user of that server'),
        password: secret('password of that user; better in the variable than in a file'),
        database: z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
          .default('fixgate')
          .describe('database of the tables; made if it is not there'),
        port: port.default(8123).describe('port of the embedded ClickHouse, on loopback'),
      })
      .prefault({}),
    redis: z
      .strictObject({
        url: redisUrl.describe('redis://… of the stream; empty: off'),
        prefix: z.string().default('fixgate').describe('first part of every key'),
        maxLength: z.int().min(1000).default(1_000_000).describe('entries kept per stream, approximately'),
        maxAgeMs: z.int().min(0).default(0).describe('age at which entries are removed from the streams; 0: at none'),
      })
      .prefault({}),
    locator: z
      .strictObject({
        url: urlOf('https://host/v1/geolocate', ['http:', 'https:'], false).describe(
          'service that says where cells and access points are, asked like Ichnaea or BeaconDB; empty: none',
        ),
      })
      .prefault({}),
    dlt: z
      .strictObject({
        url: urlOf('https://host', ['http:', 'https:'], true).describe(
          'experimental: address of the Thai transport authority, to which devices with the label `dlt` are forwarded; empty: off',
        ),
        vendor: z.int().min(0).max(999).default(0).describe('number of the vendor of the units'),
        userFile: z.string().default('').describe('file that holds the user'),
        passwordFile: z.string().default('').describe('file that holds the password'),
        callsPerMinute: z.number().min(0.1).max(10_000).default(3).describe('calls a minute that the authority allows'),
      })
      .prefault({}),
    state: z
      .strictObject({
        url: redisUrl.describe('redis://… of the state store (devices, plans, usage, commands); empty: in the data directory'),
      })
      .prefault({}),
    registry: z
      .strictObject({
        mode: z
          .enum(['open', 'closed'])
          .default('open')
          .describe('open: an unknown device is served, on the plan `default`; closed: it is refused and listed in quarantine'),
        newIds: z
          .strictObject({
            address: z.int().min(1).default(100).describe('new ids a minute of one address (IPv4, or /64 of IPv6), over all workers'),
            total: z.int().min(1).default(1000).describe('new ids a minute in all'),
            exempt: z
              .array(z.union([z.cidrv4(), z.cidrv6()]))
              .default(['127.0.0.0/8', '::1/128'])
              .describe('networks without these bounds, CIDR'),
          })
          .prefault({})
          .describe('how fast an open registry admits unknown ids; the others go to quarantine'),
        forgetAfter: z
          .int()
          .min(0)
          .default(2_592_000_000)
          .describe('ms after which a device that came once, and whose record was not changed since, is removed; 0: never'),
        quarantine: z
          .int()
          .min(1)
          .max(1_000_000)
          .default(10_000)
          .describe('most entries of the quarantine list; the longest silent are removed first'),
      })
      .prefault({}),
    service: z
      .strictObject({
        alarms: z
          .enum(['pass', 'drop'])
          .default('pass')
          .describe(
            'pass: alarms of persons (sos, fall_down) are stored even if a state or plan withholds records; drop: they are treated like other records',
          ),
      })
      .prefault({}),
    commands: z
      .strictObject({
        attempts: z.int().min(1).max(20).default(3).describe('most attempts of a command without a reply; a critical command is sent once'),
        expiryMs: z
          .int()
          .min(1000)
          .max(31_622_400_000)
          .default(86_400_000)
          .describe('default lifetime of a command; at most 10 minutes if it can keep the vehicle from driving'),
        streamAllows: z
          .array(z.enum(CRITICAL_TYPES))
          .default([])
          .describe('critical commands that are accepted from the Redis stream; engine_stop includes engine_resume'),
        confirm: z
          .boolean()
          .default(false)
          .describe(`require a second, confirming request for ${CRITICAL_TYPES.join(', ')}`),
      })
      .prefault({}),
    sms: z
      .strictObject({
        key: secret('key of the signatures of `POST /v1/sms/inbound` with JSON, 16 characters or more; empty: that form is off').refine(
          (one) => one.isEmpty || one.reveal().length >= 16,
          'must have 16 characters or more',
        ),
        twilioToken: secret('auth token of the Twilio account whose messages are taken; needs `http.publicUrl`; empty: that form is off'),
        gateway: z
          .strictObject({
            url: urlOf('https://api.twilio.com/2010-04-01/Accounts/AC…/Messages.json', ['http:', 'https:'], false).describe(
              'where commands are handed over as text messages; {to}, {from}, {text} and {token} in it are replaced; empty: commands go by connection only',
            ),
            form: z
              .enum(['twilio', 'json', 'get'])
              .default('twilio')
              .describe('twilio: the form of its Messages API; json: POST of {to, from, text}; get: all of it is in the URL'),
            from: z
              .string()
              .max(64)
              .default('')
              .describe('number that the messages come from, or id of a messaging service (MG…) of Twilio'),
            user: z.string().max(200).default('').describe('account or key id of Twilio; empty: the token goes as a bearer token'),
            token: secret('auth token, key secret or bearer token'),
          })
          .prefault({})
          .describe('gateway of commands by text message'),
      })
      .prefault({})
      .describe('text messages of devices, from a gateway and to it'),
    http: z
      .strictObject({
        host: host.default('127.0.0.1').describe('address of the HTTP port'),
        port: port.default(8080).describe('0 takes a free one'),
        publicUrl: z
          .union([z.literal(''), z.url({ protocol: /^https?$/, error: 'must be a URL like https://fixgate.example.org' })])
          .default('')
          .describe('public URL of the server behind a proxy; its host name is accepted in `Host`'),
        trustedProxies: z
          .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], { error: 'must be an address or a network like 10.0.0.0/8' }))
          .default([])
          .describe('proxies whose X-Forwarded-For and X-Forwarded-Host are trusted'),
        console: z.boolean().default(true).describe('serve the web console at /'),
      })
      .prefault({}),
    evidence: z
      .strictObject({
        keepDays: z.int().min(1).max(36_500).default(400).describe('how long raw frames of evidence are kept at most, days'),
      })
      .prefault({}),
    retention: z
      .strictObject({
        everyMs: z
          .int()
          .min(1000)
          .default(86_400_000)
          .describe('how often what has been kept for `keep_days` of its account or plan, or for `evidence.keepDays`, is removed'),
      })
      .prefault({}),
    canary: z
      .boolean()
      .default(true)
      .describe('a synthetic device sends a status every 10 s, which is read back from ClickHouse and Redis (fixgate_canary_age_seconds)'),
  })
  .superRefine(({ sms, http }, context) => {
    const { url, form, from, user, token } = sms.gateway;
    if (url !== undefined && form === 'twilio')
      for (const [name, isMissing] of Object.entries({ from: from === '', user: user === '', token: token.isEmpty }))
        if (isMissing) context.addIssue({ code: 'custom', path: ['sms', 'gateway', name], message: 'must be given: the form is twilio' });
    if (!sms.twilioToken.isEmpty && http.publicUrl === '')
      context.addIssue({
        code: 'custom',
        path: ['sms', 'twilioToken'],
        message: 'needs http.publicUrl: Twilio signs the URL that it calls',
      });
  });

export type Config = z.infer<typeof configSchema>;
export type ListenerConfig = Config['listeners'][number];

/** Environment variables: name, option path, how the text is read. Documented by `fixgate check-config --help`. */
export const ENVIRONMENT = [
  ['FIXGATE_DATA_DIR', 'dataDir', 'text'],
  ['FIXGATE_WORKERS', 'workers', 'number'],
  ['FIXGATE_DRAIN_MS', 'drainMs', 'number'],
  ['FIXGATE_LOG_LEVEL', 'logLevel', 'text'],
  ['FIXGATE_LISTEN', 'listeners', 'listeners'],
  ['FIXGATE_CLICKHOUSE_URL', 'clickhouse.url', 'text'],
  ['FIXGATE_CLICKHOUSE_USER', 'clickhouse.user', 'text'],
  ['FIXGATE_CLICKHOUSE_PASSWORD', 'clickhouse.password', 'text'],
  ['FIXGATE_CLICKHOUSE_DATABASE', 'clickhouse.database', 'text'],
  ['FIXGATE_CLICKHOUSE_PORT', 'clickhouse.port', 'number'],
  ['FIXGATE_REDIS_URL', 'redis.url', 'text'],
  ['FIXGATE_STATE_URL', 'state.url', 'text'],
  ['FIXGATE_REGISTRY', 'registry.mode', 'text'],
  ['FIXGATE_SMS_KEY', 'sms.key', 'text'],
  ['FIXGATE_SMS_TWILIO_TOKEN', 'sms.twilioToken', 'text'],
  ['FIXGATE_SMS_GATEWAY_URL', 'sms.gateway.url', 'text'],
  ['FIXGATE_SMS_GATEWAY_FORM', 'sms.gateway.form', 'text'],
  ['FIXGATE_SMS_GATEWAY_FROM', 'sms.gateway.from', 'text'],
  ['FIXGATE_SMS_GATEWAY_USER', 'sms.gateway.user', 'text'],
  ['FIXGATE_SMS_GATEWAY_TOKEN', 'sms.gateway.token', 'text'],
  ['FIXGATE_HTTP_HOST', 'http.host', 'text'],
  ['FIXGATE_HTTP_PORT', 'http.port', 'number'],
  ['FIXGATE_HTTP_PUBLIC_URL', 'http.publicUrl', 'text'],
  ['FIXGATE_HTTP_TRUSTED_PROXIES', 'http.trustedProxies', 'list'],
  ['FIXGATE_HTTP_CONSOLE', 'http.console', 'switch'],
  ['FIXGATE_CANARY', 'canary', 'switch'],
] as const;
/** Read by the command line itself, not an option: the configuration file. */
export const CONFIG_FILE_VARIABLE = 'FIXGATE_CONFIG';
/** Of the commands that talk to a running server: where it is, and the bearer token. */
export const CLIENT_VARIABLES: readonly string[] = ['FIXGATE_URL', 'FIXGATE_TOKEN'];
