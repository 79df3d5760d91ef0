import { signal } from '@preact/signals';
import type { ComponentType, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { isGone } from './api.ts';
import { isHelpShown, KeysHelp } from './keys.tsx';
import { connection, events } from './live.ts';
import { loadPart } from './load.ts';
import { place, replace, to } from './route.ts';
import { Now } from './screens/now.tsx';
import { SignIn } from './screens/sign-in.tsx';
import { isShown, SCREENS } from './screens.ts';
import { home, isLimited, may, session, signOut } from './session.ts';
import { THEMES, theme } from './theme.ts';

/** Of the screens that are loaded when they are first opened. */
const loaded = signal<ReadonlyMap<string, ComponentType>>(new Map([['now', Now]]));
const failed = signal('');

export function App(): JSX.Element {
  if (session.value === undefined) return <SignIn />;
  return <Shell />;
}

function Shell(): JSX.Element {
  const { screen } = place.value;
  const rule = SCREENS[screen];
  const Shown = loaded.value.get(screen);
  const scope = rule?.scope ?? '';
  useEffect(() => {
    if (screen === '') replace(to(home()));
    document.title = `${rule?.name ?? 'Not found'} · Fixgate`;
    if (rule === undefined || loaded.value.has(screen)) return;
    failed.value = '';
    const load = loadPart(rule.load, () => {
      failed.value = 'This part of the console cannot be loaded: the server is away, or newer than this page. Load the page again.';
    });
    void load.then((component) => {
      loaded.value = new Map([...loaded.value, [screen, component]]);
    });
  }, [screen, rule]);
  const isLoopback = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the content
      </button>
      <header class="bar">
        <span class="name">Fixgate</span>
        <nav aria-label="Screens">
          {Object.entries(SCREENS)
            .filter(([id]) => isShown(id))
            .map(([id, one]) => (
              <a key={id} href={to(id)} aria-current={id === screen ? 'page' : undefined}>
                {one.name}
              </a>
            ))}
        </nav>
        <Connection />
        <Alarms />
        <select
          aria-label="Colours"
          value={theme.value}
          onChange={(event) => {
            theme.value = THEMES.find((one) => one === event.currentTarget.value) ?? 'system';
          }}
        >
          {THEMES.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
        <button type="button" aria-label="Keys" onClick={() => (isHelpShown.value = true)}>
          ?
        </button>
        <button type="button" title={`signed in as ${session.value?.name}`} onClick={() => void signOut()}>
          Sign out
        </button>
      </header>
      {isGone.value && (
        <p class="banner bad" role="alert">
          The server does not answer. What you see is from before; this goes away by itself.
        </p>
      )}
      {!isLoopback && location.protocol === 'http:' && (
        <p class="banner">Plain HTTP: others on this network can read along. Put TLS in front (docs/http.md), or use an SSH tunnel.</p>
      )}
      <main id="main" data-screen={Shown === undefined ? '' : screen} tabIndex={-1} class={screen === 'map' ? 'wide' : ''}>
        {rule === undefined ? (
          <>
            <h1>Not found</h1>
            <p>
              There is no screen "{screen}". <Home />
            </p>
          </>
        ) : !may(scope) ? (
          <>
            <h1>{rule.name}</h1>
            <p>
              Your token lacks the scope <code>{scope}</code>.
            </p>
          </>
        ) : rule.isOfOperator === true && isLimited() ? (
          <>
            <h1>{rule.name}</h1>
            <p>
              This token sees the devices of {reachOf(session.value?.accounts)} only. <Home />
            </p>
          </>
        ) : Shown === undefined ? (
          <p class="quiet">{failed.value}</p>
        ) : (
          <Shown key={place.value.args[0] ?? ''} />
        )}
      </main>
      {isHelpShown.value && <KeysHelp />}
    </>
  );
}

function Home(): JSX.Element {
  const screen = home();
  return <a href={to(screen)}>{SCREENS[screen]?.name}</a>;
}

function reachOf(accounts: readonly string[] = []): string {
  return `${accounts.length === 1 ? 'account' : 'the accounts'} ${accounts.join(', ')}`;
}

const ALARMS = new Set(['sos', 'power_cut', 'tamper', 'collision']);
const SAY_MS = 5000;

/** To those who hear the page: an alarm, at most one sentence in five seconds. */
function Alarms(): JSX.Element {
  const [text, say] = useState('');
  const said = useRef(0);
  const [latest] = events.value;
  useEffect(() => {
    if (latest === undefined || !ALARMS.has(latest.type) || Date.now() - said.current < SAY_MS) return;
    said.current = Date.now();
    say(`Alarm: ${latest.type.replace('_', ' ')} of ${latest.device}`);
  }, [latest]);
  return (
    <span class="hidden" role="status">
      {text}
    </span>
  );
}

const WORDS = {
  off: '',
  opening: '',
  live: '● live',
  lost: '○ reconnecting',
  refused: '○ not live',
  paused: '○ paused: click to go on',
} as const;

function Connection(): JSX.Element {
  return (
    <span role="status" class={connection.value === 'live' ? 'up' : 'quiet'}>
      {WORDS[connection.value]}
    </span>
  );
}
