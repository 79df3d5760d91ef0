import { readFileSync } from 'node:fs';

/**
 * For a server in a process of its own (`NODE_OPTIONS=--import=…`): its wall clock is ahead by as many milliseconds as the file
 * `STEPPED_CLOCK` says.
 */
const path = process.env['STEPPED_CLOCK'];
const now = Date.now.bind(Date);
Date.now = (): number => now() + shift();

function shift(): number {
  try {
    return path === undefined ? 0 : Number(readFileSync(path, 'utf8'));
  } catch {
    return 0;
  }
}
