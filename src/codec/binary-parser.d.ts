/** The part of binary-parser that layouts use: its package exports hide its own declarations from ES modules. */
declare module 'binary-parser' {
  export class Parser {
    uint8(name: string): this;
    int8(name: string): this;
    uint16be(name: string): this;
    uint16le(name: string): this;
    int16be(name: string): this;
    uint32be(name: string): this;
    uint32le(name: string): this;
    int32be(name: string): this;
    uint64be(name: string): this;
    floatbe(name: string): this;
    string(name: string, options: { length: number; encoding: 'ascii' | 'hex' }): this;
    parse(bytes: Uint8Array): Record<string, number | bigint | string>;
  }
}
