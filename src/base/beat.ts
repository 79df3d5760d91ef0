/**
 * Timers that share their turns of the event loop. What a process does once a second it does all at once: each timer of its own would wake a
 * process that has nothing else to do.
 */
const BEAT_MS = 1_000;

const works = new Set<() => void>();
let timer: NodeJS.Timeout | undefined;

/** Calls `work` every `ms`, where that is a second the first time within one, until what is returned is called. Keeps no process running. */
export function every(ms: number, work: () => void): () => void {
  if (ms !== BEAT_MS) {
    const own = setInterval(work, ms).unref();
    return () => clearInterval(own);
  }
  // The same function may be given twice.
  const one = (): void => work();
  works.add(one);
  timer ??= setInterval(() => {
    for (const each of works) each();
  }, BEAT_MS).unref();
  return () => {
    works.delete(one);
    if (works.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}
