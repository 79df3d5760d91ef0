import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { AppError, messageOf } from '../base/errors.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { lines, listOf, momentOf } from './fields.ts';
import { io } from './io.ts';

export const ERASE_HELP = `fixgate erase <device>|--account <id> [options]

Erases everything that a device has sent and recorded up to now: ClickHouse, the Redis streams, the journal, what is parked,
usage, commands and settings. What it sends from then on is kept as usual. Exit code 1 when it is not finished in the time
given (it continues on the server, and waits for a store that is away), or when no data of the device is kept.

  --account <id>    without a device: of each device that is or was the account's what is of its time; refused while one is under a hold
  --remove          its record in the registry as well
  --status          only show the state of the last erasure
  --wait <s>        how long to watch, default 60, at most 120

${API_HELP} erase

  fixgate erase 356307042441013
  fixgate erase --account acme
`;

export const EXPORT_HELP = `fixgate export <device> --out <file> [options]

Everything that is kept of a device as a zip: its record, what it has sent, its usage, statements, commands, settings and audit, each in a file of NDJSON.
Exit code 1 when no data of the device is kept.

  --account <id>    without a device: the account, and of each device that is or was its own what is of its time
  --out <file>      where to

${API_HELP} read --scope locations

  fixgate export 356307042441013 --out 356307042441013.zip
  fixgate export --account acme --out acme.zip
`;

export const DISCLOSE_HELP = `fixgate disclose <device> --from <time> --to <time> --authority <name> --reference <r> --reason <text> --out <file> [options]

What is kept of a period, for an authority, as a zip: owners, records, events, commands and raw frames, each in a file of NDJSON, and manifest.json
with their SHA-256, the request and its entry in the audit (docs/audit.md).

  --account <id>    only what is of this account's time; without a device: of all devices that it had
  --from <time>     2027-01-01, 2027-01-01T08:00Z or epoch ms; UTC
  --to <time>       not included; has passed
  --authority <name>
                    who gets it
  --reference <r>   number of the case
  --reason <text>
  --out <file>      where to

${API_HELP} admin

  fixgate disclose 356307042441013 --from 2027-01-01 --to 2027-01-02 --authority 'Police Berlin' --reference 'AZ 12/2027' \\
    --reason 'court order' --out disclosure.zip
`;

export const HOLD_HELP = `fixgate hold ls|show|set|end [device] [options]

Devices whose data must be kept: while a hold stands, nothing of the device is erased (docs/privacy.md).

  ls                all holds
  show <device>
  set <device>      sets one, or changes it; waits for an erasure that is under way
    --reference <r> number of the case
    --reason <text>
    --until <t>     epoch ms; without, until it is ended
  end <device>

${API_HELP} admin

  fixgate hold set 356307042441013 --reference 'AZ 12/2026' --reason 'court order'
`;

export async function hold(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, reference: { type: 'string' }, reason: { type: 'string' }, until: { type: 'string' } },
  });
  const { url, json, reference = '', reason = '', until } = values;
  const [action = '', device] = positionals;
  const api = new Api(url);
  const print = (one: unknown): void => void io().out.write(json ? `${JSON.stringify(one)}\n` : lines(one));
  if (action === 'ls') {
    for (const one of listOf(await api.call('GET', '/v1/holds'), 'holds')) print(one);
    return EXIT.Ok;
  }
  if (!['show', 'set', 'end'].includes(action) || device === undefined)
    throw new AppError('USAGE', 'usage: fixgate hold ls, or fixgate hold show|set|end <device>');
  const path = `/v1/devices/${encodeURIComponent(device)}/hold`;
  if (action === 'set') {
    print(await api.call('PUT', path, { reference, reason, ...(until === undefined ? {} : { until: Number(until) }) }));
    return EXIT.Ok;
  }
  const found = await api.find(action === 'show' ? 'GET' : 'DELETE', path);
  if (found === undefined) io().error.write(`fixgate: device ${device} is under no hold\n`);
  else if (action === 'show') print(found);
  return found === undefined ? EXIT.Found : EXIT.Ok;
}

export async function erase(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      account: { type: 'string' },
      remove: { type: 'boolean', default: false },
      status: { type: 'boolean', default: false },
      wait: { type: 'string', default: '60' },
    },
  });
  const [device] = positionals;
  const { account } = values;
  if ((device === undefined) === (account === undefined) || (account !== undefined && values.remove))
    throw new AppError('USAGE', 'usage: fixgate erase <device> [--remove], or fixgate erase --account <id>');
  const of = account === undefined ? `device ${device}` : `account ${account}`;
  const path = `/v1/${account === undefined ? 'devices' : 'accounts'}/${encodeURIComponent(account ?? device ?? '')}/data`;
  const registry = account === undefined ? { registry: values.remove ? 'remove' : 'keep' } : {};
  const query = new URLSearchParams(values.status ? {} : { wait: values.wait, ...registry });
  const found = await new Api(values.url).find(values.status ? 'GET' : 'DELETE', `${path}?${query}`);
  if (found === undefined) {
    io().error.write(
      `fixgate: ${values.status ? `no erasure of ${of} was requested` : account === undefined ? `no data of ${of} is kept` : `${of} is not known`}\n`,
    );
    return EXIT.Found;
  }
  const { state } = Object(found);
  if (values.json) io().out.write(`${JSON.stringify(found)}\n`);
  else erasureLines(found, account === undefined);
  return state === 'erased' ? EXIT.Ok : EXIT.Found;
}

function erasureLines(found: unknown, isOfDevice: boolean): void {
  const { state, removed, waiting, before, devices, done } = Object(found);
  const what = isOfDevice ? `what was sent before ${new Date(Number(before)).toISOString()}` : `${done} of ${devices} devices`;
  io().out.write(`${state}: ${what}\n`);
  for (const [part, counts] of Object.entries<object>(Object(removed))) {
    const shown = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
    io().out.write(`  ${part}: ${shown.join(', ') || 'nothing'}\n`);
  }
  if (Array.isArray(waiting) && waiting.length > 0) io().out.write(`  still to be done: ${waiting.join(', ')}\n`);
}

export async function exportData(args: string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { ...API_OPTIONS, out: text, account: text } });
  const [device] = positionals;
  const { out, account } = values;
  const id = device ?? account;
  if (id === undefined || out === undefined || (device !== undefined && account !== undefined))
    throw new AppError('USAGE', 'usage: fixgate export <device>|--account <id> --out <file>');
  const zip = await new Api(values.url).text(`/v1/${device === undefined ? 'accounts' : 'devices'}/${encodeURIComponent(id)}/export`);
  if (zip === undefined) {
    io().error.write(`fixgate: ${device === undefined ? `account ${id} is not known` : `no data of device ${id} is kept`}\n`);
    return EXIT.Found;
  }
  await saved(zip, out, 'export');
  return EXIT.Ok;
}

async function saved(zip: AsyncIterable<Uint8Array>, out: string, what: string): Promise<void> {
  try {
    await pipeline(zip, createWriteStream(out, { mode: 0o600 }));
  } catch (error) {
    // Part of a zip is none.
    await rm(out, { force: true });
    throw new AppError('SINK_UNREACHABLE', `the ${what} broke off (${messageOf(error)}); try again`, error);
  }
}

export async function disclose(args: string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const options = { ...API_OPTIONS, account: text, from: text, to: text, authority: text, reference: text, reason: text, out: text };
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
  const { url, json: _, out, from, to, ...rest } = values;
  const [device] = positionals;
  if (out === undefined || (device === undefined && rest.account === undefined))
    throw new AppError(
      'USAGE',
      'usage: fixgate disclose <device> --from <time> --to <time> --authority … --reference … --reason … --out <file>',
    );
  const body = { ...rest, ...(device === undefined ? {} : { device }), from: momentOf('--from', from), to: momentOf('--to', to) };
  await saved(await new Api(url).stream('/v1/disclosures', body), out, 'disclosure');
  return EXIT.Ok;
}
