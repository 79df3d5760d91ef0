import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { AppError, messageOf } from '../base/errors.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';

export const ERASE_HELP = `fixgate erase <device> [options]

Erases everything that a device has sent and recorded up to now: ClickHouse, the Redis streams, the journal, what is parked,
usage, commands and settings. What it sends from then on is kept as usual. Exit code 1 when it is not finished in the time
given (it continues on the server, and waits for a store that is away), or when no data of the device is kept.

  --remove          its record in the registry as well
  --status          only show the state of the last erasure
  --wait <s>        how long to watch, default 60, at most 120

${API_HELP} erase

  fixgate erase 356307042441013
`;

export const EXPORT_HELP = `fixgate export <device> --out <file> [options]

Everything that is kept of a device as a zip: its record, what it has sent, its usage, commands and settings, each in a file of NDJSON.
Exit code 1 when no data of the device is kept.

  --out <file>      where to

${API_HELP} read

  fixgate export 356307042441013 --out 356307042441013.zip
`;

export async function erase(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      remove: { type: 'boolean', default: false },
      status: { type: 'boolean', default: false },
      wait: { type: 'string', default: '60' },
    },
  });
  const [device] = positionals;
  if (device === undefined) throw new AppError('USAGE', 'usage: fixgate erase <device>');
  const path = `/v1/devices/${encodeURIComponent(device)}/data`;
  const query = new URLSearchParams(values.status ? {} : { wait: values.wait, registry: values.remove ? 'remove' : 'keep' });
  const found = await new Api(values.url).find(values.status ? 'GET' : 'DELETE', `${path}?${query}`);
  if (found === undefined) {
    io().error.write(
      `fixgate: ${values.status ? `no erasure of device ${device} was requested` : `no data of device ${device} is kept`}\n`,
    );
    return EXIT.Found;
  }
  const { state, removed, waiting, before } = Object(found);
  if (values.json) io().out.write(`${JSON.stringify(found)}\n`);
  else {
    io().out.write(`${state}: what was sent before ${new Date(Number(before)).toISOString()}\n`);
    for (const [part, counts] of Object.entries<object>(Object(removed)))
      io().out.write(
        `  ${part}: ${
          Object.entries(counts)
            .map(([name, count]) => `${count} ${name}`)
            .join(', ') || 'nothing'
        }\n`,
      );
    if (Array.isArray(waiting) && waiting.length > 0) io().out.write(`  still to be done: ${waiting.join(', ')}\n`);
  }
  return state === 'erased' ? EXIT.Ok : EXIT.Found;
}

export async function exportDevice(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...API_OPTIONS, out: { type: 'string' } },
  });
  const [device] = positionals;
  const { out } = values;
  if (device === undefined || out === undefined) throw new AppError('USAGE', 'usage: fixgate export <device> --out <file>');
  const zip = await new Api(values.url).text(`/v1/devices/${encodeURIComponent(device)}/export`);
  if (zip === undefined) {
    io().error.write(`fixgate: no data of device ${device} is kept\n`);
    return EXIT.Found;
  }
  try {
    await pipeline(zip, createWriteStream(out, { mode: 0o600 }));
  } catch (error) {
    // Part of a zip is none.
    await rm(out, { force: true });
    throw new AppError('SINK_UNREACHABLE', `the export broke off (${messageOf(error)}); try again`, error);
  }
  return EXIT.Ok;
}
