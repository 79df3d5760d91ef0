import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import jt808 from '../../codecs/jt808/index.ts';
import queclink from '../../codecs/queclink/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { type Codec, checkOptions, type Options } from '../../src/codec/index.ts';
import { areOpposite } from '../../src/fleet/command/command.ts';
import { type CriticalType, type Meaning, meaningOf, switchingsOf } from '../../src/fleet/command/critical.ts';

function meaning(codec: Codec, type: string, parameters: Options = {}): Meaning {
  const rules = codec.commands.find((rule) => rule.type === type)?.parameters;
  if (rules === undefined) throw new Error(`${codec.name} has no ${type}`);
  return meaningOf(codec, type, checkOptions(rules, parameters, []), checkOptions(codec.options, {}, []));
}

const custom = (codec: Codec, text: string, timed = true): Meaning => meaning(codec, 'custom', codec === h02 ? { text, timed } : { text });

describe('a command that does what a critical one does is as critical', () => {
  const cases: readonly (readonly [Codec, string, Options, CriticalType | ''])[] = [
    ...[2000, 2001, 2004, 2005, 2006, 2007, 2010, 2016, 2020, 2021, 2025, 13_000, 13_003].map(
      (id) => [teltonika, 'set_parameter', { id, value: 'a' }, 'set_server'] as const,
    ),
    // FM11xx, its second SIM, FM22xx, FMB630.
    ...[1240, 1242, 1245, 1246, 1247, 202, 204, 205, 206, 209, 231, 240, 245, 246, 247, 2240, 3242, 9247].map(
      (id) => [teltonika, 'set_parameter', { id, value: 'a' }, 'set_server'] as const,
    ),
    ...[100, 203, 239, 248, 1000, 1999, 2011, 2239, 2248, 3003, 10_050, 10_240, 11_240, 12_999, 13_004, 50_245].map(
      (id) => [teltonika, 'set_parameter', { id, value: '1' }, ''] as const,
    ),
    [teltonika, 'set_server', { host: 'a', port: 1 }, 'set_server'],
    [teltonika, 'reboot', {}, ''],
    [teltonika, 'get_parameter', { id: 2004 }, ''],
    [gt06, 'set_server', { host: 'a', port: 1 }, 'set_server'],
    [gt06, 'reboot', {}, ''],
    [gt06, 'set_interval', { seconds: 60 }, ''],
    // Both release an engine cut.
    [h02, 'reboot', {}, 'engine_resume'],
    [h02, 'clear_alarms', {}, 'engine_resume'],
    [h02, 'engine_stop', {}, 'engine_stop'],
    [h02, 'disarm', {}, ''],
  ];
  it.each(
    cases.map(
      ([codec, type, parameters, critical]) =>
        [`${codec.name} ${type} ${JSON.stringify(parameters)}`, critical, codec, type, parameters] as const,
    ),
  )('%s: %j', (_, critical, codec, type, parameters) => {
    expect(meaning(codec, type, parameters).critical).toBe(critical);
  });

  it('also as bytes of a text, between line ends', () => {
    const hex = (text: string): Meaning => meaning(teltonika, 'custom', { text: Buffer.from(text).toString('hex'), hex: true });
    const found = ['setparam 2004:192.0.2.1\r\n', 'x\r\ncpureset\r\n', 'getver'].map((text) => hex(text).actsAs);
    expect(found).toEqual(['set_server', 'reboot', 'custom']);
    const spread = Buffer.from('cpureset').toString('hex').split('').join(' '.repeat(40));
    expect(meaning(teltonika, 'custom', { text: spread, hex: true }).actsAs).toBe('reboot');
    expect(hex('setdigout 1\r\n').switches).toMatchObject([{ output: 1, on: true }]);
  });

  it('a codec that throws is taken at its worst', () => {
    const fails = (): never => {
      throw new Error('defect');
    };
    const codec = { ...gt06, commands: gt06.commands.map((rule) => ({ ...rule, actsAs: fails })) };
    expect(meaning(codec, 'status')).toMatchObject({ critical: 'engine_stop', switches: [{ immobilises: true }] });
  });
});

it('an output of a codec that does not say what it switches may be the one that immobilises', () => {
  const switched = [true, false, undefined].map((on) =>
    switchingsOf(undefined, 'set_output', on === undefined ? { output: 2 } : { output: 2, on }, {}),
  );
  expect(switched).toEqual([true, false, false].map((on) => [{ output: 2, on, immobilises: on }]));
  expect(switchingsOf(undefined, 'status', { on: true }, {})).toEqual([]);
});

it('jt808: a parameter that says where the device connects to is as critical as set_server', () => {
  const meaning = (id: number): string => meaningOf(jt808, 'set_parameter', { id, value: '1', as: 'dword' }, {}).critical;
  expect([0x13, 0x18, 0xf030, 0x29].map(meaning)).toEqual(['set_server', 'set_server', 'set_server', '']);
});

it.each(['RELAY,1#', 'RELAY,223456,1#', 'prelay,1', 'DYD#', 'DYD,000000#'])('jt808: %s immobilises', (text) => {
  expect(custom(jt808, text).switches).toMatchObject([{ immobilises: true }]);
});

it.each([
  ['GTOUT=1,0,0', [[1, true]]],
  ['AT+GTOUT=0,0,0,,,,,,,,,,,,,', [[1, false]]],
  [
    'gtout= 1 ,,,0,0,0,2,0,0,0,0,0,,,,',
    [
      [1, true],
      [2, false],
      [3, true],
      [4, false],
    ],
  ],
  ['GTOUT=,,,,,,,,,1,0,0,,,,', [[4, true]]],
  // What stands behind the fourth output is none.
  ['GTOUT=,,,,,,,,,,,,1,0,0', []],
  ['GTOUT=12,0,0,x', []],
  ['GTOUT', []],
  ['GTRTO=1,0,0', []],
] as const)('queclink: what %s switches, and that it may immobilise', (text, expected) => {
  expect(custom(queclink, text).switches).toEqual(expected.map(([output, on]) => ({ output, on, immobilises: on })));
});

describe('a text amounts to the command whose words it has', () => {
  const cases: readonly [Codec, text: string, actsAs: string][] = [
    [jt808, 'SERVER,1,example.org,5015,0#', 'set_server'],
    [jt808, 'APN,internet#', 'set_server'],
    [jt808, 'SERVER#', 'custom'],
    [jt808, 'FACTORY#', 'set_server'],
    [jt808, 'RESET#', 'reboot'],
    [queclink, 'GTSRI=3,,1,gps.example.com,5004,,,,10,1,,,,', 'set_server'],
    [queclink, 'AT+GTQSS=internet,,,3,,1,gps.example.com,5004', 'set_server'],
    [queclink, 'gtbsi=internet,,', 'set_server'],
    [queclink, 'GTRTO=3,,,,,', 'reboot'],
    [queclink, 'GTRTO=4,,,,,', 'set_server'],
    [queclink, 'GTRTO=5,,,,,', 'set_server'],
    [queclink, 'GTRTO=1,,,,,', 'custom'],
    [queclink, 'GTRTO=33,,,,,', 'custom'],
    [queclink, 'GTFRI=3,,,,,', 'custom'],
    [teltonika, 'setparam 2004:example.org;2005:5027', 'set_server'],
    [teltonika, 'setparam 10050:30;2001:internet', 'set_server'],
    [teltonika, 'SETPARAM 1245 192.0.2.1', 'set_server'],
    [teltonika, 'login pass setparam 2004:example.org', 'set_server'],
    [teltonika, 'flush 352093081452251,apn,,,example.org,5027,0', 'set_server'],
    [teltonika, '  .setparam  2004:example.org', 'set_server'],
    [teltonika, 'defaultcfg', 'set_server'],
    [teltonika, 'cpureset', 'reboot'],
    [teltonika, 'setparam 10050:30', 'custom'],
    [teltonika, 'getparam 2004', 'custom'],
    [teltonika, 'getver', 'custom'],
    [gt06, 'SERVER,1,gps.example.com,5023,0#', 'set_server'],
    [gt06, 'server,0,192.0.2.1,5023,0', 'set_server'],
    [gt06, 'APN,internet#', 'set_server'],
    [gt06, 'FACTORY#', 'set_server'],
    [gt06, 'RESET#', 'reboot'],
    [gt06, 'restart', 'reboot'],
    // Queries.
    [gt06, 'SERVER#', 'custom'],
    [gt06, 'APN,,#', 'custom'],
    [gt06, 'STATUS#', 'custom'],
    [h02, 'S23,192.0.2.1:5013', 'set_server'],
    [h02, 's23,165,165,33,250,8800', 'set_server'],
    [h02, 'IP,2,00000000,1a7c,example.org', 'set_server'],
    [h02, 'S24,internet', 'set_server'],
    [h02, 'RESET', 'set_server'],
    [h02, 'CMD,8040000 203.0.113.5 5013', 'set_server'],
    [h02, 'CMD,7000000', 'set_server'],
    [h02, 'R1', 'reboot'],
    [h02, 'CQ', 'reboot'],
    [h02, 'CMD,RESTART', 'reboot'],
    [h02, 'CMD,CQ', 'reboot'],
    [h02, 'CMD,cq', 'reboot'],
    [h02, 'CMD,CQX', 'custom'],
    [h02, 'R7', 'clear_alarms'],
    [h02, 'S26', 'custom'],
    [h02, 'constructor', 'custom'],
  ];
  it.each(cases.map(([codec, text, actsAs]) => [codec.name, text, actsAs, codec] as const))('%s %j: %s', (_, text, actsAs, codec) => {
    // It needs the rights of `custom` whatever it does.
    expect(custom(codec, text)).toMatchObject({ actsAs, critical: 'custom' });
  });
});

describe('what releases an engine cut is the opposite of a stop', () => {
  const cases: readonly [Codec, stop: Meaning, release: readonly Meaning[], other: readonly Meaning[]][] = [
    [
      h02,
      meaning(h02, 'engine_stop'),
      [
        meaning(h02, 'engine_resume'),
        meaning(h02, 'reboot'),
        meaning(h02, 'clear_alarms'),
        custom(h02, 'R1'),
        custom(h02, 'R7'),
        custom(h02, 'CMD,130305,RESTART', false),
      ],
      [meaning(h02, 'status'), custom(h02, 'S26'), custom(h02, 'S20,1,1')],
    ],
    [
      h02,
      custom(h02, 'CMD,130305,9400000', false),
      [custom(h02, 'S20,130305,1,0', false), custom(h02, 'CMD,9410000')],
      [custom(h02, 'S20,1,0', false)],
    ],
    [
      gt06,
      meaning(gt06, 'engine_stop'),
      [meaning(gt06, 'engine_resume'), custom(gt06, 'HFYD#')],
      [meaning(gt06, 'reboot'), custom(gt06, 'RESET#')],
    ],
    [
      teltonika,
      meaning(teltonika, 'engine_stop', { output: 2 }),
      [meaning(teltonika, 'engine_resume', { output: 2 }), custom(teltonika, 'setdigout ?0')],
      [meaning(teltonika, 'engine_resume', { output: 1 }), meaning(teltonika, 'reboot'), custom(teltonika, 'setdigout 0')],
    ],
  ];
  it.each(cases.map((one) => [one[0].name, ...one] as const))('%s', (_name, _codec, stop, releases, others) => {
    expect(releases.map((one) => areOpposite(stop, one))).toEqual(releases.map(() => true));
    expect(others.map((one) => areOpposite(stop, one))).toEqual(others.map(() => false));
  });
});
