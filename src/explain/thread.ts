import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { loadCodecs } from '../codec/registry.ts';
import type { FromThread, ThreadData, ToThread } from './explainer.ts';
import { read, readFrame } from './reading.ts';

/** The thread that reads bytes for people: a codec that takes its time holds up nothing else. */
const { packages, options }: ThreadData = workerData;
const codecs = loadCodecs(packages);
// Each reading is told.
codecs.catch(() => {});

parentPort?.on('message', (message: ToThread) => {
  const { ticket, work } = message;
  codecs
    .then((known) =>
      'frame' in work
        ? { ticket, meaning: readFrame(work.frame, known, options) }
        : { ticket, read: read(work.reading, known, options, () => systemClock.now()) },
    )
    .then(tell, (error: unknown) => tell({ ticket, read: { field: 'hex', problem: messageOf(error) } }));
});

function tell(message: FromThread): void {
  parentPort?.postMessage(message);
}
