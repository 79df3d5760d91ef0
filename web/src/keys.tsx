import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { back, go, to } from './route.ts';
import { isShown, SCREENS } from './screens.ts';

/** Keys of every screen. None of them works while one types. */
const KEYS: Readonly<Record<string, string>> = { n: 'now', m: 'map', d: 'devices', t: 'trace', e: 'events' };
export const isHelpShown = signal(false);
let prefix = 0;
const PREFIX_MS = 1500;

export function listenToKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) {
      if (event.key === 'Escape') target.blur();
    } else if (act(event.key, event.timeStamp)) event.preventDefault();
  });
}

/** True when the key means something here. */
function act(key: string, at: number): boolean {
  const screen = at - prefix < PREFIX_MS ? KEYS[key] : undefined;
  prefix = 0;
  if (screen !== undefined && isShown(screen)) go(to(screen));
  else if (key === 'g') prefix = at;
  else if (key === '?') isHelpShown.value = true;
  else if (key === '/') document.querySelector<HTMLInputElement>('input[type=search]')?.focus();
  else if (key === 'j' || key === 'k') move(key === 'j' ? 1 : -1);
  else if (key === 'Escape' && document.querySelector('dialog[open]') === null) back();
  else return false;
  return true;
}

/** Into the list of the screen, or from row to row of its table. */
function move(step: number): void {
  const list = document.querySelector<HTMLElement>('[role=listbox]');
  if (list !== null) {
    list.focus();
    return;
  }
  const rows = [...document.querySelectorAll<Element>('main tbody th a')];
  const at = document.activeElement === null ? -1 : rows.indexOf(document.activeElement);
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + step))];
  if (next instanceof HTMLElement) next.focus();
}

export function KeysHelp(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // The focus goes back to where it was.
    return () => element?.close();
  }, []);
  const rows = [
    ['/', 'search'],
    ...Object.entries(KEYS).flatMap(([key, screen]) => (isShown(screen) ? [[`g ${key}`, SCREENS[screen]?.name]] : [])),
    ['j, k', 'down and up in a list'],
    ['Enter', 'open'],
    ['Esc', 'back'],
    ['arrows, +, −', 'move the map, nearer, farther'],
  ];
  return (
    <dialog ref={dialog} aria-label="Keys" onClose={() => (isHelpShown.value = false)}>
      <h2>Keys</h2>
      <dl class="facts">
        {rows.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
