import { isScalar, parseDocument, visit } from 'yaml';

/** Reads YAML or JSON. Throws an Error that says what is wrong, also for an anchor that contains itself. */
export function readYaml(text: string): unknown {
  // The library compares each key with all others: 20 000 take it 19 s.
  const document = parseDocument(text, { uniqueKeys: false });
  const [error] = document.errors;
  if (error !== undefined) throw error;
  visit(document, {
    Map(_, map) {
      const keys = new Set<unknown>();
      for (const { key } of map.items) {
        const name: unknown = isScalar(key) ? key.value : key;
        if (keys.has(name)) throw new Error(`duplicate key "${name}"`);
        keys.add(name);
      }
    },
  });
  const value: unknown = document.toJS();
  const loop = loopIn(value, []);
  if (loop !== undefined) throw new Error(`the anchor at "${loop}" contains itself; write its values out`);
  return value;
}

const DEEPEST = 100;

/** Where a value contains itself; undefined: nowhere. */
function loopIn(value: unknown, above: readonly object[], path = ''): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (above.includes(value)) return path;
  if (above.length >= DEEPEST) throw new Error(`values are nested deeper than ${DEEPEST}`);
  const inside = [...above, value];
  for (const [key, inner] of Object.entries(value)) {
    const found = loopIn(inner, inside, path === '' ? key : `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}
