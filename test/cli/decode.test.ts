import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import h02 from '../../codecs/h02/index.ts';
import codecTeltonika from '../../codecs/teltonika/index.ts';
import { MAX_LINE_BYTES } from '../../src/cli/hex-lines.ts';
import { checkOptions } from '../../src/codec/index.ts';
import { Transcript } from '../../src/explain/transcript.ts';
import { Gt06Device } from '../../src/simulate/gt06.ts';
import { H02Device } from '../../src/simulate/h02.ts';
import { Random } from '../../src/simulate/random.ts';
import type { Packet, Speaker } from '../../src/simulate/speaker.ts';
import { TeltonikaDevice } from '../../src/simulate/teltonika.ts';
import { Track } from '../../src/simulate/track.ts';
import { BIN, cleanEnvironment, fixgate } from './command.ts';

/** `fixgate decode` in the form that other programs rely on (docs/formats/tables.md). */

const message = z.strictObject({
  offset: z.int().min(0),
  length: z.int().min(1),
  type: z.enum(['login', 'records', 'heartbeat', 'reply', 'status', 'ignored', 'malformed']),
  name: z.string(),
  device: z.string().nullable(),
  records: z.array(z.looseObject({ kind: z.enum(['fix', 'status']), id: z.string().regex(/^[0-9a-f]{16}$/) })),
  answer: z
    .string()
    .regex(/^([0-9a-f]{2})+$/)
    .nullable(),
  reply: z.string().nullable(),
  reason: z.string().optional(),
  damaged: z.string().optional(),
  explain: z.array(z.looseObject({ at: z.int(), length: z.int(), name: z.string(), raw: z.string() })).optional(),
});
const line = z.strictObject({
  messages: z.array(message),
  pending: z.int().min(0),
  noise: z.int().min(1).optional(),
  error: z.string().optional(),
});
type Line = z.infer<typeof line>;

async function decoded(args: readonly string[], input: string | Uint8Array): Promise<Line[]> {
  const { code, lines, error } = await fixgate(['decode', '--json', ...args], input);
  expect(error).toBe('');
  expect(code).toBe(0);
  return lines.map((text) => line.parse(JSON.parse(text)));
}

const NOW = Date.now();
const hexOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

function firstPacket(speaker: Speaker, records = 1): Packet {
  const track = new Track(1, speaker.resolutionMs);
  const packet = speaker.packets(Array.from({ length: records }, (_, k) => track.at(NOW - 60_000 + 1000 * k))).at(-1);
  if (packet === undefined) throw new Error('no packet');
  return packet;
}

/** Hex of a login and of a packet with records, and the packet. */
function teltonika(records = 1): { device: string; login: string; frame: string; packet: Packet } {
  const speaker = new TeltonikaDevice(5, 0x8e, 'tcp', 1);
  const packet = firstPacket(speaker, records);
  return { device: speaker.device, login: hexOf(speaker.hello()?.bytes), frame: hexOf(speaker.wire(packet).bytes), packet };
}

describe('decode --json', () => {
  it('tells a login and a packet of records with the answers', async () => {
    const { device, login, frame, packet } = teltonika(3);
    const [first, second, ...rest] = await decoded(['--protocol', 'teltonika'], `${login}\n${frame}\n`);
    expect(rest).toEqual([]);
    expect(first).toEqual({
      messages: [{ offset: 0, length: 17, type: 'login', name: 'imei', device, records: [], answer: '01', reply: null }],
      pending: 0,
    });
    expect(second?.pending).toBe(0);
    expect(second?.messages).toMatchObject([
      { offset: 17, length: frame.length / 2, type: 'records', device, answer: '00000003', reply: null },
    ]);
    expect(second?.messages[0]?.records.map((record) => [record['device'], record['time'], record.id])).toEqual(
      packet.fixes.map((fix) => [device, fix.time, fix.id]),
    );
  });

  it('reads a frame that arrives in pieces, and counts offsets from the start of the connection', async () => {
    const { login, frame } = teltonika();
    const lines = await decoded(
      ['--protocol', 'teltonika'],
      `${login.slice(0, 6)}\n${login.slice(6)}${frame.slice(0, 20)}\n${frame.slice(20)}${frame}\n`,
    );
    expect(lines.map(({ messages, pending }) => [messages.map(({ offset }) => offset), pending])).toEqual([
      [[], 3],
      [[0], 10],
      [[17, 17 + frame.length / 2], 0],
    ]);
  });

  it('begins a new connection at an empty line: the device is unknown again, and is not answered', async () => {
    const { device, login, frame } = teltonika();
    const lines = await decoded(['--protocol', 'teltonika'], `${login}\n${frame.slice(0, 40)}\n\n  \n${frame}\n`);
    expect(lines).toHaveLength(3);
    expect(lines[0]?.messages[0]?.device).toBe(device);
    expect(lines[1]).toEqual({ messages: [], pending: 20 });
    expect(lines[2]?.messages).toMatchObject([{ offset: 0, type: 'records', device: null, answer: null }]);
    expect(lines[2]?.messages[0]?.records).toMatchObject([{ kind: 'fix', device: null }]);
  });

  it('takes --device for the identity of every connection', async () => {
    const { frame, packet } = teltonika();
    const lines = await decoded(['--protocol', 'teltonika', '--device', teltonika().device], `${frame}\n\n${frame}\n`);
    for (const { messages } of lines) {
      expect(messages).toMatchObject([{ device: teltonika().device, answer: '00000001' }]);
      expect(messages[0]?.records[0]?.id).toBe(packet.fixes[0]?.id);
    }
    expect(lines).toHaveLength(2);
  });

  it('reads a datagram a line, and never waits for more of it', async () => {
    const speaker = new TeltonikaDevice(5, 0x08, 'udp', 1);
    const packet = firstPacket(speaker);
    const datagrams = [speaker.wire(packet), speaker.wire(packet)].map(({ bytes }) => hexOf(bytes));
    const lines = await decoded(
      ['--protocol', 'teltonika', '--transport', 'udp'],
      [datagrams[0], datagrams[0]?.slice(0, 60), datagrams[1]].join('\n'),
    );
    expect(lines.map(({ pending }) => pending)).toEqual([0, 0, 0]);
    expect(lines[0]?.messages).toMatchObject([{ offset: 0, device: speaker.device, answer: '0005cafe010101' }]);
    expect(lines[1]?.messages.filter(({ type }) => type !== 'malformed')).toEqual([]);
    expect(lines[2]?.messages).toMatchObject([{ answer: '0005cafe010201' }]);
  });

  it('answers a line that is no hex with its error, and reads on', async () => {
    const { login, frame } = teltonika();
    const lines = await decoded(['--protocol', 'teltonika'], `${login}${frame.slice(0, 20)}\nhello\nabc\n${frame.slice(20)}\n0x00\n`);
    expect(lines.map(({ messages, pending, error }) => [messages.length, pending, error !== undefined])).toEqual([
      [1, 10, false],
      [0, 10, true],
      [0, 10, true],
      [1, 0, false],
      [0, 0, true],
    ]);
    expect(lines[1]?.error).toContain('column 1');
    expect(lines[2]?.error).toContain('odd number');
  });

  it('ignores blanks, carriage returns, case, and a missing last line feed', async () => {
    const { login, frame } = teltonika();
    const spaced = login.toUpperCase().replace(/../g, '$& ');
    const lines = await decoded(['--protocol', 'teltonika'], `${spaced}\r\n\t${frame}`);
    expect(lines.map(({ messages }) => messages.map(({ type }) => type))).toEqual([['login'], ['records']]);
  });

  it('names the reason of a frame that cannot be read', async () => {
    const { login, frame } = teltonika();
    const broken = `${frame.slice(0, -2)}${frame.endsWith('00') ? '01' : '00'}`;
    const [refused] = await decoded(['--protocol', 'teltonika', '--option', 'integrity=verify'], `${login}${broken}`);
    expect(refused?.messages[1]).toMatchObject({ type: 'malformed', records: [], answer: null, reply: null });
    expect(refused?.messages[1]?.reason).not.toBe('');
    const [accepted] = await decoded(['--protocol', 'teltonika', '--option', 'integrity=count'], `${login}${broken}`);
    expect(accepted?.messages[1]).toMatchObject({ type: 'records', answer: '00000001' });
    expect(accepted?.messages[1]?.damaged).not.toBe('');
  });

  it('counts noise, and says when the server would hang up', async () => {
    const gt06 = new Gt06Device(1, 'gt06', () => NOW);
    const [noisy] = await decoded(['--protocol', 'gt06'], `ffff00${hexOf(gt06.hello().bytes)}\n`);
    expect(noisy?.noise).toBe(3);
    expect(noisy?.messages).toMatchObject([{ offset: 3, type: 'login' }]);
    const lines = await decoded(
      ['--protocol', 'teltonika'],
      `${Buffer.from('GET / HTTP/1.1\r\n\r\n').toString('hex')}\n00\n\n${teltonika().login}\n`,
    );
    expect(lines[0]?.error).toContain('frame_too_long');
    expect(lines[1]?.error).toContain('frame_too_long');
    expect(lines[2]).toMatchObject({ messages: [{ type: 'login' }], pending: 0 });
    expect(lines[2]?.error).toBeUndefined();
  });

  it('takes what is pending for a frame when the connection ends there, and not when more follows', async () => {
    const h02 = new H02Device(1, 'binary-45', () => NOW);
    const bytes = hexOf(h02.wire(firstPacket(h02)).bytes);
    const alone = await decoded(['--protocol', 'h02'], `${bytes}\n\n${bytes}`);
    expect(alone.map(({ messages, pending }) => [messages.map(({ length }) => length), pending])).toEqual([
      [[45], 0],
      [[45], 0],
    ]);
    // Cut where a shorter frame of this family would end.
    const cut = await decoded(['--protocol', 'h02'], `${bytes.slice(0, 64)}\n${bytes.slice(64)}\n`);
    expect(cut.map(({ messages, pending }) => [messages.map(({ length }) => length), pending])).toEqual([
      [[], 32],
      [[45], 0],
    ]);
  });

  it('answers at once, and after a silence where silence means something, while the input stays open', async () => {
    const h02 = new H02Device(1, 'binary-32', () => NOW);
    const child = spawn(process.execPath, [BIN, 'decode', '--json', '--protocol', 'h02'], { env: cleanEnvironment() });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<Line> => line.parse(JSON.parse(String((await lines.next()).value)));
    child.stdin.write(`${hexOf(h02.proof().bytes)}\n`);
    expect((await next()).messages).toMatchObject([{ type: 'heartbeat' }]);
    child.stdin.write(`${hexOf(h02.wire(firstPacket(h02)).bytes)}\n`);
    expect(await next()).toMatchObject({ messages: [{ type: 'records', length: 32 }], pending: 0 });
    child.stdin.end();
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
  });

  it('waits for a silence only where one would make a frame', () => {
    const settings = { options: checkOptions(h02.options, {}, []), device: '', explain: false, now: () => NOW };
    const binary = new H02Device(1, 'binary-45', () => NOW);
    const bytes = binary.wire(firstPacket(binary)).bytes;
    const transcript = new Transcript(h02, 'tcp', settings);
    const salvages = Array.from(bytes, (_, p) => {
      transcript.push(bytes.subarray(p, p + 1));
      return transcript.salvages;
    });
    expect(transcript.pending).toBe(45);
    expect(salvages.slice(0, 31)).not.toContain(true);
    expect([salvages[31], salvages[44]]).toEqual([true, true]);
    expect(transcript.quiet()).toMatchObject([{ length: 45 }]);
    expect([transcript.pending, transcript.salvages]).toEqual([0, false]);

    const login = Buffer.from(teltonika().login, 'hex');
    const other = new Transcript(codecTeltonika, 'tcp', { ...settings, options: checkOptions(codecTeltonika.options, {}, []) });
    for (let p = 0; p < login.length - 1; p++) {
      other.push(login.subarray(p, p + 1));
      expect([other.pending, other.salvages]).toEqual([p + 1, false]);
    }
  });

  it('explains every byte of a frame', async () => {
    const { login, frame } = teltonika();
    const [only] = await decoded(['--protocol', 'teltonika', '--explain'], login + frame);
    for (const { length, explain } of only?.messages ?? []) {
      const covered = new Set<number>();
      for (const note of explain ?? []) for (let p = note.at; p < note.at + note.length; p++) covered.add(p);
      expect(covered.size).toBe(length);
      expect(Math.min(...covered)).toBe(0);
    }
    expect(only?.messages).toHaveLength(2);
  });

  it('reads a line of megabytes', async () => {
    const { login, frame } = teltonika(50);
    const times = Math.ceil((2 << 20) / (frame.length / 2));
    const [first, second] = await decoded(['--protocol', 'teltonika'], `${login}\n${frame.repeat(times)}\n`);
    expect(first?.messages).toHaveLength(1);
    expect(second?.messages).toHaveLength(times);
    expect(second?.pending).toBe(0);
  });

  it('refuses a line beyond all measure, and reads on', async () => {
    const { login } = teltonika();
    const huge = Buffer.alloc(2 * MAX_LINE_BYTES + 2, '0');
    const [first, second] = await decoded(['--protocol', 'teltonika'], Buffer.concat([huge, Buffer.from(`\n${login}\n`)]));
    expect(first).toMatchObject({ messages: [], pending: 0 });
    expect(first?.error).toContain(String(MAX_LINE_BYTES));
    expect(second?.messages).toMatchObject([{ type: 'login' }]);
  });

  it.each(['teltonika', 'gt06', 'h02'])('gives exactly one line for each non-empty line of nonsense (%s)', async (protocol) => {
    const random = new Random(7);
    const frames = [
      teltonika().frame,
      hexOf(new Gt06Device(1, '4g', () => NOW).hello().bytes),
      hexOf(new H02Device(1, 'text', () => NOW).proof().bytes),
    ];
    const input = Array.from({ length: 400 }, (_, k) => {
      if (k % 17 === 0) return '';
      const length = 2 * random.int(60);
      const noise = Array.from({ length }, () => random.int(16).toString(16)).join('');
      return k % 5 === 0 ? `${frames[random.int(3)]?.slice(0, 2 * random.int(70))}${noise}` : random.int(20) === 0 ? `${noise}g` : noise;
    });
    for (const transport of ['tcp', 'udp']) {
      const lines = await decoded(['--protocol', protocol, '--transport', transport], input.join('\n'));
      expect(lines).toHaveLength(input.filter((text) => text !== '').length);
    }
  });
});

describe('decode for people', () => {
  it('prints a table, and the annotations on request', async () => {
    const { device, login, frame } = teltonika();
    const plain = await fixgate(['decode', '--protocol', 'teltonika'], `${login}\n${frame}\nxyz\n`);
    expect(plain.code).toBe(0);
    expect(plain.out).toContain(device);
    expect(plain.out).toContain('answer  00000001');
    expect(plain.out).toContain('not a hex digit');
    const explained = await fixgate(['decode', '--protocol', 'teltonika', '--explain'], frame);
    expect(explained.out).toContain('number of data 1');
  });
});

describe('decode of what was pasted', () => {
  const V1 = '*HQ,4106011660,V1,124552,A,5035.3129,N,00431.8211,E,000.20,000,131116,FFFFFBFF#';
  const datagram =
    '0048cafe0101000f33353230393430383532333135393210010000015117e40fe80000000000000000000000000000000000ef05050400010000030000b40000ef01010042111a000001';

  it('takes hex as arguments and recognises the protocol, and the transport', async () => {
    const { code, lines, error } = await fixgate([
      'decode',
      '--json',
      Buffer.from(V1).toString('hex'),
      '',
      '78 78 0d 01 01 23 45 67 89 01 23 45 00 01 8c dd 0d 0a',
      '',
      datagram,
      '',
      '474554202f20485454502f312e310d0a',
    ]);
    expect([code, error]).toEqual([0, '']);
    const told = lines.map((text) => line.extend({ protocol: z.string().optional() }).parse(JSON.parse(text)));
    expect(told.map(({ protocol, messages }) => [protocol, messages.map(({ type, device }) => `${type} ${device}`)])).toEqual([
      ['h02', ['records 4106011660']],
      ['gt06', ['login 123456789012345']],
      ['teltonika', ['records 352094085231592']],
      [undefined, []],
    ]);
    expect(told.at(-1)?.error).toContain('--protocol');
  });

  it('goes on with the protocol of the connection, and recognises again behind an empty line', async () => {
    const { login, frame } = teltonika();
    const { lines } = await fixgate(['decode', '--json'], `${login}\n${frame}\n\n${Buffer.from(V1).toString('hex')}\n`);
    const told = lines.map((text) => line.extend({ protocol: z.string().optional() }).parse(JSON.parse(text)));
    expect(told.map(({ protocol, messages }) => [protocol, messages[0]?.name])).toEqual([
      ['teltonika', 'imei'],
      [undefined, 'codec_8e'],
      ['h02', 'V1'],
    ]);
  });
});

describe('decode of text messages', () => {
  const SOS = 'SOS alarm! http://maps.google.com/maps?q=N22.571707,E113.857025';
  const LINES =
    '+RESP:GTFRI,1A0200,860599000306845,G3-313,0,0,4,1,2.1,0,426.7,8.611466,47.681639,20181214134603,0228,0001,077F,4812,,34,20181214134603,0E50$';

  it('takes texts as arguments', async () => {
    const { code, out } = await fixgate(['decode', '--transport', 'sms', '--json', SOS]);
    expect(code).toBe(0);
    const [message] = line.extend({ protocol: z.string() }).parse(JSON.parse(out)).messages;
    expect(message).toMatchObject({ type: 'records', answer: null, records: [{ event: 'sos', lat: 22.571707, lon: 113.857025 }] });
  });

  it('takes a line of input for a text, cut anywhere, and reads each as the protocol that it looks like', async () => {
    const { out } = await fixgate(['decode', '--transport', 'sms', '--json'], `${SOS}\n\n${LINES}\n\nhallo`);
    const told = out
      .trim()
      .split('\n')
      .map((text) => line.extend({ protocol: z.string() }).parse(JSON.parse(text)));
    expect(told.map(({ protocol, messages }) => [protocol, messages[0]?.name, messages[0]?.type])).toEqual([
      ['gt06', 'text_message', 'records'],
      ['queclink', 'GTFRI', 'records'],
      ['gt06', 'text_message', 'reply'],
    ]);
  });
});

describe('decode refuses', () => {
  it.each([
    [['--protocol', 'teltonica'], 'did you mean teltonika?'],
    [['--transport', 'sctp'], '--transport must be tcp, udp or sms'],
    [['--protocol', 'gt06', '--transport', 'sctp'], '--transport must be tcp, udp or sms'],
    [['--protocol', 'jt808', '--transport', 'sms'], 'jt808 does not speak sms'],
    [['--protocol', 'gt06', '--device', 'a b'], 'is not a device id'],
    [['--protocol', 'gt06', '--option', 'integrity=maybe'], 'is not one of'],
    [['--protocol', 'gt06', '--option', 'colour=red'], 'unknown'],
    [['--protocol', 'gt06', '--option', 'integrity'], 'is not name=value'],
    [['--protocl', 'gt06'], 'did you mean --protocol?'],
    [['--protocol'], 'argument missing'],
    [['--protocol', 'gt06', 'surplus'], 'surplus'],
    [['787'], '"787" is not hex'],
  ])('%j', async (args, why) => {
    const { code, out, error } = await fixgate(['decode', ...args]);
    expect(out).toBe('');
    expect(error).toMatch(/^fixgate: [^\n]+\n$/);
    expect(error).toContain(why);
    expect(code).toBe(2);
  });
});
