import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import jt808 from '../../codecs/jt808/index.ts';
import queclink from '../../codecs/queclink/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { BUILTIN_CODECS } from '../../src/codec/builtin.ts';
import { type Codec, checkOptions, type Options, type OptionValue } from '../../src/codec/index.ts';
import { KIT_NOW } from '../../src/codec/kit/index.ts';
import { Random } from '../../src/simulate/random.ts';

/**
 * Nothing that is given as a parameter gets out of the text that it stands in: no end of the command, no second command, no
 * control or foreign character, no length that a field cannot hold.
 */

const DEVICE = '9180271180';
/** What could end a text or begin another, and what no text holds. */
const PIECES = [
  '#',
  ';',
  '\r',
  '\n',
  '\0',
  '*',
  ',',
  ' ',
  '\u001b',
  '\u007f',
  'é',
  '日',
  '\ud800',
  'RESET#',
  'cpureset',
  'a',
  '0',
  '.',
  ':',
  '%',
];

function open(codec: Codec): object {
  const state = codec.tcp?.open(checkOptions(codec.options, {}, []), 0);
  if (state === undefined) throw new Error(`${codec.name} does not speak TCP`);
  return state;
}

/** A state that has heard of the device. */
function acquainted(codec: Codec): object {
  const state = open(codec);
  if (codec === h02) Object.assign(state, { id: DEVICE });
  return state;
}

function encoded(codec: Codec, type: string, parameters: Options): string {
  const out = new Uint8Array(4096).fill(0xee);
  const length = codec.tcp?.encodeCommand?.({ type, parameters }, 1234, acquainted(codec), out, 0, KIT_NOW) ?? 0;
  expect(out.subarray(length).every((byte) => byte === 0xee)).toBe(true);
  return Buffer.from(out.subarray(0, length)).toString('latin1');
}

function text(random: Random): string {
  let made = '';
  for (let k = random.int(12); k >= 0; k--) made += PIECES[random.int(PIECES.length)] ?? '';
  return random.int(8) === 0 ? made.padEnd(100 + random.int(400), 'x') : made;
}

/** Values that the rules allow, with hostile texts. */
function parameters(codec: Codec, type: string, random: Random): Options {
  const rules = codec.commands.find((rule) => rule.type === type)?.parameters ?? {};
  const given: Record<string, OptionValue> = {};
  for (const [name, rule] of Object.entries(rules)) {
    if (rule.type === 'string') given[name] = rule.oneOf?.[random.int(rule.oneOf.length)] ?? text(random);
    else if (rule.type === 'boolean') given[name] = random.int(2) === 1;
    else given[name] = (rule.min ?? 0) + random.int(Math.min(1000, (rule.max ?? 1000) - (rule.min ?? 0) + 1));
  }
  return given;
}

const CODECS = { teltonika, gt06, h02, jt808, queclink };
const printable = /^[\x20-\x7e]*$/;

/** The text within the frame, and what must hold of it. */
const FORMS: readonly [string, Codec, (frame: string, type: string) => void][] = [
  [
    'gt06',
    gt06,
    (frame) => {
      const [, length = '', body = ''] = /^(?:xx.|yy..)\x80(.).{4}(.*)$/s.exec(frame) ?? [];
      const content = body.slice(0, length.charCodeAt(0) - 4);
      expect(content).toMatch(printable);
      expect(content.indexOf('#')).toBe(content.length - 1);
      expect(content).not.toContain(';');
      expect(body.length).toBe(content.length + 6);
    },
  ],
  [
    'h02',
    h02,
    (frame) => {
      expect(frame).toMatch(printable);
      expect(frame.lastIndexOf('*')).toBe(0);
      expect(frame.indexOf('#')).toBe(frame.length - 1);
      expect(frame).not.toContain(';');
    },
  ],
  [
    'teltonika',
    teltonika,
    (frame, type) => {
      const size = Buffer.from(frame, 'latin1').readUInt32BE(11);
      const content = frame.slice(15, 15 + size);
      expect(frame.length).toBe(15 + size + 5);
      expect(content).toMatch(printable);
      expect(content.length <= 160).toBe(true);
      if (type === 'set_parameter') expect(content).not.toContain(';');
      if (type === 'set_server') expect(content).toMatch(/^setparam 2004:[A-Za-z0-9.-]+;2005:\d+;2006:[01]$/);
    },
  ],
];

describe.each(FORMS)('a command of %s', (_name, codec, check) => {
  it('holds nothing but its own text, whatever the parameters are', () => {
    const random = new Random(20_261_128);
    let made = 0;
    for (const { type, parameters: rules } of codec.commands) {
      const hostile = Object.values(rules).some((rule) => rule.type === 'string' && rule.oneOf === undefined);
      for (let k = hostile ? 600 : 20; k > 0; k--) {
        const frame = encoded(codec, type, parameters(codec, type, random));
        if (frame === '') continue;
        made++;
        check(frame, type);
      }
    }
    expect(made > 100).toBe(true);
  });

  it.each(codec.commands.map(({ type }) => type))('%s is encoded with values that its rule allows', (type) => {
    const random = new Random(7);
    let made = false;
    for (let k = 0; k < 200 && !made; k++) {
      const given: Record<string, OptionValue> = { ...parameters(codec, type, random) };
      if ('text' in given) given['text'] = 'VERSION';
      if ('host' in given) given['host'] = 'gps.example.com';
      if ('value' in given) given['value'] = '60';
      if ('minutes' in given) given['minutes'] = 60;
      made = encoded(codec, type, given) !== '';
    }
    expect(made).toBe(true);
  });
});

describe('the text of a custom command', () => {
  /** The text around a character, and the printable characters that would end a frame or begin another. */
  it.each([
    ['teltonika', 'A', ''],
    ['gt06', 'A', '#;'],
    ['h02', 'A', '#*;'],
    ['jt808', 'A', ''],
    ['queclink', 'GTRTO=', '$'],
  ] as const)('%s: has any printable character but those that end a frame', (name, head, refused) => {
    const codec: Codec = CODECS[name];
    const options = checkOptions(codec.options, 'device' in codec.options ? { device: '352093701000019' } : {}, []);
    const sent = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).filter((character) => {
      const state = codec.tcp?.open(options, 0);
      if (state === undefined) throw new Error(`${codec.name} does not speak TCP`);
      const parameters = checkOptions(
        codec.commands.find(({ type }) => type === 'custom')?.parameters ?? {},
        { text: `${head}${character}B` },
        [],
      );
      return (codec.tcp?.encodeCommand?.({ type: 'custom', parameters }, 1, state, new Uint8Array(1024), 0, KIT_NOW) ?? 0) > 0;
    });
    const printables = Array.from({ length: 95 }, (_, n) => String.fromCharCode(32 + n));
    expect(sent).toEqual(printables.filter((character) => !refused.includes(character)));
  });
});

describe('a number of a command', () => {
  const OTHERS: Readonly<Record<string, OptionValue>> = { host: 'gps.example.com', value: '60', minutes: 60, seconds: 60, packages: '1' };
  /** Options of a device that takes the command, where not every one does. */
  const FAMILIES: Readonly<Record<string, Options>> = {
    'jt808 set_output': { dialect: 'aovx' },
    'jt808 set_time_zone': { dialect: 'jimi' },
    'queclink set_output': { model: 'gv200' },
  };
  const ends = BUILTIN_CODECS.flatMap((codec) =>
    codec.commands.flatMap(({ type, parameters: rules }) =>
      Object.entries(rules).flatMap(([name, rule]) =>
        rule.type === 'number' ? [rule.min, rule.max].map((value) => [codec.name, type, name, value, codec, rules] as const) : [],
      ),
    ),
  );
  it.each(ends)('%s: %s is encoded with %s %d, an end of its range', (codecName, type, name, value, codec, rules) => {
    if (value === undefined) throw new Error('a number without an end of its range');
    const given = Object.fromEntries(Object.entries(OTHERS).filter(([other]) => other in rules));
    const device = 'device' in codec.options ? { device: '352093701000019' } : {};
    const options = checkOptions(codec.options, { ...device, ...FAMILIES[`${codecName} ${type}`] }, []);
    const command = { type, parameters: checkOptions(rules, { ...given, [name]: value }, []) };
    const state = codec.tcp?.open(options, 0);
    if (state === undefined) throw new Error(`${codec.name} does not speak TCP`);
    expect(codec.tcp?.encodeCommand?.(command, 1, state, new Uint8Array(1024), 0, KIT_NOW)).toBeGreaterThan(0);
  });
});

describe('what a reply means', () => {
  const command = (type: string, given: Options = {}): { type: string; parameters: Options } => ({ type, parameters: given });

  it.each([
    // codecs/teltonika/protocol.md sections 6.2, 6.4, 7.1
    [
      'teltonika',
      'inputs',
      'DI1:1 DI2:0 DI3:0 AIN1:0 AIN2:16924 DO1:0 DO2:1',
      'done',
      { input_1: true, input_2: false, input_3: false, analog_v_1: 0, analog_v_2: 16.924, output_1: false, output_2: true },
    ],
    ['teltonika', 'get_parameter', 'Param ID:10050 Value:60', 'done', { parameter_10050: 60, interval: 60 }],
    [
      'teltonika',
      'get_parameter',
      'Param ID:13000 Value:fm.teltonika.lt;1000:300',
      'done',
      { parameter_13000: 'fm.teltonika.lt', parameter_1000: 300 },
    ],
    ['teltonika', 'get_parameter', "Param ID:99999 doesn't exist", 'refused', {}],
    ['teltonika', 'set_interval', 'New value 10050:60;10055:60', 'done', { parameter_10050: 60, interval: 60, parameter_10055: 60 }],
    ['teltonika', 'set_interval', 'WARNING: Not supported Param ID or Value detected', 'refused', {}],
    ['teltonika', 'engine_stop', 'DOUT1:ON Timeout:10s Speed threshold:1km/h', 'done', { output_1: true }],
    [
      'teltonika',
      'version',
      'Ver:03.18.14_04 GPS:AXN_5.10_3333 Hw:FMB120 Mod:15 IMEI:352093081452251 Init:2018-11-22 7:13 Uptime:17234 MAC:60BDD0016261 SPC:1(0) AXL:0 OBD:0 BL:1.6 BT:4',
      'done',
      {
        firmware: '03.18.14_04',
        gnss_firmware: 'AXN_5.10_3333',
        model: 'FMB120',
        imei: '352093081452251',
        uptime_s: 17_234,
        bluetooth_mac: '60BDD0016261',
      },
    ],
    [
      'teltonika',
      'status',
      'INI:2019/7/22 7:22 RTC:2019/7/22 7:53 RST:2 ERR:1 SR:0 BR:0 CF:0 FG:0 FL:0 TU:0/0 UT:0 SMS:0 NOGPS:0:30 GPS:1 SAT:0 RS:3 RF:65 SF:1 MD:0',
      'done',
      {
        restarts: 2,
        errors: 1,
        sent_records: 0,
        broken_records: 0,
        network_failures: 0,
        link_failures: 0,
        gps: 1,
        satellites: 0,
        reset_source: 3,
        data_mode: 0,
      },
    ],
    [
      'teltonika',
      'network',
      'Data Link: 1 GPRS: 1 Phone: 0 SIM: 0 OP: 24602 Signal: 5 NewSMS: 0 Roaming: 0 SMSFull: 0 LAC: 1 Cell ID: 3055',
      'done',
      { data_link: 1, gprs: 1, operator: '24602', gsm_level: 5, roaming: 0, lac: 1, cell_id: 3055 },
    ],
    [
      'teltonika',
      'locate',
      'GPS:1 Sat:7 Lat:54.71473 Long:25.30304 Alt:147 Speed:0 Dir:77 Date: 2007/8/24 Time: 13:4:36',
      'done',
      {
        valid: true,
        satellites: 7,
        lat: 54.71473,
        lon: 25.30304,
        altitude_m: 147,
        speed_kmh: 0,
        course_deg: 77,
        time: Date.UTC(2007, 7, 24, 13, 4, 36),
      },
    ],
    ['teltonika', 'version', 'Data IMEI:356307042441013', 'unclear', {}],
    ['teltonika', 'get_parameter', 'Param ID:2001 Value:New value x', 'done', { parameter_2001: 'New value x' }],
    ['teltonika', 'set_parameter', 'New value 2001:;10050:60', 'done', { parameter_2001: '', parameter_10050: 60, interval: 60 }],
    ['teltonika', 'version', 'refused: the command names another IMEI', 'refused', {}],
    // codecs/gt06/protocol.md sections 9.3 to 9.6
    [
      'gt06',
      'status',
      'Battery:4.20V,NORMAL; GPRS:Link Up; GSM Signal Level:Strong; GPS:Successful positioning, SVS Used in fix:3(9), GPS Signal Level:38,26,33; ACC:ON; Defense:OFF',
      'done',
      {
        battery_v: 4.2,
        gprs: 'Link Up',
        gsm_signal: 'Strong',
        gnss_status: 'Successful positioning',
        satellites: 3,
        satellites_visible: 9,
        ignition: true,
        armed: false,
      },
    ],
    [
      'gt06',
      'status',
      'Battery:12.345V,NORMAL; GPS:Successful positioning, SVS Used in fix:12(14); ACC:OFF; Defense:ON',
      'done',
      { battery_v: 12.345, gnss_status: 'Successful positioning', satellites: 12, satellites_visible: 14, ignition: false, armed: true },
    ],
    [
      'gt06',
      'custom',
      'IMEI:868120145233604;TIMER:20,30; SENDS:5; SOS:,,; Center Number:; Sensorset:10,1,5,1; Defense time:10; TimeZone:E,8,0;',
      'done',
      { imei: '868120145233604', interval: 20, interval_off: 30, time_zone: 480 },
    ],
    ['gt06', 'custom', 'Total Mileage:12345km; TimeZone:W,3,30;', 'done', { odometer_m: 12_345_000, time_zone: -210 }],
    ['gt06', 'set_interval', 'OK!', 'done', {}],
    ['gt06', 'set_interval', 'Welcome', 'unclear', {}],
    ['gt06', 'status', 'DYD=Speed Limit', 'deferred', {}],
    ['gt06', 'version', 'Your balance is low', 'unclear', {}],
    ['gt06', 'version', '[VERSION]NT06L_10[BUILD]2019/07/22 10:00', 'done', { firmware: 'NT06L_10', build: '2019/07/22 10:00' }],
    ['gt06', 'set_time_zone', 'GMT_OK', 'done', {}],
    ['gt06', 'reboot', 'The terminal will restart after 20sec!', 'done', {}],
    ['gt06', 'engine_resume', 'cancelled the command of cutting-off fuel supply; fuel supply is on.', 'done', {}],
    ['gt06', 'engine_stop', 'Hello', 'unclear', {}],
    ['gt06', 'set_interval', 'TIMER ACC ON:60s,ACC OFF:180s', 'done', { interval: 60, interval_off: 180 }],
    ['gt06', 'set_interval', 'Error: Number of parameters error!', 'refused', {}],
    ['gt06', 'engine_stop', 'DYD=Success!', 'done', {}],
    ['gt06', 'engine_stop', 'HFYD=Fail!', 'refused', {}],
    ['gt06', 'engine_stop', 'DYD=Speed Limit, Speed 40km/h', 'deferred', {}],
    ['gt06', 'engine_stop', 'GPS not fixed, Cut off the fuel supply operation delay execution!', 'deferred', {}],
    ['gt06', 'engine_stop', 'Already in the state of fuel supply cut off,the command is not running!', 'done', {}],
    [
      'gt06',
      'custom',
      'Current position! Lat:S23.525024,Lon:W46.679787,Course:263.28,Speed:0.00Km/h,DateTime:2021-10-29 11:11:43',
      'done',
      { valid: true, lat: -23.525024, lon: -46.679787, course_deg: 263.28, speed_kmh: 0, local_time: Date.UTC(2021, 9, 29, 11, 11, 43) },
    ],
    [
      'gt06',
      'custom',
      'DWXX=Lat:N23d5.1708m,Lon:E114d23.6212m,Course:0.00,Speed:0.35,DateTime:11-11-15  11:53:43',
      'done',
      { valid: true, lat: 23.08618, lon: 114.393687, course_deg: 0, speed_kmh: 0.35, local_time: Date.UTC(2011, 10, 15, 11, 53, 43) },
    ],
    // codecs/jt808/protocol.md sections 11.2 and 11.5
    ['jt808', 'set_interval', '8103 ok', 'done', {}],
    ['jt808', 'reboot', '8105 failed', 'refused', {}],
    ['jt808', 'engine_stop', '8105 ok', 'done', {}],
    ['jt808', 'engine_stop', '8900 ok', 'unclear', {}],
    ['jt808', 'engine_stop', 'RELAY:1', 'done', {}],
    ['jt808', 'engine_stop', 'Welcome', 'unclear', {}],
    ['jt808', 'custom', '8300 ok', 'unclear', {}],
    ['jt808', 'custom', '8300 not supported', 'refused', {}],
    ['jt808', 'custom', 'BAT:4.01V;OK', 'done', {}],
    ['jt808', 'custom', 'Command error!', 'refused', {}],
    ['jt808', 'engine_stop', 'RELAY: not supported', 'refused', {}],
    ['jt808', 'status', '8104 ok', 'unclear', {}],
    ['jt808', 'status', '0x0001=180, 0x0029=30', 'done', { heartbeat_interval: 180, interval: 30 }],
    ['jt808', 'version', 'attributes C5L, C5L_V2.6', 'done', {}],
    // codecs/queclink/protocol.md sections 11.3 and 11.4
    ['queclink', 'engine_stop', 'GTOUT ok', 'done', {}],
    ['queclink', 'engine_stop', 'GTOUT,2 refused', 'refused', {}],
    ['queclink', 'engine_stop', 'ACK 2,0 ok', 'done', {}],
    ['queclink', 'reboot', 'GTRTO,REBOOT ok', 'done', {}],
    ['queclink', 'status', 'GTRTO,BAT ok', 'unclear', {}],
    ['queclink', 'status', 'GTBAT,1,,88,4.10,1,1', 'done', {}],
    ['queclink', 'custom', 'GTGEO,0 ok', 'done', {}],
    // codecs/h02/protocol.md section 4.5
    ['h02', 'set_interval', 'S17', 'done', {}],
    ['h02', 'engine_stop', 'S20,DONE', 'done', { blocked: true }],
    ['h02', 'engine_stop', 'S20 , DONE', 'done', { blocked: true }],
    ['h02', 'engine_resume', 'S20,OK', 'done', { blocked: false }],
    ['h02', 'engine_stop', 'S20,ERROR', 'refused', {}],
    ['h02', 'engine_stop', 'S20,FAIL', 'refused', {}],
    ['h02', 'engine_resume', 'S20,80', 'done', {}],
    ['h02', 'engine_stop', 'S20,01', 'refused', {}],
    ['h02', 'engine_stop', 'S20,7F', 'refused', {}],
    ['h02', 'engine_stop', 'S20,F1', 'done', {}],
    ['h02', 'disarm', 'CF,02', 'refused', {}],
    ['h02', 'status', 'INFO,00', 'refused', {}],
    // What comes back here are the seconds.
    ['h02', 'set_interval', 'S17,60', 'done', {}],
    ['h02', 'set_interval', 'D1,60,65535', 'done', {}],
    ['h02', 'engine_stop', 'S20,010203,1,1', 'done', {}],
    ['h02', 'reboot', 'CQ', 'done', {}],
    ['h02', 'set_server', 'S23,165.165.33.250:8800', 'done', { server: '165.165.33.250:8800' }],
    ['h02', 'custom', 'S32,0000130502.35', 'done', { odometer_m: 67_136 }],
    [
      'h02',
      'status',
      'INFO,80,132.44.55.33,8090,60,1,13578882828,0,0,0,0,1,cmnet,0,50',
      'done',
      { server: '132.44.55.33:8090', interval: 60, apn: 'cmnet', battery_pct: 50 },
    ],
  ] as const)('%s %s: %s', (name, type, said, outcome, values) => {
    const codec = CODECS[name];
    const given = type !== 'custom' ? {} : codec === h02 ? { text: 'S32,1' } : codec === queclink ? { text: 'AT+GTGEO=0,3' } : {};
    const reading = codec.readReply?.(command(type, given), said);
    expect(reading?.outcome).toBe(outcome);
    expect(Object.keys(reading?.values ?? {}).sort()).toEqual(Object.keys(values).sort());
    for (const [name, value] of Object.entries(values)) {
      const found = reading?.values[name];
      if (typeof value === 'number') expect(found).toBeCloseTo(value, 5);
      else expect(found).toBe(value);
    }
  });

  it('jt808: a text of more than 200 characters is no command', () => {
    const state = jt808.tcp?.open(checkOptions(jt808.options, { device: '013912345678' }, []), 0) ?? {};
    const out = new Uint8Array(4096);
    const lengthOf = (text: string): number =>
      jt808.tcp?.encodeCommand?.({ type: 'custom', parameters: { text } }, 1, state, out, 0, KIT_NOW) ?? -1;
    expect(lengthOf('A'.repeat(200))).toBe(lengthOf('A') + 199);
    expect(lengthOf('A'.repeat(201))).toBe(0);
  });

  it.each([
    ['RELAY,1#', [{ output: 0, on: true, immobilises: true }]],
    ['relay, 0#', [{ output: 0, on: false, immobilises: false }]],
    ['RELAY,ON#', [{ output: 0, on: true, immobilises: true }]],
    ['RELAY,off', [{ output: 0, on: false, immobilises: false }]],
    ['PRELAY,123456,1#', [{ output: 0, on: true, immobilises: true }]],
    ['PRELAY,000000,0#', [{ output: 0, on: false, immobilises: false }]],
    ['RELAY#', []],
    ['DYD,000000#', [{ output: 0, on: true, immobilises: true }]],
    ['hfyd#', [{ output: 0, on: false, immobilises: false }]],
    ['RELAYS,1#', []],
    ['STATUS#', []],
  ])('gt06: what %s does to outputs', (text, done) => {
    const rule = gt06.commands.find(({ type }) => type === 'custom');
    expect(rule?.switches?.({ text }, {})).toEqual(done);
  });

  it.each([
    ['RESET#', 'reboot'],
    ['restart', 'reboot'],
    ['FACTORY#', 'set_server'],
    ['SERVER,1,host.example,8800,0#', 'set_server'],
    ['APN,internet#', 'set_server'],
    ['ASETAPN,1#', 'set_server'],
    ['SERVER#', ''],
    ['APN,,#', ''],
    ['ASETAPN', ''],
    ['RESETS#', ''],
    ['STATUS,1#', ''],
  ])('gt06: what %s is, as a command of its own', (text, type) => {
    expect(gt06.commands.find((rule) => rule.type === 'custom')?.actsAs?.({ text })).toBe(type);
  });

  it.each([
    ['teltonika', 'version', 'Param ID:10050 Value:60'],
    ['teltonika', 'locate', 'DOUT1:ON'],
    ['h02', 'engine_stop', 'S17'],
    ['h02', 'set_interval', 'CQ'],
    ['gt06', 'engine_stop', 'HFYD=Success!'],
    ['gt06', 'engine_stop', 'Already in the state of fuel supply to resume,the command is not running!'],
    ['gt06', 'engine_resume', 'DYD=Success!'],
    ['gt06', 'engine_resume', 'Cut off the fuel supply: Success! Speed: 0 km/h.'],
    ['queclink', 'engine_stop', 'GTFRI ok'],
    ['queclink', 'engine_stop', 'GTFRI refused'],
    ['queclink', 'engine_stop', 'GTVER,GL300,0A03,0103'],
    ['queclink', 'version', 'GTBAT,1,,88,4.10,1,1'],
    ['queclink', 'version', 'hello'],
    ['jt808', 'engine_stop', '8103 ok'],
    ['jt808', 'engine_stop', '8103 failed'],
    ['jt808', 'locate', 'BAT:4.01V;OK'],
    ['jt808', 'track', 'OK'],
    ['jt808', 'set_parameter', '0x0029=30'],
    ['jt808', 'status', 'attributes C5L, C5L_V2.6'],
  ] as const)('%s: no reply to %s looks like "%s"', (name, type, said) => {
    expect(CODECS[name].readReply?.(command(type), said)).toBeUndefined();
  });

  it.each(['teltonika', 'gt06', 'h02', 'jt808', 'queclink'] as const)(
    '%s: any text is read in any context, and a long one soon',
    (name) => {
      const codec = CODECS[name];
      const random = new Random(3);
      for (let k = 0; k < 500; k++)
        for (const type of [undefined, 'status', 'custom']) codec.readReply?.(type === undefined ? undefined : command(type), text(random));
      for (const piece of ['DOUT1:', 'TIMER:1,', 'Lat:N1.', 'GPS:1 Sat:', ';1:', 'Battery:'])
        codec.readReply?.(undefined, piece.repeat(10_000));
    },
  );
});

describe('a device that has not spoken since the start', () => {
  const WANTED: Readonly<Record<string, Options>> = {
    locate: {},
    set_interval: { seconds: 60 },
    reboot: {},
    set_server: { host: '192.0.2.1', port: 5000 },
    custom: { text: 'status' },
  };
  const cases = BUILTIN_CODECS.flatMap((codec) =>
    codec.commands.filter(({ type }) => type in WANTED).map(({ type }) => [codec.name, type, codec] as const),
  );
  it.each(cases)('can be sent commands: %s %s', (_name, type, codec) => {
    const options = checkOptions(codec.options, 'device' in codec.options ? { device: '352093701000019' } : {}, []);
    const rules = codec.commands.find((rule) => rule.type === type)?.parameters ?? {};
    const command = { type, parameters: checkOptions(rules, WANTED[type] ?? {}, []) };
    const out = new Uint8Array(1024);
    for (const dialect of [codec.tcp, codec.udp])
      if (dialect?.encodeCommand !== undefined)
        expect(dialect.encodeCommand(command, 1, dialect.open(options, 0), out, 0, KIT_NOW)).toBeGreaterThan(0);
  });
});
