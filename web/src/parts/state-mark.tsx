import type { JSX } from 'preact';
import type { State } from '../live.ts';

/** Shape and word, not colour alone. */
const MARKS: Readonly<Record<State, readonly [string, string]>> = {
  alarm: ['◬', 'alarm'],
  moving: ['▲', 'moving'],
  standing: ['●', 'standing'],
  silent: ['■', 'silent'],
  over_cap: ['◆', 'over cap'],
  offline: ['□', 'offline'],
};

export function wordOf(state: State): string {
  return MARKS[state][1];
}

export function StateMark({ state }: { readonly state: State }): JSX.Element {
  const [mark, word] = MARKS[state];
  return (
    <span class={`state ${state}`}>
      <span aria-hidden="true">{mark}</span> {word}
    </span>
  );
}
