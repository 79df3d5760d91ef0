import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import jt808 from '../../../codecs/jt808/index.ts';
import { FrameKind } from '../../../src/codec/index.ts';
import { QUARANTINE } from '../../../src/fleet/registry/unknown-device.ts';
import { digestOf, TEXTS, type TextMark } from '../../../src/in/sms/mark.ts';
import { NOW, SMALL, TextRig } from '../../support/text-rig.ts';

/** Numbers quote the invariants of src/in/sms/inbox.ts. */

const NUMBER = '+46701234567';
const OTHER = '+46700000002';
const STRANGER = '+46700000009';
const LINK = 'http://maps.google.com/maps?q=N22.571707,E113.857025';
const SOS = `SOS alarm! ${LINK}`;
const DATED = 'Current position! Lat:S23.525024,Lon:W46.679787,Course:263.28,Speed:0.00Km/h,DateTime:2026-10-29 11:11:43';
const IMEI = '860599000306845';
const REPORT = `+RESP:GTFRI,1A0200,${IMEI},G3-313,0,0,4,1,2.1,0,426.7,8.611466,47.681639,20181214134603,0228,0001,077F,4812,,34,20181214134603,0E50$`;
const BROKEN = `+RESP:GTFRI,1A0200,${IMEI}`;
const BUSY = { code: 'STATE_BUSY' };

let rig: TextRig;
let ids = 0;
beforeEach(() => {
  rig = new TextRig();
  rig.add('tracker-1', { phone: NUMBER, protocol: 'gt06', transport: 'tcp', account: 'acme' });
});
afterEach(() => rig.stop());

type Given = Partial<Parameters<TextRig['inbox']['take']>[0]>;
const take = (more: Given = {}): Promise<string> => rig.inbox.take({ source: 'json', id: `m-${ids++}`, from: NUMBER, text: LINK, ...more });
const keyOf = (id: string, source = 'json'): string => createHash('sha256').update(`${source} ${id}`).digest('hex');
const markOf = async (id: string, source?: string): Promise<TextMark | undefined> =>
  TEXTS.read(await rig.store.get('texts', keyOf(id, source)));
const leaveMark = (id: string, mark: object): Promise<boolean> =>
  rig.store.write([{ table: 'texts', key: keyOf(id), put: JSON.stringify(mark) }]);
/** A promise, and how to keep it. */
function gate(): [passed: Promise<void>, open: () => void] {
  const { promise, resolve } = Promise.withResolvers<void>();
  return [promise, resolve];
}

describe('a message of a device', () => {
  it('is journaled raw, as read, and told to others; nothing is learned of the device (1, 3)', async () => {
    expect(await take({ id: 'one' })).toBe('stored');
    expect(rig.journaled).toEqual([
      {
        device: 'tracker-1',
        codec: 'gt06',
        transport: 'sms',
        account: 'acme',
        options: { integrity: 'count', variant: 'auto', time_zone: 'auto' },
        peer: '',
        received: NOW,
        memo: 0,
        rows: 1,
        text: LINK,
        marks: undefined,
      },
    ]);
    expect(rig.live).toEqual([['tracker-1', 22.571707, 113.857025, null, null, NOW, NOW, 0]]);
    expect(rig.replied).toMatchObject([{ device: 'tracker-1', kind: FrameKind.Records, text: LINK, relay: false }]);
    expect([rig.seen, rig.recorded]).toEqual([[], []]);
    expect(await markOf('one')).toEqual({ received: NOW, server: 'here', done: true });
    expect([await rig.counted(), await rig.used('tracker-1')]).toEqual([{ stored: 1 }, { texts_in: 1 }]);
  });

  it('is marked, then journaled, then told to others when it is durable, then done and counted (1, 2, 5)', async () => {
    await take();
    expect(rig.steps).toEqual(['texts texts', 'journal', 'durable', 'live', 'replied', 'texts usage']);
  });

  it('that the journal refuses has not arrived; the next try is of the first one’s time (1, 2)', async () => {
    rig.refuses = 'disk full';
    await expect(take({ id: 'one' })).rejects.toMatchObject({ code: 'JOURNAL_FAILED' });
    const open = { received: NOW, server: 'here', digest: digestOf(Buffer.from(LINK)) };
    expect(await markOf('one')).toEqual(open);
    expect([rig.live, rig.replied, await rig.counted(), await rig.used('tracker-1')]).toEqual([[], [], {}, {}]);
    rig.refuses = '';
    rig.now += 5_000;
    expect(await take({ id: 'one' })).toBe('stored');
    expect(rig.journaled).toMatchObject([{ received: NOW }]);
    expect([await rig.counted(), await rig.used('tracker-1')]).toEqual([{ stored: 1 }, { texts_in: 1 }]);
  });

  it('is of a device with bounds for its networks all the same: the gateway has no address', async () => {
    rig.add('tracker-2', { phone: OTHER, networks: ['192.0.2.0/24'] });
    expect(await take({ from: OTHER })).toBe('stored');
  });
});

describe('a message id (2)', () => {
  it('that is under way, and one that is done, is a repeat', async () => {
    const [durable, sync] = gate();
    rig.durable = durable;
    const answers = [take({ id: 'one' }), take({ id: 'one' })];
    sync();
    expect(await Promise.all(answers)).toEqual(['stored', 'repeated']);
    expect(await take({ id: 'one' })).toBe('repeated');
    expect(await rig.counted()).toEqual({ stored: 1, repeated: 2 });
    expect([rig.journaled.length, await rig.used('tracker-1')]).toEqual([1, { texts_in: 1 }]);
  });

  it('of one form of the interface is not that of another', async () => {
    expect([await take({ id: 'one' }), await take({ id: 'one', source: 'twilio' })]).toEqual(['stored', 'stored']);
    expect([(await markOf('one'))?.done, (await markOf('one', 'twilio'))?.done]).toEqual([true, true]);
  });

  it('whose first delivery fails has failed for the second one, too', async () => {
    rig.refuses = 'disk full';
    const both = await Promise.allSettled([take({ id: 'one' }), take({ id: 'one' })]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await rig.counted()).toEqual({});
  });

  const ago = (ms: number, more = {}): object => ({ received: NOW - ms, server: 'there', digest: 'x', ...more });
  it.each<[what: string, mark: object, outcome: string, received: number[]]>([
    ['another server has had for less than a minute waits', ago(59_999), 'STATE_BUSY', []],
    ['another server has had for a minute is taken over, with its time', ago(60_000), 'stored', [NOW - 60_000]],
    ['this server has not finished is finished', ago(1, { server: 'here' }), 'stored', [NOW - 1]],
    ['another server has finished is a repeat', ago(1, { done: true }), 'repeated', []],
  ])('that %s', async (_what, mark, outcome, received) => {
    await leaveMark('one', mark);
    expect(await take({ id: 'one' }).catch((error: { code: string }) => error.code)).toBe(outcome);
    expect(rig.journaled.map((frame) => frame.received)).toEqual(received);
    if (outcome === 'STATE_BUSY') expect(await markOf('one')).toEqual(mark);
  });

  it('that another server marks first is left to it', async () => {
    rig.beforeWrite = async () => {
      rig.beforeWrite = undefined;
      await leaveMark('one', ago(0));
    };
    await expect(take({ id: 'one' })).rejects.toMatchObject(BUSY);
    expect([await markOf('one'), rig.journaled]).toEqual([ago(0), []]);
  });
});

describe('a number that no device has (4)', () => {
  it('is a stranger, and the registry hears of it; nothing of a stranger is a reply', async () => {
    expect(await take({ from: STRANGER })).toBe('stored');
    expect(rig.journaled).toMatchObject([{ device: 'sms:46700000009', codec: 'gt06', account: '' }]);
    expect([rig.seen, rig.recorded]).toEqual([
      [['sms:46700000009', 'gt06', 'sms']],
      [{ device: 'sms:46700000009', type: 'device_created' }],
    ]);
    expect([rig.replied, rig.live.length, await rig.used('sms:46700000009')]).toEqual([[], 1, { texts_in: 1 }]);
  });

  it('that is a device by now is served as its record says', async () => {
    rig.add('sms:46700000009', { account: 'acme', plan: 'small' });
    expect([await take({ from: STRANGER }), await take({ from: STRANGER })]).toEqual(['stored', 'stored']);
    expect(rig.journaled).toMatchObject([{ account: 'acme' }, { account: 'acme' }]);
    expect([rig.seen.length, rig.replied]).toEqual([2, []]);
  });

  it.each<[what: string, set: () => void, reason: string, told: string[]]>([
    ['a closed registry does not know', () => (rig.mode = 'closed'), 'unknown_device', ['sms:46700000009']],
    ['is of hardware that was taken out', () => (rig.out = 'sms:46700000009'), 'unit_replaced', ['sms:46700000009']],
  ])('and that %s waits in quarantine', async (_what, set, reason, told) => {
    set();
    expect(await take({ id: 'one', from: STRANGER })).toBe('refused');
    expect(QUARANTINE.read(await rig.store.get('quarantine', 'sms:46700000009'))).toEqual({
      first_seen: NOW,
      last_seen: NOW,
      count: 1,
      protocol: 'gt06',
      transport: 'sms',
      frames: [Buffer.from(LINK).toString('hex')],
    });
    expect([rig.quarantined, await rig.counted()]).toEqual([told, { refused: 1, [reason]: 1 }]);
    expect([rig.journaled, rig.live, rig.seen, rig.replied]).toEqual([[], [], [], []]);
    expect([await markOf('one'), await rig.used('sms:46700000009')]).toEqual([{ received: NOW, server: 'here', done: true }, {}]);
  });

  it('beyond the rate of new ids, all gateways one address, waits in quarantine quietly; a known one does not count', async () => {
    rig.add('sms:46700000007');
    const from = ['+46700000007', '+46700000007', STRANGER, '+46700000008', NUMBER];
    const outcomes: string[] = [];
    for (const one of from) outcomes.push(await take({ from: one }));
    expect(outcomes).toEqual(['stored', 'stored', 'stored', 'refused', 'stored']);
    expect(QUARANTINE.read(await rig.store.get('quarantine', 'sms:46700000008'))).toMatchObject({ count: 1 });
    expect([rig.quarantined, await rig.counted()]).toEqual([[], { stored: 4, refused: 1, new_id_rate: 1 }]);
  });

  it.each([
    ['its own', NUMBER],
    ['that of a stranger', `sms:${NUMBER.slice(1)}`],
  ])('cannot be told while the registry cannot be read: %s', async (_what, unread) => {
    rig.devices.length = 0;
    rig.unread = [unread];
    await expect(take({ id: 'one' })).rejects.toMatchObject({ code: 'STATE_UNREACHABLE' });
    expect([(await markOf('one'))?.done, rig.journaled, await rig.counted()]).toEqual([undefined, [], {}]);
    rig.unread = [];
    expect(await take({ id: 'one' })).toBe('stored');
  });
});

describe('what is withheld (5)', () => {
  it.each<[what: string, id: string, record: object, text: string, outcome: string]>([
    ['all of a terminated device', 'tracker-2', { state: 'terminated' }, SOS, 'withheld'],
    ['words of a terminated device', 'tracker-2', { state: 'terminated' }, 'ok', 'withheld'],
    ['a place of a suspended one', 'tracker-2', { state: 'suspended' }, LINK, 'withheld'],
    ['not an alarm of a person', 'tracker-2', { state: 'suspended' }, SOS, 'stored'],
    ['not the reply of a suspended one', 'tracker-2', { state: 'suspended' }, 'RELAY OK', 'stored'],
    ['what is from before it was erased', 'erased', {}, LINK, 'withheld'],
    ['what is past its end', 'tracker-2', { expires_at: NOW }, LINK, 'withheld'],
    ['not what is before its end', 'tracker-2', { expires_at: NOW + 1 }, LINK, 'stored'],
  ])('%s', async (_what, id, record, text, outcome) => {
    rig.add(id, { phone: OTHER, ...record });
    expect(await take({ id: 'one', from: OTHER, text })).toBe(outcome);
    const isStored = outcome === 'stored';
    expect([rig.journaled.length, rig.live.length, rig.replied.length]).toEqual(isStored ? [1, 1, 1] : [0, 0, 0]);
    expect([(await markOf('one'))?.done, await rig.counted(), await rig.used(id)]).toEqual([true, { [outcome]: 1 }, { texts_in: 1 }]);
  });

  it('of a report, the records that the plan does not keep: they are shown nowhere', async () => {
    rig.add(SMALL, { phone: OTHER, protocol: 'queclink' });
    const place = '1,1.7,205,2867.0,-121.351127,-31.226828,202602152104';
    const [first, later] = [`${place}33,0740,0000,7596,5891C,0.0`, `${place}59,0740,0000,7596,5891C,0.0`];
    const text = `+RESP:GTFRI,2C0204,${SMALL},GL300W,0,0,2,${first},${later},88,20260215210506,1E78$`;
    expect(await take({ from: OTHER, text })).toBe('stored');
    expect(rig.journaled).toMatchObject([{ rows: 2, marks: { relay: false } }]);
    expect(rig.journaled[0]?.marks?.keep?.[0]).toBe(1);
    expect(rig.live[0]?.[5]).toBe(Date.UTC(2026, 1, 15, 21, 4, 33));
  });

  it('nothing of a device whose data is relayed, but it is shown nowhere', async () => {
    rig.add('tracker-2', { phone: OTHER, privacy: 'relay' });
    expect(await take({ from: OTHER })).toBe('stored');
    expect(rig.journaled).toMatchObject([{ marks: { keep: null, relay: true } }]);
    expect([rig.live, rig.replied]).toMatchObject([[], [{ device: 'tracker-2', relay: true }]]);
  });
});

describe('a text is read', () => {
  it.each<[what: string, record: Readonly<Record<string, unknown>> & { readonly id?: string }, text: string, codec: string]>([
    ['by the protocol of the device', { protocol: 'h02' }, LINK, 'h02'],
    ['by the protocol of the device, which it names', { id: IMEI, protocol: 'queclink' }, REPORT, 'queclink'],
    ['as the report it is, also of a device that is known to speak another', { id: IMEI, protocol: 'jt808' }, REPORT, 'queclink'],
    ['as the report it is, of a device whose protocol is not known', { id: IMEI }, REPORT, 'queclink'],
    ['as the report that names its unit', { unit: IMEI, protocol: 'queclink' }, REPORT, 'queclink'],
    ['as the report that names its alias', { aliases: ['x-1', IMEI], protocol: 'queclink' }, REPORT, 'queclink'],
    ['as words where its protocol reads no texts', { protocol: 'jt808' }, LINK, 'gt06'],
    ['as words where it names another device', { protocol: 'queclink' }, REPORT, 'gt06'],
    ['as words where it names another device, of one without a protocol', {}, REPORT, 'gt06'],
    ['as words where it is a broken report', { id: IMEI, protocol: 'queclink' }, BROKEN, 'gt06'],
    ['as words by the protocol of the device, which knows no reports', { protocol: 'gt06' }, REPORT, 'gt06'],
  ])('%s (3)', async (_what, { id = 'tracker-2', ...record }, text, codec) => {
    rig.add(id, { phone: OTHER, ...record });
    expect(await take({ from: OTHER, text })).toBe('stored');
    expect(rig.journaled).toMatchObject([{ device: id, codec, text }]);
    expect(rig.replied[0]?.kind).toBe(codec === 'gt06' && text !== LINK ? FrameKind.Reply : FrameKind.Records);
  });

  const local = Date.UTC(2026, 9, 29, 11, 11, 43);
  it.each<[what: string, record: object, profile: object, text: string, time: number, kept: object]>([
    ['by the clock of the device as it was learned', {}, { clock: 60 }, DATED, local - 3_600_000, { clock_offset: 60 }],
    ['without what another codec has learned', {}, { clock: 60, codec: 'h02' }, DATED, local, {}],
    ['by the zone of its record', { options: { time_zone: '+02:00' } }, { clock: 60 }, DATED, local - 7_200_000, { time_zone: '+02:00' }],
    ['as it stands, when nothing is known', {}, {}, DATED, local, {}],
    ['as it stands, without a protocol', { protocol: undefined }, { clock: 60 }, DATED, local, {}],
  ])('%s', async (_what, record, profile, text, time, kept) => {
    rig.add('tracker-2', { phone: OTHER, protocol: 'gt06', unit: 'unit-2', ...record });
    rig.profiles.set('unit-2', { codec: 'gt06', memo: 0, updated: 0, ...profile });
    rig.profiles.set('tracker-2', { codec: 'gt06', memo: 0, updated: 0, clock: 17 });
    await take({ from: OTHER, text });
    expect([rig.replied[0]?.time, rig.live[0]?.[5]]).toEqual([time, time]);
    expect(rig.journaled[0]?.options).toEqual({ integrity: 'count', variant: 'auto', time_zone: 'auto', ...kept });
  });

  it.each<[what: string, codec: string, memo: number]>([
    ['what of the memo outlives a connection', 'queclink', 1],
    ['no memo of another codec', 'gt06', 0],
  ])('with %s', async (_what, codec, memo) => {
    rig.add(IMEI, { phone: OTHER, protocol: 'queclink' });
    rig.profiles.set(IMEI, { codec, memo: 1, updated: 0 });
    await take({ from: OTHER, text: REPORT });
    expect(rig.journaled).toMatchObject([{ codec: 'queclink', memo }]);
  });

  it('by itself, when others are read at the same time', async () => {
    rig.add('tracker-2', { phone: OTHER, state: 'suspended' });
    const [ready, open] = gate();
    rig.profilesReady = ready;
    // Each is judged by its own words, and told to others with them.
    const taken = [take({ from: OTHER, text: SOS }), take({ text: 'RELAY OK' }), take({ from: OTHER, text: LINK })];
    open();
    expect(await Promise.all(taken)).toEqual(['stored', 'stored', 'withheld']);
    expect(rig.replied).toEqual([
      expect.objectContaining({ device: 'tracker-2', words: SOS, text: SOS, kind: FrameKind.Records }),
      expect.objectContaining({ device: 'tracker-1', words: 'RELAY OK', text: 'RELAY OK', kind: FrameKind.Reply }),
    ]);
  });

  it('by no codec, when none reads texts: it has not arrived', async () => {
    await rig.stop();
    rig = new TextRig([jt808]);
    await expect(take({ id: 'one' })).rejects.toMatchObject({ code: 'CODEC_UNKNOWN' });
    expect([(await markOf('one'))?.done, rig.journaled]).toEqual([undefined, []]);
  });
});
