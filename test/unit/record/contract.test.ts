import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineCodec, eventIndex, FrameResult } from '../../../src/codec/index.ts';
import { EVENT_DATA, eventSchema, fixSchema, jsonSchema, statusSchema } from '../../../src/out/record/contract.ts';
import { eventJson } from '../../../src/out/record/event.ts';
import { Rows } from '../../../src/out/record/rows.ts';

/** `fixgate/record`, invariant 2: what consumers are told is what is written. */

const RECEIVED = Date.UTC(2026, 9, 1);
const codec = defineCodec({
  name: 'contract',
  about: 'tests',
  maxFrameBytes: 100,
  maxAnswerBytes: 0,
  attributePrefix: 'io_',
  attributes: new Map([
    [1, { name: 'external_v', type: 'number' as const, scale: 0.001 }],
    [3, { name: 'ignition', type: 'boolean' as const }],
    [4, { name: 'vin', type: 'text' as const }],
  ]),
  messages: [],
  reasons: [],
  recognise: () => true,
  tcp: { open: () => ({}), frame: () => 0, decode: () => {}, encodeAck: () => 0 },
});

/** A record with every field that there is, as JSON. */
function written(isFix: boolean): object {
  const frame = new FrameResult();
  frame.reset(0, 10);
  const r = frame.row();
  // Two days ahead: the device's own time is kept beside the time of receipt.
  frame.time[r] = RECEIVED + 172_800_000;
  if (isFix) {
    frame.latitude[r] = -12.5;
    frame.longitude[r] = 130.25;
    frame.valid[r] = 1;
  }
  frame.altitudeM[r] = 3;
  frame.speedKmh[r] = 12.3456;
  frame.courseDeg[r] = 7;
  frame.satellites[r] = 9;
  frame.hdop[r] = 0.9;
  frame.event[r] = eventIndex('power_cut');
  frame.attr(1, Number.NaN);
  frame.attr(3, 1);
  frame.attrText(4, 'x');
  frame.cell(246, 1, 2, 99, -70);
  frame.wifi('00:11:22:33:44:55', -40);
  const rows = new Rows();
  rows.append(frame, codec, 'd1', RECEIVED, 1, Buffer.from('bytes of a frame'));
  return JSON.parse(rows.json(0));
}

describe('a record', () => {
  it.each([
    ['fix', fixSchema],
    ['status', statusSchema],
  ] as const)('of kind %s has the fields of the schema, and all of them', (kind, schema) => {
    const record = written(kind === 'fix');
    expect(z.strictObject(schema.shape).safeParse(record)).toMatchObject({ success: true });
    expect(Object.keys(record).sort()).toEqual(Object.keys(schema.shape).sort());
    const cells = 'cells' in record && Array.isArray(record.cells) ? record.cells : [];
    expect(Object.keys(cells[0])).toEqual(Object.keys(schema.shape.cells.unwrap().element.shape));
  });
});

describe('an event', () => {
  it('has the envelope of the schema', () => {
    const of = { id: '00000000000000ff', device: 'd', account: '', time: 1, received: 2, protocol: 'gt06', type: 'viewed' };
    const event = JSON.parse(eventJson({ ...of, data: '{"what":"track","by":"desk"}' }));
    expect(z.strictObject(eventSchema.shape).safeParse(event)).toMatchObject({ success: true });
    expect(z.strictObject(EVENT_DATA.viewed.shape).safeParse(event.data)).toMatchObject({ success: true });
  });

  it('is of a type of docs/events.md, with the own fields that stand there', () => {
    const document = readFileSync('docs/events.md', 'utf8');
    const rows = [...document.slice(document.indexOf('## Types')).matchAll(/^\| (`.*?) \| .*? \| (.*)\|$/gm)];
    const listed = new Map(
      rows.flatMap(([, types = '', own = '']) => [...types.matchAll(/`(\w+)`/g)].map(([, type = '']) => [type, own] as const)),
    );
    expect([...listed.keys()].sort()).toEqual(Object.keys(EVENT_DATA).sort());
    for (const [type, data] of Object.entries(EVENT_DATA)) {
      const named = new Set([...(listed.get(type) ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name));
      named.add('by');
      // A step's parameters are those of the plan.
      const own = Object.keys(data.shape).filter((name) => !type.startsWith('plan_step') || !/_s$/.test(name));
      expect([type, own.filter((name) => !named.has(name))]).toEqual([type, []]);
    }
  });
});

describe('the JSON Schema', () => {
  it('allows what later versions add, and names each kind and type', () => {
    const text = JSON.stringify(jsonSchema());
    expect(text).not.toContain('"additionalProperties":false');
    for (const name of ['fix', 'status', ...Object.keys(EVENT_DATA).map((type) => `event_${type}`)])
      expect(text).toContain(`"#/$defs/${name}"`);
  });
});
