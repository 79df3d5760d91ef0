import { createWriteStream, type WriteStream } from 'node:fs';
import { access, constants, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { AppError, messageOf } from '../base/errors.ts';

/** Files that the command line names: what is wrong with one is the caller's to mend, and no defect. */

export async function needReadable(file: string): Promise<void> {
  await access(file, constants.R_OK).catch((error: unknown) => {
    throw new AppError('USAGE', `cannot read ${file}: ${messageOf(error)}`, error);
  });
}

export async function writeTo(file: string, content: AsyncIterable<Uint8Array | string>): Promise<void> {
  await pipeline(content, createWriteStream(file)).catch((error: unknown) => {
    // Of the content: says itself what is wrong.
    if (error instanceof AppError) throw error;
    throw new AppError('USAGE', `cannot write ${file}: ${messageOf(error)}`, error);
  });
}

export async function openToWrite(file: string): Promise<WriteStream> {
  try {
    return (await open(file, 'w')).createWriteStream();
  } catch (error) {
    throw new AppError('USAGE', `cannot write ${file}: ${messageOf(error)}`, error);
  }
}
