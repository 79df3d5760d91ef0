/**
 * Writes JSON as bytes into one growing buffer: a record of 500 bytes costs no garbage, and its numbers and names are not made as texts first.
 * The bytes are those that `JSON.stringify` would give, in UTF-8.
 */
const FIRST_BYTES = 64 * 1024;
/** Bytes of the longest number. */
const NUMBER_BYTES = 32;
/** Texts longer than this are left to the platform. */
const SHORT_TEXT = 64;
const ZERO = 0x30;
const LETTER_A = 0x61;
/** Places behind the point that are written by whole numbers: a double of at most 15 digits has one such form. */
const PLACES = 7;
const SCALE = 10 ** PLACES;
const MOST_DIGITS = 1e15;
/** A double below it is written with an exponent. */
const SMALLEST = 1e-6;

export class JsonWriter {
  bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Where the next byte goes. */
  at = 0;

  /** Sees to it that so many bytes fit. */
  room(bytes: number): void {
    if (this.at + bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, this.at + bytes));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }

  /** As it is: printable ASCII without `"` and `\`, such as a key or a number. */
  ascii(text: string): void {
    this.room(text.length);
    const { bytes } = this;
    let p = this.at;
    if (text.length > SHORT_TEXT) p += bytes.write(text, p, 'latin1');
    else for (let i = 0; i < text.length; i++) bytes[p++] = text.charCodeAt(i);
    this.at = p;
  }

  /** Bytes that are JSON. */
  raw(piece: Uint8Array): void {
    const { length } = piece;
    this.room(length);
    const { bytes } = this;
    let p = this.at;
    for (let i = 0; i < length; i++) bytes[p++] = piece[i] ?? 0;
    this.at = p;
  }

  /** A text in quotes. */
  text(text: string): void {
    this.room(text.length + 2);
    const { bytes } = this;
    const { length } = text;
    let p = this.at;
    bytes[p++] = 0x22;
    let i = 0;
    if (length <= SHORT_TEXT)
      for (; i < length; i++) {
        const c = text.charCodeAt(i);
        if (c < 0x20 || c > 0x7e || c === 0x22 || c === 0x5c) break;
        bytes[p++] = c;
      }
    if (i < length) {
      this.utf8(JSON.stringify(text));
      return;
    }
    bytes[p++] = 0x22;
    this.at = p;
  }

  utf8(text: string): void {
    this.room(3 * text.length);
    this.at += this.bytes.write(text, this.at, 'utf8');
  }

  /** A finite number as JavaScript writes it. */
  number(value: number): void {
    this.room(NUMBER_BYTES);
    const size = value < 0 ? -value : value;
    if (size < MOST_DIGITS && Math.trunc(size) === size) {
      if (value < 0) this.bytes[this.at++] = 0x2d;
      this.#whole(size);
      return;
    }
    const scaled = Math.round(size * SCALE);
    if (size < SMALLEST || scaled >= MOST_DIGITS || scaled / SCALE !== size) {
      this.ascii(String(value));
      return;
    }
    if (value < 0) this.bytes[this.at++] = 0x2d;
    const whole = Math.floor(scaled / SCALE);
    this.#whole(whole);
    this.#fraction(scaled - whole * SCALE);
  }

  /** Eight hex digits of 32 bits. */
  hex8(value: number): void {
    this.room(8);
    const { bytes } = this;
    let p = this.at;
    for (let shift = 28; shift >= 0; shift -= 4) {
      const digit = (value >>> shift) & 15;
      bytes[p++] = digit < 10 ? ZERO + digit : LETTER_A - 10 + digit;
    }
    this.at = p;
  }

  /** What was written from `start` on. */
  textFrom(start: number): string {
    return this.bytes.toString('utf8', start, this.at);
  }

  #whole(value: number): void {
    let digits = 1;
    for (let limit = 10; value >= limit; limit *= 10) digits++;
    const { bytes } = this;
    const end = this.at + digits;
    let p = end;
    let rest = value;
    // Above 32 bits a division is slow: the lower nine digits first.
    for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 10)) bytes[--p] = ZERO + (rest % 10);
    let low = rest | 0;
    do {
      const next = (low / 10) | 0;
      bytes[--p] = ZERO + low - 10 * next;
      low = next;
    } while (p > this.at);
    this.at = end;
  }

  /** Of `PLACES` digits, not zero. */
  #fraction(value: number): void {
    let places = PLACES;
    let rest = value | 0;
    while (rest % 10 === 0) {
      rest = (rest / 10) | 0;
      places--;
    }
    const { bytes } = this;
    bytes[this.at] = 0x2e;
    const end = this.at + 1 + places;
    let p = end;
    for (let k = 0; k < places; k++) {
      const next = (rest / 10) | 0;
      bytes[--p] = ZERO + rest - 10 * next;
      rest = next;
    }
    this.at = end;
  }
}

/** Printable ASCII as bytes, for `raw`. */
export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
