import type { Random } from './random.ts';
import type { Sample } from './track.ts';

/** How devices take commands: as they should, late, without a word, with a reply to something else, or by starting again. */
export const OBEDIENCE = ['honest', 'slow', 'silent', 'wrong', 'reboot', 'mixed'] as const;
export type Obedience = (typeof OBEDIENCE)[number];

/** A command as the device reads it off the wire. */
export interface Order {
  /** Bytes that it takes. */
  readonly length: number;
  /** In the device's own language. */
  readonly text: string;
  /** What must come back with the reply, where the protocol has something. */
  readonly key: number;
}

/** What a device does about a command. */
export interface Deed {
  /** Undefined: it says nothing. */
  readonly reply?: string;
  /** It reports in this interval from now on. */
  readonly intervalMs?: number;
  /** It sends its position now, as a record. */
  readonly reports?: boolean;
  /** It ends the connection. */
  readonly restarts?: boolean;
}

const HONEST: readonly Obedience[] = ['honest', 'honest', 'honest', 'honest', 'slow', 'silent', 'wrong', 'reboot'];

/** One of the pure ways. */
export function mood(obedience: Obedience, random: Random): Obedience {
  return obedience === 'mixed' ? (HONEST[random.int(HONEST.length)] ?? 'honest') : obedience;
}

/** `getver`, `setparam 10050:30;10055:30` … (codecs/teltonika/protocol.md sections 7.1 and 7.2). `where` reads the position. */
export function teltonikaDeed(text: string, imei: string, where: () => Sample): Deed {
  const [verb = '', rest = ''] = [text.split(' ')[0], text.slice(text.indexOf(' ') + 1)];
  switch (verb) {
    case 'cpureset':
      return { restarts: true };
    case 'getrecord':
      return { reports: true };
    case 'getver':
      return { reply: `Ver:03.27.07_00 GPS:AXN_5.10 Hw:FMB120 Mod:15 IMEI:${imei} Init:2026-1-1 0:0 Uptime:3600 MAC:001122334455` };
    case 'getinfo':
      return {
        reply: 'INI:2026/1/1 0:0 RTC:2026/1/1 1:0 RST:2 ERR:0 SR:10 BR:0 CF:0 FG:0 FL:0 SMS:0 NOGPS:0:0 GPS:1 SAT:9 RS:3 RF:0 SF:0 MD:1',
      };
    case 'getgps':
      return { reply: getgps(where()) };
    case 'getparam':
      return { reply: `Param ID:${rest} Value:0` };
    case 'setparam': {
      const seconds = /(?:^|;)1(?:0050|0150|0250|550|570|590)[: ](\d+)/.exec(rest)?.[1];
      return { reply: `New value ${rest}`, ...(seconds === undefined ? {} : { intervalMs: 1000 * Number(seconds) }) };
    }
    case 'setdigout':
      return { reply: `DOUT1:${rest.startsWith('1') ? 'ON' : 'OFF'} Timeout:INFINITY` };
    default:
      return { reply: 'WARNING: Unknown command or invalid parameters' };
  }
}

/** `TIMER,30,60#`, `STATUS#` … (codecs/gt06/protocol.md sections 9.2 to 9.5). */
export function gt06Deed(text: string): Deed {
  const [verb = '', first = ''] = text.replace(/#$/, '').split(',');
  switch (verb) {
    case 'RESET':
      return { restarts: true };
    case 'TIMER':
      return { reply: 'OK!', ...(Number(first) > 0 ? { intervalMs: 1000 * Number(first) } : {}) };
    case 'STATUS':
      return { reply: 'Battery:4.10V,NORMAL; GPRS:Link Up; GSM Signal Level:Strong; GPS:Successful positioning; ACC:ON; Defense:OFF' };
    case 'VERSION':
      return { reply: '[VERSION]GT06N_20_61DM2_B25E[BUILD]2020/01/01' };
    case 'DYD':
      return { reply: 'DYD=Success!' };
    case 'HFYD':
      return { reply: 'HFYD=Success!' };
    case 'LJDW':
      return { reply: 'OK!', reports: true };
    case 'SERVER':
    case 'GMT':
    case 'Relay':
      return { reply: 'OK!' };
    default:
      return { reply: 'Error! Unknown command' };
  }
}

/** `S17` with `30` … (codecs/h02/protocol.md sections 4.5 and 9.2); the reply is what follows the command's name and time. */
export function h02Deed(name: string, parameters: readonly string[]): Deed {
  const echo = parameters.join(',');
  const seconds = Number(name === 'S71' ? parameters[1] : parameters[0]);
  if (name === 'R1' || name === 'CQ') return { restarts: true };
  if (name === 'CR') return { reply: '', reports: true };
  // D1 with a count asks for positions, and is answered by them alone; with one parameter it sets the interval.
  if (name === 'D1' && parameters.length > 1) return { reports: true };
  const sets = (name === 'S17' || name === 'S71' || name === 'XT' || name === 'D1') && seconds > 0;
  return { reply: echo, ...(sets ? { intervalMs: 1000 * seconds } : {}) };
}

/** `GTRTO` with `1`, `GTFRI` … (codecs/queclink/protocol.md sections 11.2 to 11.4), the parameters behind the password. */
export function queclinkDeed(name: string, parameters: readonly string[]): Deed {
  if (name === 'GTFRI') {
    const seconds = Number(parameters[7]);
    return { reply: '', ...(seconds > 0 ? { intervalMs: 1000 * seconds } : {}) };
  }
  if (name !== 'GTRTO') return { reply: '' };
  switch (parameters[0]) {
    case '1':
      return { reply: 'RTL', reports: true };
    case '2':
      return { reply: 'READ' };
    case '3':
      return { restarts: true };
    case '8':
      return { reply: 'VER' };
    case '9':
      return { reply: 'BAT' };
    default:
      return { reply: '' };
  }
}

/** Id and body of a message, hexadecimal (codecs/jt808/protocol.md section 11); the reply is what follows the receipt, or stands in its place. */
export function jt808Deed(text: string): Deed {
  const [id = '', body = ''] = text.split(' ');
  switch (id) {
    case '8103': {
      // Count 1, (id 4, length 1, value)…
      const seconds = Number.parseInt(/0000002904([0-9a-f]{8})/.exec(body)?.[1] ?? '0', 16);
      return { reply: '', ...(seconds > 0 ? { intervalMs: 1000 * seconds } : {}) };
    }
    case '8104':
    case '8106':
      return { reply: 'parameters' };
    case '8105':
      return body.startsWith('04') ? { restarts: true } : { reply: '' };
    case '8201':
      return { reply: 'location' };
    case '8300':
      return { reply: 'text' };
    case '8900': {
      const command = Buffer.from(body.slice(2), 'hex').toString('latin1');
      const deed = gt06Deed(command);
      if (deed.restarts === true) return deed;
      return { ...deed, reply: 'pass-through' };
    }
    default:
      return { reply: '' };
  }
}

function getgps(sample: Sample): string {
  const { time, latitude, longitude, altitudeM, speedKmh, courseDeg, satellites } = sample;
  const at = new Date(time);
  const date = `${at.getUTCFullYear()}/${at.getUTCMonth() + 1}/${at.getUTCDate()}`;
  const clock = `${at.getUTCHours()}:${at.getUTCMinutes()}:${at.getUTCSeconds()}`;
  const place = `Lat:${latitude.toFixed(5)} Long:${longitude.toFixed(5)} Alt:${altitudeM}`;
  return `GPS:1 Sat:${satellites} ${place} Speed:${speedKmh} Dir:${courseDeg} Date: ${date} Time: ${clock}`;
}
