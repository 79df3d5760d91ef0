import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { ago, clock } from '../format.ts';

/** Moves once a second for all that shows an age. */
const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

export function Ago({ time }: { readonly time: number | undefined }): JSX.Element {
  if (time === undefined || time === 0) return <span>never</span>;
  return (
    <time dateTime={new Date(time).toISOString()} title={clock(time)}>
      {ago(time, now.value)}
    </time>
  );
}

export function At({ time }: { readonly time: number | undefined }): JSX.Element {
  if (time === undefined || time === 0) return <span>–</span>;
  return (
    <time dateTime={new Date(time).toISOString()} title={new Date(time).toISOString()}>
      {clock(time)}
    </time>
  );
}
