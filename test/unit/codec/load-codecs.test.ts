import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUILTIN_CODECS } from '../../../src/codec/builtin.ts';
import { loadCodecs, tryCodecs } from '../../../src/codec/registry.ts';

/** Which packages are codecs. */

let directory: string;
let files = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-codecs-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** A package of which this is all. */
function packageOf(text: string): string {
  const path = join(directory, `codec-${files++}.mjs`);
  writeFileSync(path, text);
  return path;
}

const shipped = BUILTIN_CODECS.map(({ name }) => name);

describe('a package', () => {
  it('whose default export is frozen, of this interface and has a name is a codec', async () => {
    const codecs = await loadCodecs([packageOf("export default Object.freeze({ api: 1, name: 'mine' });")]);
    expect([...codecs.keys()].sort()).toEqual([...shipped, 'mine'].sort());
  });

  it.each([
    ['is not frozen', "export default { api: 1, name: 'mine' };"],
    ['is of another interface', "export default Object.freeze({ api: 2, name: 'mine' });"],
    ['names no interface', "export default Object.freeze({ name: 'mine' });"],
    ['has no name', 'export default Object.freeze({ api: 1 });'],
    ['is null', 'export default null;'],
    ['is a text', "export default 'mine';"],
    ['is a function', "export default Object.freeze(Object.assign(() => {}, { api: 1, title: 'mine' }));"],
    ['is not there', "export const codec = Object.freeze({ api: 1, name: 'mine' });"],
  ])('whose default export %s is none', async (_what, text) => {
    const name = packageOf(text);
    await expect(loadCodecs([name])).rejects.toMatchObject({
      code: 'CODEC_INVALID',
      message: expect.stringContaining(`package ${name} must default-export what defineCodec returns`),
    });
  });

  it('that cannot be had, or has the name of another, costs only itself', async () => {
    const mine = packageOf("export default Object.freeze({ api: 1, name: 'mine' });");
    const failed: string[] = [];
    const codecs = await tryCodecs(
      [
        join(directory, 'nowhere.mjs'),
        packageOf("throw new Error('broken')"),
        packageOf(`export default Object.freeze({ api: 1, name: '${shipped[0]}' });`),
        mine,
        packageOf("export default Object.freeze({ api: 1, name: 'mine' });"),
      ],
      ({ code }) => failed.push(code),
    );
    expect(failed).toEqual(['CODEC_UNKNOWN', 'CODEC_UNKNOWN', 'CODEC_INVALID', 'CODEC_INVALID']);
    expect([...codecs.keys()].sort()).toEqual([...shipped, 'mine'].sort());
    expect(BUILTIN_CODECS.every((codec) => codecs.get(codec.name) === codec)).toBe(true);
  });
});
