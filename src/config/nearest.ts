/** A longer word is not a slip of the hand, and comparing costs the product of the lengths. */
const LONGEST = 64;

/** The candidate that differs least from `word` (edit distance ≤ 3 and less than half its length), or undefined. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > LONGEST) return undefined;
  return least(word, candidates, Math.min(3, Math.ceil(word.length / 2)));
}

/**
 * The same for names of words in a family, like FIXGATE_HTTP_PORT: one that has all words of the name, or whose words the name has all,
 * goes before one that differs in a few letters. What all names of the family begin with says nothing.
 */
export function nearestVariable(name: string, candidates: readonly string[], prefix: string): string | undefined {
  if (name.length > LONGEST) return undefined;
  const rest = name.slice(prefix.length);
  const words = rest.split('_');
  const inside = candidates.map((candidate) => candidate.slice(prefix.length));
  const related = inside.filter((candidate) => {
    const others = candidate.split('_');
    return words.every((word) => others.includes(word)) || others.every((other) => words.includes(other));
  });
  const found = least(rest, related, LONGEST) ?? nearest(rest, inside);
  return found === undefined ? undefined : prefix + found;
}

function least(word: string, candidates: readonly string[], most: number): string | undefined {
  let best: string | undefined;
  let below = most + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= below) continue;
    const d = distance(word.toLowerCase(), candidate.toLowerCase());
    if (d < below) {
      below = d;
      best = candidate;
    }
  }
  return best;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
