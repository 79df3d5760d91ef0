/**
 * What the HTTP interface has to know about a statement: whether it is one, whether it names a file, in which format it
 * answers, and, for an INSERT whose rows follow, where those begin.
 *
 * The engine's own parser says so: `formatQuerySingleLine` gives a statement in its normal form, without executing it,
 * without comments and heredocs, and refuses two at once. Only that form is read here. This is not a boundary (the secret
 * is): it decides which statements can work over HTTP.
 */

export interface Statement {
  /** An INSERT whose rows follow the text. */
  readonly insert: InsertStatement | null;
  /** The name after FORMAT, or ''. */
  readonly format: string;
  /** It says INTO OUTFILE or FROM INFILE. */
  readonly namesFile: boolean;
}

export interface InsertStatement {
  /** '' when the statement does not name one; `{name:Identifier}` when a parameter of the request does. */
  readonly database: string;
  readonly table: string;
  /** Up to the place where `FROM INFILE '…'` belongs. */
  readonly target: string;
  /** The SETTINGS clause, or ''. */
  readonly settings: string;
  readonly format: string;
}

/** The normal form of a statement. Rejects with the engine's error if it is not one. */
export type Normalise = (text: string) => Promise<string>;

const QUOTED = /'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*"/g;
const NAME = '(?:[A-Za-z_]\\w*|`(?:[^`\\\\]|\\\\.|``)*`|\\{\\w+:Identifier\\})';
/** Quoted things, and anything else that is neither quote nor parenthesis. */
const INNER = "(?:[^()'`]|'(?:[^'\\\\]|\\\\.|'')*'|`(?:[^`\\\\]|\\\\.|``)*`)";
const INSERT = new RegExp(
  `^(INSERT INTO (?:(${NAME})\\.)?(${NAME})(?: \\(${INNER}*(?:\\(${INNER}*\\)${INNER}*)*\\))?)( SETTINGS ${INNER}+?)? FORMAT (${NAME})$`,
);

/** Reads a normal form. */
export function readStatement(normal: string): Statement {
  // What is quoted blanked, in its place.
  const bare = normal.replaceAll(QUOTED, (quoted) => quoted.charAt(0) + '_'.repeat(quoted.length - 2) + quoted.charAt(0));
  const namesFile = / (?:INTO OUTFILE|FROM INFILE) '/.test(bare);
  const format = / FORMAT ([A-Za-z_]\w*|`_+`)(?: SETTINGS [^()]*)?$/d.exec(bare)?.indices?.[1] ?? [0, 0];
  const found = namesFile ? null : INSERT.exec(normal);
  if (found === null) return { insert: null, format: nameOf(normal.slice(...format)), namesFile };
  const [, target = '', database = '', table = '', settings = '', rowsFormat = ''] = found;
  const insert = { database: nameOf(database), table: nameOf(table), target, settings: settings.trim(), format: nameOf(rowsFormat) };
  return { insert, format: insert.format, namesFile: false };
}

/** Places where an INSERT may end and its rows begin. */
const ENDS = /\bFORMAT(?=(\s+\w+))|\bVALUES\b/gi;
/** An INSERT that says FORMAT so often in comments and texts is not looked at further. */
const MOST_ENDS = 16;

export interface SplitInsert {
  readonly insert: InsertStatement;
  /** Where the rows begin in the text; its length if they have not begun. */
  readonly dataAt: number;
}

/**
 * Splits a text that begins with an INSERT whose rows follow it, in any format: the first beginning that the engine
 * takes for a whole INSERT is that. Null: it is another statement, or has not said its format yet.
 */
export async function splitInsert(text: string, normalise: Normalise): Promise<SplitInsert | null> {
  if (!/\binsert\b/i.test(text.slice(0, HEAD_CHARACTERS))) return null;
  let looked = 0;
  for (const end of text.matchAll(ENDS)) {
    if (++looked > MOST_ENDS) return null;
    const [word, name = ''] = end;
    const at = end.index + word.length + name.length;
    const normal = await normalise(text.slice(0, at)).catch(() => '');
    const { insert } = readStatement(normal);
    if (insert !== null && insert.format === (name.trim() || 'Values')) return { insert, dataAt: rowsStart(text, at) };
  }
  return null;
}

/** An INSERT says so early, behind a comment at most. */
const HEAD_CHARACTERS = 4096;

/** Rows begin behind the blanks of the statement's line; a `;` there belongs to the statement. */
function rowsStart(text: string, at: number): number {
  const tail = /^[ \t]*;?[ \t]*(?:\r?\n)?/.exec(text.slice(at, at + 256));
  return at + (tail === null ? 0 : tail[0].length);
}

function nameOf(name: string): string {
  return name.startsWith('`') ? name.slice(1, -1).replaceAll('``', '`').replaceAll(/\\(.)/g, '$1') : name;
}

/** A string literal. */
export function quoteText(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** A quoted identifier. */
export function quoteName(value: string): string {
  return `\`${value.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}
