import { z } from 'zod';
import { jsonOf } from '../json.ts';

/** An unknown device in quarantine: the table `quarantine`, by id. Times in epoch ms. */
const time = z.int().min(0);

export const strangerSchema = z
  .strictObject({
    first_seen: time,
    last_seen: time,
    count: z.int().min(1).describe('how often it was turned away'),
    protocol: z.string().describe('codec that it speaks'),
    transport: z.enum(['tcp', 'udp', 'sms']),
    frames: z.array(z.string()).describe('samples of what it said, hex, each cut to 256 bytes'),
  })
  .describe('unknown device');
export type Stranger = z.infer<typeof strangerSchema>;

/** Returns undefined if the text is not an entry of the quarantine. */
export function parseStranger(text: string | undefined): Stranger | undefined {
  if (text === undefined) return undefined;
  const result = strangerSchema.safeParse(jsonOf(text));
  return result.success ? result.data : undefined;
}
