import { type Erased, wholeBefore } from '../../src/base/erased.ts';

/** Devices of which all from before these moments, epoch ms, was erased. */
export function whole(devices: Readonly<Record<string, number>>): Erased {
  return new Map(Object.entries(devices).map(([device, before]) => [device, [wholeBefore(before)]]));
}
