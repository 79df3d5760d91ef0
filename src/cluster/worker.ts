import { startWorker } from '../app.ts';
import { unpackConfig } from '../config/pack.ts';
import { runChild } from './child-process.ts';

/** Entry of an edge worker process. */
runChild((message) => startWorker({ ...message, config: unpackConfig(message.config) }));
