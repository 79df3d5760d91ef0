import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { FrameResult, type Options, type Transport } from '../../../src/codec/index.ts';
import { deviceSchema } from '../../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../../src/in/intake/host.ts';
import type { CommandPort } from '../../../src/in/session/command-port.ts';
import { Reader } from '../../../src/in/session/reader.ts';
import { type Line, Session } from '../../../src/in/session/session.ts';
import { Terms } from '../../../src/in/session/terms.ts';
import { Definition } from '../../../src/journal/definition.ts';
import { Origin } from '../../../src/journal/entry.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { NO_DELIVERY } from '../../helpers/no-delivery.ts';
import { OPEN_REGISTRY } from '../../helpers/open-registry.ts';
import toy from '../../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal } from '../../support/intake-rig.ts';

/** One turn of a device on a connection that is not there: src/in/session/session.ts. */

const ID = 'car';
const OPTIONS: Options = {};
const SETTLED_MS = 600_000;

let clock: FakeClock;
let journal: MemoryJournal;
let host: IntakeHost;
/** What was asked of the others: of standings, of delivery, of the connection. */
let said: unknown[];
/** What is known of where the device speaks from. */
let standing: { known: boolean; contested: boolean };
let contests: (() => void)[];

beforeEach(() => {
  clock = new FakeClock();
  clock.step(1_000_000_000);
  journal = new MemoryJournal(0);
  said = [];
  contests = [];
  standing = { known: false, contested: false };
  host = intakeHost({
    clock,
    journal,
    standings: {
      ...OPEN_REGISTRY.standings,
      find: (_device, _transport, _address, found) => found(standing),
      note: (device, transport, address) => said.push(['note', device, transport, address]),
      contest: (device, transport, addresses) => {
        said.push(['contest', device, transport, addresses]);
        return new Promise((resolve) => contests.push(resolve));
      },
    },
    delivery: {
      ...NO_DELIVERY,
      attached: ({ device }: Pick<CommandPort, 'device'>) => said.push(['attached', device]),
      detached: ({ device }: Pick<CommandPort, 'device'>) => said.push(['detached', device]),
      poke: (device: string) => said.push(['poke', device]),
      contradicted: ({ device }: Pick<CommandPort, 'device'>, peer: string) => said.push(['contradicted', device, peer]),
    },
  });
});

function sessionAt(peer = '192.0.2.1:4000', transport: Transport = 'tcp'): Session {
  const line: Line = {
    codec: toy,
    transport,
    peer,
    link: {},
    out: { room: new Uint8Array(0), send: () => {} },
    tap: null,
    traffic: { bytes_in: 1, bytes_out: 2, frames: 3, malformed: 4, owed: 5 },
    clear: true,
    finish: (...how) => void said.push(['finish', ...how]),
    review: ({ peer }) => void said.push(['review', peer]),
  };
  const known = new DeviceLookup(ID, deviceSchema.parse({ id: ID }), true, false);
  const origin = new Origin(new Definition('toy', transport, {}, ''), ID, peer);
  const terms = new Terms(host.service, ID, known.device, clock.now());
  return new Session(host, line, new Reader(toy, transport, OPTIONS, silentLog), terms, known, origin, clock.elapsed());
}

function begun(peer?: string, transport?: Transport): Session {
  const session = sessionAt(peer, transport);
  session.begin();
  return session;
}

const saidOf = (...what: string[]): unknown[] => said.filter((one) => Array.isArray(one) && what.includes(one[0]));

describe('the network from which a device speaks', () => {
  const NOTE = ['note', ID, 'tcp', '192.0.2.1'];

  it.each([
    ['after ten minutes in which it was heard', SETTLED_MS, () => {}, [NOTE]],
    ['not before', SETTLED_MS - 1, () => {}, []],
    ['not when another session has the way of commands', SETTLED_MS, (one: Session) => one.lead(false), []],
    ['not when another spoke for the device', SETTLED_MS, (one: Session) => one.crowd(true), []],
    [
      'not when another spoke for the device for a while',
      SETTLED_MS,
      (one: Session) => {
        one.crowd(true);
        one.crowd(false);
      },
      [],
    ],
    ['also when it was told that it is alone', SETTLED_MS, (one: Session) => one.crowd(false), [NOTE]],
  ])('is its own %s', (_, ms, meanwhile, noted) => {
    const session = begun();
    clock.step(ms);
    session.heard(clock.elapsed());
    clock.step(SETTLED_MS);
    meanwhile(session);
    session.end();
    expect(saidOf('note')).toEqual(noted);
  });
});

describe('the way of commands', () => {
  it('is opened once for the session that leads, and closed when it leads no more', () => {
    const session = begun();
    expect(saidOf('attached', 'detached')).toEqual([['attached', ID]]);
    session.lead(true);
    expect(saidOf('attached')).toHaveLength(1);
    session.lead(false);
    session.lead(false);
    expect(saidOf('attached', 'detached')).toEqual([
      ['attached', ID],
      ['detached', ID],
    ]);
    session.lead(true);
    session.end();
    expect(saidOf('attached', 'detached').slice(2)).toEqual([
      ['attached', ID],
      ['detached', ID],
    ]);
    expect(host.sessions.of(ID)).toEqual([]);
  });

  it('is told of another that contradicts, where it is open', () => {
    const session = begun();
    session.contradicted('192.0.2.9:1');
    session.lead(false);
    session.contradicted('192.0.2.9:2');
    expect(saidOf('contradicted')).toEqual([['contradicted', ID, '192.0.2.9:1']]);
  });
});

describe('what is known of where the device speaks from', () => {
  it.each([
    [{ known: false, contested: false }, false],
    [{ known: true, contested: false }, true],
    [{ known: false, contested: true }, true],
    [{ known: true, contested: true }, true],
  ])('is looked at again: %o, news %s', (now, isNews) => {
    const session = begun();
    said.length = 0;
    standing = now;
    session.reviewStanding();
    session.reviewStanding();
    expect([session.standing, session.contested]).toEqual([now.known, now.contested]);
    expect(saidOf('poke')).toEqual(isNews ? [['poke', ID]] : []);
  });

  it('is nothing for a session that is over', () => {
    const session = begun();
    session.end();
    said.length = 0;
    standing = { known: true, contested: true };
    session.reviewStanding();
    expect([session.standing, session.contested, saidOf('poke')]).toEqual([false, false, []]);
  });

  it('is contested from the moment that another spoke, and as long as that is being written', async () => {
    const session = begun();
    session.contest('192.0.2.9:1');
    expect(saidOf('contest')).toEqual([['contest', ID, 'tcp', ['192.0.2.1', '192.0.2.9']]]);
    expect(journal.events).toMatchObject([{ type: 'identity_contested', addresses: ['192.0.2.1', '192.0.2.9'], transport: 'tcp' }]);
    session.reviewStanding();
    expect(session.contested).toBe(true);
    for (const written of contests) written();
    await Promise.resolve();
    expect(session.contested).toBe(false);
    expect((await host.metrics.contested.get()).values).toMatchObject([{ value: 1 }]);
  });
});

describe('a session that gives way to a newer one', () => {
  it.each([
    ['tcp', [{ type: 'duplicate_connection', protocol: 'toy', quiet_ms: 2500 }]],
    ['udp', []],
  ] as const)('ends its connection, is counted, and over TCP is an event: %s', async (transport, events) => {
    const session = begun('192.0.2.1:4000', transport);
    clock.step(2500);
    session.supersede();
    expect(saidOf('finish', 'detached')).toEqual([
      ['detached', ID],
      ['finish', 'superseded'],
    ]);
    expect(journal.events.filter(({ type }) => type === 'duplicate_connection')).toMatchObject(events);
    expect((await host.metrics.superseded.get()).values).toMatchObject([{ labels: { transport }, value: 1 }]);
  });
});

describe('what is shown of a session', () => {
  it('has times of the wall clock, what has passed, and a number of its own', () => {
    const [first, second] = [begun(), sessionAt('192.0.2.2:4000', 'udp')];
    const since = clock.now();
    clock.step(5_000);
    first.heard(clock.elapsed());
    clock.step(7_000);
    // The wall clock is set meanwhile.
    clock.wall += 100_000;
    expect(first.facts()).toMatchObject({
      device: ID,
      peer: '192.0.2.1:4000',
      transport: 'tcp',
      protocol: 'toy',
      since: since + 100_000,
      received: since + 105_000,
      bytes_in: 1,
      bytes_out: 2,
      frames: 3,
      malformed: 4,
      owed: 5,
      leads: true,
      contested: false,
    });
    expect(second.facts()).toMatchObject({ leads: false, transport: 'udp' });
    expect(second.number).toBeGreaterThan(first.number);
  });

  it('ends when a caller asks, with the name of its token', () => {
    begun().disconnect('me');
    expect(saidOf('finish')).toEqual([['finish', 'asked', 'me']]);
  });
});

describe('whether a session is heard', () => {
  it('is so for twice its usual interval', () => {
    const session = begun();
    for (let n = 0; n < 20; n++) {
      clock.step(10_000);
      session.heard(clock.elapsed());
    }
    clock.step(10_000);
    expect(session.isHeard()).toBe(true);
    clock.step(3_600_000);
    expect(session.isHeard()).toBe(false);
  });
});

describe('the network that serves a device', () => {
  const frameOf = (mcc: number): FrameResult => {
    const frame = new FrameResult();
    frame.reset(0, 1);
    frame.time[frame.row()] = clock.now();
    frame.cell(mcc, 7, 1, 2, 0);
    return frame;
  };

  it('divides what is metered when it changes, and only then', () => {
    const session = begun();
    const pass = (bytes: number): void => {
      session.meter.in += bytes;
      host.meters.noted(session.meter);
    };
    for (const mcc of [240, 240, 310, 310]) {
      session.noticed(frameOf(mcc), { wall: clock.now(), at: clock.elapsed() });
      pass(mcc);
    }
    host.meters.flush();
    expect(journal.usage).toMatchObject([
      { in: 480, mcc: 240 },
      { in: 620, mcc: 310 },
    ]);
  });

  it('is not asked of a frame without records', () => {
    const session = begun();
    const frame = frameOf(240);
    frame.reset(0, 1);
    session.noticed(frame, { wall: clock.now(), at: clock.elapsed() });
    expect(session.meter.network).toBeUndefined();
  });
});
