import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { type CodecDefinition, defineCodec } from '../../../src/codec/index.ts';
import toy, { type ToyState, toyDefinition, toyDialect } from '../../helpers/toy-codec.ts';

type Definition = CodecDefinition<ToyState, ToyState>;

/** What a JavaScript author may hand over: any of the fields wrong or left out. */
function definedWith(change: object, without?: keyof Definition): unknown {
  const definition: Definition = { ...toyDefinition, ...change };
  if (without !== undefined) Reflect.deleteProperty(definition, without);
  try {
    return defineCodec(definition);
  } catch (error) {
    return error;
  }
}

function withoutCall(call: string): object {
  const dialect = { ...toyDialect };
  Reflect.deleteProperty(dialect, call);
  return dialect;
}

const MISTAKES: [string, object, RegExp][] = [
  ['an upper-case name', { name: 'Toy' }, /^codec "Toy": name must be 1 to 16 lower-case letters/],
  ['a long name', { name: 'a'.repeat(17) }, /name must be/],
  ['a name that is no text', { name: 7 }, /name must be/],
  ['no room for a frame', { maxFrameBytes: 0 }, /maxFrameBytes must be a whole number from 1 to 1048576/],
  ['an endless frame', { maxFrameBytes: Number.POSITIVE_INFINITY }, /maxFrameBytes must be/],
  ['a negative answer', { maxAnswerBytes: -1 }, /maxAnswerBytes must be/],
  ['an answer of a book', { maxAnswerBytes: 4097 }, /maxAnswerBytes must be/],
  ['half a byte', { maxAnswerBytes: 1.5 }, /maxAnswerBytes must be a whole number from 0 to 4096/],
  ['no dialect', { tcp: undefined, udp: undefined }, /tcp, udp must hold at least one dialect/],
  ['no recogniser', { recognise: true }, /recognise must be a function/],
  ['simulated devices that nothing makes', { simulated: [] }, /simulated must be a function of \(n, transport\)/],
  ['a stream without frames', { tcp: withoutCall('frame') }, /tcp\.frame must be a function/],
  ['a dialect that opens nothing', { tcp: withoutCall('open') }, /tcp\.open must be a function/],
  ['a dialect that decodes nothing', { udp: withoutCall('decode') }, /udp\.decode must be a function/],
  ['a dialect that answers nothing', { udp: withoutCall('encodeAck') }, /udp\.encodeAck must be a function/],
  [
    'an option without a default',
    { options: { speed: { type: 'number', about: '' } } },
    /options\.speed\.fallback must be given and be a number/,
  ],
  ['a default of another type', { options: { speed: { type: 'number', about: '', fallback: '1' } } }, /options\.speed\.fallback/],
  [
    'an option with the name of a secret that does not say whether it is one',
    { options: { devicePassword: { type: 'string', about: '', fallback: '' } } },
    /options\.devicePassword\.secret must be given/,
  ],
  [
    'an attribute in camel case',
    { attributes: new Map([[1, { name: 'batteryLevel', type: 'number' }]]) },
    /attributes 1 name "batteryLevel" must be snake_case/,
  ],
  ['messages that are no list', { messages: 'login' }, /messages must list/],
  ['reasons that are no list', { reasons: undefined }, /reasons must list/],
  [
    'commands that nothing encodes',
    { tcp: withoutCall('encodeCommand'), udp: withoutCall('encodeCommand') },
    /commands must list exactly what encodeCommand can encode/,
  ],
  ['an encoder without commands', { commands: [] }, /commands must list exactly/],
];

describe('defineCodec', () => {
  it.each(MISTAKES)('names codec, field and remedy for %s', (_name, change, message) => {
    const error = definedWith(change);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'CODEC_INVALID', message: expect.stringMatching(message) });
  });

  it('takes the limits themselves, and an encoder on one dialect only', () => {
    expect(definedWith({ maxAnswerBytes: 4096, maxFrameBytes: 1 << 20 })).toMatchObject({ maxAnswerBytes: 4096, maxFrameBytes: 1048576 });
    expect(definedWith({ maxAnswerBytes: 0, maxFrameBytes: 1, tcp: withoutCall('encodeCommand') })).toMatchObject({
      maxAnswerBytes: 0,
      name: 'toy',
    });
  });

  it('keeps the dialects as they are', () => {
    expect(toy.tcp?.frame).toBe(toyDialect.frame);
    expect(toy.udp?.decode).toBe(toyDialect.decode);
  });

  it('freezes the codec and its dialects, in one order of properties', () => {
    expect([Object.isFrozen(toy), Object.isFrozen(toy.tcp), Object.isFrozen(toy.udp)]).toEqual([true, true, true]);
    const { name, about, ...others } = toyDefinition;
    const shuffled = defineCodec({ ...others, about, name });
    expect(Object.keys(shuffled)).toEqual(Object.keys(toy));
  });

  it('fills in what may be left out', () => {
    const { options: _o, attributePrefix: _p, commands: _c, layouts: _l, replies: _r, udp: _u, ...rest } = toyDefinition;
    const { encodeCommand: _e, ...silent } = toyDialect;
    const codec = defineCodec<ToyState>({ ...rest, tcp: silent });
    expect(codec).toMatchObject({
      api: 1,
      options: {},
      attributePrefix: 'attr_',
      commands: [],
      layouts: [],
      replies: 'none',
      udp: undefined,
    });
  });
});
