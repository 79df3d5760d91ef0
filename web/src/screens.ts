import type { ComponentType } from 'preact';
import { Now } from './screens/now.tsx';
import { isLimited, may } from './session.ts';

interface Screen {
  readonly name: string;
  readonly scope: string;
  /** In the menu. */
  readonly isListed: boolean;
  /** It asks for what tokens that are limited to accounts are refused. */
  readonly isOfOperator?: true;
  readonly load: () => Promise<ComponentType> | ComponentType;
}

/** In the order of the menu. */
export const SCREENS: Readonly<Record<string, Screen>> = {
  now: { name: 'Now', scope: 'read', isListed: true, isOfOperator: true, load: () => Now },
  map: { name: 'Map', scope: 'locations', isListed: true, load: async () => (await import('./screens/map.tsx')).MapScreen },
  devices: { name: 'Devices', scope: 'read', isListed: true, load: async () => (await import('./screens/devices.tsx')).Devices },
  device: { name: 'Device', scope: 'read', isListed: false, load: async () => (await import('./screens/device.tsx')).Device },
  trace: { name: 'Trace', scope: 'locations', isListed: true, load: async () => (await import('./screens/trace.tsx')).Trace },
  decode: { name: 'Decode', scope: 'read', isListed: true, load: async () => (await import('./screens/decode.tsx')).Decode },
  quarantine: {
    name: 'Quarantine',
    scope: 'read',
    isListed: true,
    isOfOperator: true,
    load: async () => (await import('./screens/quarantine.tsx')).Quarantine,
  },
  commands: {
    name: 'Commands',
    scope: 'read',
    isListed: true,
    isOfOperator: true,
    load: async () => (await import('./screens/commands.tsx')).Commands,
  },
  plans: { name: 'Plans', scope: 'read', isListed: true, load: async () => (await import('./screens/plans.tsx')).Plans },
  sinks: {
    name: 'Sinks',
    scope: 'read',
    isListed: true,
    isOfOperator: true,
    load: async () => (await import('./screens/sinks.tsx')).Sinks,
  },
  events: { name: 'Events', scope: 'read', isListed: true, load: async () => (await import('./screens/events.tsx')).Events },
  settings: { name: 'Settings', scope: 'read', isListed: true, load: async () => (await import('./screens/settings.tsx')).Settings },
};

/** In the menu and under its key. */
export function isShown(screen: string): boolean {
  const { scope, isListed, isOfOperator = false } = SCREENS[screen] ?? { scope: '', isListed: false };
  return isListed && may(scope) && !(isOfOperator && isLimited());
}
