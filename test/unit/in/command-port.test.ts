import { beforeEach, expect, it } from 'vitest';
import { type Codec, defineCodec, FrameKind, type Transport } from '../../../src/codec/index.ts';
import type { DeliveryPort } from '../../../src/fleet/command/delivery-line.ts';
import type { IntakeHost } from '../../../src/in/intake/host.ts';
import { Intake } from '../../../src/in/intake/intake.ts';
import { NO_DELIVERY } from '../../helpers/no-delivery.ts';
import toy, { toyDefinition, toyDialect, toyFixes, toyLogin, toyReply, toyStatus } from '../../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../../support/intake-rig.ts';

/** The way of commands to a device, by the connection that it speaks over; numbers quote src/in/session/command-port.ts. */

let host: IntakeHost;
let journal: MemoryJournal;
let link: RecordedLink;
let ports: DeliveryPort[];
let told: unknown[];
beforeEach(() => {
  [link, ports, told, journal] = [new RecordedLink(), [], [], new MemoryJournal()];
  const delivery = {
    ...NO_DELIVERY,
    attached: (port: DeliveryPort) => void ports.push(port),
    ready: () => void told.push('ready'),
    replied: (_port: DeliveryPort, ...reply: unknown[]) => void told.push(reply),
    fixed: (_port: DeliveryPort, place: unknown) => void told.push(place),
  };
  host = intakeHost({ journal, delivery });
});

function served(codec: Codec = toy, transport: Transport = 'tcp', id = '12345678'): { intake: Intake; port: DeliveryPort } {
  const intake = new Intake(host, codec, transport, '192.0.2.1:4000', link);
  intake.push(toyLogin(id, false));
  const port = ports.pop();
  if (port === undefined) throw new Error('a session has a port');
  return { intake, port };
}

function durable(): void {
  journal.durable = journal.entries.length;
  for (const intake of host.owing) intake.release(journal.durable);
}

it('a reply has the values of its own frame', () => {
  const { intake } = served();
  intake.push(toyStatus(2));
  intake.push(toyReply(3, 7, 'done'));
  expect(told).toEqual([[7, 'done', {}]]);
  const measuring = defineCodec({
    ...toyDefinition,
    attributes: new Map([
      ...toyDefinition.attributes,
      [4, { name: 'ignition', type: 'boolean' }],
      [6, { name: 'coolant_c', type: 'number', scale: 2, offset: -40 }],
      [5, { name: 'reply', type: 'text' }],
    ]),
    tcp: {
      ...toyDialect,
      decode(bytes, start, end, state, out) {
        toyDialect.decode(bytes, start, end, state, out);
        if (out.kind !== FrameKind.Reply) return;
        out.row();
        out.attr(1, 55);
        out.attr(2, 4012);
        out.attrText(3, '1.2');
        out.attr(4, 1);
        out.attr(6, 50);
        out.attrText(5, 'done');
        out.row();
        out.attr(1, 56);
      },
    },
  });
  served(measuring, 'tcp', '22222222').intake.push(toyReply(3, 8, 'done'));
  expect(told.at(-1)).toEqual([8, 'done', { battery_pct: 55, battery_v: 4.012, firmware: '1.2', ignition: true, coolant_c: 60 }]);
});

it('a position is told when a request waits for one, and it is the last of its frame', () => {
  const { intake, port } = served();
  intake.push(toyFixes(2, 3));
  expect(told).toEqual([]);
  port.wantsFix = true;
  intake.push(toyStatus(3));
  expect(told).toEqual([]);
  intake.push(toyFixes(4, 3));
  const { frame } = host.scratch;
  expect(told).toEqual([
    { time: frame.time[2], valid: frame.valid[2] === 1, lat: frame.latitude[2], lon: frame.longitude[2], speed_kmh: frame.speedKmh[2] },
  ]);
});

it('8: a command waits until no answer is owed, and is asked for once', () => {
  const { intake, port } = served();
  port.wait();
  expect(told).toEqual(['ready']);
  intake.push(toyFixes(2, 1));
  port.wait();
  expect([port.clear, told]).toEqual([false, ['ready']]);
  durable();
  intake.push(toyFixes(3, 1));
  durable();
  expect([port.clear, told]).toEqual([true, ['ready', 'ready']]);
});

it('8: over UDP it waits for the next datagram', () => {
  const { intake, port } = served(toy, 'udp');
  port.wait();
  expect(told).toEqual([]);
  intake.push(toyFixes(2, 1));
  durable();
  expect(told).toEqual(['ready']);
});

it('a command is sent and metered; one that the codec cannot say is not', () => {
  const { intake, port } = served();
  const before = link.sent.length;
  expect(port.transmit('custom', { text: 'x' }, 1)).toBe(true);
  const bytes = (link.sent[before]?.length ?? 0) / 2;
  expect([link.sent.length - before, bytes]).toEqual([1, 8]);
  expect(intake.session?.meter.out).toBe(6 + bytes);
  const mute = defineCodec({ ...toyDefinition, tcp: { ...toyDialect, encodeCommand: () => 0 } });
  const other = served(mute, 'tcp', '22222222');
  const sent = link.sent.length;
  expect([other.port.transmit('custom', { text: 'x' }, 1), link.sent.length]).toEqual([false, sent]);
});
