import type { ComponentChildren, JSX } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { get, Refusal } from '../api.ts';
import { clock } from '../format.ts';

/** What a screen has asked the server for. */
export interface Data<T> {
  readonly value: T | undefined;
  /** The last request was refused; `value` is of an earlier one. */
  readonly refusal: Refusal | undefined;
  /** When `value` came, epoch ms. */
  readonly at: number;
  reload(): void;
}

/** A server or a store that is away, or one that has too much to do, is asked again by itself. */
const RETRY_MS = 5000;

/** Asks again every `everyMs` while the tab is seen, and after a refusal that passes. An empty path asks nothing. */
export function useData<T>(path: string, everyMs = 0): Data<T> {
  const [state, set] = useState<{ path: string; value?: T; refusal?: Refusal; at: number }>({ path, at: 0 });
  // An answer counts when none that was asked for later has come: of a slow server each comes after the next request.
  const asked = useRef(0);
  const shown = useRef(0);
  const reload = useCallback(() => {
    if (path === '') return;
    const mine = ++asked.current;
    const isNewest = (): boolean => {
      if (mine < shown.current) return false;
      shown.current = mine;
      return true;
    };
    get<T>(path).then(
      (value) => {
        if (isNewest()) set({ path, value, at: Date.now() });
      },
      (error: unknown) => {
        const refusal = error instanceof Refusal ? error : new Refusal(0, { title: String(error) });
        if (isNewest()) set((before) => ({ ...(before.path === path ? before : { path, at: 0 }), refusal }));
      },
    );
  }, [path]);
  // Before the page is painted for the first time: without a graphics processor that takes as long as the answer.
  useLayoutEffect(() => {
    reload();
    if (everyMs === 0) return;
    const timer = setInterval(() => {
      if (!document.hidden) reload();
    }, everyMs);
    return () => clearInterval(timer);
  }, [reload, everyMs]);
  useEffect(() => {
    const { path: of, refusal } = state;
    if (of !== path || refusal === undefined || !passes(refusal)) return;
    const timer = setTimeout(reload, RETRY_MS);
    return () => clearTimeout(timer);
  }, [state, reload]);
  const mine = state.path === path ? state : { at: 0, value: undefined, refusal: undefined };
  return { value: mine.value, refusal: mine.refusal, at: mine.at, reload };
}

function passes({ status }: Refusal): boolean {
  return status === 0 || status === 429 || status >= 500;
}

/** What is there no more, or not for this caller: what was shown of it before must not stay. */
export function isLost({ status }: Refusal): boolean {
  return status === 403 || status === 404;
}

/** The states of everything that is asked for: loading, refused, stale, there. */
export function Loaded<T>({ data, children }: { readonly data: Data<T>; readonly children: (value: T) => ComponentChildren }): JSX.Element {
  const { value, refusal, at, reload } = data;
  if (refusal !== undefined && (value === undefined || isLost(refusal))) return <Refused refusal={refusal} retry={reload} />;
  if (value === undefined) return <Loading />;
  if (refusal === undefined) return <>{children(value)}</>;
  return (
    <div class="stale">
      <p class="note" role="status">
        From {clock(at, false)}: {refusal.message}.{' '}
        <button type="button" onClick={reload}>
          Retry
        </button>
      </p>
      {children(value)}
    </div>
  );
}

/** Nothing at first: most answers are there before one has read a word. */
function Loading(): JSX.Element {
  const [late, set] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => set(true), 300);
    return () => clearTimeout(timer);
  }, []);
  return <p class="quiet">{late ? 'Loading…' : ''}</p>;
}

export function Refused({ refusal, retry }: { readonly refusal: Refusal; readonly retry?: () => void }): JSX.Element {
  return (
    <div class="refused" role="alert">
      <strong>{refusal.message}</strong>
      {refusal.fields.length > 0 && (
        <ul>
          {refusal.fields.map(({ field, problem }) => (
            <li key={`${field} ${problem}`}>
              <code>{field}</code>: {problem}
            </li>
          ))}
        </ul>
      )}
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Retry
        </button>
      )}
    </div>
  );
}

export function Empty({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <div class="empty">{children}</div>;
}

/** Something that is done when one asks for it: whether it is under way, and what was refused. */
export interface Action {
  readonly isBusy: boolean;
  readonly refusal: Refusal | undefined;
  /** Undefined when it was refused. */
  run<T>(work: () => Promise<T>): Promise<T | undefined>;
}

export function useAction(): Action {
  const [isBusy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | undefined>(undefined);
  return {
    isBusy,
    refusal,
    async run(work) {
      setBusy(true);
      setRefusal(undefined);
      try {
        return await work();
      } catch (error) {
        setRefusal(error instanceof Refusal ? error : new Refusal(0, { title: String(error) }));
        return undefined;
      } finally {
        setBusy(false);
      }
    },
  };
}
