import { render } from 'preact';
import { App } from './app.tsx';
import { listenToKeys } from './keys.tsx';
import { follow } from './live.ts';
import { begin } from './session.ts';
import './theme.css';
import './screens.css';

declare global {
  interface Window {
    readonly trustedTypes?: {
      createPolicy(name: string, rules: { createScriptURL(url: string): string }): unknown;
    };
  }
}

// The only script that is started by address is the worker of the map.
window.trustedTypes?.createPolicy('default', {
  createScriptURL(url) {
    const { origin, pathname } = new URL(url, location.href);
    if (origin === location.origin && pathname.startsWith('/assets/')) return url;
    throw new TypeError('a script from elsewhere');
  },
});

void begin();
follow();
listenToKeys();
const root = document.getElementById('app');
if (root !== null) render(<App />, root);
