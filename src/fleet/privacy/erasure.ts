import { z } from 'zod';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/**
 * That a device's data was or is being erased: the table `erasures`, by the device's id. Times in epoch ms. It stays, for what
 * the device still has in its memory from before must not be stored again.
 */
const counts = z.record(z.string(), z.int());

export const erasureSchema = z.object({
  device: z.string(),
  ids: z.array(z.string()).describe('its id and its aliases'),
  before: z.int().describe('what it sent, or recorded, before this is erased'),
  by: z.string().describe('the token that asked'),
  registry: z.enum(['keep', 'remove']).describe('what becomes of its record'),
  instances: z
    .record(z.string(), z.object({ removed: z.record(z.string(), counts), erased: z.int().describe('0: not finished') }))
    .describe('by installation: what was removed, by part'),
});
export type Erasure = z.infer<typeof erasureSchema>;

export const ERASURES = new TypedTable<Erasure>({ name: 'erasures', key: byId, parse: rowsOf(erasureSchema) });
