import { writeSync } from 'node:fs';
import { EntryKind } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import { pause } from '../support/wait.ts';
import { ORIGIN_OF_CHILD, textOf } from './writer-text.ts';

/**
 * A process of its own that appends to the directory in argv as fast as it can and says on standard output, one line
 * each, which watermark it was told, until it is killed.
 */
const directory = process.argv[2] ?? '';
const journal = await Journal.open({
  directory,
  minFreeBytes: 0,
  segmentBytes: 200_000,
  onDurable: (watermark) => writeSync(1, `${watermark}\n`),
  onFailed: () => process.exit(3),
});

function burst(): void {
  for (let i = 0; i < 20; i++) {
    const bytes = Buffer.from(textOf(next));
    const sequence = journal.append(ORIGIN_OF_CHILD, EntryKind.Frame, sequence0 + next, 0, 1, bytes, 0, bytes.length);
    if (sequence < 0) break;
    if (sequence !== next) process.exit(4);
    next++;
  }
  void pause(1).then(burst);
}

const sequence0 = 1_700_000_000_000;
let next = journal.recovery.nextSequence;
burst();
