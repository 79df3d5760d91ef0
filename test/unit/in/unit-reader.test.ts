import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../../src/base/metrics/catalog.ts';
import { type Codec, defineCodec, FRAME_KIND_NAMES, FrameKind, FrameResult } from '../../../src/codec/index.ts';
import { CodecCounters } from '../../../src/in/session/counters.ts';
import { unitOf } from '../../../src/in/session/unit-reader.ts';
import toy from '../../helpers/toy-codec.ts';

const [FIRMWARE, ICCID, MODEL_NUMBER, VIN] = [1, 2, 3, 4];
const withAttributes = (attributes: Codec['attributes']): Codec =>
  defineCodec({
    name: 'units',
    about: 'tests',
    maxFrameBytes: 100,
    maxAnswerBytes: 0,
    attributePrefix: 'io_',
    attributes,
    messages: [],
    reasons: [],
    recognise: () => true,
    tcp: { open: () => ({}), frame: () => 0, decode: () => {}, encodeAck: () => 0 },
  });
const codec = withAttributes(
  new Map([
    [FIRMWARE, { name: 'firmware', type: 'text' }],
    [ICCID, { name: 'iccid', type: 'text' }],
    [MODEL_NUMBER, { name: 'model', type: 'number' }],
    [VIN, { name: 'vin', type: 'text' }],
  ]),
);

/** A row a list of [id, value]. */
function frameOf(...rows: readonly (readonly (readonly [id: number, value: string | number])[])[]): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, 1);
  frame.name = 'version';
  for (const row of rows) {
    frame.row();
    for (const [id, value] of row) {
      if (typeof value === 'string') frame.attrText(id, value);
      else frame.attr(id, value);
    }
  }
  return frame;
}

describe('what a frame says of the unit', () => {
  const said = (field: string, value: string): object => ({ field, message: 'version', value });
  it.each<[what: string, frame: FrameResult, values: readonly object[]]>([
    [
      'its texts of those names',
      frameOf([
        [FIRMWARE, '1.2'],
        [ICCID, '8946'],
      ]),
      [said('firmware', '1.2'), said('iccid', '8946')],
    ],
    [
      'what stands behind others',
      frameOf([
        [VIN, 'W1'],
        [MODEL_NUMBER, 7],
        [99, 1],
        [FIRMWARE, '1.2'],
      ]),
      [said('firmware', '1.2')],
    ],
    ['of the last record', frameOf([[FIRMWARE, '1.2']], [[FIRMWARE, '1.3']]), [said('firmware', '1.3')]],
    ['nothing, when the last one says nothing', frameOf([[FIRMWARE, '1.2']], []), []],
    ['nothing by a number', frameOf([[MODEL_NUMBER, 7]]), []],
    ['nothing without records', frameOf(), []],
  ])('is %s', (_what, frame, values) => {
    expect(unitOf(codec, frame)).toEqual(values);
  });

  it('is nothing where the codec has no such names', () => {
    expect(unitOf(withAttributes(new Map([[FIRMWARE, { name: 'vin', type: 'text' }]])), frameOf([[FIRMWARE, '1.2']]))).toEqual([]);
  });
});

it('frames are counted by what they are', async () => {
  const metrics = createMetrics();
  const counters = new CodecCounters(metrics, toy);
  for (const kind of [FrameKind.Records, FrameKind.Records, FrameKind.Login]) counters.frame(kind);
  counters.malformed('BAD');
  counters.damaged('SUM');
  const counted = async (of: Pick<typeof metrics.frames, 'get'>) =>
    Object.fromEntries(
      (await of.get()).values.filter(({ value }) => value > 0).map(({ labels, value }) => [Object.values(labels).join(' '), value]),
    );
  expect([await counted(metrics.frames), await counted(metrics.malformed), await counted(metrics.damaged)]).toEqual([
    { [`toy ${FRAME_KIND_NAMES[FrameKind.Records]}`]: 2, [`toy ${FRAME_KIND_NAMES[FrameKind.Login]}`]: 1 },
    { 'toy BAD': 1 },
    { 'toy SUM': 1 },
  ]);
});
