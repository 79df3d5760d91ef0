import { type Bytes, i16be, u16be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { alarmsBehind, terminalEvent } from './alarms.ts';
import { A } from './attributes.ts';
import { extra, gsm, terminal, voltage } from './blocks.ts';
import { type Message, status } from './message.ts';
import { modules } from './module-list.ts';
import { type Gt06State, Variant } from './state.ts';

/**
 * Heartbeats (protocol.md section 6.2). Their alarm byte is stale or means something else on many devices: it never raises an event. The alarm in
 * TERM does, once until it ends (`alive`).
 *
 * 0x13: TERM 1 | VOLT 1 | GSM 1 | ALARM 1, LANG 1. Four families use the bytes behind TERM otherwise:
 *
 * | variant | behind TERM |
 * |---|---|
 * | R11 | volts × 100 (2), GSM, ALARM |
 * | LW | VOLT, GSM, 2 bytes of which the low 12 bits are volts × 10 |
 * | SEEWORLD | VOLT, GSM in percent, external volts 1, LANG |
 * | LEN 13, 15 | working-mode trackers, below |
 */
export function heartbeat(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size < 1) {
    out.kind = FrameKind.Heartbeat;
    return;
  }
  alive(bytes[p]!, state, out, status(m, FrameKind.Heartbeat, out));
  if (size === 14) {
    workingMode(bytes, p + 1, out);
    return;
  }
  if (size === 16) {
    workingModeLong(bytes, p + 1, out);
    return;
  }
  if (size < 3) return;
  const volt = bytes[p + 1]!;
  const signal = bytes[p + 2]!;
  if (size >= 4 && state.variant === Variant.R11) {
    out.attr(A.ExternalCentivolts, u16be(bytes, p + 1));
    gsm(bytes[p + 3]!, out);
    return;
  }
  // A signal above 100 exists in no reading but the R11's, where these two bytes are a voltage: believed after several.
  if (size === 5 && signal > 100 && volt <= R11_MOST) {
    if (state.variant === Variant.Auto) state.learn(Variant.R11);
    return;
  }
  gsm(signal, out);
  // Not a level (EV02): what stands behind the signal is not ALARM and LANG either.
  if (volt > 100) {
    extra(bytes, p + 1, m.q, out);
    return;
  }
  voltage(volt, out);
  if (size < 5) return;
  if (state.variant === Variant.Lw) out.attr(A.ExternalDecivolts, u16be(bytes, p + 3) & 0xfff);
  else if (state.variant === Variant.Seeworld) out.attr(A.ExternalVolts, bytes[p + 3]!);
  else if (bytes[p + 3] !== 0) out.attr(A.HeartbeatAlarm, bytes[p + 3]!);
  if (size > 5) extra(bytes, p + 5, m.q, out);
}

/** High byte of the highest voltage that an R11 can be connected to: 100 V. */
const R11_MOST = 0x27;

/** TERM of a heartbeat: an alarm in it that was not on before is an event. */
function alive(term: number, state: Gt06State, out: FrameResult, r: number): void {
  terminal(term, out);
  const alarms = alarmsBehind(term, state.alarms);
  if ((alarms & ~state.alarms) !== 0) out.event[r] = terminalEvent(term, state.variant);
  state.alarms = alarms;
  state.alarmsTold = true;
}

/**
 * LEN 13, behind TERM: signal word 2 (bits 14–10 and 9–5 satellites of two systems, 4–0 CSQ) | ALARM 1 | LANG 1 | battery % 1 |
 * mode 1 | volts × 100 (2) | reserved 1 | working time 2 | mode 4: temperature s16 / 10.
 */
function workingMode(bytes: Bytes, at: number, out: FrameResult): void {
  signalWord(u16be(bytes, at), out);
  if (bytes[at + 2] !== 0) out.attr(A.HeartbeatAlarm, bytes[at + 2]!);
  if (bytes[at + 4]! <= 100) out.attr(A.BatteryPct, bytes[at + 4]!);
  const mode = bytes[at + 5]!;
  out.attr(A.WorkingMode, mode);
  const volts = u16be(bytes, at + 6);
  if (volts !== 0) out.attr(A.ExternalCentivolts, volts);
  out.attr(A.WorkingMinutes, u16be(bytes, at + 9));
  if (mode === 4) out.attr(A.TemperatureDeci, i16be(bytes, at + 11));
}

/**
 * LEN 15, behind TERM: satellites 2 | ALARM 1 | LANG 1 | battery % 1 | working mode 1 | volts × 100 (2) | reserved 1 | working
 * times 2 | working time 2 | temperature 2 (bit 15 set: above zero; / 10).
 */
function workingModeLong(bytes: Bytes, at: number, out: FrameResult): void {
  signalWord(u16be(bytes, at), out);
  if (bytes[at + 2] !== 0) out.attr(A.HeartbeatAlarm, bytes[at + 2]!);
  if (bytes[at + 4]! <= 100) out.attr(A.BatteryPct, bytes[at + 4]!);
  out.attr(A.WorkingMode, bytes[at + 5]!);
  out.attr(A.BatteryCentivolts, u16be(bytes, at + 6));
  out.attr(A.WorkingTimes, u16be(bytes, at + 9));
  out.attr(A.WorkingMinutes, u16be(bytes, at + 11));
  const temperature = u16be(bytes, at + 13);
  out.attr(A.TemperatureDeci, (temperature & 0x8000) !== 0 ? temperature & 0x7fff : -temperature + 0);
}

function signalWord(word: number, out: FrameResult): void {
  out.attr(A.SatellitesVisible, ((word >> 10) & 31) + ((word >> 5) & 31));
  out.attr(A.GsmCsq, word & 31);
}

/** 0x23: TERM 1 | voltage × 100 (2) | GSM 1 | LANG 2. The voltage is the supply of vehicle models and the battery of locks. */
export function heartbeatVoltage(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size < 1) {
    out.kind = FrameKind.Heartbeat;
    return;
  }
  alive(bytes[p]!, state, out, status(m, FrameKind.Heartbeat, out));
  if (size >= 3) out.attr(state.lock ? A.BatteryCentivolts : A.ExternalCentivolts, u16be(bytes, p + 1));
  if (size >= 4) gsm(bytes[p + 3]!, out);
  extra(bytes, p + 6, m.q, out);
}

/** 0x29: the fields of 0x13, external voltage × 100 (2), alarm switches 2. */
export function heartbeatCustom(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size < 1) {
    out.kind = FrameKind.Heartbeat;
    return;
  }
  alive(bytes[p]!, state, out, status(m, FrameKind.Heartbeat, out));
  if (size < 3) return;
  voltage(bytes[p + 1]!, out);
  gsm(bytes[p + 2]!, out);
  if (size >= 7) out.attr(A.ExternalCentivolts, u16be(bytes, p + 5));
  if (size >= 9) out.attr(A.AlarmSwitches, u16be(bytes, p + 7));
  extra(bytes, p + 9, m.q, out);
}

/** 0x36: TERM 1 | VOLT 1 | GSM 1 | LANG 2 | modules `id 2, length 1`. */
export function heartbeatModules(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size < 5) return;
  const r = status(m, FrameKind.Heartbeat, out);
  alive(bytes[p]!, state, out, r);
  voltage(bytes[p + 1]!, out);
  gsm(bytes[p + 2]!, out);
  modules(bytes, p + 5, m.q, out, r);
}

/**
 * 0xA3 with LEN 0C or 18, SEEWORLD (protocol.md section 10): TERM 1 | extension bits 2 | VOLT 1 | RSSI 1 | external volts 1 | LANG 1 |
 * LEN 18: sound 1, light 1, steps 4, battery % 1, charging 1, moving 1, 3 unknown.
 */
export function heartbeatSeeworld(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p } = m;
  state.learn(Variant.Seeworld);
  alive(bytes[p]!, state, out, status(m, FrameKind.Heartbeat, out));
  out.name = 'heartbeat';
  if (m.size === 7) voltage(bytes[p + 3]!, out);
  gsm(bytes[p + 4]!, out);
  if (bytes[p + 5] !== 0) out.attr(A.ExternalVolts, bytes[p + 5]!);
  if (m.size < 19) return;
  out.attr(A.Sound, bytes[p + 7]!);
  out.attr(A.Light, bytes[p + 8]!);
  out.attr(A.Steps, u32be(bytes, p + 9));
  if (bytes[p + 13]! <= 100) out.attr(A.BatteryPct, bytes[p + 13]!);
  out.attr(A.Charging, bytes[p + 14] === 0 ? 0 : 1);
  out.attr(A.Motion, bytes[p + 15] === 0 ? 0 : 1);
}
