import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** Every command of JT/T 808 to a unit of every maker, over the API of a whole server, byte by byte, and the ways in which they answer. */

let server: ApiServer;
let port: number;
beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_WORKERS: '1' });
  port = await server.running.port('jt808');
});
afterAll(() => server.running.stop());

const hexOf = (text: string): string => Buffer.from(text).toString('hex');
const word = (n: number): string => n.toString(16).padStart(4, '0');

/** Content between the delimiters, with its checksum and escapes. */
function sealed(content: string, e7: boolean): Buffer {
  const bytes = Buffer.from(content, 'hex');
  const out: number[] = [];
  const escapes = new Map(
    e7
      ? [
          [0xe6, [0xe6, 1]],
          [0xe7, [0xe6, 2]],
          [0x3e, [0x3e, 1]],
          [0x3d, [0x3e, 2]],
        ]
      : [
          [0x7d, [0x7d, 1]],
          [0x7e, [0x7d, 2]],
        ],
  );
  for (const byte of [...bytes, bytes.reduce((sum, each) => sum ^ each, 0)]) out.push(...(escapes.get(byte) ?? [byte]));
  const delimiter = e7 ? 0xe7 : 0x7e;
  return Buffer.from([delimiter, ...out, delimiter]);
}

interface Maker {
  readonly name: string;
  /** Option `dialect`, where no frame tells. */
  readonly dialect?: string;
  readonly phone: string;
  readonly id: string;
  readonly e7?: true;
  readonly is2019?: true;
  /** Items behind the location that tell the maker. */
  readonly items?: string;
  /** Message that answers a text, beside the receipt. */
  readonly text: (serial: string, answer: string) => readonly [id: string, body: string];
  /** What each command is to it: message and body. */
  readonly says: Readonly<Record<string, readonly [id: string, body: string]>>;
}

const parameter = (id: string, value: string): string =>
  `${id.padStart(8, '0')}${(value.length / 2).toString(16).padStart(2, '0')}${value}`;
const SERVER = `02${parameter('13', hexOf('gps.example.com'))}${parameter('18', '00001397')}`;
const STANDARD = {
  locate: ['8201', ''],
  set_interval: ['8103', `01${parameter('29', '0000001e')}`],
  reboot: ['8105', '04'],
  engine_stop: ['8105', 'f0'],
  engine_resume: ['8105', 'f1'],
  status: ['8104', ''],
  version: ['8107', ''],
  set_server: ['8103', SERVER],
  get_parameter: ['8106', '0100000029'],
  set_parameter: ['8103', `01${parameter('55', '00000078')}`],
  confirm_alarm: ['8203', '000000000001'],
  track: ['8202', '000a00000258'],
  lock_doors: ['8500', '01'],
  custom: ['8300', `01${hexOf('STATUS#')}`],
} as const;
const jimi = (text: string): readonly [string, string] => ['8900', `f0${hexOf(text)}`];
const byTime = ['8103', `02${parameter('20', '00000000')}${parameter('29', '0000001e')}`] as const;

const MAKERS: readonly Maker[] = [
  {
    name: 'bsj',
    phone: '009590068981',
    id: '9590068981',
    items: 'eb29000c00b28988228066613427450900060089ffffffff000600c5ffffffff0004002d0fa5000300a85c',
    text: (serial, answer) => ['1300', serial + Buffer.from(answer, 'utf16le').swap16().toString('hex')],
    says: STANDARD,
  },
  {
    name: 'g10ls',
    dialect: 'g10ls',
    phone: '013812345001',
    id: '13812345001',
    text: (_serial, answer) => ['6006', `00${hexOf(answer)}`],
    says: {
      ...STANDARD,
      engine_stop: ['8105', '64'],
      engine_resume: ['8105', '65'],
      set_interval: byTime,
      custom: ['8300', `02${hexOf('STATUS#')}`],
    },
  },
  {
    name: 'huabao',
    dialect: 'huabao',
    phone: '013812345002',
    id: '13812345002',
    text: (_serial, answer) => ['0701', `${word(0)}${word(answer.length)}${hexOf(answer)}`],
    says: { ...STANDARD, set_interval: ['0310', '0106040000001e'], reboot: ['0310', '01230103'] },
  },
  {
    name: 'jimi',
    phone: '4e542af64212',
    id: '861234050012346',
    items: 'eb095554432d30343a3030',
    text: (_serial, answer) => ['0900', `f0${hexOf(answer)}`],
    says: {
      ...STANDARD,
      set_interval: jimi('TIMER,30,30#'),
      reboot: jimi('RESET#'),
      engine_stop: jimi('RELAY,1#'),
      engine_resume: jimi('RELAY,0#'),
      status: jimi('STATUS#'),
      version: jimi('VERSION#'),
      set_server: jimi('SERVER,1,gps.example.com,5015,0#'),
      custom: jimi('STATUS#'),
    },
  },
  {
    name: 'aovx',
    phone: '413057160185',
    id: '413057160185',
    items: `f213${hexOf('AOVX_GL100-LA_H2.0_')}`,
    text: (_serial, answer) => ['6006', `00${hexOf(answer)}`],
    says: {
      ...STANDARD,
      engine_stop: ['8105', hexOf('#0;1')],
      engine_resume: ['8105', hexOf('#0;0')],
      custom: ['8103', `01${parameter('f030', hexOf('STATUS#'))}`],
    },
  },
  {
    name: 'e7',
    e7: true,
    phone: '01234567890123',
    id: '1234567890123',
    text: (_serial, answer) => ['6006', `00${hexOf(answer)}`],
    says: { ...STANDARD, engine_stop: ['a006', '01'], engine_resume: ['a006', '00'] },
  },
  {
    name: '2019',
    is2019: true,
    phone: '00000000013812345003',
    id: '13812345003',
    text: (_serial, answer) => ['6006', `00${hexOf(answer)}`],
    says: { ...STANDARD, lock_doors: ['8500', '0001000100'], custom: ['8300', `0102${hexOf('STATUS#')}`] },
  },
];

/** A unit that obeys. */
class Unit {
  /** Messages down that are no answers: id and body. */
  readonly got: Array<readonly [id: string, body: string]> = [];
  readonly #maker: Maker;
  readonly #socket: net.Socket;
  #serial = 1;
  #held = Buffer.alloc(0);

  constructor(maker: Maker) {
    this.#maker = maker;
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true }, () => this.send('0200', this.#location()));
    this.#socket.on('error', () => {});
    this.#socket.on('data', (chunk) => this.#take(chunk));
  }

  stop(): void {
    this.#socket.destroy();
  }

  send(id: string, body: string): void {
    const { phone, e7 = false, is2019 = false } = this.#maker;
    const attributes = (is2019 ? 0x4000 : 0) + body.length / 2;
    this.#socket.write(sealed(`${id}${word(attributes)}${is2019 ? '01' : ''}${phone}${word(this.#serial++)}${body}`, e7));
  }

  /** Standing still, now, by the clock of China; a Jimi unit says that it is four hours behind. */
  #location(): string {
    const ahead = this.#maker.name === 'jimi' ? -4 : 8;
    const time = new Date(Date.now() + ahead * 3_600_000).toISOString().replace(/\D/g, '').slice(2, 14);
    return `00000000000000030311f0c80001f338001000000000${time}${this.#maker.items ?? ''}`;
  }

  #take(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    const delimiter = this.#maker.e7 === true ? 0xe7 : 0x7e;
    for (let end = this.#held.indexOf(delimiter, 1); end > 0; end = this.#held.indexOf(delimiter, 1)) {
      this.#read(this.#held.subarray(1, end));
      this.#held = this.#held.subarray(end + 1);
    }
  }

  #read(escaped: Buffer): void {
    const { phone, e7 = false, is2019 = false } = this.#maker;
    let content = escaped.toString('hex').replaceAll(/../g, '$& ');
    for (const [from, to] of e7
      ? [
          ['3e 02', '3d'],
          ['3e 01', '3e'],
          ['e6 02', 'e7'],
          ['e6 01', 'e6'],
        ]
      : [
          ['7d 02', '7e'],
          ['7d 01', '7d'],
        ])
      content = content.replaceAll(from ?? '', to ?? '');
    content = content.replaceAll(' ', '');
    const id = content.slice(0, 4);
    if (id === '8001') return;
    const at = is2019 ? 10 : 8;
    expect(content.slice(at, at + phone.length)).toBe(phone);
    const serial = content.slice(at + phone.length, at + phone.length + 4);
    const body = content.slice(at + phone.length + 4, -2);
    this.got.push([id, body]);
    this.#answer(id, serial, body);
  }

  #answer(id: string, serial: string, body: string): void {
    switch (id) {
      case '8201':
        this.send('0201', serial + this.#location());
        return;
      case '8104':
        this.send('0104', `${serial}02${parameter('1', '000000b4')}${parameter('29', '0000001e')}`);
        return;
      case '8106':
        this.send('0104', `${serial}01${parameter('29', '0000001e')}`);
        return;
      case '8107':
        this.send(
          '0107',
          `0049${hexOf('70111')}${hexOf('TRACKER-X1').padEnd(40, '0')}${hexOf('A000001')}8986001234567890123402${hexOf('H1')}02${hexOf('V7')}0301`,
        );
        return;
      default:
        this.send('0001', `${serial}${id}00`);
        if (id === '8300' || id === '8900' || body.includes('f030')) this.send(...this.#maker.text(serial, 'BAT:4.01V;OK'));
    }
  }
}

const PARAMETERS: Readonly<Record<string, object>> = {
  set_interval: { seconds: 30 },
  set_server: { host: 'gps.example.com', port: 5015 },
  get_parameter: { id: 41 },
  set_parameter: { id: 85, value: '120' },
  track: { seconds: 10 },
  custom: { text: 'STATUS#' },
};
const REPLIES: Readonly<Record<string, object>> = {
  get_parameter: { reply: '0x0029=30', values: { interval: 30 } },
  locate: { values: { lat: expect.closeTo(51.507, 2), lon: expect.closeTo(0.1278, 3) } },
  custom: { reply: 'BAT:4.01V;OK' },
};

describe('commands to a unit of', () => {
  it.each(MAKERS)('$name', async (maker) => {
    const path = `/v1/devices/${maker.id}`;
    const options = maker.dialect === undefined ? {} : { options: { dialect: maker.dialect } };
    expect((await server.call('PUT', path, { protocol: 'jt808', ...options })).status).toBe(201);
    const unit = new Unit(maker);
    try {
      await eventually(async () => expect((await server.call('GET', `${path}/state`)).body).toMatchObject({ connected: true }));
      for (const [type, [id, body]] of Object.entries(maker.says)) {
        const before = unit.got.length;
        const asked = { type, parameters: PARAMETERS[type] ?? {} };
        const ended = await server.call('POST', `${path}/commands?wait=60`, asked);
        const shown = id === '8107' ? { reply: 'attributes TRACKER-X1, V7' } : REPLIES[type];
        expect([type, ended]).toMatchObject([type, { status: 201, body: { state: 'answered', ...shown } }]);
        const [message] = unit.got.slice(before);
        // The message of E7 units ends with the time.
        expect([type, message?.[0], id === 'a006' ? message?.[1].slice(0, 2) : message?.[1]]).toEqual([type, id, body]);
        if (id === 'a006') expect(message?.[1]).toMatch(/^0[01]\d{12}$/);
      }
    } finally {
      unit.stop();
    }
  });
});
