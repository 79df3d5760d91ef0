import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PageFile } from '../../../src/state/lmdb-salvage.ts';

/** Files laid out by hand, as lmdb writes them: src/state/lmdb-salvage.ts has the format. */

const [BRANCH, LEAF, OVERFLOW] = [1, 2, 4];
const [BIG, TREE] = [1, 2];
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const SIZE = 512;
const FIRST = 24;

let path: string;
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), 'fixgate-salvage-')), 'data.mdb');
});
afterAll(() => rmSync(join(path, '..'), { recursive: true }));

interface Node {
  readonly key?: string;
  readonly value?: Buffer;
  readonly flags?: number;
  /** Of the value; of a branch, the page below. */
  readonly length?: number;
}

function node({ key = '', value = Buffer.alloc(0), flags = 0, length = value.length }: Node): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16LE(length & 0xffff, 0);
  head.writeUInt16LE(Math.floor(length / 65_536), 2);
  head.writeUInt16LE(flags, 4);
  head.writeUInt16LE(key.length, 6);
  return Buffer.concat([head, Buffer.from(key), value]);
}

/** Nodes lie at the end of their page, the first one last. */
function page(number: number, kind: number, nodes: readonly Node[] = [], size = SIZE): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeBigUInt64LE(BigInt(number), 0);
  bytes.writeUInt16LE(kind, 18);
  bytes.writeUInt16LE(2 * nodes.length, 20);
  let end = size;
  nodes.forEach((one, n) => {
    const packed = node(one);
    end -= packed.length;
    packed.copy(bytes, end);
    bytes.writeUInt16LE(end - FIRST, FIRST + 2 * n);
  });
  return bytes;
}

function record(root: bigint, entries: number, size = SIZE): Buffer {
  const bytes = Buffer.alloc(48);
  bytes.writeUInt32LE(size, 0);
  bytes.writeBigUInt64LE(BigInt(entries), 32);
  bytes.writeBigUInt64LE(root, 40);
  return bytes;
}

function meta(root: bigint, transaction: number, { magic = 0xbeefc0de, version = 1, size = SIZE } = {}): Buffer {
  const page = Buffer.alloc(SIZE);
  page.writeUInt32LE(magic, 24);
  page.writeUInt32LE(version, 28);
  record(NO_PAGE, 0, size).copy(page, 48);
  record(root, 1).copy(page, 96);
  page.writeBigUInt64LE(BigInt(transaction), 152);
  return page;
}

const text = (value: string): Buffer => Buffer.from(value);
const tree = (name: string, root: number | bigint, entries = 1): Node => ({
  key: `${name}\0`,
  value: record(BigInt(root), entries),
  flags: TREE,
});
const entry = (key: string, value: string): Node => ({ key: `${key}\0`, value: text(value) });

interface Found {
  readonly entries: readonly string[];
  readonly lost: Readonly<Record<string, number>>;
  readonly expected: Readonly<Record<string, number>>;
}

function salvaged(pages: readonly Buffer[], tables: readonly string[] = ['devices']): Found {
  writeFileSync(path, Buffer.concat(pages));
  const file = new PageFile(path);
  try {
    const entries = [...file.entries(tables)].map(({ table, key, value }) => `${table} ${key}=${value}`);
    return { entries, lost: Object.fromEntries(file.counts.lostPages), expected: Object.fromEntries(file.counts.expected) };
  } finally {
    file.close();
  }
}

const METAS = [meta(2n, 1), meta(2n, 2)];
/** The table `devices` begins at page 3. */
const MAIN = page(2, LEAF, [tree('devices', 3, 2)]);

describe('a table', () => {
  it('is read through its branches, each with all its leaves, and the tables in the order asked for', () => {
    const main = page(2, LEAF, [tree('devices', 3, 3), tree('usage', 6)]);
    const branch = page(3, BRANCH, [{ length: 4 }, { key: 'm', length: 5 }]);
    const pages = [...METAS, main, branch, page(4, LEAF, [entry('a', '1'), entry('b', '')]), page(5, LEAF, [entry('m', 'å')])];
    expect(salvaged([...pages, page(6, LEAF, [entry('u', '7')])], ['usage', 'nothing', 'devices'])).toEqual({
      entries: ['usage u=7', 'devices a=1', 'devices b=', 'devices m=å'],
      lost: {},
      expected: { usage: 1, devices: 3 },
    });
  });

  it('of nothing has no page, and loses none', () => {
    expect(salvaged([...METAS, page(2, LEAF, [tree('devices', NO_PAGE, 0)])])).toEqual({ entries: [], lost: {}, expected: { devices: 0 } });
  });

  it('is none without the record of a tree', () => {
    const short: Node = { ...tree('devices', 3), value: record(3n, 1).subarray(0, 47) };
    const plain: Node = { ...tree('usage', 3), flags: 0 };
    const found = salvaged([...METAS, page(2, LEAF, [short, plain]), page(3, LEAF, [entry('a', '1')])], ['devices', 'usage']);
    expect(found).toEqual({ entries: [], lost: { '': 1 }, expected: {} });
  });
});

describe('a page costs its own entries', () => {
  const rest = page(4, LEAF, [entry('a', '1')]);
  it.each<[what: string, damaged: Buffer]>([
    ['of zeros', Buffer.alloc(SIZE)],
    ['that is another', page(7, LEAF, [entry('x', '1')])],
    ['that is neither branch nor leaf', page(5, OVERFLOW, [entry('x', '1')])],
    ['that is both', page(5, BRANCH | LEAF, [entry('x', '1')])],
    ['of which the file has not all', page(5, LEAF, [entry('x', '1')]).subarray(0, SIZE - 1)],
    ['that the file has not', Buffer.alloc(0)],
    ['that leads to itself', page(5, BRANCH, [{ length: 5 }])],
    ['that leads out of the file', page(5, BRANCH, [{ length: 0xffff, flags: 0xffff }])],
  ])('%s', (_what, damaged) => {
    const branch = page(3, BRANCH, [{ length: 4 }, { key: 'm', length: 5 }]);
    expect(salvaged([...METAS, MAIN, branch, rest, damaged])).toEqual({
      entries: ['devices a=1'],
      lost: { devices: 1 },
      expected: { devices: 2 },
    });
  });

  it('with a node out of its page has those before it', () => {
    const leaf = page(3, LEAF, [entry('a', '1'), entry('b', '2'), entry('c', '3')]);
    leaf.writeUInt16LE(SIZE - FIRST - 7, FIRST + 2);
    expect(salvaged([...METAS, MAIN, leaf])).toMatchObject({ entries: ['devices a=1'], lost: { devices: 1 } });
  });

  it('with a list that does not end has no more than the page', () => {
    const leaf = page(3, LEAF, [entry('a', '1')]);
    leaf.writeUInt16LE(0xffff, 20);
    expect(salvaged([...METAS, MAIN, leaf]).entries[0]).toBe('devices a=1');
  });
});

describe('an entry', () => {
  const after = entry('z', '9');
  it.each<[what: string, one: Node, entries: readonly string[]]>([
    ['whose value ends with the page is whole', entry('a', 'end'), ['devices a=end', 'devices z=9']],
    ['whose value ends behind the page is lost', { ...entry('a', 'end'), length: 4 }, ['devices z=9']],
    ['whose value is longer than any page is lost', { ...entry('a', 'end'), length: 65_536 }, ['devices z=9']],
  ])('%s', (_what, one, entries) => {
    const found = salvaged([...METAS, MAIN, page(3, LEAF, [one, after])]);
    expect(found).toMatchObject({ entries, lost: entries.length === 2 ? {} : { devices: 1 } });
  });

  it('whose key ends behind the page is lost', () => {
    const leaf = page(3, LEAF, [entry('a', '1'), after]);
    leaf.writeUInt16LE(4, SIZE - 11 + 6);
    expect(salvaged([...METAS, MAIN, leaf])).toMatchObject({ entries: ['devices z=9'], lost: { devices: 1 } });
  });

  const large = 'x'.repeat(SIZE);
  const overflow = (number: number, kind = OVERFLOW): Buffer =>
    Buffer.concat([page(number, kind).subarray(0, FIRST), text(large), Buffer.alloc(SIZE - FIRST)]);
  const number = (n: number): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(n));
    return bytes;
  };
  const big = (value: Buffer, length = SIZE): Node => ({ key: 'a', value, length, flags: BIG });
  it.each<[what: string, one: Node, pages: readonly Buffer[], isRead: boolean]>([
    ['on pages of its own is read from there', big(number(4)), [overflow(4)], true],
    ['whose pages are not of that kind is lost', big(number(4)), [overflow(4, LEAF)], false],
    ['whose pages are of another is lost', big(number(4)), [overflow(5)], false],
    ['whose pages are not all there is lost', big(number(4)), [overflow(4).subarray(0, FIRST + SIZE - 1)], false],
    ['whose pages end with the file is read', big(number(4)), [overflow(4).subarray(0, FIRST + SIZE)], true],
    ['larger than any is lost', big(number(4), 64 * 1024 * 1024 + 1), [overflow(4)], false],
    ['with half a page number is lost', big(number(4).subarray(0, 7)), [overflow(4)], false],
  ])('%s', (_what, one, pages, isRead) => {
    const found = salvaged([...METAS, MAIN, page(3, LEAF, [one, after]), ...pages]);
    expect(found.entries).toEqual([...(isRead ? [`devices a=${large}`] : []), 'devices z=9']);
    expect(found.lost).toEqual(isRead ? {} : { devices: 1 });
  });
});

describe('the tables are those', () => {
  /** Of one at page 2 and of another at page 3. */
  const two = [page(2, LEAF, [tree('devices', 4)]), page(3, LEAF, [tree('devices', 5)]), page(4, LEAF, [entry('old', '1')])];
  const pages = [...two, page(5, LEAF, [entry('new', '2')])];
  const empty = meta(NO_PAGE, 9);
  it.each<[what: string, metas: readonly Buffer[], entries: readonly string[]]>([
    ['of the later transaction, in the second place', [meta(2n, 1), meta(3n, 2)], ['devices new=2']],
    ['of the later transaction, in the first place', [meta(3n, 2), meta(2n, 1)], ['devices new=2']],
    ['of the earlier one when the later has none', [meta(2n, 1), empty], ['devices old=1']],
    ['of the one that is of this kind of file', [meta(2n, 1), meta(3n, 2, { magic: 1 })], ['devices old=1']],
    ['of the one whose version is known', [meta(2n, 1, { version: 2 }), meta(3n, 2, { version: 3 })], ['devices old=1']],
  ])('%s', (_what, metas, entries) => {
    expect(salvaged([...metas, ...pages])).toEqual({ entries, lost: {}, expected: { devices: 1 } });
  });

  it.each([
    ['is none', 3 * 256],
    ['is too small', 256],
    ['is too large', 131_072],
  ])('of pages of 4096 bytes where the size named %s, and where the first is gone', (_what, size) => {
    const large = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(4096 - bytes.length)]);
    const main = page(2, LEAF, [tree('devices', 3)], 4096);
    const rest = [main, page(3, LEAF, [entry('a', '1')], 4096)];
    const second = large(meta(2n, 2, { size: 4096 }));
    expect(salvaged([large(meta(2n, 1, { size })), Buffer.alloc(4096), ...rest]).entries).toEqual(['devices a=1']);
    expect(salvaged([Buffer.alloc(4096), second, ...rest]).entries).toEqual(['devices a=1']);
  });

  it('of none when there is no head, which is one loss', () => {
    expect(salvaged([Buffer.alloc(2 * SIZE), ...pages])).toEqual({ entries: [], lost: { '': 1 }, expected: {} });
    expect(salvaged([])).toEqual({ entries: [], lost: { '': 1 }, expected: {} });
  });
});
