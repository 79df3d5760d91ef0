import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { crc16Arc, crc16X25, putU16be, putU32be, putU64be } from '../../src/base/wire/index.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { Seen } from '../../src/fleet/plan/plan-cache.ts';
import { Territory } from '../../src/fleet/plan/territory.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { bytesOf } from '../helpers/fixtures.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** Devices that name the network that serves them, and no cell of it. */

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Codec 8, one record at `time` with 241 = 31041 and no place. */
function operatorAlone(time: number): Uint8Array {
  const frame = bytesOf(`00000000000000260801${'00'.repeat(24)}0001000001f1000079410001${'00'.repeat(4)}`);
  putU64be(frame, 10, time);
  putU32be(frame, frame.length - 4, crc16Arc(frame, 8, frame.length - 4));
  return frame;
}

/** 45 bytes: MCC 310, MNC 41, LAC and CID 0. */
function noCell(time: number): Uint8Array {
  const [year = '', month = '', day = '', ...clock] = new Date(time).toISOString().slice(2, 19).split(/[-T:]/);
  const stamp = clock.join('') + day + month + year;
  return bytesOf(`244109114427${stamp}2233983006114026520e000000fffffbffff00140600000000013629000000000a`);
}

/** 0x22: MCC 310, MNC 41, LAC and cell 0, no place. */
function noCellOfGt06(time: number): Uint8Array {
  const date = new Date(time)
    .toISOString()
    .slice(2, 19)
    .split(/[-T:]/)
    .map((two) => Number(two).toString(16).padStart(2, '0'));
  const frame = bytesOf(`78782222${date.join('')}c0${'00'.repeat(9)}04000136290000000000010000000100000d0a`);
  putU16be(frame, frame.length - 4, crc16X25(frame, 2, frame.length - 4));
  return frame;
}

it.each([
  ['Teltonika', teltonika, bytesOf('000f333536333037303432343431303133'), operatorAlone],
  ['H02', h02, new Uint8Array(0), noCell],
  ['GT06', gt06, bytesOf('787811010123456789012345270100020001c2c80d0a'), noCellOfGt06],
] as const)('%s: roaming and the networks of the usage need no cell', (_name, codec, login, frameAt) => {
  const journal = new MemoryJournal(1_000_000);
  const clock = new FakeClock();
  const seen = new Seen();
  seen.territory = new Territory(false);
  const roams: boolean[] = [];
  const device = deviceSchema.parse({ id: 'car', home_networks: [246] });
  const host = intakeHost({
    journal,
    clock,
    registry: { lookup: (id, found) => found(new DeviceLookup(id, device, false, false)), seen: () => {} },
    service: {
      plan: () => planSchema.parse({ name: 'default' }),
      policy: () => undefined,
      seen: () => seen,
      roams: (_id, roaming) => roams.push(roaming),
      said: () => {},
      programmed: (_id, usual) => usual,
      erased: () => undefined,
      accountState: () => undefined,
      alarmsPass: false,
    },
  });
  const intake = new Intake(host, codec, 'tcp', '192.0.2.1:4000', new RecordedLink());
  if (login.length > 0) intake.push(login);
  for (let k = 0; k < 4; k++) {
    intake.push(frameAt(clock.wall));
    clock.step(30_000);
  }
  intake.closed('device');
  expect(journal.events).toContainEqual(expect.objectContaining({ type: 'roaming_started', mcc: 310 }));
  expect(roams).toEqual([true]);
  expect(journal.usage.at(-1)).toMatchObject({ mcc: 310, mnc: 41, roaming: 1 });
});
