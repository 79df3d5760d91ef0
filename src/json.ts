/** The value of a JSON text that somebody else wrote; undefined when it is not one. Never throws: it is called in handlers and timers. */
export function jsonOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
