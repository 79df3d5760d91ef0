import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { ApiServer } from '../support/api-server.ts';
import { jsonText, SMS_SECRET } from '../support/text-sender.ts';
import { eventually } from '../support/wait.ts';

/** Commands by text message on a whole server, through a double that behaves as the documentation of Twilio's Messages API says. */

const PHONE = '+46701234567';
const FROM = '+15005550006';
const ACCOUNT = 'AC00000000000000000000000000000001';
const TOKEN = 'a-token-of-the-gateway-that-nobody-sees';
const PATH = `/2010-04-01/Accounts/${ACCOUNT}/Messages.json`;

interface Asked {
  readonly authorization: string;
  readonly url: string;
  readonly message: Readonly<Record<string, string>>;
}
const asked: Asked[] = [];
let gateway: Server;
let server: ApiServer;

/** 401 without the account's token, 400 with code 21211 for a number that is none, else 201 and the resource. */
function answer({ authorization, message }: Asked): readonly [status: number, body: object] {
  const expected = `Basic ${Buffer.from(`${ACCOUNT}:${TOKEN}`).toString('base64')}`;
  if (authorization !== expected) return [401, { code: 20003, message: 'Authenticate', status: 401 }];
  if (!/^\+[1-9]\d{7,14}$/.test(message['To'] ?? '')) return [400, { code: 21211, message: "Invalid 'To' Phone Number", status: 400 }];
  const sid = `SM${String(asked.length).padStart(32, '0')}`;
  return [201, { sid, account_sid: ACCOUNT, status: 'queued', to: message['To'], from: message['From'], body: message['Body'] }];
}

beforeAll(async () => {
  gateway = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += String(chunk);
    });
    request.on('end', () => {
      const { authorization = '' } = request.headers;
      const one = { authorization, url: request.url ?? '', message: Object.fromEntries(new URLSearchParams(body)) };
      asked.push(one);
      const [status, told] = answer(one);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(told));
    });
  });
  await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
  const { port } = gateway.address() as AddressInfo;
  server = await ApiServer.start({
    FIXGATE_WORKERS: '1',
    FIXGATE_LOG_LEVEL: 'debug',
    FIXGATE_SMS_KEY: SMS_SECRET,
    FIXGATE_SMS_GATEWAY_URL: `http://127.0.0.1:${port}${PATH}`,
    FIXGATE_SMS_GATEWAY_FROM: FROM,
    FIXGATE_SMS_GATEWAY_USER: ACCOUNT,
    FIXGATE_SMS_GATEWAY_TOKEN: TOKEN,
  });
});
afterAll(async () => {
  await server.running.stop();
  gateway.closeAllConnections();
  await new Promise((resolve) => gateway.close(resolve));
});

const ID = '860599000306845';
const DEVICE = `/v1/devices/${ID}`;
const version = (sent: string): string => `+RESP:GTVER,1A0800,${ID},GL300,GL300,0A03,0103,${sent},10F8$`;

async function commanded(via: string): Promise<string> {
  const { status, body } = await server.call('POST', `${DEVICE}/commands`, { type: 'version', via });
  expect([status, body]).toMatchObject([201, { state: 'queued' }]);
  return `${DEVICE}/commands/${String(body['id'])}`;
}

const ends = (command: string, expected: object): Promise<void> =>
  eventually(async () => expect((await server.call('GET', command)).body).toMatchObject(expected));

describe('a command to a device with a telephone number', () => {
  it('goes through the gateway, is answered by a text, and is metered apart; the token is nowhere', async () => {
    expect((await server.call('PUT', DEVICE, { protocol: 'queclink', phone: PHONE, options: { model: 'gl300' } })).status).toBe(201);
    const command = await commanded('sms');
    await ends(command, { state: 'sent', texted: `SM${'1'.padStart(32, '0')}` });
    expect(asked).toMatchObject([{ url: PATH, message: { To: PHONE, From: FROM } }]);
    expect(asked[0]?.message['Body']).toMatch(/^AT\+GTRTO=gl300,8,,,,,,[0-9A-F]{4}\$$/);

    const { body, headers } = jsonText({ id: 'm-1', from: PHONE, text: version('20261007041531') });
    expect((await fetch(`${server.url}/v1/sms/inbound`, { method: 'POST', body, headers })).status).toBe(200);
    await ends(command, { state: 'answered', reply: 'GTVER,GL300,0A03,0103' });

    // Connected: the connection takes it, and the gateway is not asked.
    const device = await TcpDevice.connect(await server.running.port('queclink'));
    try {
      device.send(Buffer.from(`+RESP:GTPDP,1A0800,${ID},GL300,20261007041600,10F9$`));
      await eventually(async () => expect((await server.call('GET', `${DEVICE}/state`)).body).toMatchObject({ connected: true }));
      const other = await commanded('any');
      await device.until(({ received }) => received.includes('AT+GTRTO=gl300,8,'));
      device.send(Buffer.from(version('20261007041700')));
      await ends(other, { state: 'answered', reply: 'GTVER,GL300,0A03,0103' });
    } finally {
      device.close();
    }
    expect(asked.length).toBe(1);
    const usage = await server.call('GET', `${DEVICE}/usage`);
    expect(usage.body['cycles']).toMatchObject([{ texts_in: 1, texts_out: 1 }]);

    const said = [
      JSON.stringify(server.running.log),
      server.running.stderr,
      ...(await Promise.all(
        [command, `${DEVICE}/commands`, '/v1/audit', '/metrics'].map(async (path) => (await server.fetch(path)).text()),
      )),
    ];
    for (const text of said) {
      expect(text).not.toContain(TOKEN);
      expect(text).not.toContain(Buffer.from(`${ACCOUNT}:${TOKEN}`).toString('base64'));
    }
  });
});
