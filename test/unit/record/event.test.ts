import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMMANDS, commandEvent } from '../../../src/fleet/command/command.ts';
import { Definition } from '../../../src/journal/definition.ts';
import { EntryKind, EntryView, entrySize, Origin, writeEntry } from '../../../src/journal/entry.ts';
import { eventJson, readEvent } from '../../../src/out/record/event.ts';
import { Decoder } from '../../../src/out/ship/decoder.ts';
import { takeEntry } from '../../../src/out/ship/take.ts';
import { Batch } from '../../../src/out/sink/sink.ts';
import { strictJson } from '../../helpers/strict-json.ts';

const T = Date.UTC(2026, 9, 1);
/** Rooms that journal events. */
const PRODUCERS = /^(api|cluster|fleet|in|roles|state)\/.*\.ts$/;
const ENVELOPE = ['version', 'id', 'kind', 'device', 'account', 'time', 'received', 'protocol', 'type', 'data'];

/** The event as consumers get it when the journal has that text. */
function delivered(json: string, device = 'd1'): string {
  const definition = new Definition('gt06', 'tcp', null, 'acme');
  const origin = new Origin(definition, device, '');
  const bytes = Buffer.from(json);
  const out = Buffer.alloc(entrySize(origin, bytes.length));
  const size = writeEntry(out, 0, 7, origin, 1, EntryKind.Event, T, 1, 0, 0, bytes, 0, bytes.length);
  const entry = new EntryView();
  entry.aim(out, 0, size);
  entry.definition = definition;
  const batch = new Batch();
  expect(takeEntry(batch, '0', entry, new Decoder(new Map(), () => ({})), 'test')).toBe('');
  return eventJson(batch.events.at(0));
}

describe('invariant 1: what the host says and what the event says are in namespaces of their own', () => {
  test('a step of a command: its id is not the event’s', () => {
    const fields = { id: 'c1', type: 'locate', state: 'sent', ended: 0, attempts: 1, requester: 'me', ref: '', reply: '' };
    const command = COMMANDS.read(JSON.stringify({ ...fields, parameters: {}, values: {}, history: [] }));
    if (command === undefined) throw new Error('not a command');
    expect(strictJson(delivered(JSON.stringify(commandEvent(command))))).toEqual({
      version: 1,
      id: expect.stringMatching(/^[0-9a-f]{16}$/),
      kind: 'event',
      device: 'd1',
      account: 'acme',
      time: T,
      received: T,
      protocol: 'gt06',
      type: 'command',
      data: { id: 'c1', command: 'locate', state: 'sent', final: false, attempts: 1, requester: 'me' },
    });
  });

  test.each([...ENVELOPE, '__proto__', 'constructor'].filter((name) => name !== 'type'))('an event with a field "%s"', (name) => {
    const event = Object(strictJson(delivered(`{"type":"x", "${name}" : "own"}`)));
    expect(Object.keys(event)).toEqual(ENVELOPE);
    expect([event.kind, event.device, event.type]).toEqual(['event', 'd1', 'x']);
    expect(Object.entries(event.data)).toEqual([[name, 'own']]);
  });

  test('every event that the source makes, whatever else it may say', () => {
    const types = new Set<string>();
    for (const name of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
      if (!PRODUCERS.test(name)) continue;
      const text = readFileSync(join('src', name), 'utf8');
      for (const [, said = ''] of text.matchAll(/\btype"?: ?([^,}]+)/g))
        for (const [, type = ''] of said.matchAll(/['"]([a-z]+(?:_[a-z]+)*)['"]/g)) types.add(type);
    }
    for (const type of ['command', 'command_refused', 'connected', 'device_created', 'erased', 'plan_step', 'settings_drift'])
      expect(types).toContain(type);
    const hostile = Object.fromEntries(ENVELOPE.filter((name) => name !== 'type').map((name) => [name, 'own']));
    for (const type of types) {
      const event = Object(strictJson(delivered(JSON.stringify({ type, ...hostile }))));
      expect([Object.keys(event), event.type, event.kind, event.data]).toEqual([ENVELOPE, type, 'event', hostile]);
    }
  });

  test('a journaled text that names a field twice', () => {
    expect(strictJson(delivered('{"a":1,"type":"x","a":2}'))).toMatchObject({ type: 'x', data: { a: 2 } });
  });

  test('the same journal entry gives the same text', () => {
    expect(delivered(' {"type":"connected","alias":"é\\u2028"} ')).toBe(delivered(' {"type":"connected","alias":"é\\u2028"} '));
  });
});

test.each(['', '[]', 'null', '1', '{', '{}', '{"type":1}', '{"type":""}', '{"kind":"x"}'])('%j is not an event', (text) => {
  expect(readEvent(text)).toBeUndefined();
});
