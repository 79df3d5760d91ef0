#!/usr/bin/env node
// Read by any Node that knows modules, so that one that is too old says so in one line instead of a syntax error: no
// syntax and no import here that Node 12 does not know.
// biome-ignore lint/style/useNodejsImportProtocol: the prefix is younger than that
import { existsSync } from 'fs';

const needed = 24;
const found = process.versions.node;

if (Number(found.split('.')[0]) < needed) {
  process.stderr.write(
    `fixgate: needs Node ${needed} or newer, this is ${found} (${process.execPath}); inside the repository "npm start" uses the pinned one, elsewhere install Node ${needed}\n`,
  );
  process.exitCode = 1;
} else {
  // A checkout runs its source: what an earlier build left in dist must not hide an edit. Package and image have no src.
  const source = new URL('../src/main.ts', import.meta.url);
  const built = new URL('../dist/src/main.js', import.meta.url);
  import((existsSync(source) ? source : built).href);
}
