import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { AppError, messageOf } from '../base/errors.ts';
import type { Codec, Transport } from '../codec/index.ts';
import { loadCodecs } from '../codec/registry.ts';
import { nearest } from '../config/nearest.ts';
import { DEFAULT_PORTS, Fleet, type Foreign, PROTOCOLS, type Protocol, type Target } from '../simulate/fleet.ts';
import type { Latency } from '../simulate/latency.ts';
import { OBEDIENCE, type Obedience } from '../simulate/obedience.ts';
import type { Tally } from '../simulate/tally.ts';
import { FAULTS, type Fault } from '../simulate/workshop.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { type Installed, installed } from './protocol.ts';

export const SIMULATE_HELP = `fixgate simulate --protocol <codec>[,…] --target host:port|default [options]

Simulates a fleet of devices that move along plausible tracks. They check every answer byte for byte against the protocol
documents, send again what was not answered, as real ones do, and end with a summary. Their frames do not come from
the codecs of this server. What devices go through is part of them, by seed: alarms that fit the drive, times without
coverage whose records come later in full packets, answers that are lost on them so that they send the same again.

  --protocol <list>     ${PROTOCOLS.join(', ')}; default all; and codecs of your own that bring a simulated
                        device: by name when the configuration has the package, or as the package or file (./my-codec/index.js)
  --target host:port    one server port, of one protocol or of the codec auto; default: 127.0.0.1 and the customary ports
                        (${PROTOCOLS.map((name) => `${name} ${DEFAULT_PORTS[name]}`).join(', ')})
  --transport <how>     tcp, udp or mixed; default mixed
  --devices <n>         default 10
  --interval <time>     between a device's reports, default 1s (ms, s, m, h)
  --duration <time>     of reporting, default 30s; then devices go on until all they sent is acknowledged
  --grace <time>        at most this long, default 30s
  --timeout <time>      a device's patience for an answer, default 5s; then it sends again on a new connection
  --window <n>          teltonika: packets on their way at once, default 1, as real devices have it
  --records <n>         teltonika: records in a packet, default 1
  --seed <n>            another fleet on other tracks; default 1
  --config <file>       configuration with codec packages (default: FIXGATE_CONFIG)
  --replies <how>       how devices react to commands: honest (default), slow, silent, wrong, reboot or mixed
  --workshop <fault>    newly installed units: they stand, the ignition is turned every third report, coverage is never lost. The fault is
                        ${FAULTS.join(', ')}
  --ledger <file>       append one line, device<TAB>time<TAB>id, for every acknowledged fix: exactly the rows of
                        SELECT device, time, id FROM fixgate.positions FINAL
  --json                the summary as one JSON line:

    {"sent","acknowledged","unacknowledged","unsent","resent","stored","lost_answers","commands","replies","wrong_answers","refused",
     "reconnects","timeouts","failed_connects","devices","seconds","ack_ms":{"p50","p95","p99","max"},"protocols":{"<codec>":{the same}},
     "wrong":[{"device","transport","expected","got"}]}

A record is a fix. A fix that the protocol does not answer is acknowledged by the answer to the heartbeat behind it.
unacknowledged: sent and not acknowledged at the end; the server may or may not have it. unsent: never sent.
stored: kept without coverage and sent later. lost_answers: heard, checked, and taken for lost.
reconnects: connections that were there and were lost, or given up for want of an answer. Ctrl-C ends the reporting early; a second one ends
at once. Exit code 1: a wrong answer, or records not acknowledged; 69: no device ever got an answer.

  fixgate simulate --protocol teltonika,gt06,h02 --target default --devices 300 --interval 1s --duration 30s --json
`;

const PROGRESS_MS = 500;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export async function simulateCommand(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      protocol: { type: 'string' },
      target: { type: 'string', default: 'default' },
      transport: { type: 'string', default: 'mixed' },
      devices: { type: 'string', default: '10' },
      interval: { type: 'string', default: '1s' },
      duration: { type: 'string', default: '30s' },
      grace: { type: 'string', default: '30s' },
      timeout: { type: 'string', default: '5s' },
      window: { type: 'string', default: '1' },
      records: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      replies: { type: 'string', default: 'honest' },
      workshop: { type: 'string' },
      ledger: { type: 'string' },
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const target = targetOf(values.target);
  if (values.target !== 'default' && values.protocol === undefined)
    throw new AppError(
      'USAGE',
      '--target host:port needs --protocol: one, or several at a port of the codec auto; or use --target default',
    );
  const { protocols, foreign } = await protocolsOf(values.protocol ?? PROTOCOLS.join(','), values.config, values.target);
  const fleet = new Fleet({
    protocols,
    foreign,
    transports: transportsOf(values.transport),
    target,
    devices: whole('--devices', values.devices, 1, 100_000),
    intervalMs: duration('--interval', values.interval),
    durationMs: duration('--duration', values.duration),
    graceMs: duration('--grace', values.grace),
    timeoutMs: duration('--timeout', values.timeout),
    window: whole('--window', values.window, 1, 255),
    records: whole('--records', values.records, 1, 100),
    seed: whole('--seed', values.seed, 0, 0x7fffffff),
    obedience: obedienceOf(values.replies),
    workshop: values.workshop === undefined ? undefined : faultOf(values.workshop),
    ledger: values.ledger,
    clock: systemClock,
  });
  const stop = (): void => {
    if (fleet.finishing) process.exit(EXIT.Found);
    fleet.finish();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const progress = io().error.isTTY ? setInterval(() => io().error.write(`\r\x1b[K${progressLine(fleet)}`), PROGRESS_MS) : undefined;
  try {
    await fleet.run();
  } finally {
    clearInterval(progress);
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    if (progress !== undefined) io().error.write('\r\x1b[K');
  }
  return summarise(fleet, values.json);
}

function summarise(fleet: Fleet, json: boolean): number {
  const total = fleet.total();
  const seconds = Math.round(fleet.sampledMs / 100) / 10;
  if (json) {
    const protocols = Object.fromEntries([...fleet.tallies].map(([name, tally]) => [name, numbers(tally)]));
    io().out.write(`${JSON.stringify({ ...numbers(total), seconds, protocols, wrong: fleet.wrong })}\n`);
  } else io().out.write(table(fleet, total, seconds));
  if (total.sent > 0 && total.acknowledged === 0 && total.wrongAnswers === 0) {
    const why = fleet.lastFailure === '' ? 'no answer' : fleet.lastFailure;
    io().error.write(`fixgate: no record was acknowledged (${why}); is the server running and --target right?\n`);
    return EXIT.Unavailable;
  }
  if (total.sent === 0) {
    io().error.write(
      `fixgate: no device got through to the server (${fleet.lastFailure || 'no answer'}); is it running and --target right?\n`,
    );
    return EXIT.Unavailable;
  }
  return total.wrongAnswers > 0 || total.acknowledged < total.sent ? EXIT.Found : EXIT.Ok;
}

function numbers(tally: Tally): Readonly<Record<string, unknown>> {
  return {
    sent: tally.sent,
    acknowledged: tally.acknowledged,
    unacknowledged: tally.sent - tally.acknowledged,
    unsent: tally.unsent,
    resent: tally.resent,
    stored: tally.stored,
    lost_answers: tally.lostAnswers,
    commands: tally.commands,
    replies: tally.replies,
    wrong_answers: tally.wrongAnswers,
    refused: tally.refused,
    reconnects: tally.reconnects,
    timeouts: tally.timeouts,
    failed_connects: tally.failedConnects,
    devices: tally.devices,
    ack_ms: percentiles(tally.latency),
  };
}

function percentiles(latency: Latency): Readonly<Record<string, number>> {
  return {
    p50: latency.percentile(0.5),
    p95: latency.percentile(0.95),
    p99: latency.percentile(0.99),
    max: Number(latency.max.toFixed(3)),
  };
}

function table(fleet: Fleet, total: Tally, seconds: number): string {
  const row = (cells: readonly (string | number)[]): string =>
    `${cells.map((cell, k) => (k === 0 ? String(cell).padEnd(10) : String(cell).padStart(13))).join('')}\n`;
  let text = row(['', 'devices', 'sent', 'acknowledged', 'wrong', 'reconnects', 'timeouts', 'p50 ms', 'p95 ms', 'p99 ms']);
  for (const [name, tally] of [...fleet.tallies, ['total', total]] as const) {
    const { p50 = 0, p95 = 0, p99 = 0 } = percentiles(tally.latency);
    text += row([name, tally.devices, tally.sent, tally.acknowledged, tally.wrongAnswers, tally.reconnects, tally.timeouts, p50, p95, p99]);
  }
  text += `${seconds} s, ${seconds > 0 ? Math.round(total.acknowledged / seconds) : 0} fixes/s acknowledged`;
  if (total.sent > total.acknowledged) text += `, ${total.sent - total.acknowledged} sent and not acknowledged`;
  if (total.unsent > 0) text += `, ${total.unsent} never sent`;
  if (total.refused > 0) text += `, ${total.refused} refused`;
  text += '\n';
  for (const { device, transport, expected, got } of fleet.wrong)
    text += `wrong answer to ${device} over ${transport}: ${got} instead of ${expected}\n`;
  return text;
}

function progressLine(fleet: Fleet): string {
  const total = fleet.total();
  const seconds = Math.round(fleet.sampledMs / 1000);
  const latency = fleet.total().latency;
  return `${fleet.finishing ? 'finishing' : `${seconds} s`}  connected ${total.connected}/${total.devices}  acknowledged ${total.acknowledged} of ${total.sent}  wrong ${total.wrongAnswers}  reconnects ${total.reconnects}  p99 ${latency.percentile(0.99)} ms`;
}

interface Kinds {
  readonly protocols: readonly Protocol[];
  readonly foreign: readonly Foreign[];
}

async function protocolsOf(text: string, config: string | undefined, target: string): Promise<Kinds> {
  const protocols = new Set<Protocol>();
  const foreign = new Map<string, Foreign>();
  const known = await installed(config);
  for (const name of text.split(',').map((part) => part.trim())) {
    const protocol = PROTOCOLS.find((each) => each === name);
    if (protocol === undefined) {
      const found = await foreignOf(name, known, target);
      foreign.set(found.name, found);
    } else protocols.add(protocol);
  }
  return { protocols: [...protocols], foreign: [...foreign.values()] };
}

/** The simulated devices of a codec that the configuration has, or of a package or file. */
async function foreignOf(name: string, { codecs }: Installed, target: string): Promise<Foreign> {
  const close = nearest(name, [...PROTOCOLS, ...codecs.keys()]);
  const known = `known are ${[...new Set([...PROTOCOLS, ...codecs.keys()])].join(', ')}, and packages of codecs`;
  const codec =
    codecs.get(name) ??
    (await packaged(name).catch((error: unknown) => {
      // A name that is nearly one of these is one.
      const why = close === undefined ? `${known}; ${messageOf(error)}` : `did you mean ${close}?`;
      throw new AppError('USAGE', `cannot simulate "${name}"; ${why}`, error);
    }));
  const made = codec?.simulated;
  if (codec === undefined || made === undefined)
    throw new AppError('USAGE', `cannot simulate "${name}": its codec brings no simulated device`);
  if (target === 'default') throw new AppError('USAGE', `--protocol ${name} needs --target host:port: its codec has no customary port`);
  return { name: codec.name, port: targetOf(target).ports.teltonika, made };
}

async function packaged(name: string): Promise<Codec | undefined> {
  return [...(await loadCodecs([name])).values()].at(-1);
}

function targetOf(text: string): Target {
  if (text === 'default') return { host: '127.0.0.1', ports: DEFAULT_PORTS };
  const match = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port < 1 || port > 65535) throw new AppError('USAGE', `--target "${text}" is not host:port or default`);
  return { host: match[1], ports: { teltonika: port, gt06: port, h02: port, queclink: port, jt808: port } };
}

function transportsOf(text: string): Transport[] {
  if (text === 'tcp' || text === 'udp') return [text];
  if (text === 'mixed') return ['tcp', 'udp'];
  throw new AppError('USAGE', `--transport must be tcp, udp or mixed, not "${text}"`);
}

function whole(flag: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high)
    throw new AppError('USAGE', `${flag} must be a whole number from ${low} to ${high}, not "${text}"`);
  return value;
}

/** `250ms`, `1s`, `1.5m`; a bare number is seconds. */
function duration(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const ms = Number(match?.[1]) * (UNITS[match?.[2] ?? 's'] ?? 1000);
  if (!(ms >= 1) || ms > 7 * 24 * 3_600_000) throw new AppError('USAGE', `${flag} must be a time such as 500ms, 1s or 2m, not "${text}"`);
  return ms;
}

function faultOf(text: string): Fault {
  const found = FAULTS.find((known) => known === text);
  if (found === undefined) throw new AppError('USAGE', `--workshop "${text}" is not one of ${FAULTS.join(', ')}`);
  return found;
}

function obedienceOf(text: string): Obedience {
  const found = OBEDIENCE.find((known) => known === text);
  if (found === undefined) throw new AppError('USAGE', `--replies "${text}" is not one of ${OBEDIENCE.join(', ')}`);
  return found;
}
