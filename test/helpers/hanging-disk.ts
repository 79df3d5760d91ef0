import fs from 'node:fs';
import { env } from 'node:process';
import { until } from '../support/wait.ts';

/**
 * For `node --import`: while the file that `HANGING_DISK` names is there, the disk takes nothing of the workers' journals. What is
 * asked of it hangs, and is done when the file is gone. That of the supervisor goes on, so that the API answers. No disk can be made to do so
 * without privileges.
 */
const SEGMENT = /\/journal\/\d{1,2}\/[^/]+\.seg$/;
const { HANGING_DISK: file = '' } = env;
const { fdatasync } = fs;

function synced(fd: number, done: (error: NodeJS.ErrnoException | null) => void): void {
  const isOf = SEGMENT.test(fs.readlinkSync(`/proc/self/fd/${fd}`));
  void until(() => !isOf || !fs.existsSync(file)).then(() => fdatasync(fd, done));
}

Object.assign(fs, { fdatasync: synced });
