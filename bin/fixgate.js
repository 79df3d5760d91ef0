#!/usr/bin/env node
// Read by any Node that knows modules, so that one that is too old says so in one line instead of a syntax error: no
// syntax and no import here that Node 12 does not know.
// biome-ignore lint/style/useNodejsImportProtocol: the prefix is younger than that
import { existsSync, mkdirSync } from 'fs';

const needed = 24;
const found = process.versions.node;

if (Number(found.split('.')[0]) < needed) {
  process.stderr.write(
    `fixgate: needs Node ${needed} or newer, this is ${found} (${process.execPath}); inside the repository "npm start" uses the pinned one, elsewhere install Node ${needed}\n`,
  );
  process.exitCode = 1;
} else {
  // Parsed once, not by each process at each start. In the user's own directory: what lies in a shared one may be somebody else's.
  // biome-ignore lint/style/useNodejsImportProtocol: as above
  void Promise.all([import('module'), import('os')])
    .then(([{ enableCompileCache }, { homedir }]) => {
      if (process.env.NODE_COMPILE_CACHE !== undefined) return;
      const caches = `${process.env.XDG_CACHE_HOME || `${homedir()}/.cache`}/fixgate`;
      mkdirSync(caches, { recursive: true, mode: 0o700 });
      enableCompileCache(`${caches}/compiled`);
      // For the processes of a server.
      process.env.NODE_COMPILE_CACHE = `${caches}/compiled`;
    })
    // A home that cannot be written to costs time at each start, and nothing else.
    .catch(() => {})
    .then(() => {
      // A checkout runs its source: what an earlier build left in dist must not hide an edit. Package and image have no src.
      const source = new URL('../src/main.ts', import.meta.url);
      const built = new URL('../dist/src/main.js', import.meta.url);
      return import((existsSync(source) ? source : built).href);
    });
}
