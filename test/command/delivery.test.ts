import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { silentLog } from '../../src/base/log.ts';
import type { Codec, Options, Transport } from '../../src/codec/index.ts';
import type { Command, CommandRequest } from '../../src/fleet/command/command.ts';
import { isCritical } from '../../src/fleet/command/critical.ts';
import { Delivery } from '../../src/fleet/command/delivery.ts';
import type { DeliveryPort } from '../../src/fleet/command/delivery-line.ts';
import { Ledger } from '../../src/fleet/command/ledger.ts';
import { Shadow } from '../../src/fleet/command/shadow.ts';
import type { Reply } from '../../src/fleet/command/waiting.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import { eventually, pause } from '../support/wait.ts';

/** Numbers quote the invariants of src/fleet/command/delivery.ts. */

/** Teltonika without its patience, and without its eye for what a reply looks like. */
const impatient: Codec = { ...teltonika, replyMs: 150, readReply: undefined };

let directory: string;
let store: LmdbStore;
let ledger: Ledger;
let delivery: Delivery;
let ids = 0;
/** What was said of commands that have ended. */
let ended: { readonly id: string; readonly reply: Reply | undefined }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-downlink-'));
  store = new LmdbStore({ directory, log: silentLog });
  ledger = new Ledger(store, () => Date.now(), 3);
  ended = [];
  delivery = new Delivery({
    ledger,
    shadow: new Shadow(store),
    now: () => Date.now(),
    log: silentLog,
    count: () => {},
    ended: (_, id, reply) => void ended.push({ id, reply }),
  });
});
afterEach(async () => {
  await delivery.close();
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

/** A connection that notes what is sent on it. */
class Device implements DeliveryPort {
  readonly device: string;
  readonly codec: Codec;
  readonly transport: Transport;
  clear = true;
  relay = false;
  moving: boolean | undefined;
  readonly sent: { readonly type: string; readonly key: number }[] = [];
  readonly events: object[] = [];
  wantsFix = false;
  wantsMotion = false;
  contested = false;
  standing = true;
  readonly contests: string[] = [];
  waits = false;
  refuses = false;

  constructor(codec: Codec = impatient, transport: Transport = 'tcp', device = 'd01') {
    this.codec = codec;
    this.transport = transport;
    this.device = device;
    delivery.attached(this);
  }

  contest(peer: string): void {
    this.contests.push(peer);
    this.contested = true;
  }

  wait(): void {
    this.waits = true;
    if (this.transport === 'tcp' && this.clear) this.open();
  }

  /** The way is clear now. */
  open(): void {
    this.clear = true;
    if (!this.waits) return;
    this.waits = false;
    delivery.ready(this);
  }

  transmit(type: string, _parameters: Options, key: number): boolean {
    if (this.refuses) return false;
    this.sent.push({ type, key });
    return true;
  }

  event(event: object): void {
    this.events.push(event);
  }

  reply(text: string, key = -1): void {
    delivery.replied(this, key, text, {});
  }

  async got(count: number): Promise<void> {
    await eventually(() => expect(this.sent.length).toBe(count));
  }
}

/** `tell`: says that something has changed. */
async function queue(type = 'version', more: Partial<CommandRequest> = {}, tell = () => delivery.poke('d01')): Promise<Command> {
  const rest = {
    requester: 'me',
    reason: '',
    ref: '',
    not_before: 0,
    expires: Date.now() + 60_000,
    priority: 0,
    when: 'any',
    switches: [],
    critical: isCritical(type) ? type : '',
  } as const;
  const command = await ledger.submit({ device: 'd01', type, parameters: {}, ...rest, ...more }, `c${String(ids++).padStart(6, '0')}`);
  if (command === undefined) throw new Error('not submitted');
  tell();
  return command;
}

async function comesTo(command: Command, state: string): Promise<Command> {
  await eventually(async () => expect((await ledger.get('d01', command.id))?.state).toBe(state));
  const found = await ledger.get('d01', command.id);
  if (found === undefined) throw new Error('gone');
  return found;
}

/** What the device sends next is marked in the ledger, and cannot leave then. */
function heldBehindMark(device: Device): MockInstance<Ledger['sending']> {
  const marked = ledger.sending.bind(ledger);
  return vi.spyOn(ledger, 'sending').mockImplementationOnce(async (command, key) => {
    const claimed = await marked(command, key);
    device.clear = false;
    return claimed;
  });
}

const quiet = (): Promise<void> => pause(60);

describe('commands on their way down', () => {
  it('are looked for on every connection when anything may have changed', async () => {
    const [device, other] = [new Device(), new Device(impatient, 'tcp', 'd02')];
    await queue('version', {}, () => delivery.pokeAll());
    await device.got(1);
    expect(other.sent).toEqual([]);
  });

  it('1: go one at a time, in order, the next with the reply', async () => {
    const device = new Device();
    const commands = [await queue('version'), await queue('status'), await queue('locate')];
    await device.got(1);
    await quiet();
    expect(device.sent.map(({ type }) => type)).toEqual(['version']);
    for (let n = 1; n <= 3; n++) {
      await device.got(n);
      device.reply(`reply ${n}`);
    }
    for (const [n, command] of commands.entries()) expect((await comesTo(command, 'answered')).reply).toBe(`reply ${n + 1}`);
    expect(device.sent.map(({ type }) => type)).toEqual(['version', 'status', 'locate']);
    const steps = (): string[] => device.events.map((event) => `${Reflect.get(event, 'command')} ${Reflect.get(event, 'state')}`);
    await eventually(() =>
      expect(steps()).toEqual(['version', 'status', 'locate'].flatMap((type) => [`${type} sent`, `${type} answered`])),
    );
  });

  it('wait for a device that is not there, and the more urgent goes first', async () => {
    await queue('version');
    const urgent = await queue('status', { priority: 5 });
    const device = new Device();
    await device.got(1);
    expect(device.sent[0]?.type).toBe('status');
    await comesTo(urgent, 'sent');
  });

  it('2: not between a frame and its answer', async () => {
    const device = new Device();
    device.clear = false;
    const command = await queue();
    await quiet();
    expect([device.sent, (await ledger.get('d01', command.id))?.state]).toEqual([[], 'queued']);
    device.open();
    await device.got(1);
  });

  it('2: nor when a frame comes just while the ledger is written', async () => {
    const device = new Device();
    device.clear = false;
    await queue();
    await eventually(() => expect(device.waits).toBe(true));
    device.open();
    device.clear = false;
    await quiet();
    expect(device.sent).toEqual([]);
    device.open();
    await device.got(1);
  });

  it('2: on UDP behind an uplink', async () => {
    const device = new Device(impatient, 'udp');
    await queue();
    await quiet();
    expect(device.sent).toEqual([]);
    device.open();
    await device.got(1);
  });

  it('3: a connection that ends first gives the command to the next one', async () => {
    const command = await queue();
    const first = new Device();
    await first.got(1);
    delivery.detached(first);
    await comesTo(command, 'queued');
    const second = new Device();
    await second.got(1);
    // The old connection has nothing to say any more.
    first.reply('stray');
    await quiet();
    expect((await ledger.get('d01', command.id))?.state).toBe('sent');
    second.reply('ok');
    expect(await comesTo(command, 'answered')).toMatchObject({ attempts: 2, reply: 'ok' });
  });

  it('3: what a process that died had marked as sent is sent again, and fails when its attempts are used up', async () => {
    const command = await queue();
    await ledger.sending(command);
    const first = new Device();
    await first.got(1);
    delivery.detached(first);
    // Marked by another again, which died.
    await ledger.sending(await comesTo(command, 'queued'));
    const second = new Device();
    expect(await comesTo(command, 'failed')).toMatchObject({ attempts: 3 });
    expect(second.sent).toEqual([]);
  });

  it('3: a reply just before the connection ends counts, however soon the device is back', async () => {
    const command = await queue();
    let device = new Device();
    await device.got(1);
    device.reply('ok');
    delivery.detached(device);
    device = new Device();
    expect(await comesTo(command, 'answered')).toMatchObject({ attempts: 1 });
    await quiet();
    expect(device.sent).toEqual([]);
  });

  it('4: replies with a key belong to the command that carried it', async () => {
    const device = new Device({ ...gt06, readReply: undefined });
    const command = await queue();
    await device.got(1);
    const key = device.sent[0]?.key ?? 0;
    expect(key).toBeGreaterThan(0);
    device.reply('of another', key + 1);
    await quiet();
    expect((await ledger.get('d01', command.id))?.state).toBe('sent');
    device.reply('mine', key);
    expect(await comesTo(command, 'answered')).toMatchObject({ reply: 'mine' });
  });

  it('4: a late reply counts, and the command is not sent again', async () => {
    const device = new Device();
    const command = await queue();
    await device.got(1);
    await comesTo(command, 'queued');
    device.reply('late');
    expect(await comesTo(command, 'answered')).toMatchObject({ attempts: 1, reply: 'late' });
    device.reply('unasked');
    await quiet();
    expect(device.sent).toHaveLength(1);
  });

  it('5: fail when the device refuses, and are not answered by what is no reply to them', async () => {
    const device = new Device(teltonika);
    const command = await queue('get_parameter', { parameters: { id: 10_050 } });
    await device.got(1);
    device.reply('GPS:1 Sat:7 Lat:54.1 Long:25.2 Alt:147 Speed:0 Dir:77 Date: 2007/8/24 Time: 13:4:36');
    await quiet();
    expect((await ledger.get('d01', command.id))?.state).toBe('sent');
    device.reply('Param ID:10050 Value:60');
    expect(await comesTo(command, 'answered')).toMatchObject({ values: { parameter_10050: 60, interval: 60 } });
    const other = await queue('get_parameter', { parameters: { id: 99_999 } });
    await device.got(2);
    device.reply('Error: invalid ID');
    expect(await comesTo(other, 'failed')).toMatchObject({ reply: 'Error: invalid ID' });
  });

  it('5: a position newer than the request answers who asked for one, an older one does not, nor a reply without one', async () => {
    const device = new Device(teltonika);
    const command = await queue('locate');
    await device.got(1);
    await eventually(() => expect(device.wantsFix).toBe(true));
    delivery.fixed(device, { time: command.created - 5_000, lat: 1, lon: 1 });
    device.reply('GPS:0 Sat:0 Lat:0.0 Long:0.0 Alt:0 Speed:0 Dir:0 Date: 2007/8/24 Time: 13:4:36');
    device.reply('GPS:1 Sat:9 Lat:5.0 Long:6.0 Alt:0 Speed:0 Dir:0 Date: 2007/8/24 Time: 13:4:36');
    await quiet();
    expect((await ledger.get('d01', command.id))?.state).toBe('sent');
    delivery.fixed(device, { time: Date.now(), lat: 1, lon: 2 });
    const done = await comesTo(command, 'answered');
    expect(done).toMatchObject({ values: { lat: 1, lon: 2 }, reply: expect.stringContaining('Lat:5.0') });
    expect(device.wantsFix).toBe(false);
    const event = { state: 'answered', values: expect.objectContaining({ lat: 1, lon: 2 }) };
    await eventually(() => expect(device.events).toContainEqual(expect.objectContaining(event)));
  });

  it('9: what a device with privacy relay replies is in its events and told to those who wait, and nowhere in the ledger', async () => {
    const device = new Device({ ...teltonika, replyMs: 1_500 });
    device.relay = true;
    const place = { time: Date.now() + 60_000, lat: 5.125, lon: 6.375 };
    const old = 'GPS:1 Sat:9 Lat:5.125 Long:6.375 Alt:0 Speed:0 Dir:0 Date: 2007/8/24 Time: 13:4:36';
    const commands = [await queue('locate'), await queue('locate'), await queue('get_parameter', { parameters: { id: 99_999 } })];
    await device.got(1);
    await eventually(() => expect(device.wantsFix).toBe(true));
    delivery.fixed(device, place);
    await device.got(2);
    device.reply(old);
    await device.got(3);
    device.reply('Error: invalid ID');
    const found = await Promise.all(commands.map((command, n) => comesTo(command, n < 2 ? 'answered' : 'failed')));
    expect(found.map(({ reply, values }) => [reply, values])).toEqual(found.map(() => ['', {}]));
    expect(found.map(({ history }) => history.at(-1)?.note)).toEqual([
      'by a position; the reply is in the stream only',
      'no new position came; the reply is in the stream only',
      'refused by the device; the reply is in the stream only',
    ]);
    await eventually(() =>
      expect(ended).toEqual([
        { id: commands[0]?.id, reply: { reply: '', values: place } },
        { id: commands[1]?.id, reply: { reply: old, values: expect.objectContaining({ lat: 5.125 }) } },
        { id: commands[2]?.id, reply: { reply: 'Error: invalid ID', values: {} } },
      ]),
    );
    const stored = JSON.stringify(
      await Promise.all((['commands', 'unknown', 'finished', 'settings'] as const).map((table) => store.list(table, { limit: 100 }))),
    );
    expect(stored).not.toMatch(/5\.125|6\.375|invalid ID/);
    // The event follows the ledger.
    await eventually(() =>
      expect(device.events).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ state: 'answered', values: place }),
          expect.objectContaining({ state: 'answered', reply: old }),
          expect.objectContaining({ state: 'failed', reply: 'Error: invalid ID' }),
        ]),
      ),
    );
  });

  it('5: a position in the reply itself, of now, is one', async () => {
    const device = new Device(teltonika);
    const command = await queue('locate');
    await device.got(1);
    const now = new Date();
    const date = `${now.getUTCFullYear()}/${now.getUTCMonth() + 1}/${now.getUTCDate()}`;
    const time = `${now.getUTCHours()}:${now.getUTCMinutes()}:${now.getUTCSeconds()}`;
    device.reply(`GPS:1 Sat:9 Lat:5.5 Long:6.5 Alt:1 Speed:0 Dir:0 Date: ${date} Time: ${time}`);
    expect(await comesTo(command, 'answered')).toMatchObject({ values: { lat: 5.5, lon: 6.5 } });
  });

  it('5: a text in no documented form is kept as the reply when none comes in time, and the command is not sent again', async () => {
    const device = new Device({ ...teltonika, replyMs: 150 });
    const command = await queue('version');
    await device.got(1);
    device.reply('Firmware of another family');
    expect(await comesTo(command, 'answered')).toMatchObject({
      reply: 'Firmware of another family',
      attempts: 1,
      history: expect.arrayContaining([expect.objectContaining({ note: 'in a form that is not documented' })]),
    });
    const second = await queue('version');
    await device.got(2);
    device.reply('chatter');
    device.reply('Ver:03.25.14 GPS:AXN Hw:FMB920 IMEI:356307042441013');
    expect(await comesTo(second, 'answered')).toMatchObject({ reply: expect.stringContaining('Ver:03.25.14') });
    const third = await queue('locate');
    await device.got(3);
    device.reply('GPS:0 Sat:0 Lat:0.0 Long:0.0 Alt:0 Speed:0 Dir:0 Date: 2007/8/24 Time: 13:4:36');
    delivery.detached(device);
    expect(await comesTo(third, 'answered')).toMatchObject({ attempts: 1, values: { valid: false } });
  });

  it('5: when such a text was the reply, the next one is that of the next command', async () => {
    const device = new Device({ ...teltonika, replyMs: 150 });
    for (const reply of ['Firmware of another family', 'Firmware of yet another']) {
      const sent = device.sent.length;
      const command = await queue('version');
      await device.got(sent + 1);
      device.reply(reply);
      expect(await comesTo(command, 'answered')).toMatchObject({ reply, attempts: 1 });
    }
  });

  it("5: such a text may be the late reply to another command, and is nobody's then", async () => {
    const device = new Device({ ...teltonika, replyMs: 150 });
    const lost = await queue('status');
    await device.got(1);
    await comesTo(lost, 'queued');
    const command = await queue('version');
    await device.got(2);
    device.reply('Firmware of another family');
    await comesTo(command, 'queued');
  });

  it('5: of a long reply the beginning is read, and all of it is kept', async () => {
    const lengths: number[] = [];
    const readReply: Codec['readReply'] = (_, text) => {
      lengths.push(text.length);
      return { outcome: 'done', values: {} };
    };
    const device = new Device({ ...impatient, readReply });
    const command = await queue();
    await device.got(1);
    device.reply('Ver'.repeat(5000));
    expect((await comesTo(command, 'answered')).reply).toHaveLength(15_000);
    expect(lengths).toEqual([4096]);
  });

  it.each(['engine_stop', 'engine_resume', 'set_output', 'set_server', 'custom'])(
    '3: %s leaves once; without a reply it is unknown, and holds nothing up',
    async (type) => {
      const device = new Device({ ...impatient, replyMs: 40 });
      const command = await queue(type);
      const other = await queue('status');
      await device.got(1);
      await comesTo(command, 'unknown');
      await device.got(2);
      device.reply('INI:1');
      await comesTo(other, 'answered');
      delivery.detached(device);
      const back = new Device();
      await comesTo(await queue('version', { expires: Date.now() + 100, when: 'stopped' }), 'expired');
      expect([device.sent.map((one) => one.type), back.sent]).toEqual([[type, 'status'], []]);
      expect(await ledger.get('d01', command.id)).toMatchObject({ state: 'unknown', attempts: 1, ended: 0 });
    },
  );

  it('3: one that was marked when its worker was killed is unknown, whether its bytes had left or not', async () => {
    const command = await queue('engine_stop');
    await ledger.sending(command, 1);
    const device = new Device();
    await comesTo(command, 'unknown');
    await comesTo(await queue('version', { expires: Date.now() + 50, when: 'moving' }), 'expired');
    expect(device.sent).toEqual([]);
  });

  it('3: one that an earlier version has sent once, and put back, does not go again', async () => {
    const command = await queue('engine_stop');
    await store.update('commands', `d01 ${command.id}`, (text) => JSON.stringify({ ...JSON.parse(text ?? ''), attempts: 1 }));
    const device = new Device();
    expect((await comesTo(command, 'unknown')).history.at(-1)?.note).toBe('sent once by an earlier version');
    expect(device.sent).toEqual([]);
  });

  it('3: one that is marked and has not left is as if it was not, when the connection ends', async () => {
    const device = new Device();
    heldBehindMark(device);
    const command = await queue('engine_stop');
    await eventually(() => expect(device.waits).toBe(true));
    expect((await ledger.get('d01', command.id))?.state).toBe('sent');
    delivery.detached(device);
    expect(await comesTo(command, 'queued')).toMatchObject({ attempts: 0 });
    const back = new Device();
    await back.got(1);
    expect(device.sent).toEqual([]);
  });

  it('3: it is unknown when the connection ends before the reply', async () => {
    const device = new Device();
    const command = await queue('engine_stop');
    await device.got(1);
    delivery.detached(device);
    expect((await comesTo(command, 'unknown')).history.at(-1)?.note).toContain('the connection ended');
  });

  it('4: an unknown one ends by its late reply: on the same connection, or by the key that comes back on any', async () => {
    const device = new Device({ ...impatient, replyMs: 40 });
    const first = await queue('engine_stop');
    await device.got(1);
    await comesTo(first, 'unknown');
    device.reply('DOUT1:1');
    await comesTo(first, 'answered');
    delivery.detached(device);
    const echoing = new Device({ ...gt06, replyMs: 40 });
    const second = await queue('engine_stop');
    await echoing.got(1);
    await comesTo(second, 'unknown');
    const third = await queue('engine_resume');
    await echoing.got(2);
    delivery.detached(echoing);
    await comesTo(third, 'unknown');
    const later = new Device(gt06);
    later.reply('DYD=Success!', echoing.sent[0]?.key);
    expect(await comesTo(second, 'answered')).toMatchObject({ reply: 'DYD=Success!' });
    later.relay = true;
    later.reply('HFYD=Fail!', echoing.sent[1]?.key);
    await comesTo(third, 'failed');
  });

  it('7: are asked once more in the moment they leave: the vehicle has begun to move', async () => {
    const device = new Device();
    device.moving = false;
    const sending = heldBehindMark(device);
    const command = await queue('engine_stop', { when: 'stopped' });
    await eventually(() => expect(device.waits).toBe(true));
    device.moving = true;
    device.open();
    await comesTo(command, 'queued');
    await eventually(() => expect(device.wantsMotion).toBe(true));
    expect([device.sent, (await ledger.get('d01', command.id))?.attempts]).toEqual([[], 0]);
    device.moving = false;
    delivery.poke('d01');
    await device.got(1);
    expect(sending).toHaveBeenCalledTimes(2);
  });

  it('7: nor does one leave whose time has come', async () => {
    const device = new Device();
    heldBehindMark(device);
    const command = await queue('version', { expires: Date.now() + 200 });
    await eventually(() => expect(device.waits).toBe(true));
    await eventually(() => expect(Date.now()).toBeGreaterThan(command.expires));
    device.open();
    await comesTo(command, 'expired');
    expect(device.sent).toEqual([]);
  });

  it('7: a stop that is marked and has not left gives way to its resume', async () => {
    const device = new Device();
    heldBehindMark(device);
    const stop = await queue('engine_stop', { switches: [{ output: 1, on: true, immobilises: true }] });
    await eventually(() => expect(device.waits).toBe(true));
    const resume = await queue('engine_resume', { switches: [{ output: 1, on: false, immobilises: false }] });
    device.open();
    await device.got(1);
    expect(device.sent[0]?.type).toBe('engine_resume');
    expect((await comesTo(stop, 'cancelled')).history.at(-1)?.note).toBe(`by engine_resume ${resume.id}`);
  });

  it('a stop that has left gets its resume', async () => {
    const device = new Device({ ...impatient, replyMs: 40 });
    const stop = await queue('engine_stop', { switches: [{ output: 1, on: true, immobilises: true }] });
    await device.got(1);
    const resume = await queue('engine_resume', { switches: [{ output: 1, on: false, immobilises: false }] });
    await device.got(2);
    expect(device.sent.map(({ type }) => type)).toEqual(['engine_stop', 'engine_resume']);
    expect((await ledger.get('d01', resume.id))?.opposes).toEqual([stop.id]);
    await comesTo(stop, 'unknown');
  });

  it('end as sent when the device does not reply, or ends the connection as it should', async () => {
    const device = new Device();
    const [record, server] = [await queue('record'), await queue('set_server')];
    await device.got(2);
    expect(await comesTo(record, 'sent')).toMatchObject({ ended: expect.any(Number) });
    delivery.detached(device);
    await eventually(async () => expect((await ledger.get('d01', server.id))?.ended).toBeGreaterThan(0));
    expect((await ledger.get('d01', server.id))?.state).toBe('sent');
  });

  it('fail at once when the codec cannot encode them', async () => {
    const device = new Device();
    device.refuses = true;
    expect((await comesTo(await queue(), 'failed')).history.at(-1)?.note).toContain('cannot encode');
  });

  it('wait for their time and for the vehicle, and expire', async () => {
    const device = new Device();
    const stopped = await queue('version', { when: 'stopped' });
    const later = await queue('status', { not_before: Date.now() + 120 });
    const short = await queue('locate', { when: 'moving', expires: Date.now() + 80 });
    await device.got(1);
    expect(device.sent[0]?.type).toBe('status');
    device.reply('ok');
    await comesTo(later, 'answered');
    await comesTo(short, 'expired');
    expect((await ledger.get('d01', stopped.id))?.state).toBe('queued');
    device.moving = false;
    delivery.poke('d01');
    await device.got(2);
  });
});
