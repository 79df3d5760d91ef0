import { z } from 'zod';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/** An unknown device in quarantine: the table `quarantine`, by id. Times in epoch ms. */
const time = z.int().min(0);

export const unknownDeviceSchema = z
  .strictObject({
    first_seen: time,
    last_seen: time,
    count: z.int().min(1).describe('how often it was refused'),
    protocol: z.string().describe('codec that it speaks'),
    transport: z.enum(['tcp', 'udp', 'sms']),
    frames: z.array(z.string()).describe('samples of what it said, hex, each cut to 256 bytes'),
  })
  .describe('unknown device');
export type UnknownDevice = z.infer<typeof unknownDeviceSchema>;

export const QUARANTINE = new TypedTable<UnknownDevice>({ name: 'quarantine', key: byId, parse: rowsOf(unknownDeviceSchema) });
