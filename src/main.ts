import { run } from './cli/index.ts';

/** Entry of the process: the command line decides what it becomes. */
process.exitCode = await run(process.argv.slice(2));
