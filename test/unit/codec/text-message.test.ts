import { expect, test } from 'vitest';
import { FrameResult } from '../../../src/codec/frame-result.ts';
import { readTextMessage } from '../../../src/codec/text-message.ts';

const IDS = { name: 'sms', reply: 0, transport: 1 };

function read(text: string): string {
  const bytes = Buffer.from(`<${text}>`);
  return readTextMessage(bytes, { start: 1, end: bytes.length - 1 }, new FrameResult(), IDS).text;
}

test('the text of a message is without the blanks around it, and cut after 1600 characters', () => {
  expect(read(' \r\nok, 1 2\t ')).toBe('ok, 1 2');
  expect(read(`${'é'.repeat(1599)}z`)).toBe(`${'é'.repeat(1599)}z`);
  expect(read(`${'é'.repeat(1600)}z`)).toBe('é'.repeat(1600));
});
