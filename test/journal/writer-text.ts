import { Definition } from '../../src/journal/definition.ts';
import { Origin } from '../../src/journal/entry.ts';

export const ORIGIN_OF_CHILD = new Origin(new Definition('gt06', 'tcp'), '0123456789', '192.0.2.9:1');

/** What writer-child.ts puts into the entry of that sequence; now and then larger than a page. */
export function textOf(sequence: number): string {
  return `${sequence} `.repeat(sequence % 97 === 0 ? 2000 : 1 + (sequence % 13));
}
