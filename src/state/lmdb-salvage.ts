import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * Reads the data file of an lmdb environment page by page, without the library and without mapping it: a damaged page costs the entries
 * that are in it, and never the process. For salvage only, of a store that no process has open.
 *
 * The file (lmdb 1.0, little endian; offsets in bytes): pages of `md_pad` bytes of the first record in the meta page, 4096 mostly.
 *
 *   page     0 number u64 · 8 transaction u64 · 18 flags u16 · 20 bytes of the list u16 · 24 the list: offsets of nodes, from 24 on, u16 …
 *            flags: 1 branch, 2 leaf, 4 overflow (data from 24 on, over as many pages as it takes), 8 meta
 *   meta     pages 0 and 1; the one with the later transaction counts: 24 magic u32 · 28 version u32 · 48 record of the free list ·
 *            96 record of the main tree · 152 transaction u64
 *   record   0 page size u32 · 4 flags u16 · 6 depth u16 · 8 branch, 16 leaf, 24 overflow pages u64 · 32 entries u64 · 40 root page u64
 *   node     0 low u16 · 2 high u16 · 4 flags u16 · 6 length of the key u16 · 8 key, value
 *            in a leaf, low and high are the length of the value; flags: 1 its page number instead of it, 2 it is the record of a tree
 *            in a branch, low, high and flags are the number of the page below
 */
const PAGE_HEADER = 24;
const NODE_HEADER = 8;
const META_BYTES = 160;
const MAGIC = 0xbeefc0de;
const VERSIONS: readonly number[] = [1, 2];
const BRANCH = 1;
const LEAF = 2;
const OVERFLOW = 4;
const BIG = 1;
const TREE = 2;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
/** A tree that is deeper goes in circles. */
const DEEPEST = 64;
const LARGEST_VALUE = 64 * 1024 * 1024;

export interface Salvaged {
  readonly table: string;
  readonly key: string;
  readonly value: string;
}

export interface SalvageCounts {
  /** Pages that cannot be read, by table; '' is the list of tables. */
  readonly lostPages: Map<string, number>;
  /** How many entries each table had by its own account. */
  readonly expected: Map<string, number>;
}

interface Tree {
  readonly pageSize: number;
  readonly entries: number;
  readonly root: bigint;
}

export class PageFile {
  readonly counts: SalvageCounts = { lostPages: new Map(), expected: new Map() };
  readonly #fd: number;
  readonly #bytes: number;
  #pageSize = 4096;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    this.#bytes = fstatSync(this.#fd).size;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Every entry of the tables named that can still be read. */
  *entries(tables: readonly string[]): Generator<Salvaged> {
    for (const main of this.#roots()) {
      const trees = new Map<string, Tree>();
      for (const { key, value, flags } of this.#leaves(main.root, '', 0))
        if ((flags & TREE) !== 0 && value.length >= 48) trees.set(key.toString('latin1').replace(/\0$/, ''), treeAt(value, 0));
      if (trees.size === 0) continue;
      for (const table of tables) {
        const tree = trees.get(table);
        if (tree === undefined) continue;
        this.counts.expected.set(table, tree.entries);
        for (const { key, value } of this.#leaves(tree.root, table, 0))
          yield { table, key: key.toString('latin1').replace(/\0$/, ''), value: value.toString('utf8') };
      }
      return;
    }
    this.#lost('');
  }

  /** The main tree by either meta page, the later one first. */
  #roots(): Tree[] {
    const metas: { readonly main: Tree; readonly transaction: bigint }[] = [];
    // The second meta page lies where the first one says, and at 4096 when the first one is gone.
    for (const page of [0n, 1n]) {
      const bytes = this.#read(Number(page) * this.#pageSize, META_BYTES);
      if (bytes === undefined || bytes.readUInt32LE(24) !== MAGIC || !VERSIONS.includes(bytes.readUInt32LE(28) & 0xffff)) continue;
      const { pageSize } = treeAt(bytes, 48);
      if (pageSize >= 512 && pageSize <= 65_536 && (pageSize & (pageSize - 1)) === 0) this.#pageSize = pageSize;
      metas.push({ main: treeAt(bytes, 96), transaction: bytes.readBigUInt64LE(152) });
    }
    return metas.sort((a, b) => (a.transaction < b.transaction ? 1 : -1)).map(({ main }) => main);
  }

  *#leaves(page: bigint, table: string, depth: number): Generator<{ key: Buffer; value: Buffer; flags: number }> {
    if (page === NO_PAGE) return;
    const bytes = this.#page(page);
    const kind = bytes === undefined ? 0 : bytes.readUInt16LE(18) & (BRANCH | LEAF | OVERFLOW);
    if (bytes === undefined || (kind !== BRANCH && kind !== LEAF) || depth > DEEPEST) {
      this.#lost(table);
      return;
    }
    const end = Math.min(PAGE_HEADER + bytes.readUInt16LE(20), this.#pageSize);
    for (let at = PAGE_HEADER; at + 2 <= end; at += 2) {
      const node = PAGE_HEADER + bytes.readUInt16LE(at);
      if (node + NODE_HEADER > this.#pageSize) {
        this.#lost(table);
        return;
      }
      const low = bytes.readUInt16LE(node) + bytes.readUInt16LE(node + 2) * 65_536;
      const flags = bytes.readUInt16LE(node + 4);
      if (kind === BRANCH) {
        yield* this.#leaves(BigInt(flags) * 0x1_0000_0000n + BigInt(low), table, depth + 1);
        continue;
      }
      const keyEnd = node + NODE_HEADER + bytes.readUInt16LE(node + 6);
      const value = keyEnd > this.#pageSize ? undefined : this.#value(bytes, keyEnd, low, flags);
      if (value === undefined) this.#lost(table);
      else yield { key: bytes.subarray(node + NODE_HEADER, keyEnd), value, flags };
    }
  }

  #value(page: Buffer, at: number, length: number, flags: number): Buffer | undefined {
    if ((flags & BIG) === 0) return at + length > this.#pageSize ? undefined : page.subarray(at, at + length);
    if (at + 8 > this.#pageSize || length > LARGEST_VALUE) return undefined;
    const number = page.readBigUInt64LE(at);
    const first = this.#page(number);
    if (first === undefined || (first.readUInt16LE(18) & OVERFLOW) === 0) return undefined;
    return this.#read(Number(number) * this.#pageSize + PAGE_HEADER, length);
  }

  /** A page that says itself that it is this one. */
  #page(number: bigint): Buffer | undefined {
    const bytes = this.#read(Number(number) * this.#pageSize, this.#pageSize);
    return bytes?.readBigUInt64LE(0) === number ? bytes : undefined;
  }

  /** Undefined where the file ends before, or the disk cannot read it. */
  #read(at: number, length: number): Buffer | undefined {
    if (!Number.isSafeInteger(at) || at + length > this.#bytes) return undefined;
    const bytes = Buffer.alloc(length);
    try {
      return readSync(this.#fd, bytes, 0, length, at) === length ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  #lost(table: string): void {
    this.counts.lostPages.set(table, 1 + (this.counts.lostPages.get(table) ?? 0));
  }
}

function treeAt(bytes: Buffer, at: number): Tree {
  return { pageSize: bytes.readUInt32LE(at), entries: Number(bytes.readBigUInt64LE(at + 32)), root: bytes.readBigUInt64LE(at + 40) };
}
