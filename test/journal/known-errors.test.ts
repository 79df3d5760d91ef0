import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { recover } from '../../src/journal/recovery.ts';
import { directory, open, read } from './slot.ts';

/** Root may write anywhere: for this long, the process is another user. */
async function unprivileged(work: () => Promise<void>): Promise<void> {
  if (process.getuid?.() !== 0) return work();
  process.seteuid?.(65_534);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}

const NEWER = join(import.meta.dirname, '../../fixtures/journal/newer-version.bin');

describe('known errors', () => {
  it('JOURNAL_FORMAT: a segment of a later version is refused by writer, recovery and reader, and not touched', async () => {
    const path = await directory();
    const segment = join(path, '0000000000000001.seg');
    const bytes = await readFile(NEWER);
    await writeFile(segment, bytes);
    await writeFile(join(path, 'durable'), Buffer.from('0400000000000000', 'hex'));
    const refusal = { code: 'JOURNAL_FORMAT', message: expect.stringMatching(/0000000000000001\.seg.*format 4.*start the version/) };
    await expect(recover(path)).rejects.toMatchObject(refusal);
    await expect(open(path)).rejects.toMatchObject(refusal);
    await expect(read(path)).rejects.toMatchObject(refusal);
    expect(await readFile(segment)).toEqual(bytes);
  });

  it('JOURNAL_FAILED: a directory that cannot be made', async () => {
    const path = await directory();
    await writeFile(join(path, 'file'), '');
    await expect(open(join(path, 'file', 'slot'))).rejects.toMatchObject({
      code: 'JOURNAL_FAILED',
      message: expect.stringContaining(join(path, 'file', 'slot')),
    });
  });

  it('JOURNAL_FAILED: a directory that cannot be written', async () => {
    const path = await directory();
    await mkdir(join(path, 'slot'));
    await chmod(path, 0o755);
    await chmod(join(path, 'slot'), 0o555);
    await unprivileged(() => expect(open(join(path, 'slot'))).rejects.toMatchObject({ code: 'JOURNAL_FAILED' }));
  });

  it('files that are not segments are left alone', async () => {
    const path = await directory();
    for (const name of ['1.seg', 'ffffffffffffffff.seg', '000000000000000G.seg', 'notes.txt']) await writeFile(join(path, name), 'mine');
    const slot = await open(path);
    expect(slot.append('a')).toBe(1);
    await slot.it.close();
    expect(await read(path)).toHaveLength(1);
    expect(await readFile(join(path, 'ffffffffffffffff.seg'), 'utf8')).toBe('mine');
  });
});
