import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { silentLog } from '../../src/base/log.ts';
import { SecretUrl } from '../../src/base/secret.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { httpLocator } from '../../src/in/session/http-locator.ts';
import { Places } from '../../src/in/session/places.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';
import { eventually, remains } from '../support/wait.ts';

/** 18: where a device is that sends cells or access points and no position. */

const lines = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
const fixture = (id: string): Uint8Array => bytesOf(lines.get(id) ?? '');
const FOUND = { status: 200, body: { location: { lat: 22.5, lng: 113.9 }, accuracy: 812.4 } };
const NOT_FOUND = { status: 404, body: { error: { code: 404 } } };

let service: http.Server;
let asked: Record<string, unknown>[];
let answer: { status: number; body: object } | undefined;
let clock: FakeClock;
let outcomes: string[];
let journal: MemoryJournal;
let link: RecordedLink;

beforeEach(async () => {
  // What a test still has under way when it ends says nothing of the next one.
  const questions: Record<string, unknown>[] = [];
  asked = questions;
  outcomes = [];
  answer = FOUND;
  clock = new FakeClock();
  journal = new MemoryJournal(Number.MAX_SAFE_INTEGER - 1);
  link = new RecordedLink();
  service = http.createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += chunk));
    request.on('end', () => {
      questions.push(JSON.parse(text));
      if (answer === undefined) return;
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
});

function connect(privacy: 'store' | 'relay' = 'store'): Intake {
  const address = service.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const locator = httpLocator(new SecretUrl(`http://127.0.0.1:${port}/v1/geolocate?key=secret`));
  const own = outcomes;
  const places = new Places(
    locator,
    silentLog,
    () => clock.elapsed(),
    (outcome) => own.push(outcome),
  );
  const lookup = (id: string, found: (known: DeviceLookup) => void): void =>
    found(new DeviceLookup(id, deviceSchema.parse({ id, privacy }), false, false));
  const host = intakeHost({ journal, clock, places, registry: { lookup, seen: () => {} } });
  const intake = new Intake(host, gt06, 'tcp', '192.0.2.1:4000', link);
  intake.push(fixture('login-utc'));
  return intake;
}

const located = (): object[] => journal.events.filter(({ type }) => type === 'located');

describe('18: cells without a position', () => {
  it('are asked about once, without the device’s id, and the place is an event; the record waits for nothing', async () => {
    answer = undefined;
    const intake = connect();
    intake.push(fixture('28-1'));
    expect(journal.frames).toHaveLength(1);
    await eventually(() => expect(asked).toHaveLength(1));
    const [question] = asked;
    expect(question).toMatchObject({ considerIp: false, wifiAccessPoints: [] });
    expect(question?.['cellTowers']).toContainEqual(
      expect.objectContaining({ mobileCountryCode: 460, mobileNetworkCode: 0, locationAreaCode: 10365, cellId: 8049 }),
    );
    expect(JSON.stringify(question)).not.toContain('123456789012345');
    expect(located()).toEqual([]);
    service.closeAllConnections();
    await eventually(() => expect(outcomes).toEqual(['failed']));
    // It is left alone for a while.
    answer = FOUND;
    intake.push(fixture('28-1'));
    expect(outcomes).toEqual(['failed', 'dropped']);
    clock.step(31_000);
    intake.push(fixture('28-1'));
    await eventually(() => expect(located()).toHaveLength(1));
    expect(located()).toMatchObject([
      {
        device: '123456789012345',
        lat: 22.5,
        lon: 113.9,
        accuracy_m: 812,
        valid: false,
        source: 'cells',
        time: Date.UTC(2016, 0, 13, 2, 2, 2),
      },
    ]);
    intake.push(fixture('28-1'));
    await remains(() => expect([asked.length, located().length]).toEqual([2, 1]));
  });

  it('that the service does not know are no event, and are not asked about again', async () => {
    answer = NOT_FOUND;
    const intake = connect();
    intake.push(fixture('28-1'));
    await eventually(() => expect(outcomes).toEqual(['unknown']));
    connect().push(fixture('28-1'));
    intake.push(fixture('2c-1'));
    await eventually(() => expect(asked.length).toBeGreaterThan(1));
    expect(located()).toEqual([]);
  });

  it.each<object>([
    {},
    { location: { lat: 91, lng: 0 }, accuracy: 1 },
    { location: { lat: '1', lng: 0 }, accuracy: 1 },
    { location: { lat: 1, lng: 0 } },
  ])('are no event when the answer is %j', async (body) => {
    answer = { status: 200, body };
    connect().push(fixture('28-1'));
    await eventually(() => expect(outcomes).toEqual(['failed']));
    expect(located()).toEqual([]);
  });

  it('of a relayed device, and records with a position, are never asked about', async () => {
    connect('relay').push(fixture('28-1'));
    connect().push(fixture('22-1'));
    await remains(() => expect([asked, located()]).toEqual([[], []]));
  });
});
