import { unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { nodeStorage } from '../base/files.ts';

/** Makes the data directory where there is none. Throws AppError DATA_DIR_UNUSABLE when it cannot be written. */
export async function makeDataDir(directory: string): Promise<void> {
  const probe = join(directory, '.writable');
  try {
    await nodeStorage.makeDirectory(directory);
    await writeFile(probe, '');
    await unlink(probe);
  } catch (error) {
    throw new AppError(
      'DATA_DIR_UNUSABLE',
      `cannot write to the data directory ${directory} (${systemCode(error) || messageOf(error)}); make it writable or set FIXGATE_DATA_DIR to another one`,
      error,
    );
  }
}
