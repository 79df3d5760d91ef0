import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../src/base/wire/index.ts';
import { type Codec, type CommandRule, defineCodec, FrameKind } from '../../src/codec/index.ts';
import {
  CHECK_NAMES,
  type CheckName,
  type CheckSettings,
  checkCodec,
  describeFailure,
  feed,
  type Sample,
} from '../../src/codec/kit/index.ts';
import { bytesOf } from '../helpers/fixtures.ts';
import toy, { toyAlive, toyDefinition, toyDialect, toyFixes, toyLogin, toyReply, toyReseal, toyStatus } from '../helpers/toy-codec.ts';

const login = toyLogin('12345678', false);
const knots = toyLogin('87654321', true);
const SAMPLES: readonly Sample[] = [
  { name: 'one fix', transport: 'tcp', chunks: [toyFixes(7, 1)] },
  { name: 'login, fixes, alive', transport: 'tcp', chunks: [login, toyFixes(2, 3), toyAlive(3)] },
  { name: 'knots', transport: 'tcp', chunks: [knots, toyFixes(2, 3), toyStatus(3), toyReply(4, 99, 'ok'), toyFixes(5, 2)] },
  { name: 'noise', transport: 'tcp', chunks: [bytesOf('00545500'), login, bytesOf('0d0a'), toyStatus(9)] },
  { name: 'datagram', transport: 'udp', chunks: [knots, toyFixes(2, 2)] },
];
const SETTINGS: CheckSettings = { reseal: toyReseal, rounds: 250 };

/** Names of the checks that fail. */
function failing(codec: Codec, settings = SETTINGS): CheckName[] {
  const failed = new Set(checkCodec(codec, SAMPLES, settings).map((failure) => failure.check));
  return CHECK_NAMES.filter((name) => failed.has(name));
}

/** The toy with some of its calls replaced, on both transports. */
function broken(change: Partial<typeof toyDialect>): Codec {
  const dialect = { ...toyDialect, ...change };
  return defineCodec({ ...toyDefinition, tcp: dialect, udp: dialect });
}

/** The toy with a frame that remembers how many bytes it was offered while its verdict was open. */
function forgetful(misjudges: (offered: readonly number[], length: number) => boolean): Codec {
  let offered: number[] = [];
  return broken({
    open(options, memo) {
      offered = [];
      return toyDialect.open(options, memo);
    },
    frame(bytes, start, end, state) {
      const n = toyDialect.frame(bytes, start, end, state);
      offered.push(end - start);
      if (n > 0 && misjudges(offered, n)) return -1;
      if (n < 0 || (n > 0 && n <= end - start)) offered = [];
      return n;
    },
  });
}

describe('the kit', () => {
  it('finds nothing wrong with the toy', () => {
    expect(checkCodec(toy, SAMPLES, SETTINGS).map(describeFailure)).toEqual([]);
  });

  it('gives the same failures for the same seed', () => {
    const codec = broken({
      decode(bytes, start, end, state, out) {
        if (bytes[end - 2] === 0) throw new Error('zero');
        toyDialect.decode(bytes, start, end, state, out);
      },
    });
    const first = checkCodec(codec, SAMPLES, SETTINGS);
    expect(first.length).toBeGreaterThan(0);
    expect(checkCodec(codec, SAMPLES, SETTINGS)).toEqual(first);
    expect(checkCodec(codec, SAMPLES, { ...SETTINGS, seed: 2 })).not.toEqual(first);
  });

  it('gives with a hostile failure the bytes that show it again', () => {
    const codec = broken({
      decode(bytes, start, end, state, out) {
        if (bytes[start + 2] === 0) throw new Error('zero');
        toyDialect.decode(bytes, start, end, state, out);
      },
    });
    const failure = checkCodec(codec, SAMPLES, SETTINGS).find((candidate) => candidate.check === 'hostile');
    expect(failure?.detail).toBe('throws: zero');
    const again = () => feed(codec, failure?.transport ?? 'tcp', (failure?.chunks ?? []).map(bytesOf));
    expect(again).toThrow('zero');
  });
});

describe('each check fails, alone, on a toy that breaks its rule', () => {
  it('every-split: a frame of which all but the last byte came first', () => {
    expect(failing(forgetful((offered, length) => length === 28 && offered[0] === length - 1))).toEqual(['every-split']);
  });

  it('byte-by-byte: a header that came in seven pieces', () => {
    expect(failing(forgetful((offered) => offered.length >= 8))).toEqual(['byte-by-byte']);
  });

  it('random-cuts: a header that came in three pieces of several bytes', () => {
    expect(failing(forgetful(([a = 0, b = 0, c = 0]) => a > 0 && b > a + 1 && c > b))).toEqual(['random-cuts']);
  });

  it('decodes-alone: a setting of the login that the memo leaves out', () => {
    expect(failing(broken({ memo: () => 0 }))).toEqual(['decodes-alone']);
  });

  it('decodes-alone: an option that is not stored and matters', () => {
    const lifted = new WeakSet<object>();
    const dialect: typeof toyDialect = {
      ...toyDialect,
      open(options, memo) {
        const state = toyDialect.open(options, memo);
        if (options['lifted'] === true) lifted.add(state);
        return state;
      },
      decode(bytes, start, end, state, out) {
        toyDialect.decode(bytes, start, end, state, out);
        if (out.rows > 0 && lifted.has(state)) out.altitudeM[0] = 1;
      },
    };
    const options = { ...toyDefinition.options, lifted: { type: 'boolean', fallback: false, about: '' } } as const;
    const marked = { ...options, lifted: { ...options.lifted, decodes: false } };
    const both = { tcp: dialect, udp: dialect };
    expect(failing(defineCodec({ ...toyDefinition, ...both, options }))).toEqual([]);
    expect(failing(defineCodec({ ...toyDefinition, ...both, options: marked }))).toEqual(['decodes-alone']);
  });

  it('decodes-alone: a read behind the frame', () => {
    const codec = broken({
      decode(bytes, start, end, state, out) {
        toyDialect.decode(bytes, start, end, state, out);
        if (out.rows > 0 && [0, 15, 36].every((n) => bytes[end + n] === 0x24)) out.altitudeM[0] = 1;
      },
    });
    expect(failing(codec)).toEqual(['decodes-alone']);
  });

  const adopts: [string, Partial<typeof toyDialect>][] = [
    ['takes nothing', { adopt() {} }],
    ['forgets what it was taught when options change', { reopen: (options) => toyDialect.open(options, 0) }],
    [
      'overrides the login',
      {
        adopt(state, memo) {
          state.knots = (memo & 1) === 1;
        },
      },
    ],
    [
      'takes what is not in the memo',
      {
        adopt(state) {
          if (!state.told) state.knots = true;
        },
      },
    ],
    [
      'reads otherwise than a state that was opened with it',
      {
        decode(bytes, start, end, state, out) {
          toyDialect.decode(bytes, start, end, state, out);
          if (adopted.has(state) && out.name === 'fixes') out.altitudeM[0] = 1;
        },
        adopt(state, memo) {
          toyDialect.adopt?.(state, memo);
          adopted.add(state);
        },
      },
    ],
    [
      'throws at a memo of an older version',
      {
        memo: (state) => (state.knots ? 2 : 0),
        open: (options, memo) => ({ ...toyDialect.open(options, memo), knots: memo >= 2 }),
        adopt(state, memo) {
          if (memo > 3) throw new Error('unknown memo');
          if (!state.told) state.knots = memo >= 2;
        },
      },
    ],
  ];
  const adopted = new WeakSet<object>();
  it.each(adopts)('adopts: %s', (_name, change) => {
    expect(failing(broken(change))).toEqual(['adopts']);
  });

  it('input-untouched: a mark written into the frame', () => {
    const codec = broken({
      decode(bytes, start, end, state, out) {
        toyDialect.decode(bytes, start, end, state, out);
        bytes[start] = 0;
      },
    });
    expect(failing(codec)).toEqual(['input-untouched']);
  });

  it('input-untouched: an answer taken from the frame', () => {
    let kept: Bytes = new Uint8Array(0);
    const codec = broken({
      decode(bytes, start, end, state, out) {
        toyDialect.decode(bytes, start, end, state, out);
        kept = bytes.subarray(start, end);
      },
      encodeAck(request, state, out, at) {
        const n = toyDialect.encodeAck(request, state, out, at);
        if (n > 0) out[at] = kept[0] ?? 0;
        return n;
      },
    });
    expect(failing(codec)).toEqual(['input-untouched']);
  });

  const hostile: [string, Partial<typeof toyDialect>][] = [
    [
      'throws at an unknown type',
      {
        decode(bytes, start, end, state, out) {
          if ((bytes[start + 2] ?? 0) > 5) throw new Error('unknown type');
          toyDialect.decode(bytes, start, end, state, out);
        },
      },
    ],
    [
      'believes a count',
      {
        decode(bytes, start, end, state, out) {
          toyDialect.decode(bytes, start, end, state, out);
          if (out.reason !== 'BAD_COUNT') return;
          out.reset(start, end);
          out.kind = FrameKind.Records;
          out.name = 'fixes';
          for (let n = bytes[start + 8] ?? 0; n > 0; n--) out.row();
        },
      },
    ],
    [
      'reads a field that a short frame does not have',
      {
        decode(bytes, start, end, state, out) {
          toyDialect.decode(bytes, start, end, state, out);
          if (out.name !== 'unknown') return;
          out.kind = FrameKind.Heartbeat;
          out.ticketB = bytes[start + 16] ?? 0;
        },
      },
    ],
    [
      'drops more noise than there is',
      {
        frame(bytes, start, end, state) {
          const n = toyDialect.frame(bytes, start, end, state);
          return n === -2 && bytes[start] === 0x54 ? -16 : n;
        },
      },
    ],
    [
      'gives half a length',
      {
        frame(bytes, start, end, state) {
          const n = toyDialect.frame(bytes, start, end, state);
          return n > 1000 ? n / 3 : n;
        },
      },
    ],
    [
      'takes what is there when the length lies',
      {
        frame(bytes, start, end, state) {
          const n = toyDialect.frame(bytes, start, end, state);
          return n > 200 ? end - start : n;
        },
      },
    ],
    [
      'writes into a bad frame',
      {
        decode(bytes, start, end, state, out) {
          toyDialect.decode(bytes, start, end, state, out);
          if (out.kind === FrameKind.Malformed) bytes[start] = 0;
        },
      },
    ],
    ['salvages more than is held', { salvage: (_bytes, start, end) => end - start + 1 }],
  ];
  it.each(hostile)('hostile: %s', (_name, change) => {
    expect(failing(broken(change))).toEqual(['hostile']);
  });

  it('answers-fit: a byte behind the room', () => {
    const codec = broken({
      encodeAck(request, state, out, at) {
        out[at + toyDefinition.maxAnswerBytes] = 1;
        return toyDialect.encodeAck(request, state, out, at);
      },
    });
    expect(failing(codec)).toEqual(['answers-fit']);
  });

  it('answers-fit: a refusal that is longer than promised', () => {
    const codec = broken({
      encodeAck(request, state, out, at) {
        return request.settled === 2 ? toyDefinition.maxAnswerBytes + 1 : toyDialect.encodeAck(request, state, out, at);
      },
    });
    expect(failing(codec)).toEqual(['answers-fit']);
  });

  const insane: [string, Parameters<typeof spoilt>[0]][] = [
    ['a latitude of 95', (out) => void (out.latitude[0] = 95)],
    ['a longitude of 181', (out) => void (out.longitude[0] = -181)],
    ['half a place', (out) => void (out.longitude[0] = Number.NaN)],
    ['a negative speed', (out) => void (out.speedKmh[0] = -1)],
    ['a course of 361', (out) => void (out.courseDeg[0] = 361)],
    ['-2 satellites', (out) => void (out.satellites[0] = -2)],
    ['an infinite time', (out) => void (out.time[0] = Number.POSITIVE_INFINITY)],
    ['an event that does not exist', (out) => void (out.event[0] = 1000)],
    ['an attribute without a name', (out) => out.attr(4711, 1)],
    ['a text under a number', (out) => out.attrText(1, 'x')],
    ['attributes that end before they begin', (out) => void (out.attrEnd[0] = -1)],
    ['attributes of no row', (out) => void (out.attrs += 1)],
    ['an unknown name', (out) => void (out.name = 'fixation')],
    ['an unknown reason', (out) => out.malformed('WHY')],
    ['an unknown damage', (out) => void (out.damaged = 'WHY')],
    ['a record outside its frame', (out) => void (out.to[0] = (out.to[0] ?? 0) + 1000)],
    ['an access point that is no address', (out) => out.wifi('home', -60)],
    ['a positive signal', (out) => out.cell(262, 1, 1, 1, 60)],
    ['a device id with a space', (out) => void (out.deviceId = '123 456')],
  ];
  it.each(insane)('sanity: %s', (_name, spoil) => {
    expect(failing(spoilt(spoil))).toEqual(['sanity']);
  });

  it('sanity: damaged bytes give a place that is none', () => {
    const codec = broken({
      decode(bytes, start, end, state, out) {
        toyDialect.decode(bytes, start, end, state, out);
        if (out.reason !== 'BAD_PLACE') return;
        out.reset(start, end);
        out.kind = FrameKind.Records;
        out.name = 'fixes';
        const r = out.row();
        out.latitude[r] = 91;
        out.longitude[r] = 0;
      },
    });
    expect(failing(codec)).toEqual(['sanity']);
  });

  it('sanity: a text that did not come in through attrText, and one that a reading cuts in two', () => {
    const direct = broken({
      decode(bytes, start, end, state, out) {
        toyDialect.decode(bytes, start, end, state, out);
        for (let k = 0; k < out.texts.length; k++) out.texts[k] = '\u001b[2J';
      },
    });
    expect(failing(direct)).toContain('sanity');
    const cut = defineCodec({ ...toyDefinition, readReply: () => ({ outcome: 'done', values: { model: '𝄞'.slice(0, 1) } }) });
    expect(failing(cut)).toContain('sanity');
  });

  it('sanity: a command that does not fit', () => {
    expect(failing(broken({ encodeCommand: () => 5000 }))).toEqual(['sanity']);
  });

  it('linear: a pattern that looks for a second word from each of the first', () => {
    const codec = defineCodec({
      ...toyDefinition,
      readReply: (_, text) => ({ outcome: /Availability.*IMEI/.test(text) ? 'done' : 'unclear', values: {} }),
    });
    const quick = { ...SETTINGS, rounds: 10 };
    expect(failing(codec, quick)).toEqual([]);
    expect(failing(codec, { ...quick, texts: ['Availability:1 IMEI:2'] })).toEqual(['linear']);
    // Of a square there is much to do before it is told from a line.
  });

  it('linear: what a command switches, found with a pattern that starts anew at each blank', () => {
    // A square of an eighth of the text shows as well, and sooner.
    const part = (text: unknown): string => String(text).slice(0, String(text).length / 8);
    const switches: NonNullable<CommandRule['switches']> = ({ text }) =>
      /\s+stop$/.test(part(text)) ? [{ output: 1, on: true, immobilises: true }] : [];
    const commands = toyDefinition.commands?.map((rule) => (rule.type === 'custom' ? { ...rule, switches } : rule)) ?? [];
    expect(failing(defineCodec({ ...toyDefinition, commands }), { ...SETTINGS, rounds: 10 })).toEqual(['linear']);
  });

  it('linear: an annotation that looks back, from every 16th byte', () => {
    const dialect: typeof toyDialect = {
      ...toyDialect,
      explain(bytes, start, end, _state, note) {
        for (let p = start; p < end; p += 16) for (let back = start; back < p; back++) if (bytes[back] === 0x01) note(p, 1, 'one', '');
      },
    };
    // At the longest frame of the toy, 1 kB, that costs next to nothing.
    expect(failing(defineCodec({ ...toyDefinition, tcp: dialect, udp: dialect }), { ...SETTINGS, rounds: 10 })).toEqual(['linear']);
  });

  it('linear: not what other work of the process makes costly for a few calls', () => {
    let calls = 0;
    const dialect: typeof toyDialect = {
      ...toyDialect,
      explain(bytes, start, end, _state, note) {
        const disturbed = end - start > 32_000 && ++calls <= 7 ? 3 : 1;
        for (let round = 0; round < 60 * disturbed; round++) for (let p = start; p < end; p++) if (bytes[p] === 0xfe) note(p, 1, 'fe', '');
      },
    };
    expect(failing(defineCodec({ ...toyDefinition, tcp: dialect, udp: dialect }), { ...SETTINGS, rounds: 10 })).toEqual([]);
    expect(calls).toBeGreaterThan(7);
  });

  it('sanity: a sample without a frame', () => {
    const failures = checkCodec(toy, [{ name: 'nothing', transport: 'tcp', chunks: [bytesOf('0102')] }], SETTINGS);
    expect(failures.map((failure) => failure.check)).toEqual(['sanity']);
  });
});

/** The toy with its fixes spoilt behind decode. */
function spoilt(spoil: (out: Parameters<typeof toyDialect.decode>[4]) => void): Codec {
  return broken({
    decode(bytes, start, end, state, out) {
      toyDialect.decode(bytes, start, end, state, out);
      if (out.name === 'fixes' && out.rows > 0) spoil(out);
    },
  });
}
