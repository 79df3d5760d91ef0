/** The value of a JSON text from outside; undefined if the text is not JSON. Never throws: it is called in handlers and timers. */
export function jsonOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
