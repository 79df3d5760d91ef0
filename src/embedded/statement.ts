/**
 * Just enough of ClickHouse's grammar to find where the data of an INSERT begins.
 *
 * Over HTTP an INSERT is its statement, then the rows in some format. The engine in this process takes those rows from
 * a file instead, so the text is cut after `FORMAT name` (or `VALUES`) and `FROM INFILE` goes in front of that clause.
 * Everything else passes through unread, except for what a server would refuse over HTTP as well: two statements in
 * one request, and statements that name a file of the machine.
 */

export interface Statement {
  /** An INSERT whose rows follow the text. */
  readonly insert: InsertStatement | null;
  /** The last `FORMAT name` outside parentheses, or ''. */
  readonly format: string;
  /** Something follows a `;`. */
  readonly several: boolean;
  /** It says INTO OUTFILE or FROM INFILE. */
  readonly namesFile: boolean;
}

export interface InsertStatement {
  /** '' when the statement does not name one. */
  readonly database: string;
  readonly table: string;
  /** Up to the place where `FROM INFILE '…'` belongs. */
  readonly target: string;
  /** The SETTINGS clause, or ''. */
  readonly settings: string;
  readonly format: string;
  /** Where the rows begin in the text; its length if they have not begun. */
  readonly dataAt: number;
}

/** One word, quoted thing or sign at a time; comments and blanks are skipped. */
class Tokens {
  readonly #text: string;
  #end = 0;
  start = 0;
  /** Upper case for bare words, the sign itself, or a quote character for a quoted thing. '' at the end. */
  kind = '';
  depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get end(): number {
    return this.#end;
  }

  next(): string {
    const text = this.#text;
    const start = skipBlank(text, this.#end);
    this.start = start;
    const c = text.charAt(start);
    if (c === '') {
      this.#end = start;
      return (this.kind = '');
    }
    if (c === "'" || c === '"' || c === '`') {
      this.#end = quotedEnd(text, start, c);
      return (this.kind = c);
    }
    WORD.lastIndex = start;
    const word = WORD.exec(text);
    if (word !== null) {
      this.#end = start + word[0].length;
      return (this.kind = word[0].toUpperCase());
    }
    if (c === '(' || c === '[' || c === '{') this.depth++;
    if (c === ')' || c === ']' || c === '}') this.depth--;
    this.#end = start + 1;
    return (this.kind = c);
  }
}

const WORD = /[A-Za-z0-9_]+/y;
const BLANK = /(?:\s+|--[^\n]*|#[ !][^\n]*|\/\*[\s\S]*?(?:\*\/|$))*/y;

function skipBlank(text: string, at: number): number {
  BLANK.lastIndex = at;
  const blank = BLANK.exec(text);
  return blank === null ? at : at + blank[0].length;
}

/** The position behind the closing quote; a backslash and a doubled quote do not close. */
function quotedEnd(text: string, start: number, quote: string): number {
  for (let p = start + 1; p < text.length; p++) {
    const c = text.charAt(p);
    if (c === '\\') p++;
    else if (c === quote) {
      if (text.charAt(p + 1) !== quote) return p + 1;
      p++;
    }
  }
  return text.length;
}

/** Reads a statement, or the beginning of one: the rows of an INSERT need not be there. */
export function readStatement(text: string): Statement {
  const tokens = new Tokens(text);
  if (tokens.next() === 'INSERT') {
    const insert = readInsert(text, tokens);
    if (insert !== null) return { insert, format: '', several: false, namesFile: false };
  }
  let format = '';
  let several = false;
  let namesFile = false;
  const whole = new Tokens(text);
  for (let before = '', kind = whole.next(); kind !== ''; before = kind, kind = whole.next()) {
    if (before === ';') several = true;
    if ((kind === 'OUTFILE' && before === 'INTO') || (kind === 'INFILE' && before === 'FROM')) namesFile = true;
    if (before === 'FORMAT' && whole.depth === 0 && /^\w+$/.test(kind)) format = text.slice(whole.start, whole.end);
  }
  return { insert: null, format, several, namesFile };
}

/** After INSERT: `[INTO] [TABLE] name [(columns)] [SETTINGS …] FORMAT name | VALUES`; null for any other INSERT. */
function readInsert(text: string, tokens: Tokens): InsertStatement | null {
  let kind = tokens.next();
  if (kind === 'INTO') kind = tokens.next();
  if (kind === 'TABLE') kind = tokens.next();
  if (kind === 'FUNCTION' || kind === '') return null;
  // The name itself may be spelled like a keyword.
  const names = [nameOf(text, tokens)];
  kind = tokens.next();
  while (kind === '.') {
    tokens.next();
    names.push(nameOf(text, tokens));
    kind = tokens.next();
  }
  let settingsAt = -1;
  for (; kind !== ''; kind = tokens.next()) {
    if (tokens.depth !== 0) continue;
    const at = tokens.start;
    if (kind === 'SETTINGS') settingsAt = at;
    else if (kind === 'VALUES' || kind === 'FORMAT') {
      if (kind === 'FORMAT' && !/^\w+$/.test(tokens.next())) return null;
      const targetEnd = settingsAt < 0 ? at : settingsAt;
      return {
        database: names.length > 1 ? (names[0] ?? '') : '',
        table: names.at(-1) ?? '',
        target: text.slice(0, targetEnd).trimEnd(),
        settings: settingsAt < 0 ? '' : text.slice(settingsAt, at).trimEnd(),
        format: kind === 'VALUES' ? 'Values' : text.slice(tokens.start, tokens.end),
        dataAt: rowsStart(text, tokens.end),
      };
    } else if (kind === 'SELECT' || kind === 'WITH' || kind === 'FROM' || kind === ';') return null;
  }
  return null;
}

function nameOf(text: string, tokens: Tokens): string {
  const word = text.slice(tokens.start, tokens.end);
  const quote = tokens.kind;
  if (quote !== '`' && quote !== '"') return word;
  return word
    .slice(1, -1)
    .replaceAll(quote + quote, quote)
    .replaceAll(/\\(.)/g, '$1');
}

/** Rows begin behind the blanks of the statement's line; a `;` there belongs to the statement. */
function rowsStart(text: string, at: number): number {
  const tail = /^[ \t]*;?[ \t]*(?:\r?\n)?/.exec(text.slice(at, at + 256));
  return at + (tail === null ? 0 : tail[0].length);
}

/** A string literal. */
export function quoteText(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** A quoted identifier. */
export function quoteName(value: string): string {
  return `\`${value.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}
