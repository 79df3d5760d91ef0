import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isSignedByTwilio } from '../../src/api/text-signature.ts';
import { Secret } from '../../src/base/secret.ts';
import { jsonText, type Signed, SMS_SECRET, TWILIO_TOKEN, twilioText } from '../support/text-sender.ts';
import { type Answer, Api, fieldsOf } from './rig.ts';

/** POST /v1/sms/inbound in one process; numbers quote the invariants of src/in/sms/inbox.ts. */

const PUBLIC = 'https://fixgate.example.org';
const PATH = '/v1/sms/inbound';
const LINK = 'http://maps.google.com/maps?q=N22.571707,E113.857025';
const NUMBER = '+46701234567';
const YAML = `sms: {key: '${SMS_SECRET}', twilioToken: '${TWILIO_TOKEN}'}\nhttp: {publicUrl: '${PUBLIC}'}\n`;

let api: Api;
let closed: Api;
let ids = 0;

beforeAll(async () => {
  [api, closed] = [
    await Api.start(['admin'], {}, { yaml: YAML }),
    await Api.start(['admin'], {}, { yaml: `${YAML}registry: {mode: closed}\n` }),
  ];
  for (const [id, more] of [
    ['tracker-1', { phone: NUMBER, protocol: 'gt06', transport: 'tcp', account: 'acme' }],
    ['tracker-2', { phone: '+46700000002', state: 'terminated' }],
    ['tracker-3', { phone: '+46700000003', state: 'suspended' }],
    ['860599000306845', { phone: '+46700000004', protocol: 'queclink' }],
  ] as const)
    expect((await api.call('PUT', `/v1/devices/${id}`, more)).status).toBe(201);
});
afterAll(async () => {
  await api.stop();
  await closed.stop();
});

async function send({ body, headers }: Signed, to = api): Promise<Answer> {
  return to.call('POST', PATH, body, { ...headers, authorization: '' });
}

function message(more: object = {}): { id: string; from: string; text: string } {
  return { id: `m-${ids++}`, from: NUMBER, text: LINK, ...more };
}

/** What it has journaled, and the answer. */
async function sent(text: ReturnType<typeof message>, to = api): Promise<[status: number, devices: string[]]> {
  const before = to.texts.length;
  const { status } = await send(jsonText(text), to);
  return [status, to.texts.slice(before).map(({ origin }) => origin.device)];
}

describe('a signed message', () => {
  it('is journaled raw, as of the device that has the number, before the answer (1)', async () => {
    const one = message();
    const answer = await send(jsonText(one));
    expect([answer.status, answer.body]).toEqual([200, { id: one.id }]);
    const frame = api.texts.at(-1);
    expect(Buffer.from(frame?.bytes ?? []).toString()).toBe(LINK);
    expect(frame?.rows).toBe(1);
    expect([
      frame?.origin.device,
      frame?.origin.definition.codec,
      frame?.origin.definition.transport,
      frame?.origin.definition.account,
    ]).toEqual(['tracker-1', 'gt06', 'sms', 'acme']);
  });

  it("in Twilio's form is answered with TwiML", async () => {
    const url = `${PUBLIC}${PATH}`;
    const given = { MessageSid: 'SM1', AccountSid: 'AC1', From: NUMBER, To: '+46700000099', Body: 'åäö & 1+1=2', NumMedia: '0' };
    const answer = await send(twilioText(url, given));
    expect([answer.status, answer.type]).toEqual([200, 'text/xml']);
    expect(Buffer.from(api.texts.at(-1)?.bytes ?? []).toString()).toBe('åäö & 1+1=2');
    expect((await send(twilioText(url, given, 'other'))).status).toBe(401);
    expect((await send(twilioText('http://127.0.0.1/v1/sms/inbound', given))).status).toBe(401);
    expect(fieldsOf(await send(twilioText(url, { MessageSid: 'SM2', From: 'Bank', Body: 'x' })))).toEqual(['From']);
  });

  it("is checked as the example of Twilio's documentation", () => {
    const given = { CallSid: 'CA1234567890ABCDE', Caller: '+14158675310', Digits: '1234', From: '+14158675310', To: '+18005551212' };
    const url = 'https://example.com/myapp.php?foo=1&bar=2';
    const signature = 'L/OH5YylLD5NRKLltdqwSvS0BnU=';
    expect(isSignedByTwilio(new Secret('12345'), url, new URLSearchParams(given), signature)).toBe(true);
    expect(isSignedByTwilio(new Secret(''), url, new URLSearchParams(given), signature)).toBe(false);
  });

  it('is taken once, however often and however close together it comes (2)', async () => {
    const one = message({ id: 'twice' });
    const before = api.texts.length;
    const answers = await Promise.all([one, one, one].map((text) => send(jsonText(text))));
    answers.push(await send(jsonText(one)));
    expect(answers.map(({ status, body }) => [status, body])).toEqual(answers.map(() => [200, { id: 'twice' }]));
    expect(api.texts.length - before).toBe(1);
  });

  it('counts in the usage, apart from bytes and records (5)', async () => {
    const { body } = await api.call('GET', '/v1/devices/tracker-1/usage');
    expect(body['cycles']).toMatchObject([{ bytes_in: 0, records: 0, billed_bytes: 0, texts_in: 3 }]);
  });

  it('changes nothing of the way of commands, or of what is known of the device (3)', async () => {
    const { body } = await api.call('GET', '/v1/devices/tracker-1');
    expect(body).toMatchObject({ protocol: 'gt06', transport: 'tcp' });
    expect(await api.office.state.get('standing', 'tracker-1')).toBeUndefined();
  });

  it('shows where the device is', async () => {
    const { body } = await api.call('GET', '/v1/positions');
    expect(JSON.stringify(body)).toContain('22.571707');
  });

  it('that names another device is read as words, for its sender only (3)', async () => {
    const report =
      '+RESP:GTFRI,1A0200,860599000306845,G3-313,0,0,4,1,2.1,0,426.7,8.611466,47.681639,20181214134603,0228,0001,077F,4812,,34,20181214134603,0E50$';
    expect(await sent(message({ from: '+46700000004', text: report }))).toEqual([200, ['860599000306845']]);
    expect(api.texts.at(-1)?.origin.definition.codec).toBe('queclink');
    expect(await sent(message({ text: report }))).toEqual([200, ['tracker-1']]);
    expect(api.texts.at(-1)?.origin.definition.codec).toBe('gt06');
  });

  it('of a terminated device is not kept, of a suspended one only an alarm of a person (5)', async () => {
    expect(await sent(message({ from: '+46700000002' }))).toEqual([200, []]);
    expect(await sent(message({ from: '+46700000003' }))).toEqual([200, []]);
    expect(await sent(message({ from: '+46700000003', text: `SOS alarm! ${LINK}` }))).toEqual([200, ['tracker-3']]);
  });

  it('of a number that no device has is that of a stranger, which an open registry serves (4)', async () => {
    expect(await sent(message({ from: '0046 799 99' }))).toEqual([200, ['sms:4679999']]);
    expect(await sent(message({ from: '+46 79999' }))).toEqual([200, ['sms:4679999']]);
  });

  it('of such a number waits in the quarantine of a closed one, and the gateway is told the same (4)', async () => {
    const one = message({ from: '+46700000009' });
    expect(await sent(one, closed)).toEqual([200, []]);
    const { body } = await closed.call('GET', '/v1/quarantine');
    expect(body).toMatchObject({
      devices: [{ id: 'sms:46700000009', transport: 'sms', protocol: 'gt06', frames: [Buffer.from(LINK).toString('hex')] }],
    });
    expect(closed.events).toContainEqual({ device: 'sms:46700000009', type: 'device_unknown', protocol: 'gt06', transport: 'sms' });
  });

  it('that the journal refuses is not answered as arrived, and comes again (1)', async () => {
    const one = message();
    api.refuses = 'disk full';
    expect((await send(jsonText(one))).status).toBe(503);
    api.refuses = '';
    const before = api.texts.length;
    expect((await send(jsonText(one))).status).toBe(200);
    expect(api.texts.length - before).toBe(1);
  });
});

describe('refused is', () => {
  const MINUTE = 60_000;
  it.each<[what: string, signed: () => Signed, status: number, fields: string[]]>([
    ['another key', () => jsonText(message(), { secret: 'another secret of this length' }), 401, []],
    ['an old request', () => jsonText(message(), { at: Date.now() - 6 * MINUTE }), 401, []],
    ['one of the future', () => jsonText(message(), { at: Date.now() + 6 * MINUTE }), 401, []],
    ['a body that was changed', () => ({ ...jsonText(message()), body: JSON.stringify(message()) }), 401, []],
    ['one without a signature', () => ({ body: JSON.stringify(message()), headers: { 'content-type': 'application/json' } }), 401, []],
    ['one without a number', () => jsonText({ id: 'x', text: 'x' }), 400, ['from']],
    ['a number without a country', () => jsonText(message({ from: '070123' })), 400, ['from']],
    ['an unknown field', () => jsonText({ ...message(), colour: 'red' }), 400, ['colour']],
    ['no text', () => jsonText(message({ text: '' })), 400, ['text']],
    ['what is not JSON', () => ({ ...jsonText([]) }), 400, ['']],
    ['another type', () => ({ body: 'x', headers: { 'content-type': 'text/plain' } }), 415, ['content-type']],
    ['one that is too large', () => jsonText(message({ text: 'x'.repeat(70_000) })), 413, []],
  ])('%s', async (_what, signed, status, fields) => {
    const before = api.texts.length;
    const answer = await send(signed());
    expect([answer.status, ...fieldsOf(answer).map((field) => (field === 'body' ? '' : field))]).toEqual([status, ...fields]);
    expect(answer.text).not.toContain(SMS_SECRET);
    expect(api.texts.length).toBe(before);
  });

  it('everything without a key', async () => {
    const bare = await Api.start();
    expect((await send(jsonText(message(), { secret: '' }), bare)).status).toBe(401);
    await bare.stop();
  });
});
