import { runChild } from '../cluster/child-process.ts';
import { unpackConfig } from '../config/pack.ts';
import { startWorker } from './worker.ts';

/** Entry of an edge worker process. */
runChild((message) => startWorker({ ...message, config: unpackConfig(message.config) }));
