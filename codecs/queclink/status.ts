import { type Bytes, hexNumber } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { fieldTo, isHex } from './fields.ts';

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

export function stateText(code: number): string | undefined {
  return STATES.get(code)?.[2];
}

/** Adds what a state says; true when the device moves. */
export function readState(code: number, out: FrameResult): boolean {
  const said = STATES.get(code);
  if (said === undefined) return false;
  if (said[0] >= 0) out.attr(A.Ignition, said[0]);
  out.attr(A.Motion, said[1]);
  return said[1] === 1;
}

/** State of two hex digits in field k, -1 if it is not a state. */
export function stateAt(bytes: Bytes, k: number): number {
  if (!isHex(bytes, k, 2)) return -1;
  const code = hexNumber(bytes, fieldTo(k) - 2, fieldTo(k));
  return STATES.has(code) ? code : -1;
}

/** Is field k a device status: state, inputs, outputs of two digits each; newer units have four digits of more lines in front? */
export function isStatus(bytes: Bytes, k: number, short: boolean): boolean {
  if (short && stateAt(bytes, k) >= 0) return true;
  const longer = isHex(bytes, k, 10);
  if (!longer && !isHex(bytes, k, 6)) return false;
  return STATES.has(hexNumber(bytes, fieldTo(k) - 6, fieldTo(k) - 4));
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
