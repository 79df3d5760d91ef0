import { z } from 'zod';

/** Telephone numbers as E.164 writes them: `+`, country code, number; 7 to 15 digits. */
const E164 = /^\+[1-9]\d{6,14}$/;

/** Without blanks, dashes, dots, slashes and parentheses; `+` for a leading 00. */
function normalised(text: string): string {
  return text.replace(/[\s\-./()]/g, '').replace(/^00(?=[1-9])/, '+');
}

/** The number in E.164; undefined if the text is none. */
export function e164(text: string): string | undefined {
  const number = normalised(text.slice(0, 64));
  return E164.test(number) ? number : undefined;
}

export const phoneNumber = z
  .string()
  .max(64)
  .overwrite(normalised)
  .regex(E164, 'must be a telephone number with its country code, like +46701234567');
