import { type Definition, NO_DEFINITION } from './definition.ts';
import { Numbered } from './segment-writer.ts';

/** Definitions that are remembered: a few are in use at a time. One that was forgotten gets another number. */
const MOST_DEFINITIONS = 4096;

/** Numbers the definitions that entries refer to, and notes which ones the entries of the next commit refer to. */
export class Numbering {
  /** Definitions by their text, the one asked for last, and those that what gathered refers to. */
  readonly #definitions = new Map<string, Numbered>();
  #lastDefinition: Definition = NO_DEFINITION;
  #lastNumbered: Numbered = new Numbered(NO_DEFINITION, 0);
  #numbers = 0;
  #used = new Set<Numbered>();
  #lastUsed: Numbered | null = null;

  /** The number of a definition that the entry about to be written refers to. */
  number(definition: Definition): number {
    if (definition !== this.#lastDefinition) {
      this.#lastDefinition = definition;
      this.#lastNumbered = this.#numbered(definition);
    }
    const numbered = this.#lastNumbered;
    if (numbered !== this.#lastUsed) {
      if (numbered.number > 0) this.#used.add(numbered);
      this.#lastUsed = numbered;
    }
    return numbered.number;
  }

  #numbered(definition: Definition): Numbered {
    if (definition.text === NO_DEFINITION.text) return new Numbered(NO_DEFINITION, 0);
    let numbered = this.#definitions.get(definition.text);
    if (numbered === undefined) {
      if (this.#definitions.size >= MOST_DEFINITIONS) this.#definitions.clear();
      numbered = new Numbered(definition, ++this.#numbers);
      this.#definitions.set(definition.text, numbered);
    }
    return numbered;
  }

  /** Those that were referred to since the last call. */
  take(): ReadonlySet<Numbered> {
    const used = this.#used;
    this.#used = new Set();
    this.#lastUsed = null;
    return used;
  }
}
