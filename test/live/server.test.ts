import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { STATUS_ROUTES } from '../../src/api/status.ts';
import { fixgate } from '../cli/command.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { EventReader } from '../support/event-reader.ts';
import { eventually, remains } from '../support/wait.ts';

/** What people see of a whole server while it works. */

let server: ApiServer;
const devices: TcpDevice[] = [];
beforeAll(async () => {
  server = await ApiServer.start();
});
afterAll(async () => {
  for (const device of devices) device.close();
  // The last test has ended it, as far as it came.
  if ((await server.running.stop()) !== null) await server.running.removeData();
});

/** A Teltonika device that has sent these records and has its answers. */
async function device(imei: string, ...records: Uint8Array[]): Promise<TcpDevice> {
  const made = await TcpDevice.connect(await server.running.port('teltonika'));
  devices.push(made);
  for (const frame of [handshake(imei), ...records]) made.send(frame);
  await made.until(({ received }) => received.length >= 1 + 4 * records.length);
  return made;
}

const live = (query = '', lastId = '', token = server.token): Promise<EventReader> =>
  EventReader.open(`${server.url}/v1/live${query}`, token, lastId);
const rowsOf = (body: Record<string, unknown>): unknown[][] => (Array.isArray(body['rows']) ? body['rows'] : []);

describe('GET /v1/status', () => {
  it('shows what the processes report, as its schema says', async () => {
    await device('356307042441013', packet(Date.now()));
    const schema = STATUS_ROUTES[0]?.answers[200]?.schema ?? z.never();
    await eventually(async () => {
      const { status, body } = await server.call('GET', '/v1/status');
      expect(status).toBe(200);
      expect(schema.safeParse(body)).toMatchObject({ success: true });
      expect(body).toMatchObject({ ready: { status: 'ready' }, devices: { connected: 1, known: 1 }, journal: { state: 'open' } });
      expect(body['sinks']).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'clickhouse', state: 'up' })]));
      expect(body['processes']).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ name: 'worker-0', state: 'up', restarts: 0 }),
          expect.objectContaining({ name: 'shipper', state: 'up' }),
        ]),
      );
    });
    expect((await (await server.as('devices')).call('GET', '/v1/status')).status).toBe(403);
  });
});

describe('positions', () => {
  it('are there as soon as they are on the disk, and come by the feed when they change', async () => {
    const imei = '356307042441021';
    const made = await device(imei, packet(Date.now()));
    const at = await eventually(async () => {
      const { status, body } = await server.call('GET', `/v1/positions?device=${imei}`);
      expect(status).toBe(200);
      expect(body['columns']).toEqual(['device', 'lat', 'lon', 'speed_kmh', 'course_deg', 'time', 'received', 'state', 'via']);
      expect(rowsOf(body)).toEqual([[imei, 59.3293, 18.0686, 0, 0, expect.any(Number), expect.any(Number), 'standing', 'live']]);
      return String(body['at']);
    });
    const stream = await live(`?topics=positions&device=${imei}`, at);
    made.send(packet(Date.now(), 44));
    await eventually(() => expect(stream.rows.at(-1)?.slice(0, 4)).toEqual([imei, 59.3293, 18.0686, 44]));
    expect(stream.rows.at(-1)?.[7]).toBe('moving');
    expect(stream.events[0]).toMatchObject({ event: 'hello', data: { every: 1, topics: ['positions'] } });
    // Gone for a moment: what came meanwhile comes first.
    const last = stream.of('positions').at(-1)?.id ?? '';
    stream.close();
    made.send(packet(Date.now() + 1, 55));
    const again = await live(`?topics=positions&device=${imei}`, last);
    await eventually(() => expect(again.rows.at(-1)?.[3]).toBe(55));
    made.close();
    await eventually(() => expect(again.rows.at(-1)?.[7]).toBe('offline'));
    expect(again.of('reset')).toEqual([]);
    again.close();
    const elsewhere = await live('?topics=positions', 'abc123-7');
    await eventually(() => expect(elsewhere.of('reset')[0]?.data).toEqual({ reason: 'restarted' }));
    elsewhere.close();
  });

  it('are chosen by box, state and page', async () => {
    const imei = '356307042441039';
    await device(imei, packet(Date.now()));
    const devicesOf = async (query: string): Promise<unknown[]> =>
      rowsOf((await server.call('GET', `/v1/positions?${query}`)).body).map(([id]) => id);
    // Where it is and that it is connected are told apart.
    await eventually(async () => expect(await devicesOf('bbox=18,59,19,60&state=standing')).toContain(imei));
    expect(await devicesOf('bbox=0,0,1,1')).toEqual([]);
    expect(await devicesOf('state=silent')).toEqual([]);
    const all = await devicesOf('');
    const first = await server.call('GET', '/v1/positions?limit=1');
    const second = await server.call('GET', `/v1/positions?limit=1000&after=${String(first.body['next'])}`);
    expect([...rowsOf(first.body), ...rowsOf(second.body)].map(([id]) => id)).toEqual(all);
    expect(second.body['next']).toBeUndefined();
  });

  it('need the scope `locations`; the feed has what the token allows', async () => {
    const reader = await server.as('read');
    expect((await reader.call('GET', '/v1/positions')).status).toBe(403);
    expect((await reader.call('GET', '/v1/live?topics=positions')).status).toBe(403);
    expect((await reader.call('GET', '/v1/devices/356307042441021/export')).status).toBe(403);
    const other = await server.as('devices');
    expect((await other.call('GET', '/v1/live')).status).toBe(403);
    const stream = await live('', '', reader.token);
    await eventually(() => expect(stream.of('status').length).toBeGreaterThan(0));
    expect(stream.events[0]?.data['topics']).toEqual(['events', 'status']);
    expect(stream.of('status')[0]?.data).toMatchObject({ ready: { status: 'ready' } });
    expect(stream.of('status')[0]?.data['series']).toBeUndefined();
    stream.close();
  });

  it('of a relayed device are nowhere, also when it becomes one', async () => {
    const [relayed, later] = ['356307042441047', '356307042441054'];
    await server.call('PUT', `/v1/devices/${relayed}`, { privacy: 'relay' });
    const stream = await live('?topics=positions');
    await device(relayed, packet(Date.now()));
    await device(later, packet(Date.now()));
    await eventually(() => expect(stream.rows.map(([id]) => id)).toContain(later));
    await server.call('PUT', `/v1/devices/${later}`, { privacy: 'relay' });
    await eventually(() => expect(stream.of('gone').map(({ data }) => data)).toContainEqual({ devices: [later] }));
    for (const made of devices.slice(-2)) made.send(packet(Date.now() + 10, 7));
    const { body } = await server.call('GET', '/v1/positions');
    await remains(() => expect(stream.rows.filter(([id, , , speed]) => id === relayed || speed === 7)).toEqual([]), 1500);
    expect(rowsOf(body).map(([id]) => id)).not.toContain(relayed);
    expect(rowsOf(body).map(([id]) => id)).not.toContain(later);
    stream.close();
  });

  it('of an erased device are gone at once, for those who look, too, and from the table of last positions', async () => {
    const imei = '356307042441062';
    const stored = (): Promise<string> =>
      server.running.query(`SELECT count() FROM last_positions WHERE device = '${imei}'`).then((text) => text.trim());
    await device(imei, packet(Date.now() - 1000));
    const stream = await live('?topics=positions');
    await eventually(async () => expect(rowsOf((await server.call('GET', `/v1/positions?device=${imei}`)).body)).toHaveLength(1));
    await eventually(async () => expect(await stored()).toBe('1'));
    expect((await server.call('DELETE', `/v1/devices/${imei}/data?wait=120`)).status).toBe(200);
    await eventually(() => expect(stream.of('gone').map(({ data }) => data)).toContainEqual({ devices: [imei] }));
    expect(rowsOf((await server.call('GET', `/v1/positions?device=${imei}`)).body)).toEqual([]);
    expect(await stored()).toBe('0');
    stream.close();
  });
});

describe('the past', () => {
  const imei = '356307042441088';
  const start = Date.now() - 7_200_000;
  const minutes = 60;
  beforeAll(async () => {
    // A record a minute, but for a gap of 15 minutes in the middle.
    const times = Array.from({ length: minutes }, (_, n) => start + 60_000 * (n < 30 ? n : n + 15));
    await device(imei, ...times.map((time, n) => packet(time, n === 40 ? 99 : 10)));
    await eventually(async () =>
      expect((await server.running.query(`SELECT count() FROM positions FINAL WHERE device = '${imei}'`)).trim()).toBe('60'),
    );
  });

  it('is a track: all of it, or thinned with its gaps and the fastest', async () => {
    const track = async (query = ''): Promise<Record<string, unknown>> => {
      const { status, body } = await server.call('GET', `/v1/devices/${imei}/positions?from=${start}&${query}`);
      expect(status).toBe(200);
      return body;
    };
    const all = await track();
    expect(all).toMatchObject({ device: imei, total: minutes, thinned: false });
    expect(all['columns']).toEqual(['time', 'lat', 'lon', 'speed_kmh', 'course_deg', 'altitude_m', 'event', 'flags']);
    expect(rowsOf(all)[0]).toEqual([start, 59.3293, 18.0686, 10, 0, 0, '', ['buffered']]);
    const few = await track('points=10');
    const times = rowsOf(few).map(([time]) => (Number(time) - start) / 60_000);
    expect([few['total'], few['thinned'], times.length < 20]).toEqual([minutes, true, true]);
    // Both ends of the gap, the fastest, the first and the last.
    for (const minute of [0, 29, 45, 55, 74]) expect([minute, times]).toEqual([minute, expect.arrayContaining([minute])]);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('is a file of another format', async () => {
    const text = async (format: string): Promise<string> =>
      (await server.fetch(`/v1/devices/${imei}/positions?from=${start}&format=${format}`)).text();
    const [ndjson, csv, geojson, gpx] = await Promise.all(['ndjson', 'csv', 'geojson', 'gpx'].map(text));
    expect(ndjson?.trim().split('\n')).toHaveLength(minutes);
    expect(JSON.parse(ndjson?.split('\n')[0] ?? '')).toEqual({
      time: start,
      lat: 59.3293,
      lon: 18.0686,
      speed_kmh: 10,
      course_deg: 0,
      altitude_m: 0,
      flags: ['buffered'],
    });
    expect(csv?.split('\r\n').slice(0, 2)).toEqual([
      'time,lat,lon,speed_kmh,course_deg,altitude_m,event,flags',
      `${start},59.3293,18.0686,10,0,0,,buffered`,
    ]);
    expect(JSON.parse(geojson ?? '').features[0]).toMatchObject({
      geometry: { type: 'Point', coordinates: [18.0686, 59.3293, 0] },
      properties: { device: imei, time: start, speed_kmh: 10 },
    });
    expect(gpx?.match(/<trkpt /g)).toHaveLength(minutes);
    expect(gpx?.match(/<trkseg>/g)).toHaveLength(2);
    expect(gpx).toContain(`<time>${new Date(start).toISOString()}</time>`);
    const rest = await (
      await server.fetch(`/v1/devices/${imei}/positions?from=${start}&format=ndjson&after=${start + 60_000 * 70}`)
    ).text();
    expect(rest.trim().split('\n')).toHaveLength(4);
  });

  it('of places needs `locations` and leaves an event, once for each caller', async () => {
    expect((await (await server.as('read')).call('GET', `/v1/devices/${imei}/positions`)).status).toBe(403);
    const events = async (): Promise<object[]> =>
      Object((await server.call('GET', `/v1/events?device=${imei}&type=viewed`)).body['events']);
    await eventually(async () =>
      expect(await events()).toMatchObject([{ type: 'viewed', device: imei, data: { what: 'track', by: 'tester' } }]),
    );
    const officer = await server.as('locations');
    await officer.call('GET', `/v1/devices/${imei}/positions`);
    await officer.call('GET', `/v1/devices/${imei}/positions`);
    await eventually(async () => expect(await events()).toHaveLength(2));
    for (const [query, field] of [
      ['from=5&to=4', 'from'],
      ['from=0', 'from'],
      ['after=5', 'after'],
      ['points=0', 'points'],
    ])
      expect((await server.call('GET', `/v1/devices/${imei}/positions?${query}`)).body['problems']).toMatchObject([{ field }]);
  });

  it('is a list of events, newest first, in pages', async () => {
    const all = await server.call('GET', '/v1/events?limit=1000');
    const list: { id: string; time: number; type: string }[] = Object(all.body['events']);
    expect(all.body['source']).toBe('clickhouse');
    expect(list.map(({ time }) => time)).toEqual(list.map(({ time }) => time).toSorted((a, b) => b - a));
    const paged: string[] = [];
    for (let next = ''; ; ) {
      const { body } = await server.call('GET', `/v1/events?limit=7&to=${list[0]?.time}${next}`);
      paged.push(...Object(body['events']).map(({ id }: { id: string }) => id));
      if (body['next'] === undefined) break;
      next = `&before=${String(body['next'])}`;
    }
    expect(paged).toEqual(list.map(({ id }) => id));
    const { body } = await server.call('GET', '/v1/events?type=connected,viewed&limit=1000');
    expect(new Set(Object(body['events']).map(({ type }: { type: string }) => type))).toEqual(new Set(['connected', 'viewed']));
  });
});

describe('POST /v1/decode', () => {
  const imei = '356307042441013';
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

  it('reads bytes as the server would, and explains them', async () => {
    const sent = { hex: [text(handshake(imei)), text(packet(Date.now(), 44))] };
    const { status, body } = await server.call('POST', '/v1/decode', sent);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      protocol: 'teltonika',
      guessed: true,
      transport: 'tcp',
      pending: 0,
      noise: 0,
      messages: [
        { type: 'login', device: imei, answer: '01' },
        { type: 'records', records: [{ lat: 59.3293, speed_kmh: 44 }], answer: '00000001' },
      ],
    });
    const [, records] = Object(body['messages']);
    expect(records.explain[0]).toMatchObject({ at: 0 });
    const again = await server.call('POST', '/v1/decode', { ...sent, protocol: 'teltonika', transport: 'tcp' });
    expect(again.body['guessed']).toBe(false);
    const alone = await server.call('POST', '/v1/decode', { hex: sent.hex.slice(1), protocol: 'teltonika', device: imei });
    expect(alone.body['messages']).toMatchObject([{ device: imei, answer: '00000001' }]);
  });

  it('says what is wrong, by field', async () => {
    const hex = [text(handshake(imei))];
    for (const [body, status, field] of [
      [{ hex: ['xyz'] }, 422, 'hex.0'],
      [{ hex: ['ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'] }, 422, 'protocol'],
      [{ hex, protocol: 'morse' }, 422, 'protocol'],
      [{ hex, protocol: 'teltonika', options: { colour: 'red' } }, 422, 'options'],
      [{ hex, transport: 'pigeon' }, 400, 'transport'],
      [{ hex: [] }, 400, 'hex'],
    ] as const) {
      const answer = await server.call('POST', '/v1/decode', body);
      expect([body, answer.status, answer.body['problems']]).toEqual([body, status, [expect.objectContaining({ field })]]);
    }
  });
});

describe('the command line', () => {
  const run = (...args: string[]) => fixgate(args, '', server.env);
  const imei = '356307042441153';

  it('lists positions, events and connections, and closes one', async () => {
    await device(imei, packet(Date.now(), 12));
    await eventually(async () => {
      const { code, lines } = await run('positions', '--device', imei, '--json');
      expect([code, lines.map((line) => JSON.parse(line))]).toMatchObject([
        0,
        [{ device: imei, lat: 59.3293, speed_kmh: 12, state: 'moving' }],
      ]);
    });
    expect((await run('positions', '--bbox', '18,59,19,60', '--state', 'moving')).out).toMatch(
      new RegExp(`${imei} +moving +59.3293 +18.0686 +12`),
    );
    await eventually(async () => expect((await run('events', '--device', imei, '--type', 'connected', '--json')).lines).toHaveLength(1));
    expect((await run('events', '--device', imei)).out).toMatch(/\d{4}-\d\d-\d\dT\S+Z +356307042441153 +connected/);
    const { lines } = await run('connections', '--codec', 'teltonika', '--json');
    const own = lines.map((line) => JSON.parse(line)).find((one) => one.device === imei);
    expect((await run('connections')).out).toContain(own.peer);
    expect((await run('connections', 'close', own.id)).code).toBe(0);
    await devices.at(-1)?.until(({ ended }) => ended);
    devices.at(-1)?.close();
    await eventually(async () => expect((await run('connections', 'close', own.id)).code).toBe(1));
    expect((await run('connections', 'open')).code).toBe(2);
  });

  it('follows what happens', async () => {
    const tail = run('tail', '--device', imei, '--topics', 'positions', '--count', '1', '--json');
    const readable = run('tail', '--device', imei, '--topics', 'events', '--count', '1');
    let isOver = false;
    void Promise.all([tail, readable]).then(() => (isOver = true));
    await eventually(async () => {
      (await device(imei, packet(Date.now(), 21))).close();
      await remains(() => {}, 300);
      expect(isOver).toBe(true);
    });
    expect(JSON.parse((await tail).out)).toMatchObject({ kind: 'position', device: imei, lat: 59.3293 });
    expect((await readable).out).toMatch(/^\S+ {2}356307042441153 {2}[a-z_]+/);
    expect((await run('tail', '--count', 'x')).code).toBe(2);
  });

  it('traces, and saves what fixgate decode reads', async () => {
    const file = join(server.running.dataDir, 'trace.hex');
    let isOver = false;
    const traced = run('trace', imei, '--count', '6', '--save', file).finally(() => (isOver = true));
    await eventually(async () => {
      (await device(imei, packet(Date.now(), 30))).close();
      await remains(() => {}, 300);
      expect(isOver).toBe(true);
    });
    const { code, out } = await traced;
    expect([code, out]).toEqual([0, expect.stringMatching(/▶ in +17 B +login/)]);
    const decoded = await fixgate(
      ['decode', '--protocol', 'teltonika', '--json'],
      readFileSync(file, 'utf8').split('\n').slice(0, 2).join('\n'),
    );
    expect(decoded.out).toContain(imei);
    expect((await run('trace')).code).toBe(2);
  });

  it('shows the whole server', async () => {
    // The processes report once a second.
    await eventually(async () => {
      const { code, out } = await run('top', '--once');
      expect([code, out]).toEqual([0, expect.stringMatching(/sinks\n {2}clickhouse +up/)]);
    });
    expect(JSON.parse((await run('top', '--once', '--json')).out)).toMatchObject({ ready: { status: 'ready' } });
  });
});

describe('a trace', () => {
  const trace = (path: string, token = server.token): Promise<EventReader> => EventReader.open(`${server.url}${path}`, token);
  const frames = (stream: EventReader): Record<string, unknown>[] => stream.of('frame').map(({ data }) => data);

  it('shows what a device and the server say, field by field, from its login on', async () => {
    const imei = '356307042441112';
    const stream = await trace(`/v1/devices/${imei}/trace`);
    await eventually(() => expect(stream.of('state')[0]?.data).toEqual({ connected: false }));
    const record = packet(Date.now(), 44);
    // The workers have heard of the trace when the frames of a connection come.
    await eventually(async () => {
      const made = await device(imei);
      await eventually(() => expect(stream.of('state').at(-1)?.data).toEqual({ connected: true }));
      made.send(record);
      await made.until(({ received }) => received.length === 5);
      made.close();
      await eventually(() => expect(stream.of('state').at(-1)?.data).toEqual({ connected: false }));
      expect(frames(stream).length).toBeGreaterThanOrEqual(4);
    });
    const [login, one, data, answer] = frames(stream).slice(-4);
    const hex = Buffer.from(record).toString('hex');
    expect(login).toMatchObject({ direction: 'in', transport: 'tcp', bytes: 17, type: 'login', device: imei });
    expect(one).toMatchObject({ direction: 'out', hex: '01', bytes: 1 });
    expect(data).toMatchObject({
      direction: 'in',
      hex,
      bytes: 45,
      type: 'records',
      answer: '00000001',
      records: [{ lat: 59.3293, speed_kmh: 44 }],
    });
    const explained: { at: number; length: number }[] = Object(data?.['explain']);
    expect(explained.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThanOrEqual(45);
    expect(answer).toMatchObject({ direction: 'out', hex: '00000001' });
    expect(stream.of('state').map((event) => event.data['connected'])).toContain(true);
    stream.close();
  });

  it('of an address shows who has not said who it is', async () => {
    const stream = await trace('/v1/trace?peer=127.0.0.1&explain=false');
    await eventually(async () => {
      const made = await TcpDevice.connect(await server.running.port('gt06'));
      made.send(Buffer.from('787805130000000000000d0a', 'hex'));
      await eventually(() =>
        expect(frames(stream)).toContainEqual(expect.objectContaining({ direction: 'in', device: null, name: 'heartbeat' })),
      );
      made.close();
    });
    expect(frames(stream)[0]?.['explain']).toBeUndefined();
    stream.close();
  });

  it('needs `locations` and is not of a relayed device; one that becomes one ends it', async () => {
    const [relayed, later] = ['356307042441120', '356307042441138'];
    await server.call('PUT', `/v1/devices/${relayed}`, { privacy: 'relay' });
    expect((await trace(`/v1/devices/${relayed}/trace`)).status).toBe(409);
    const reader = await server.as('read');
    expect((await trace(`/v1/devices/${later}/trace`, reader.token)).status).toBe(403);
    expect((await trace('/v1/trace?peer=127.0.0.1', (await server.as('locations')).token)).status).toBe(403);
    const stream = await trace(`/v1/devices/${later}/trace`);
    await server.call('PUT', `/v1/devices/${later}`, { privacy: 'relay' });
    await eventually(() => expect(stream.of('ended')).toHaveLength(1));
    const around = await trace('/v1/trace?peer=127.0.0.1');
    await device(later, packet(Date.now(), 7));
    const shown = await device('356307042441146', packet(Date.now(), 8));
    shown.close();
    const text = (): string => JSON.stringify(around.events);
    await eventually(() => expect(text()).toContain('356307042441146'));
    expect(text()).not.toContain(later);
    around.close();
  });
});

describe('connections', () => {
  it('are listed, and ended when asked for; the feed has the event', async () => {
    const imei = '356307042441096';
    const made = await device(imei, packet(Date.now(), 33));
    const stream = await live(`?topics=events&device=${imei}`);
    const own = async (query = ''): Promise<Record<string, unknown>[]> =>
      Object((await server.call('GET', `/v1/connections?limit=1000${query}`)).body['connections']).filter(
        (one: Record<string, unknown>) => one['device'] === imei,
      );
    const [one] = await own();
    expect(one).toMatchObject({ transport: 'tcp', protocol: 'teltonika', bytes_in: 62, bytes_out: 5, frames: 2, malformed: 0, owed: 0 });
    expect(await own('&codec=gt06')).toEqual([]);
    await eventually(async () => expect(await own('&state=moving')).toHaveLength(1));
    const state = await server.call('GET', `/v1/devices/${imei}/state`);
    expect(state).toMatchObject({
      status: 200,
      body: {
        connected: true,
        protocol: 'teltonika',
        state: 'moving',
        held: [],
        commands_open: 0,
        flags: ['provisional'],
        place: { lat: 59.3293, speed_kmh: 33 },
      },
    });
    const reader = await server.as('read');
    expect((await reader.call('GET', `/v1/devices/${imei}/state`)).body['place']).toBeUndefined();
    expect((await reader.call('DELETE', `/v1/connections/${String(one?.['id'])}`)).status).toBe(403);
    expect(await server.call('DELETE', `/v1/connections/${String(one?.['id'])}`)).toEqual({ status: 202, body: { closed: 1 } });
    await made.until(({ ended }) => ended);
    await eventually(() =>
      expect(stream.of('event').map(({ data }) => data)).toContainEqual(
        expect.objectContaining({ type: 'disconnected', device: imei, data: expect.objectContaining({ reason: 'asked', by: 'tester' }) }),
      ),
    );
    stream.close();
    await eventually(async () => expect(await own()).toEqual([]));
    expect((await server.call('DELETE', `/v1/connections/${String(one?.['id'])}`)).status).toBe(404);
    await eventually(async () =>
      expect((await server.call('GET', `/v1/devices/${imei}/state`)).body).toMatchObject({ connected: false, state: 'offline' }),
    );
    const again = await device(imei, packet(Date.now()));
    expect((await server.call('POST', `/v1/devices/${imei}/disconnect`, {})).body).toEqual({ closed: 1 });
    await again.until(({ ended }) => ended);
    again.close();
    await eventually(async () => expect((await server.call('POST', `/v1/devices/${imei}/disconnect`, {})).status).toBe(404));
    expect((await server.call('GET', '/v1/devices/nobody-1/state')).status).toBe(404);
  });

  it('and what is known of the devices now are in the list of devices, on request', async () => {
    const imei = '356307042441104';
    await server.call('PUT', `/v1/devices/${imei}`, { aliases: ['van-Alesund'], account: 'North Sea' });
    await device(imei, packet(Date.now(), 33));
    const list = async (query: string): Promise<Record<string, unknown>[]> =>
      Object((await server.call('GET', `/v1/devices?limit=1000&${query}`)).body['devices']);
    const ids = async (query: string): Promise<unknown[]> => (await list(query)).map(({ id }) => id);
    for (const q of ['441104', 'alesund', 'north%20s']) expect(await ids(`q=${q}`)).toEqual([imei]);
    await eventually(async () => expect(await ids('q=441104&connected=false')).toEqual([]));
    expect(await ids('q=441104&connected=true&silent=false')).toEqual([imei]);
    expect(await ids('silent=true')).toEqual([]);
    await eventually(async () =>
      expect((await list('q=441104&with=live'))[0]).toMatchObject({
        id: imei,
        state: 'active',
        live: { connected: true, state: 'moving', usage_pct: 0 },
      }),
    );
    expect((await list('q=441104'))[0]?.['live']).toBeUndefined();
  });

  it('come in pages', async () => {
    const all = await server.call('GET', '/v1/connections?limit=1000');
    const ids = Object(all.body['connections']).map(({ id }: { id: string }) => id);
    const paged: string[] = [];
    for (let next = ''; ; ) {
      const { body } = await server.call('GET', `/v1/connections?limit=1${next}`);
      paged.push(...Object(body['connections']).map(({ id }: { id: string }) => id));
      if (body['next'] === undefined) break;
      next = `&after=${String(body['next'])}`;
    }
    expect([paged.length > 1, paged]).toEqual([true, ids]);
  });
});

describe('after a restart', () => {
  it('positions come from the database, and open streams were ended in order', async () => {
    const imei = '356307042441070';
    await device(imei, packet(Date.now(), 3));
    await eventually(async () =>
      expect((await server.running.query(`SELECT speed_kmh FROM last_positions FINAL WHERE device = '${imei}'`)).trim()).toBe('3'),
    );
    const stream = await live('?topics=status');
    const { dataDir } = server.running;
    for (const made of devices) made.close();
    server.running.signal('SIGTERM');
    expect(await server.running.exited).toBe(0);
    await eventually(() => expect(stream.of('ended')).toHaveLength(1));
    const known = server.token;
    server = await ApiServer.start({ FIXGATE_WORKERS: '1' }, { dataDir, known });
    await eventually(async () => {
      const { body } = await server.call('GET', `/v1/positions?device=${imei}`);
      expect(body['hydrated']).toBe(true);
      expect(rowsOf(body)).toEqual([[imei, 59.3293, 18.0686, 3, 0, expect.any(Number), expect.any(Number), 'offline', 'store']]);
    });
    const { body } = await server.call('GET', '/v1/positions');
    // Relayed before the restart, and still not shown.
    expect(rowsOf(body).map(([id]) => id)).not.toContain('356307042441054');
    await server.running.stop();
    await server.running.removeData();
  });
});
