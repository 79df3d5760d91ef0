import { JsonWriter } from '../../record/json-writer.ts';

/** Digits of the length that is put before an argument whose end is not known yet: most records have 100 to 999 bytes. */
const LENGTH_DIGITS = 3;
const DOLLAR = 0x24;

/** Writes one command of the Redis protocol, RESP 2. */
export class RespWriter extends JsonWriter {
  /** End of the argument that was closed last, without its line end. */
  argumentEnd = 0;

  /** `EVAL` with this script and these keys, behind which so many arguments follow. */
  begin(script: string, keys: readonly string[], count: number): void {
    this.at = 0;
    this.ascii(`*${3 + keys.length + count}`);
    this.#line();
    for (const text of ['EVAL', script, String(keys.length), ...keys]) this.argument(text);
  }

  argument(text: string): void {
    const start = this.open();
    this.utf8(text);
    this.close(start);
  }

  copy(from: Buffer, start: number, end: number): void {
    const at = this.open();
    this.room(end - start);
    from.copy(this.bytes, this.at, start, end);
    this.at += end - start;
    this.close(at);
  }

  /** What is written until `close` is one argument. */
  open(): number {
    const start = this.at;
    this.room(LENGTH_DIGITS + 3);
    this.at += LENGTH_DIGITS + 3;
    return start;
  }

  /** `start` is what `open` gave. Returns where the argument itself begins. */
  close(start: number): number {
    let begin = start + LENGTH_DIGITS + 3;
    let end = this.at;
    const length = String(end - begin);
    const shift = length.length - LENGTH_DIGITS;
    if (shift !== 0) {
      this.room(shift);
      this.bytes.copyWithin(begin + shift, begin, end);
      begin += shift;
      end += shift;
    }
    this.bytes[start] = DOLLAR;
    this.at = start + 1;
    this.ascii(length);
    this.#line();
    this.at = end;
    this.argumentEnd = end;
    this.#line();
    return begin;
  }

  written(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  #line(): void {
    this.room(2);
    this.bytes[this.at++] = 0x0d;
    this.bytes[this.at++] = 0x0a;
  }
}
