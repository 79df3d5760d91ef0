import { computed, signal } from '@preact/signals';

/** `#/device/123/frames?x=y`: the screen ('': none is named), what it shows, and its filters. Hash routes need nothing of the server. */
const hash = signal(location.hash);
/** Steps that were made within these pages. */
let steps = 0;
addEventListener('hashchange', () => {
  steps++;
  hash.value = location.hash;
});

/** A step back, never out of these pages. */
export function back(): void {
  if (steps <= 0) return;
  // That is a step, too.
  steps -= 2;
  history.back();
}

export interface Place {
  readonly screen: string;
  readonly args: readonly string[];
  readonly query: URLSearchParams;
}

export const place = computed<Place>(() => {
  const [path = '', query = ''] = hash.value.replace(/^#\/?/, '').split('?');
  const [screen = '', ...args] = path.split('/').map(plain);
  return { screen, args, query: new URLSearchParams(query) };
});

/** What is no encoded text, of a link that somebody wrote, stays as it is. */
function plain(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function to(screen: string, ...args: readonly string[]): string {
  return `#/${[screen, ...args].map(encodeURIComponent).join('/')}`;
}

export function go(target: string): void {
  location.hash = target;
}

/** The same without a step of the history. */
export function replace(target: string): void {
  history.replaceState(null, '', `/${target}`);
  hash.value = location.hash;
}

/** Changes a filter in the address, without a step of the history. */
export function filterBy(name: string, value: string): void {
  const { screen, args, query } = place.value;
  const next = new URLSearchParams(query);
  if (value === '') next.delete(name);
  else next.set(name, value);
  const text = next.toString();
  replace(`${to(screen, ...args)}${text === '' ? '' : `?${text}`}`);
}
