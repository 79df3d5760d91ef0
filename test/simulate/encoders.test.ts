import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import jt808 from '../../codecs/jt808/index.ts';
import queclink from '../../codecs/queclink/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import type { Codec, Transport } from '../../src/codec/index.ts';
import { checkOptions } from '../../src/codec/index.ts';
import { Transcript } from '../../src/explain/transcript.ts';
import { GT06_MODELS, Gt06Device } from '../../src/simulate/gt06.ts';
import { H02_MODELS, H02Device } from '../../src/simulate/h02.ts';
import { JT808_MODELS, Jt808Device } from '../../src/simulate/jt808.ts';
import { QUECLINK_MODELS, QueclinkDevice } from '../../src/simulate/queclink.ts';
import type { Expectation, Packet, Speaker, Wire } from '../../src/simulate/speaker.ts';
import { TELTONIKA_CODECS, TELTONIKA_FAMILIES, TeltonikaDevice } from '../../src/simulate/teltonika.ts';
import { type Happening, type Sample, Track } from '../../src/simulate/track.ts';

/**
 * The simulator's encoders and the codecs are two readings of the same documents. Here each device's bytes go through
 * the codec: places, times and identities must come out as they went in, and each side's answer must be the other's.
 */
const NOW = Date.UTC(2026, 10, 1, 12, 0, 0);
const now = (): number => NOW;

interface Case {
  readonly name: string;
  readonly codec: Codec;
  readonly transport: Transport;
  speaker(): Speaker;
}

const CASES: Case[] = [];
for (const transport of ['tcp', 'udp'] as const) {
  for (const id of TELTONIKA_CODECS)
    for (const family of TELTONIKA_FAMILIES)
      CASES.push({
        name: `teltonika ${family} with codec ${id.toString(16)} over ${transport}`,
        codec: teltonika,
        transport,
        speaker: () => new TeltonikaDevice(17, id, transport, 1, family),
      });
  for (const model of GT06_MODELS)
    for (const number of [0, 1, 2, 3])
      CASES.push({
        name: `gt06 ${model} ${number} over ${transport}`,
        codec: gt06,
        transport,
        speaker: () => new Gt06Device(number, model, now),
      });
  for (const model of H02_MODELS)
    CASES.push({ name: `h02 ${model} over ${transport}`, codec: h02, transport, speaker: () => new H02Device(17, model, now) });
  for (const model of QUECLINK_MODELS)
    CASES.push({
      name: `queclink ${model} over ${transport}`,
      codec: queclink,
      transport,
      speaker: () => new QueclinkDevice(17, model, now),
    });
  for (const model of JT808_MODELS)
    CASES.push({ name: `jt808 ${model} over ${transport}`, codec: jt808, transport, speaker: () => new Jt808Device(17, model) });
}

/** A connection to the codec, as the server would hold it. */
class Conversation {
  readonly speaker: Speaker;
  readonly transcript: Transcript;
  readonly udp: boolean;

  constructor({ codec, transport, speaker }: Case) {
    const problems: string[] = [];
    const options = checkOptions(codec.options, {}, problems);
    this.speaker = speaker();
    this.udp = transport === 'udp';
    this.transcript = new Transcript(codec, transport, { options, device: '', explain: false, now });
    const hello = this.speaker.hello();
    if (hello !== undefined) this.send(hello);
  }

  /** Sends a message and its proof; returns the fixes that the codec read. The answer must be the expected one. */
  send(wire: Wire): Readonly<Record<string, unknown>>[] {
    const proof = wire.expected === undefined ? this.speaker.proof() : undefined;
    const bytes = Buffer.concat([wire.bytes, proof?.bytes ?? new Uint8Array(0)]);
    const messages = this.transcript.push(bytes);
    let answers = Buffer.from(messages.map((message) => message.answer ?? '').join(''), 'hex');
    for (let n = this.#extra(answers); n > 0; n = this.#extra(answers)) answers = answers.subarray(n);
    const bad = messages.filter((message) => message.reason !== undefined || message.damaged !== undefined);
    const { noise, pending } = this.transcript;
    const accepted = verdict(wire.expected ?? proof?.expected, answers);
    if (bad.length > 0 || noise > 0 || pending > 0 || accepted !== answers.length || accepted === 0)
      expect({ bad, noise, pending, accepted }).toEqual({ bad: [], noise: 0, pending: 0, accepted: answers.length || 'an answer' });
    return messages.flatMap((message) => message.records).filter((record) => record['kind'] === 'fix');
  }

  #extra(bytes: Uint8Array): number {
    return this.speaker.extra?.(bytes, 0, bytes.length) ?? -1;
  }

  packet(packet: Packet): Readonly<Record<string, unknown>>[] {
    const wire = this.speaker.wire(packet);
    packet.tries++;
    return this.send(wire);
  }
}

function verdict(expected: Expectation | undefined, bytes: Uint8Array): number {
  return expected?.match(bytes, 0, bytes.length) ?? -99;
}

/** Samples of a drive, and of a few tracks so that all hemispheres are met. */
function drive(speaker: Speaker, seed: number, count: number): Sample[] {
  const track = new Track(seed, speaker.resolutionMs);
  return Array.from({ length: count }, (_, k) => track.at(NOW - 120_000 + k * 1000));
}

/** The fix is the sample: the place to half of the fifth decimal, the speed to the kilometre. */
function means(fix: Readonly<Record<string, unknown>>, sample: Sample): boolean {
  return (
    fix['time'] === sample.time &&
    fix['valid'] === true &&
    Math.abs(Number(fix['lat']) - sample.latitude) < 5e-6 &&
    Math.abs(Number(fix['lon']) - sample.longitude) < 5e-6 &&
    Math.abs(Number(fix['speed_kmh']) - sample.speedKmh) < 1 &&
    fix['course_deg'] === sample.courseDeg
  );
}

describe.each(CASES)('$name', (one) => {
  it('means to the codec what it means to the simulator', () => {
    const hemispheres = new Set<string>();
    // Collected: an assertion for each of a quarter of a million values takes half a minute.
    const wrong: object[] = [];
    for (let seed = 1; seed <= 8; seed++) {
      const conversation = new Conversation(one);
      for (const sample of drive(conversation.speaker, seed, 40)) {
        const found = conversation.speaker.packets([sample]).flatMap((packet) => {
          const fixes = conversation.packet(packet);
          const read = fixes.map((fix) => `${fix['device']} ${fix['time']} ${fix['id']}`).join();
          const sent = packet.fixes.map((fix) => `${conversation.speaker.device} ${fix.time} ${fix.id}`).join();
          if (read !== sent) wrong.push({ sample, read, sent });
          return fixes;
        });
        const [fix] = found;
        if (found.length !== 1 || fix === undefined || !means(fix, sample)) wrong.push({ sample, found });
        hemispheres.add(`${Math.sign(sample.latitude)} ${Math.sign(sample.longitude)}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(hemispheres.size).toBe(4);
  });

  it('keeps the identity of a record that is sent again, on the same connection and on a new one', () => {
    const conversation = new Conversation(one);
    const again = new Conversation({ ...one, speaker: () => conversation.speaker });
    for (const sample of drive(conversation.speaker, 3, 30))
      for (const packet of conversation.speaker.packets([sample])) {
        const [first, second, third] = [conversation, conversation, again].map((one) => one.packet(packet).map((fix) => fix['id']));
        if (`${second}` !== `${first}` || `${third}` !== `${first}`) expect([second, third]).toEqual([first, first]);
      }
  });

  it('gives every record an identity of its own', () => {
    const conversation = new Conversation(one);
    const ids = drive(conversation.speaker, 5, 300)
      .flatMap((sample) => conversation.speaker.packets([sample]))
      .flatMap((packet) => packet.fixes.map((fix) => fix.id));
    expect(ids).toHaveLength(300);
    expect(new Set(ids).size).toBe(300);
  });

  it('takes nothing but the prescribed answer', () => {
    const conversation = new Conversation(one);
    const [packet] = conversation.speaker.packets(drive(conversation.speaker, 7, 1)).slice(-1);
    if (packet === undefined) throw new Error('no packet');
    const wire = conversation.speaker.wire(packet);
    const proof = wire.expected === undefined ? conversation.speaker.proof() : undefined;
    const expected = wire.expected ?? proof?.expected;
    const messages = conversation.transcript.push(Buffer.concat([wire.bytes, proof?.bytes ?? new Uint8Array(0)]));
    const answer = Buffer.from(messages.map((message) => message.answer ?? '').join(''), 'hex');
    expect(verdict(expected, answer)).toBe(answer.length);
    for (let p = 0; p < answer.length; p++) {
      const bad = Buffer.from(answer);
      // The highest bit: a digit or a count that differs by one may be a clock that differs by a second.
      bad[p] = (bad[p] ?? 0) ^ 0x80;
      expect(verdict(expected, bad)).toBeLessThan(0);
      expect(verdict(expected, answer.subarray(0, p))).toBe(0);
    }
  });
});

/** Samples in which everything happens that can, in hours of driving. */
function eventful(speaker: Speaker): Sample[] {
  const track = new Track(11, speaker.resolutionMs);
  const samples = Array.from({ length: 2000 }, (_, k) => track.at(NOW - 4_000_000 + k * 2000));
  expect(new Set(samples.map((sample) => sample.happening)).size).toBe(10);
  return samples;
}

function fixesOf(conversation: Conversation, samples: readonly Sample[], stored = false): Readonly<Record<string, unknown>>[] {
  return conversation.speaker.packets(samples, stored).flatMap((packet) => conversation.packet(packet));
}

function attrs(fix: Readonly<Record<string, unknown>> | undefined): unknown {
  return fix?.['attrs'];
}

describe('what happens on the way', () => {
  const of = (codec: Codec, speaker: () => Speaker): Conversation => new Conversation({ name: '', codec, transport: 'tcp', speaker });

  it('follows from the drive', () => {
    const track = new Track(11, 1000);
    let before = track.at(NOW - 4_000_000);
    let tooFast = 0;
    for (let k = 1; k < 2000; k++) {
      const sample = track.at(NOW - 4_000_000 + k * 1000);
      if (sample.happening === 'ignition_off') expect(sample.speedKmh).toBeLessThan(2);
      if (!sample.ignition) expect(sample.speedKmh).toBeLessThan(2);
      if (sample.happening === 'power_cut') expect(sample.externalMv).toBe(0);
      if (sample.happening === 'overspeed' && sample.speedKmh > 100) tooFast++;
      expect(Math.abs(sample.speedKmh - before.speedKmh)).toBeLessThan(16);
      before = sample;
    }
    expect(tooFast).toBeGreaterThan(0);
  });

  it.each(TELTONIKA_CODECS)('is an event of its priority in codec %i', (id) => {
    const conversation = of(teltonika, () => new TeltonikaDevice(1, id, 'tcp', 1, 'car'));
    const samples = eventful(conversation.speaker);
    const fixes = samples.flatMap((sample) => fixesOf(conversation, [sample]));
    expect(fixes.map((fix) => fix['event'])).toEqual(samples.map((sample) => sample.happening));
    fixes.forEach((fix, k) => {
      const { happening, ignition } = samples[k] ?? {};
      expect(attrs(fix)).toMatchObject({ priority: happening === undefined ? 0 : happening === 'sos' ? 2 : 1, ignition });
    });
  });

  it.each(GT06_MODELS)('is an alarm of %s, or its location says it', (model) => {
    const conversation = of(gt06, () => new Gt06Device(0, model, now));
    const told = (happening: Happening | undefined): unknown => (happening === 'power_restored' ? undefined : happening);
    let vibrations = 0;
    for (const sample of eventful(conversation.speaker)) {
      const [fix] = fixesOf(conversation, [sample]);
      expect(attrs(fix)).toMatchObject({ ignition: sample.ignition });
      if (sample.happening === undefined && fix?.['event'] === 'vibration') vibrations++;
      else expect(fix?.['event']).toBe(told(sample.happening));
    }
    expect(vibrations).toBeGreaterThan(0);
  });

  it.each(H02_MODELS)('clears bits of the status word of %s, and an alarm stays latched', (model) => {
    const conversation = of(h02, () => new H02Device(5, model, now));
    let events = 0;
    let latched = 0;
    let before: unknown;
    for (const sample of eventful(conversation.speaker)) {
      const [fix] = fixesOf(conversation, [sample]);
      const bits = Number(Object(attrs(fix)).status_bits);
      expect(attrs(fix)).toMatchObject({ ignition: sample.ignition });
      expect((bits & (1 << 20)) === 0).toBe(sample.externalMv === 0);
      const sos = (bits & 2) === 0;
      if (sample.happening === 'sos') expect(sos).toBe(true);
      else if (sos) {
        latched++;
        expect(before).toBe(true);
      }
      if (fix?.['event'] === 'sos') events++;
      before = sos;
    }
    expect(events).toBeGreaterThan(0);
    expect(latched).toBeGreaterThan(events);
  });

  it.each(QUECLINK_MODELS)('is a report of its own of %s, where the model has one', (model) => {
    const conversation = of(queclink, () => new QueclinkDevice(5, model, now));
    const untold: Readonly<Record<string, readonly string[]>> = {
      personal: ['ignition_on', 'ignition_off', 'harsh_acceleration', 'harsh_braking', 'harsh_cornering'],
      binary: ['power_cut', 'power_restored'],
    };
    for (const sample of eventful(conversation.speaker)) {
      const [fix] = fixesOf(conversation, [sample]);
      const told = untold[model]?.includes(sample.happening ?? '') === true ? undefined : sample.happening;
      if (fix?.['event'] !== told) expect(fix).toMatchObject({ event: told });
      if (model === 'binary') expect(attrs(fix)).toMatchObject({ ignition: sample.ignition });
    }
  });

  it.each(JT808_MODELS)('is an alarm or an item of %s, where the model has one', (model) => {
    const conversation = of(jt808, () => new Jt808Device(5, model));
    const untold: readonly unknown[] = model === 'jimi' ? ['power_restored'] : ['power_restored', 'ignition_on', 'ignition_off'];
    for (const sample of eventful(conversation.speaker)) {
      const [fix] = fixesOf(conversation, [sample]);
      expect(attrs(fix)).toMatchObject({ ignition: sample.ignition, external_v: expect.any(Number) });
      expect(fix?.['event']).toBe(untold.includes(sample.happening) ? undefined : sample.happening);
    }
  });

  it('an alarm that is sent again has the same id, though it is no new event', () => {
    const conversation = of(h02, () => new H02Device(5, 'text', now));
    const sample = eventful(conversation.speaker).find(({ happening, externalMv }) => happening === 'sos' && externalMv > 0);
    if (sample === undefined) throw new Error('no alarm');
    const [packet] = conversation.speaker.packets([sample]);
    if (packet === undefined) throw new Error('no packet');
    const [first] = conversation.packet(packet);
    const [second] = conversation.packet(packet);
    expect([first?.['event'], second?.['event']]).toEqual(['sos', undefined]);
    expect(second?.['id']).toBe(first?.['id']);
  });

  it('reports in text and in binary on one connection', () => {
    const speaker = new H02Device(5, 'mixed', now);
    const starts = eventful(speaker).flatMap((sample) => speaker.packets([sample]).map((packet) => packet.body[0]));
    expect(new Set(starts)).toEqual(new Set([0x24, 0x2a]));
  });
});

describe('device families of Teltonika', () => {
  const WANTED = {
    car: { external_v: expect.any(Number), battery_v: expect.any(Number), odometer_m: expect.any(Number), operator: '24602' },
    can: { vin: '1HGCM82633A000010', rpm: expect.any(Number), fuel_pct: expect.any(Number), coolant_c: expect.any(Number) },
    asset: { battery_pct: expect.any(Number), beacon_1_rssi_dbm: -60, tag_1_temperature_c: expect.any(Number) },
  };
  it.each(TELTONIKA_FAMILIES)('%s carries what it knows', (family) => {
    const conversation = new Conversation({
      name: '',
      codec: teltonika,
      transport: 'tcp',
      speaker: () => new TeltonikaDevice(1, 0x8e, 'tcp', 1, family),
    });
    const fixes = fixesOf(conversation, drive(conversation.speaker, 9, 40));
    const known = Object.assign({}, ...fixes.map(attrs));
    expect(known).toMatchObject(WANTED[family]);
    expect(Object.keys(known).filter((name) => /^io_|_hex$/.test(name))).toEqual([]);
  });
});

describe('what was kept without coverage', () => {
  it.each(TELTONIKA_CODECS)('comes in full packets, oldest first, in codec %i', (id) => {
    for (const transport of ['tcp', 'udp'] as const)
      for (const family of TELTONIKA_FAMILIES) {
        const speaker = new TeltonikaDevice(1, id, transport, 1, family);
        const conversation = new Conversation({ name: '', codec: teltonika, transport, speaker: () => speaker });
        const samples = eventful(speaker).slice(0, 200);
        const packets = speaker.packets(samples, true);
        // Over UDP, where more stands around them (9.1).
        const sizes = packets.map((packet) => packet.body.length + 23);
        expect(Math.max(...sizes)).toBeLessThanOrEqual(1280);
        expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThan(1280 - 320);
        const fixes = packets.flatMap((packet) => conversation.packet(packet));
        expect(fixes.map((fix) => fix['time'])).toEqual(samples.map((sample) => sample.time));
        expect(fixes.map((fix) => fix['id'])).toEqual(packets.flatMap((packet) => packet.fixes.map((fix) => fix.id)));
      }
  });

  const flagged = (codec: Codec, speaker: Speaker): unknown[] => {
    const conversation = new Conversation({ name: '', codec, transport: 'tcp', speaker: () => speaker });
    const samples = drive(speaker, 9, 20).filter(({ happening }) => happening === undefined);
    return [false, true].map(
      (stored) => new Set(fixesOf(conversation, samples, stored).map((fix) => Object(fix['flags']).includes?.('buffered') ?? false)),
    );
  };

  it.each(['gps-lbs-status', '4g'] as const)('says so in the re-upload byte of %s', (model) => {
    expect(flagged(gt06, new Gt06Device(0, model, now))).toEqual([new Set([false]), new Set([true])]);
  });

  it.each(QUECLINK_MODELS)('says so in the header of %s', (model) => {
    expect(flagged(queclink, new QueclinkDevice(5, model, now))).toEqual([new Set([false]), new Set([true])]);
  });

  it.each(JT808_MODELS)('says so in the batch of %s', (model) => {
    expect(flagged(jt808, new Jt808Device(5, model))).toEqual([new Set([false]), new Set([true])]);
  });

  it.each(H02_MODELS)('says so in the status word of %s', (model) => {
    expect(flagged(h02, new H02Device(5, model, now))).toEqual([new Set([false]), new Set([true])]);
  });
});

describe('several records in a packet', () => {
  it.each(TELTONIKA_CODECS)('codec %i', (id) => {
    const conversation = new Conversation({
      name: '',
      codec: teltonika,
      transport: 'tcp',
      speaker: () => new TeltonikaDevice(1, id, 'tcp', 1),
    });
    const samples = drive(conversation.speaker, 9, 25);
    const [packet] = conversation.speaker.packets(samples);
    if (packet === undefined) throw new Error('no packet');
    const fixes = conversation.packet(packet);
    expect(fixes.map((fix) => [fix['time'], fix['id']])).toEqual(packet.fixes.map((fix) => [fix.time, fix.id]));
    expect(fixes).toHaveLength(25);
  });
});
