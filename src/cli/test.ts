import { parseArgs } from 'node:util';
import { AppError } from '../base/errors.ts';
import { visible } from '../base/wire/index.ts';
import { PROFILES } from '../fleet/installation/checklist.ts';
import { type InstallationTest, testSchema } from '../fleet/installation/test-records.ts';
import { itemLine, testText } from '../fleet/installation/test-text.ts';
import { API_HELP, API_OPTIONS, Api } from './api.ts';
import { EXIT } from './exit-code.ts';
import { listOf } from './fields.ts';
import { io } from './io.ts';
import { table } from './table.ts';

export const TEST_HELP = `fixgate test <device> [options]
fixgate test <device> --list | --show <id>

Tests a unit that was just installed: what it sends from now on, against a checklist. Turn the ignition off and on while it runs. It
ends when everything was seen. Exit code 0 when the unit has passed, 1 when it has not.

  --at <lat,lon>    where the vehicle stands
  --radius <m>      how far from there it may be, default 200
  --profile <p>     ${Object.keys(PROFILES).join(', ')}; default basic
  --interval <s>    programmed interval; default what the device or its plan says
  --seconds <s>     how long at most; default 60, or six intervals
  --consent <name>  of immobiliser: the person at the vehicle who agrees that its engine is stopped
  --confirm <key>   of immobiliser: the key that the server asked for
  --list            the tests that are kept
  --show <id>       one of them, as a page to print

${API_HELP} commands (immobiliser: --scope engine)

  fixgate test 356307042441013 --at 52.52,13.405 --radius 100
`;

const LOOK_MS = 300;

export async function test(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...API_OPTIONS,
      at: { type: 'string' },
      radius: { type: 'string' },
      profile: { type: 'string' },
      interval: { type: 'string' },
      seconds: { type: 'string' },
      consent: { type: 'string' },
      confirm: { type: 'string' },
      list: { type: 'boolean' },
      show: { type: 'string' },
    },
  });
  const [device, ...more] = positionals;
  if (device === undefined || more.length > 0) throw new AppError('USAGE', 'usage: fixgate test <device> [options]');
  const api = new Api(values.url);
  const path = `/v1/devices/${encodeURIComponent(device)}/tests`;
  if (values.list === true) return list(api, path, values.json);
  if (values.show !== undefined) return show(api, path, values.show, values.json);
  const { at, radius, profile, interval, seconds, consent, confirm } = values;
  if (at === undefined && radius !== undefined) throw new AppError('USAGE', '--radius needs --at lat,lon');
  const body = {
    profile,
    at: at === undefined ? undefined : { ...placeOf(at), radius_m: wholeOf('--radius', radius) },
    interval_s: wholeOf('--interval', interval),
    seconds: wholeOf('--seconds', seconds),
    consent,
    confirm,
  };
  let found = testOf(await api.call('POST', path, body));
  const live = values.json ? undefined : new Checklist();
  live?.tell(found);
  while (found.state === 'running') {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    found = testOf(await api.call('GET', `${path}/${found.id}`));
    live?.tell(found);
  }
  io().out.write(values.json ? `${JSON.stringify(found)}\n` : `\n${visibleLines(testText(found))}`);
  return found.state === 'passed' ? EXIT.Ok : EXIT.Found;
}

/** On a terminal the list as it is, drawn over itself; elsewhere a line for each item that changes its state. */
class Checklist {
  #before: InstallationTest | undefined;

  tell(found: InstallationTest): void {
    const { out } = io();
    if (out.isTTY === true) {
      const up = this.#before === undefined ? '' : `\x1b[${this.#before.items.length}A`;
      out.write(`${up}${found.items.map((item) => `\x1b[2K${visible(itemLine(item))}\n`).join('')}`);
    } else
      for (const item of found.items)
        if (item.state !== 'waiting' && this.#before?.items.find(({ name }) => name === item.name)?.state !== item.state)
          out.write(`${visible(itemLine(item))}\n`);
    this.#before = found;
  }
}

async function list(api: Api, path: string, json: boolean): Promise<number> {
  const rows = listOf(await api.call('GET', path), 'tests').map(testOf);
  if (json) for (const row of rows) io().out.write(`${JSON.stringify(row)}\n`);
  else
    table(
      rows.map(({ id, profile, started, by, state, items }) => ({
        id,
        started: new Date(started).toISOString(),
        profile,
        by,
        state,
        failed: items.filter((item) => item.state === 'failed').map(({ name }) => name),
      })),
    );
  return EXIT.Ok;
}

async function show(api: Api, path: string, id: string, json: boolean): Promise<number> {
  const found = await api.find('GET', `${path}/${encodeURIComponent(id)}`);
  if (found === undefined) {
    io().error.write(`fixgate: no installation test ${visible(id)} of this device is kept\n`);
    return EXIT.Found;
  }
  io().out.write(json ? `${JSON.stringify(found)}\n` : visibleLines(testText(testOf(found))));
  return EXIT.Ok;
}

function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n');
}

function testOf(answer: unknown): InstallationTest {
  const read = testSchema.safeParse(answer);
  if (read.success) return read.data;
  throw new AppError('SINK_UNREACHABLE', 'the server did not answer with an installation test; is --url a Fixgate server of this version?');
}

function placeOf(text: string): { lat: number; lon: number } {
  const [lat = Number.NaN, lon = Number.NaN, ...more] = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (Number.isNaN(lat) || Number.isNaN(lon) || more.length > 0)
    throw new AppError('USAGE', `--at "${text}" is not lat,lon like 52.52,13.405`);
  return { lat, lon };
}

function wholeOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,6}$/.test(text)) throw new AppError('USAGE', `${option} "${text}" is not a whole number`);
  return Number(text);
}
