import { defineConfig } from 'vite';

/** `npm run dev:web` serves the pages as they are edited, and asks the server on port 8080. */
const server = process.env['FIXGATE_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  root: import.meta.dirname,
  // No preset for Preact: it would bring Babel.
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2023',
    // A small picture as a data: address is refused by the policy of the pages.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
    modulePreload: { polyfill: false },
    // What the other screens share is in the entry, not in a file of its own.
    rolldownOptions: { checks: { bundlerTimings: false }, output: { codeSplitting: { groups: [{ name: 'first', tags: ['$initial'] }] } } },
  },
  worker: { format: 'es' },
  server: { proxy: { '/v1': server, '/maps': server } },
});
