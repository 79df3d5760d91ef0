import { effect, untracked } from '@preact/signals';
import { connection } from './live.ts';

/**
 * Loads a part of the console when it is first needed. A browser does not ask again for a module that did not come: when the server was
 * away and is back, the whole page is loaded anew, which also takes the parts of a newer server. `failed` hears that it did not come.
 */
export async function loadPart<T>(load: () => T | Promise<T>, failed: () => void): Promise<T> {
  try {
    return await load();
  } catch {
    failed();
    onReturn(() => location.reload());
    return new Promise(() => {});
  }
}

/** Calls it each time that the server is back; returns what ends that. */
export function onReturn(listener: () => void): () => void {
  let wasLost = false;
  return effect(() => {
    const state = connection.value;
    if (state === 'lost') wasLost = true;
    if (state !== 'live' || !wasLost) return;
    wasLost = false;
    untracked(listener);
  });
}
