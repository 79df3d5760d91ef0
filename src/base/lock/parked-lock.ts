import { AppError } from '../errors.ts';
import { type DirectoryLock, lockDirectory } from './lock.ts';

/**
 * Of the directory of parked entries. Who gives them to a sink again has it, in the server or beside one, and so has who erases: two retries
 * would both deliver what is there, and one would deliver again what is erased. Rejects with AppError while another has it.
 */
export async function lockParked(directory: string): Promise<DirectoryLock> {
  try {
    return await lockDirectory(directory, 0);
  } catch (error) {
    const about = 'parked entries are being retried, or a device is being erased; repeat it when that is done';
    throw error instanceof AppError ? new AppError('SINK_UNREACHABLE', about, error) : error;
  }
}
