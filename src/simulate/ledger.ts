import { closeSync, openSync, writeSync } from 'node:fs';
import { AppError, messageOf } from '../base/errors.ts';
import type { Fix } from './speaker.ts';

const FLUSH_CHARACTERS = 1 << 16;

/** The file of acknowledged fixes: `device<TAB>time<TAB>id`, one line each, appended. */
export class Ledger {
  readonly #file: number;
  #text = '';

  /** Throws AppError USAGE when the file cannot be opened. */
  constructor(path: string) {
    try {
      this.#file = openSync(path, 'a');
    } catch (error) {
      throw new AppError('USAGE', `cannot write the ledger: ${messageOf(error)}`, error);
    }
  }

  add(device: string, fix: Fix): void {
    this.#text += `${device}\t${fix.time}\t${fix.id}\n`;
    if (this.#text.length > FLUSH_CHARACTERS) this.flush();
  }

  flush(): void {
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    writeSync(this.#file, text);
  }

  close(): void {
    this.flush();
    closeSync(this.#file);
  }
}
