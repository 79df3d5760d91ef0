import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import queclink from '../../codecs/queclink/index.ts';
import { silentLog } from '../../src/base/log.ts';
import { Secret, SecretUrl } from '../../src/base/secret.ts';
import { FrameKind, FrameResult } from '../../src/codec/index.ts';
import type { Command } from '../../src/fleet/command/command.ts';
import { CommandIntake, type Draft } from '../../src/fleet/command/intake.ts';
import { Ledger } from '../../src/fleet/command/ledger.ts';
import { FALLBACK_MS, REPLY_MS, TextDelivery } from '../../src/fleet/command/text-delivery.ts';
import { TextGateway } from '../../src/fleet/command/text-gateway.ts';
import { countersOf } from '../../src/fleet/plan/usage.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { eventually } from '../support/wait.ts';

/** Numbers quote the invariants of src/fleet/command/text-delivery.ts. */

const NOW = 1_793_491_200_000;
const SECRET = 'a-secret-token-of-the-gateway';
const PHONE = '+46701234567';
const GL300 = '860599000306845';

/** What the gateway answers; undefined: nothing, ever. */
interface Answer {
  readonly status: number;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}
const TAKEN: Answer = { status: 201, body: { sid: 'SM00000000000000000000000000000001', status: 'queued' } };

/** Behaves as the documentation of Twilio's Messages API says. */
class Gateway {
  readonly asked: { readonly method: string; readonly url: string; readonly authorization: string; readonly body: string }[] = [];
  answer: Answer | undefined = TAKEN;
  #server: Server | undefined;

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      textOf(request).then(
        (body) => {
          const { method = '', url = '', headers } = request;
          this.asked.push({ method, url, authorization: headers.authorization ?? '', body });
          if (this.answer === undefined) return;
          response.writeHead(this.answer.status, { 'content-type': 'application/json', ...this.answer.headers });
          response.end(JSON.stringify(this.answer.body ?? {}));
        },
        () => {},
      );
    });
    await new Promise<void>((resolve) => this.#server?.listen(0, '127.0.0.1', resolve));
  }

  get origin(): string {
    const at = this.#server?.address();
    return `http://127.0.0.1:${typeof at === 'object' ? at?.port : 0}`;
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

let directory: string;
let store: LmdbStore;
let ledger: Ledger;
let intake: CommandIntake;
let delivery: TextDelivery;
let double: Gateway;
let now: number;
let connected: boolean;
let events: object[];
/** States that were counted, and what ended, with what the device said where that is kept from the ledger. */
let counted: string[];
let ended: unknown[];
const devices = new Map<string, Device>();

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-texts-'));
  store = new LmdbStore({ directory, log: silentLog });
  [now, connected, events, counted, ended] = [NOW, false, [], [], []];
  devices.clear();
  devices.set('d-1', deviceSchema.parse({ id: 'd-1', protocol: 'gt06', transport: 'tcp', phone: PHONE }));
  devices.set('d-2', deviceSchema.parse({ id: 'd-2', protocol: 'gt06', transport: 'tcp' }));
  devices.set(GL300, deviceSchema.parse({ id: GL300, protocol: 'queclink', transport: 'tcp', phone: '+46701234568' }));
  ledger = new Ledger(store, () => now, 2);
  double = new Gateway();
  await double.start();
  intake = newIntake(true);
  delivery = newDelivery(newGateway());
  delivery.start();
});
afterEach(async () => {
  await delivery.stop();
  await store.close();
  await double.stop();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

const optionsOf = (codec: typeof gt06 | { options: typeof gt06.options }) =>
  Object.fromEntries(Object.entries(codec.options).flatMap(([key, { fallback }]) => (fallback === undefined ? [] : [[key, fallback]])));

function newIntake(texts: boolean): CommandIntake {
  return new CommandIntake({
    ledger,
    store,
    device: async (id) => devices.get(id),
    codecs: new Map([gt06, queclink].map((codec) => [codec.name, codec])),
    optionsOf,
    now: () => now,
    expiryMs: 3_600_000,
    texts,
    log: silentLog,
    poke: () => {},
    record: (_, event) => events.push(event),
    count: () => {},
  });
}

function newGateway(form: 'twilio' | 'json' | 'get' = 'twilio', path = '/Messages.json', user = 'AC1', timeoutMs = 60_000): TextGateway {
  const url = new SecretUrl(`${double.origin}${path}`);
  return new TextGateway({ form, url, from: '+15005550006', user, token: new Secret(SECRET) }, timeoutMs);
}

function newDelivery(gateway: TextGateway | undefined): TextDelivery {
  return new TextDelivery({
    ledger,
    store,
    gateway,
    device: async (id) => devices.get(id),
    codecs: new Map([gt06, queclink].map((codec) => [codec.name, codec])),
    optionsOf,
    counting: async (device) => [{ table: 'usage', key: device, add: { texts_out: 1 } }],
    isConnected: () => connected,
    now: () => now,
    log: silentLog,
    record: (_, event) => events.push(event),
    count: (state) => counted.push(state),
    ended: (...of) => ended.push(of),
  });
}

async function submitted(more: Partial<Draft> = {}): Promise<Command> {
  const outcome = await intake.submit({ device: 'd-1', type: 'version', parameters: {}, requester: 'me', via: 'sms', ...more });
  if (!('command' in outcome)) throw new Error(JSON.stringify(outcome));
  return outcome.command;
}

const stop = { type: 'engine_stop', when: 'any', reason: 'stolen' };

async function reaches({ device, id }: Command, state: string, attempts: number, note: string): Promise<Command> {
  return eventually(async () => {
    const found = await ledger.get(device, id);
    expect([found?.state, found?.attempts, found?.history.at(-1)?.note]).toEqual([state, attempts, note]);
    return found as Command;
  });
}

async function replied(text: string, relay = false, device = 'd-1'): Promise<void> {
  const codec = device === GL300 ? queclink : gt06;
  const frame = new FrameResult();
  const bytes = new TextEncoder().encode(text);
  frame.reset(0, bytes.length);
  codec.sms?.decode(bytes, 0, bytes.length, codec.sms.open(optionsOf(codec), 0), frame);
  await delivery.replied(device, frame, text, relay);
}

const TOOK = 'the gateway has taken it as SM00000000000000000000000000000001';
const usage = async (): Promise<number> => {
  const rows = await store.list('usage', { prefix: 'd-1', limit: 10 });
  return rows.reduce((sum, { value }) => sum + (countersOf(value).texts_out ?? 0), 0);
};

describe('a command by text message', () => {
  it('is handed to the gateway once, counted, and answered by the text that comes back (2, 4, 5)', async () => {
    const command = await submitted();
    await reaches(command, 'sent', 1, TOOK);
    const { method, url, authorization, body } = double.asked[0]!;
    expect([method, url, authorization]).toEqual(['POST', '/Messages.json', `Basic ${Buffer.from(`AC1:${SECRET}`).toString('base64')}`]);
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      To: PHONE,
      From: '+15005550006',
      Body: 'VERSION#',
      ValidityPeriod: '3600',
    });
    expect(await usage()).toBe(1);
    await replied('[VERSION]NT06E_10_A2DP_V4.1');
    const answered = await reaches(command, 'answered', 1, 'by text message');
    expect(answered.reply).toBe('[VERSION]NT06E_10_A2DP_V4.1');
    expect(double.asked.length).toBe(1);
    expect(JSON.stringify(events)).not.toContain(SECRET);
  });

  it('keeps what a relayed device replies out of the ledger', async () => {
    const command = await submitted();
    await reaches(command, 'sent', 1, TOOK);
    await replied('[VERSION]NT06E_10', true);
    expect(await reaches(command, 'answered', 1, 'by text message; the reply is in the stream only')).toMatchObject({ reply: '' });
    expect(events.at(-1)).toMatchObject({ state: 'answered', reply: '[VERSION]NT06E_10' });
  });

  it('ends as sent when the device does not reply to it', async () => {
    const command = await submitted({ type: 'reboot' });
    const done = await reaches(command, 'sent', 1, `${TOOK}; the device does not reply to this`);
    expect(done.ended).toBeGreaterThan(0);
  });

  it('is answered by the reply in a message that is a frame (4)', async () => {
    const command = await submitted({ device: GL300 });
    await reaches(command, 'sent', 1, TOOK);
    await replied(`+RESP:GTVER,1A0800,${GL300},GL300,GL300,0A03,0103,20261007041531,10F8$`, false, GL300);
    expect(await reaches(command, 'answered', 1, 'by text message')).toMatchObject({ reply: 'GTVER,GL300,0A03,0103' });
  });

  it('is answered by a text of no known form when none comes that has one (4)', async () => {
    const command = await submitted();
    await reaches(command, 'sent', 1, TOOK);
    await replied('Good morning');
    now += REPLY_MS - 1;
    await delivery.look();
    await reaches(command, 'sent', 1, TOOK);
    now += 1;
    await delivery.look();
    expect(await reaches(command, 'answered', 1, 'in a form that is not documented, by text message')).toMatchObject({
      reply: 'Good morning',
    });
    const another = await submitted();
    await reaches(another, 'sent', 1, TOOK);
    await replied('Good morning');
    await replied('[VERSION]NT06E_10');
    expect(await reaches(another, 'answered', 1, 'by text message')).toMatchObject({ reply: '[VERSION]NT06E_10' });
  });

  it('is answered once, by the first of two replies at once: counted, told and ended', async () => {
    const command = await submitted();
    await reaches(command, 'sent', 1, TOOK);
    expect([counted, ended]).toEqual([['sent', 'sent'], []]);
    await Promise.all([replied('[VERSION]NT06E_10'), replied('[VERSION]NT06E_10')]);
    expect(events.map((event) => 'state' in event && event.state)).toEqual(['queued', 'sent', 'sent', 'answered']);
    expect([counted, ended]).toEqual([['sent', 'sent', 'answered'], [['d-1', command.id, undefined]]]);
  });

  it('hands what a relayed device replies to who waits for it', async () => {
    const command = await submitted();
    await reaches(command, 'sent', 1, TOOK);
    await replied('[VERSION]NT06E_10', true);
    expect(ended).toMatchObject([['d-1', command.id, { reply: '[VERSION]NT06E_10' }]]);
  });

  it('has the last place of the message that answers it, if there is one', async () => {
    const none = Number.NaN;
    /** Latitude, longitude, time, valid. */
    type Row = readonly [lat: number, lon: number, time: number, valid: 0 | 1];
    const cases: readonly (readonly [rows: readonly Row[], place: object])[] = [
      [[], {}],
      [[[none, none, NOW, 0]], {}],
      [[[59, none, NOW, 1]], {}],
      [[[none, 18, NOW, 1]], {}],
      [[[59, 18, NOW, 1]], { lat: 59, lon: 18, time: NOW, valid: true }],
      [[[0, 0, none, 0]], { lat: 0, lon: 0, valid: false }],
      [
        [
          [1, 2, NOW, 1],
          [59, 18, NOW, 1],
        ],
        { lat: 59, lon: 18, time: NOW, valid: true },
      ],
      [
        [
          [1, 2, NOW, 1],
          [none, none, NOW, 0],
        ],
        {},
      ],
    ];
    const valuesOf = async (rows: readonly Row[], k: number): Promise<Command['values']> => {
      const device = `place-${k}`;
      devices.set(device, deviceSchema.parse({ id: device, protocol: 'gt06', transport: 'tcp', phone: `+4670123460${k}` }));
      const command = await submitted({ device });
      await reaches(command, 'sent', 1, TOOK);
      const frame = new FrameResult();
      frame.reset(0, 1);
      frame.kind = FrameKind.Reply;
      for (const [lat, lon, time, valid] of rows) {
        const r = frame.row();
        [frame.latitude[r], frame.longitude[r], frame.time[r], frame.valid[r]] = [lat, lon, time, valid];
      }
      await delivery.replied(device, frame, '[VERSION]NT06E_10', false);
      return (await reaches(command, 'answered', 1, 'by text message')).values;
    };
    const found = await Promise.all(cases.map(([rows], k) => valuesOf(rows, k)));
    const { lat, lon, time, valid, ...said } = found[0] ?? {};
    expect([lat, lon, time, valid]).toEqual([undefined, undefined, undefined, undefined]);
    expect(found).toEqual(cases.map(([, place]) => ({ ...said, ...place })));
  });

  it('that any way may take waits for a connection first (1)', async () => {
    const command = await submitted({ via: 'any' });
    connected = true;
    now += FALLBACK_MS;
    await delivery.look();
    connected = false;
    now -= 1;
    await delivery.look();
    expect(double.asked.length).toBe(0);
    now += 1;
    await reaches(command, 'sent', 1, TOOK);
  });

  it('is refused where it cannot go', async () => {
    const fieldOf = async (to: CommandIntake, more: Partial<Draft>): Promise<string> => {
      const outcome = await to.submit({ device: 'd-1', type: 'version', parameters: {}, requester: 'me', via: 'any', ...more });
      return 'command' in outcome ? 'accepted' : outcome.problems.map(({ field }) => field).join();
    };
    expect(await fieldOf(newIntake(false), {})).toBe('via');
    expect(await fieldOf(intake, { via: 'pigeon' })).toBe('via');
    expect(await fieldOf(intake, { device: 'd-2' })).toBe('via');
    expect(await fieldOf(intake, { type: 'engine_stop' })).toBe('when');
    expect(await fieldOf(intake, { type: 'engine_stop', when: 'any' })).toBe('reason');
    expect(await fieldOf(intake, stop)).toBe('accepted');
  });
});

describe('a gateway that does not take it', () => {
  it.each<[what: string, answer: Answer, state: string, attempts: number, note: string]>([
    [
      'a wrong number fails',
      { status: 400, body: { code: 21211, message: `Invalid 'To' Phone Number ${SECRET}`, status: 400 } },
      'failed',
      1,
      "the gateway answered 400: 21211 Invalid 'To' Phone Number ***",
    ],
    [
      'too many wait',
      { status: 429, headers: { 'retry-after': '7' }, body: { code: 20429, message: 'Too Many Requests' } },
      'queued',
      0,
      'the gateway answered 429: 20429 Too Many Requests',
    ],
    [
      'a wrong token waits',
      { status: 401, body: { code: 20003, message: 'Authenticate' } },
      'queued',
      0,
      'the gateway answered 401: 20003 Authenticate',
    ],
    ['a redirect fails', { status: 302, headers: { location: '/elsewhere' } }, 'failed', 1, 'the gateway answered 302'],
    ['its own error leaves open whether it went', { status: 500 }, 'sent', 1, 'the gateway answered 500'],
    ['a time-out of its own, too', { status: 408 }, 'sent', 1, 'the gateway answered 408'],
  ])('%s', async (_what, answer, state, attempts, note) => {
    double.answer = answer;
    const command = await submitted(stop);
    await reaches(command, state, attempts, note);
    expect(double.asked.length).toBe(1);
    expect(await usage()).toBe(0);
    if (state !== 'queued') return;
    double.answer = TAKEN;
    now += 30_000;
    await reaches(command, 'sent', 1, TOOK);
  });

  it('one that is not there is asked again', async () => {
    await delivery.stop();
    const gateway = newGateway();
    await double.stop();
    delivery = newDelivery(gateway);
    delivery.start();
    await reaches(await submitted(stop), 'queued', 0, 'the gateway cannot be reached: ECONNREFUSED');
    double = new Gateway();
    await double.start();
  });

  it('one that does not answer is asked once for a critical command, which is unknown (2)', async () => {
    await delivery.stop();
    double.answer = undefined;
    delivery = newDelivery(newGateway('twilio', '/Messages.json', 'AC1', 2_000));
    delivery.start();
    const command = await submitted(stop);
    const sent = await eventually(async () => {
      const found = await ledger.get('d-1', command.id);
      expect([found?.state, found?.history.length]).toEqual(['sent', 3]);
      return found;
    });
    expect(sent?.history.at(-1)?.note).toMatch(/^the gateway did not answer/);
    now += REPLY_MS;
    await reaches(command, 'unknown', 1, 'no reply to the text message within 10 min');
    now += REPLY_MS;
    await delivery.look();
    expect(double.asked.length).toBe(1);
    // A late reply ends it; an alarm does not.
    await replied('SOS alarm! http://maps.google.com/maps?q=N22.571707,E113.857025');
    await reaches(command, 'unknown', 1, 'no reply to the text message within 10 min');
    await replied('DYD=Success!');
    await reaches(command, 'answered', 1, 'by text message');
  });
});

it('2: one without a reply is sent again as far as its attempts go; one that a killed server marked waits as long', async () => {
  const command = await submitted();
  const marked = await reaches(command, 'sent', 1, TOOK);
  now += REPLY_MS;
  await reaches(marked, 'queued', 1, 'no reply to the text message within 10 min');
  now += 15_000;
  await reaches(command, 'sent', 2, TOOK);
  now += REPLY_MS;
  await reaches(command, 'failed', 2, 'no reply to the text message within 10 min');
  expect([double.asked.length, await usage()]).toEqual([2, 2]);
});

it('one that comes back unsent when another that opposes it has come does not go again', async () => {
  const stopping = await submitted({ ...stop, not_before: NOW + 1000 });
  await ledger.sending(stopping, 1, '');
  const resuming = await submitted({ type: 'engine_resume', when: 'any', not_before: NOW + 9000 });
  await ledger.unsent(await reaches(stopping, 'sent', 1, 'by text message'), 'the gateway answered 429');
  now += 1000;
  await reaches(stopping, 'cancelled', 0, `by engine_resume ${resuming.id}`);
  expect(double.asked).toEqual([]);
});

it('without a gateway nothing goes, and one that was not started can be stopped', async () => {
  const without = newDelivery(undefined);
  without.start();
  await without.stop();
  await newDelivery(newGateway()).stop();
});

it('3: one message waits for its reply at a time', async () => {
  const first = await submitted();
  await reaches(first, 'sent', 1, TOOK);
  await submitted({ type: 'status' });
  await delivery.look();
  expect(double.asked.length).toBe(1);
  await replied('[VERSION]NT06E_10');
  await eventually(() => expect(double.asked.length).toBe(2));
});

describe('other forms', () => {
  it('json, with a bearer token', async () => {
    double.answer = { status: 200, body: { id: 17 } };
    expect(await newGateway('json', '/send', '').hand(PHONE, 'VERSION#', 1000)).toEqual({ is: 'taken', id: '17' });
    expect(double.asked).toMatchObject([{ method: 'POST', url: '/send', authorization: `Bearer ${SECRET}` }]);
    expect(JSON.parse(double.asked[0]?.body ?? '')).toEqual({ to: PHONE, from: '+15005550006', text: 'VERSION#' });
  });

  it('get, all of it in the URL', async () => {
    const gateway = newGateway('get', '/send?to={to}&text={text}&key={token}', '');
    expect(await gateway.hand(PHONE, 'A&B#', 1000)).toMatchObject({ is: 'taken' });
    expect(double.asked).toMatchObject([{ method: 'GET', url: `/send?to=%2B46701234567&text=A%26B%23&key=${SECRET}` }]);
  });
});
