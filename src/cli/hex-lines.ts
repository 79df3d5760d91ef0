import type { Bytes } from '../base/wire/index.ts';
import { hexDigit } from '../base/wire/index.ts';

/** Bytes that one line may hold; a longer line is reported, not kept. */
export const MAX_LINE_BYTES = 16 << 20;

/** One line of input. */
export interface HexLine {
  /** Nothing but blanks. */
  readonly empty: boolean;
  readonly bytes: Bytes;
  /** Why the line is not hex, else ''. */
  readonly error: string;
}

const LF = 10;
const SPACE = 32;

/**
 * Hex text to bytes, line by line, however the text was cut. Blanks are ignored. Holds one line, as bytes, up to
 * MAX_LINE_BYTES.
 */
export class HexLines {
  #bytes = new Uint8Array(4096);
  #length = 0;
  /** The digit that waits for its second one, or -1. */
  #half = -1;
  #column = 0;
  #blank = true;
  #error = '';

  /** Calls back for each line that `text` completes. `line.bytes` is valid until the next line begins. */
  *push(text: Bytes): Generator<HexLine> {
    for (const c of text) {
      if (c === LF) yield this.#take();
      else this.#character(c);
    }
  }

  /** The last line, when it has no line feed. */
  *end(): Generator<HexLine> {
    if (this.#column > 0) yield this.#take();
  }

  #character(c: number): void {
    this.#column++;
    if (c <= SPACE) return;
    this.#blank = false;
    if (this.#error !== '') return;
    const digit = hexDigit(c);
    if (digit < 0) this.#error = `column ${this.#column} is not a hex digit`;
    else if (this.#half < 0) this.#half = digit;
    else {
      if (this.#length === this.#bytes.length && !this.#grow()) return;
      this.#bytes[this.#length++] = this.#half * 16 + digit;
      this.#half = -1;
    }
  }

  #grow(): boolean {
    if (this.#length >= MAX_LINE_BYTES) {
      this.#error = `a line may hold ${MAX_LINE_BYTES} bytes`;
      return false;
    }
    const larger = new Uint8Array(2 * this.#length);
    larger.set(this.#bytes);
    this.#bytes = larger;
    return true;
  }

  #take(): HexLine {
    const error = this.#error === '' && this.#half >= 0 ? 'an odd number of hex digits' : this.#error;
    const line = { empty: this.#blank, bytes: this.#bytes.subarray(0, error === '' ? this.#length : 0), error };
    if (this.#bytes.length > 1 << 16) this.#bytes = new Uint8Array(4096);
    this.#length = 0;
    this.#half = -1;
    this.#column = 0;
    this.#blank = true;
    this.#error = '';
    return line;
  }
}
