import { main } from './cli/index.ts';

/** Entry of the process: the command line decides what it becomes. */

// Whatever a command or the server writes holds places, secrets or personal data: for its owner only. Children inherit it.
process.umask(0o077);
process.exitCode = await main(process.argv.slice(2));
