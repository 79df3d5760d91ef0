import { signal } from '@preact/signals';
import type { ComponentType, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { isGone } from './api.ts';
import { isHelpShown, KeysHelp } from './keys.tsx';
import { connection, events } from './live.ts';
import { place, to } from './route.ts';
import { Now } from './screens/now.tsx';
import { SignIn } from './screens/sign-in.tsx';
import { may, session, signOut } from './session.ts';
import { THEMES, theme } from './theme.ts';

interface Screen {
  readonly name: string;
  readonly scope: string;
  /** In the menu. */
  readonly isListed: boolean;
  readonly load: () => Promise<ComponentType> | ComponentType;
}

const SCREENS: Readonly<Record<string, Screen>> = {
  now: { name: 'Now', scope: 'read', isListed: true, load: () => Now },
  map: { name: 'Map', scope: 'locations', isListed: true, load: async () => (await import('./screens/map.tsx')).MapScreen },
  devices: { name: 'Devices', scope: 'read', isListed: true, load: async () => (await import('./screens/devices.tsx')).Devices },
  device: { name: 'Device', scope: 'read', isListed: false, load: async () => (await import('./screens/device.tsx')).Device },
  trace: { name: 'Trace', scope: 'locations', isListed: true, load: async () => (await import('./screens/trace.tsx')).Trace },
  decode: { name: 'Decode', scope: 'read', isListed: true, load: async () => (await import('./screens/decode.tsx')).Decode },
  quarantine: {
    name: 'Quarantine',
    scope: 'read',
    isListed: true,
    load: async () => (await import('./screens/quarantine.tsx')).Quarantine,
  },
  commands: { name: 'Commands', scope: 'read', isListed: true, load: async () => (await import('./screens/commands.tsx')).Commands },
  plans: { name: 'Plans', scope: 'read', isListed: true, load: async () => (await import('./screens/plans.tsx')).Plans },
  sinks: { name: 'Sinks', scope: 'read', isListed: true, load: async () => (await import('./screens/sinks.tsx')).Sinks },
  events: { name: 'Events', scope: 'read', isListed: true, load: async () => (await import('./screens/events.tsx')).Events },
  settings: { name: 'Settings', scope: 'read', isListed: true, load: async () => (await import('./screens/settings.tsx')).Settings },
};

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
    document.title = `${rule?.name ?? 'Not found'} · Fixgate`;
    if (rule === undefined || loaded.value.has(screen)) return;
    failed.value = '';
    Promise.resolve(rule.load()).then(
      (component) => {
        loaded.value = new Map([...loaded.value, [screen, component]]);
      },
      () => {
        failed.value = 'This part of the console cannot be loaded: the server may be newer than this page. Load the page again.';
      },
    );
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
            .filter(([, one]) => one.isListed && may(one.scope))
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
              There is no screen "{screen}". <a href={to('now')}>Now</a>
            </p>
          </>
        ) : !may(scope) ? (
          <>
            <h1>{rule.name}</h1>
            <p>
              Your token lacks the scope <code>{scope}</code>.
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
