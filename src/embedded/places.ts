/** What reads or adds rows alone; one statement, without a `;` even in a text. */
const STAYS = /^\s*(?:INSERT|SELECT|WITH|SHOW|DESCRIBE|EXPLAIN)\b[^;]*$/i;

/**
 * The directories of tables, which an insert syncs. To ask the engine for them costs half as much as the insert of a few hundred rows.
 *
 * 1. What was found holds until a statement begins that could put another table behind the name, or move this one.
 * 2. While such a statement runs it is not known whether it has done so: each call asks.
 *
 * A refreshable view replaces its table without a statement; rows that a client inserted there go with it.
 */
export class Places {
  readonly #known = new Map<string, readonly string[]>();
  #running = 0;
  #begun = 0;

  /** Where the table lies; `find` asks the engine. A table that is not there is asked for each time. */
  async of(table: string, find: () => Promise<readonly string[]>): Promise<readonly string[]> {
    const known = this.#known.get(table);
    if (known !== undefined) return known;
    const begun = this.#begun;
    const found = await find();
    if (found.length > 0 && this.#running === 0 && begun === this.#begun) this.#known.set(table, found);
    return found;
  }

  /** Runs a statement. */
  async around<T>(sql: string, run: () => Promise<T>): Promise<T> {
    if (STAYS.test(sql)) return run();
    this.#running++;
    this.#begun++;
    this.#known.clear();
    try {
      return await run();
    } finally {
      this.#running--;
    }
  }
}
