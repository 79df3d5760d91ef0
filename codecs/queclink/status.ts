import { type Bytes, hexNumber } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { fieldTo, isHex, width } from './fields.ts';

/** Motion states (protocol.md section 7.1), and what they say of ignition and motion: 1 yes, 0 no, -1 nothing. */
const STATES: ReadonlyMap<number, readonly [ignition: number, motion: number, about: string]> = new Map([
  [0x11, [0, 0, 'ignition off, at rest']],
  [0x12, [0, 1, 'ignition off, moving']],
  [0x16, [0, 1, 'towed']],
  [0x1a, [0, 1, 'possibly towed']],
  [0x21, [1, 0, 'ignition on, at rest']],
  [0x22, [1, 1, 'ignition on, moving']],
  [0x41, [-1, 0, 'at rest']],
  [0x42, [-1, 1, 'moving']],
]);

/** By code: what a state says, + 2 each, ignition in the upper four bits; 0: not a state. */
const SAID = new Uint8Array(256);
for (const [code, [ignition, motion]] of STATES) SAID[code] = ((ignition + 2) << 4) | (motion + 2);

/** Does this state say whether the ignition is on? */
export function saysIgnition(code: number): boolean {
  return SAID[code]! >> 4 > 1;
}

export function isMoving(code: number): boolean {
  return (SAID[code]! & 15) === 3;
}

export function stateText(code: number): string | undefined {
  return STATES.get(code)?.[2];
}

/** Adds what a state says; true when the device moves. */
export function readState(code: number, out: FrameResult): boolean {
  const said = SAID[code]!;
  if (said === 0) return false;
  const ignition = (said >> 4) - 2;
  const motion = (said & 15) - 2;
  if (ignition >= 0) out.attr(A.Ignition, ignition);
  out.attr(A.Motion, motion);
  return motion === 1;
}

function isState(code: number): boolean {
  return SAID[code] !== 0;
}

/** State of two hex digits in field k, -1 if it is not a state. */
export function stateAt(bytes: Bytes, k: number): number {
  if (!isHex(bytes, k, 2)) return -1;
  const code = hexNumber(bytes, fieldTo(k) - 2, fieldTo(k));
  return isState(code) ? code : -1;
}

/** Is field k a device status: state, inputs, outputs of two digits each; newer units have four digits of more lines in front? */
export function isStatus(bytes: Bytes, k: number, short: boolean): boolean {
  if (short && stateAt(bytes, k) >= 0) return true;
  const n = width(k);
  if (n !== 6 && n !== 10) return false;
  return isHex(bytes, k, n) && isState(hexNumber(bytes, fieldTo(k) - 6, fieldTo(k) - 4));
}

/** Adds what a device status says (protocol.md section 7.2). */
export function readStatus(bytes: Bytes, k: number, out: FrameResult): void {
  const end = fieldTo(k);
  if (isHex(bytes, k, 2)) {
    readState(hexNumber(bytes, end - 2, end), out);
    return;
  }
  readState(hexNumber(bytes, end - 6, end - 4), out);
  out.attr(A.Inputs, hexNumber(bytes, end - 4, end - 2));
  out.attr(A.Outputs, hexNumber(bytes, end - 2, end));
}
