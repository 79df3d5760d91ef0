/** Parses JSON as a strict consumer does: refuses a key that stands twice in an object, and text that is not well-formed. */
export function strictJson(text: string): unknown {
  const open: (Set<string> | undefined)[] = [];
  for (const [token, key] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    const keys = open.at(-1);
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (key !== undefined && keys !== undefined) {
      if (keys.has(key)) throw new Error(`the key ${key} stands twice in ${text}`);
      keys.add(key);
    }
  }
  return JSON.parse(text, (_, value: unknown) => {
    if (typeof value === 'string' && !value.isWellFormed()) throw new Error(`a lone surrogate in ${text}`);
    return value;
  });
}
