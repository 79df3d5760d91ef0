/** Ways to break a promise on purpose. Each replaces text that stands exactly once in a file. */

interface Edit {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

export interface Mutation {
  readonly name: string;
  /** The promise of the design that it breaks. */
  readonly promise: number;
  readonly edits: readonly Edit[];
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'answer before the commit',
    promise: 1,
    edits: [
      {
        file: 'src/in/intake/store.ts',
        find: 'this.#settle.owe(promises ? sequence : 0, Settled.Stored, rows, receipt.at, frame, end - start);',
        put: 'this.#settle.owe(0, Settled.Stored, rows, receipt.at, frame, end - start);',
      },
    ],
  },
  {
    name: 'skipped fdatasync',
    promise: 1,
    edits: [
      {
        file: 'src/journal/segment-writer.ts',
        find: 'await writeAll(this.#file, bytes, 0, end, this.size);\n    await this.#file.sync();',
        put: 'await writeAll(this.#file, bytes, 0, end, this.size);',
      },
    ],
  },
  {
    name: 'Redis cursor outside the transaction',
    promise: 3,
    edits: [
      {
        file: 'src/out/sink/redis-stream/encode.ts',
        find: "for i = 3, fields, 3 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end\n",
        put: '',
      },
      {
        file: 'src/out/sink/redis-stream/sink.ts',
        find: "if (appended !== 'appended') throw",
        put: "for (const [slot, { to }] of Object.entries(batch.ranges)) await redis.hset(this.#cursor, slot, String(to));\n    if (appended !== 'appended') throw",
      },
    ],
  },
];
