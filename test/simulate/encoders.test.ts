import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { Transcript } from '../../src/cli/transcript.ts';
import type { Codec, Transport } from '../../src/codec/index.ts';
import { checkOptions } from '../../src/codec/index.ts';
import { GT06_MODELS, Gt06Device } from '../../src/simulate/gt06.ts';
import { H02_MODELS, H02Device } from '../../src/simulate/h02.ts';
import type { Expectation, Packet, Speaker, Wire } from '../../src/simulate/speaker.ts';
import { TELTONIKA_CODECS, TeltonikaDevice } from '../../src/simulate/teltonika.ts';
import { type Sample, Track } from '../../src/simulate/track.ts';

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
    CASES.push({
      name: `teltonika codec ${id.toString(16)} over ${transport}`,
      codec: teltonika,
      transport,
      speaker: () => new TeltonikaDevice(17, id, transport, 1),
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
    const answers = Buffer.from(messages.map((message) => message.answer ?? '').join(''), 'hex');
    expect(messages.filter((message) => message.reason !== undefined || message.damaged !== undefined)).toEqual([]);
    expect(this.transcript.noise).toBe(0);
    expect(this.transcript.pending).toBe(0);
    expect(verdict(wire.expected ?? proof?.expected, answers)).toBe(answers.length);
    expect(answers.length).toBeGreaterThan(0);
    return messages.flatMap((message) => message.records).filter((record) => record['kind'] === 'fix');
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

describe.each(CASES)('$name', (one) => {
  it('means to the codec what it means to the simulator', () => {
    const hemispheres = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const conversation = new Conversation(one);
      for (const sample of drive(conversation.speaker, seed, 40)) {
        const found = conversation.speaker.packets([sample]).flatMap((packet) => {
          const fixes = conversation.packet(packet);
          expect(fixes.map((fix) => [fix['device'], fix['time'], fix['id']])).toEqual(
            packet.fixes.map((fix) => [conversation.speaker.device, fix.time, fix.id]),
          );
          return fixes;
        });
        expect(found).toHaveLength(1);
        const [fix] = found;
        expect(fix?.['time']).toBe(sample.time);
        expect(fix?.['valid']).toBe(true);
        expect(Number(fix?.['lat'])).toBeCloseTo(sample.latitude, 5);
        expect(Number(fix?.['lon'])).toBeCloseTo(sample.longitude, 5);
        expect(Math.abs(Number(fix?.['speed_kmh']) - sample.speedKmh)).toBeLessThan(1);
        expect(fix?.['course_deg']).toBe(sample.courseDeg);
        hemispheres.add(`${Math.sign(sample.latitude)} ${Math.sign(sample.longitude)}`);
      }
    }
    expect(hemispheres.size).toBe(4);
  });

  it('keeps the identity of a record that is sent again, on the same connection and on a new one', () => {
    const conversation = new Conversation(one);
    const again = new Conversation({ ...one, speaker: () => conversation.speaker });
    for (const sample of drive(conversation.speaker, 3, 30))
      for (const packet of conversation.speaker.packets([sample])) {
        const ids = conversation.packet(packet).map((fix) => fix['id']);
        expect(conversation.packet(packet).map((fix) => fix['id'])).toEqual(ids);
        expect(again.packet(packet).map((fix) => fix['id'])).toEqual(ids);
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
